"""The seam that gives the standard library's objects numbers for hashes: sets of them iterate alike everywhere.

Programs, and the library itself, keep such objects in sets (a pool its threads, a server its transports) and then go
through them. By its address an object would come at another place in every run. A number is given when a hash is first
asked for by code of a process; who is not inside a process sees the usual hashes.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import selector_events, sslproto
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from anyio._backends import _asyncio as anyio_tasks

from chaos.sim.seams import PatchingSeam

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel


class SimCancelScope(anyio_tasks.CancelScope):
    """anyio's (and so httpx's) scope, with room for a number: one cancels those inside it in the order of a set."""


NUMBERED: tuple[Any, ...] = (
    asyncio.StreamWriter,
    asyncio.StreamReader,
    selector_events._SelectorTransport,  # type: ignore[attr-defined] # noqa: SLF001 - the class of every transport
    sslproto._SSLProtocolTransport,  # noqa: SLF001 - the class of those with TLS
    threading.Thread,
    Future,
    SimCancelScope,
)


class Numbering(PatchingSeam):
    """Numbers the objects of ``NUMBERED``."""

    def patch(self, kernel: SimKernel) -> None:
        """Replace how their classes hash."""

        def numbered(thing: Any) -> int:
            known: dict[str, int] = thing.__dict__
            number = known.get("_chaos_number")
            if number is None:
                if not kernel.is_inside():
                    return object.__hash__(thing)
                number = known["_chaos_number"] = kernel.next_number()
            return number

        for owner in NUMBERED:
            self.patches.set(owner, "__hash__", numbered)
        self.patches.set(anyio_tasks, "CancelScope", SimCancelScope)
