"""What a test or a scenario may need of the machine, by the words of the marker ``needs``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from chaos.errors import NotAvailableError, UsageError
from chaos.live.syscalls import require_strace
from chaos.live.wall_clock import find_library


def _require_linux() -> None:
    if sys.platform != "linux":
        raise NotAvailableError("the live world", f"this is {sys.platform}", "run it on Linux")


NEEDS: Mapping[str, Callable[[], object]] = {
    "ptrace": require_strace,
    "faketime": find_library,
    "linux": _require_linux,
}


def why_not(need: str) -> str:
    """Return why this machine does not have it, and what to install; empty when it does. Raises ``UsageError``."""
    if need not in NEEDS:
        raise UsageError(f"a need ({', '.join(NEEDS)})", repr(need), "mend the marker")
    try:
        NEEDS[need]()
    except NotAvailableError as absent:
        return str(absent)
    return ""
