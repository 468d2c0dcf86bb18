"""What is said of a command that was cut off while the disk was at it: the truth, that it may take effect later (H6.3).

A thread that waits for a stuck disk cannot be stopped, so "no later effect" cannot be promised for everything. It is
promised for what has not begun, and for a report that has no name yet (``ReportStore.accept``); for the rest these
errors say that the outcome is unknown, and where to look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from pywats_reliability.errors import OutcomeUnknownError
from pywats_reliability.ipc import Answer, CommandHandler


def may_be_late(
    operation: str, handler: CommandHandler, advice: str, *, is_at_it: Callable[[Mapping[str, Any]], bool]
) -> CommandHandler:
    """Return ``handler``; cut off while ``is_at_it(args)``, it raises ``OutcomeUnknownError``."""

    @wraps(handler)
    async def carried_out(args: Mapping[str, Any]) -> Any | Answer:
        try:
            return await handler(args)
        except asyncio.CancelledError as cut_off:
            if not is_at_it(args):
                raise  # And the disk never will be.
            raise OutcomeUnknownError(operation, advice) from cut_off

    return carried_out
