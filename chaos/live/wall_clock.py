"""The wall clock of a real process, jumped by libfaketime; its monotonic clock, and so its event loop, is untouched.

* The offset is in a file that the process looks at whenever it asks for the time: a jump holds from its next look on.
* The monotonic clock stays real (``FAKETIME_DONT_FAKE_MONOTONIC``): with it faked, Python's waits never end.
* libfaketime leaves segments in ``/dev/shm`` when its process is killed: they are on the watchdog's undo list before
  the process runs, and are removed when it is closed.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from pathlib import Path

from chaos.errors import NotAvailableError

NEED = "jumps of the wall clock"
ADVICE = "apt install faketime"
PLACES = (
    "/usr/lib/*/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/local/lib/faketime/*.so.1",
)


class WallClock:
    """A clock for processes that are started with its ``environment``. Raises ``NotAvailableError`` where it cannot."""

    def __init__(self, file: Path) -> None:
        self._library, self._file = find_library(), file
        self._offset_s = 0.0
        self._write()

    def __repr__(self) -> str:
        return f"WallClock({self._offset_s:+g} s)"

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a process needs in its environment to live by this clock."""
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }

    @property
    def offset_s(self) -> float:
        """Return by how much the clock differs from the real one."""
        return self._offset_s

    def jump(self, seconds: float) -> None:
        """Move the clock by that much, forward or (negative) back."""
        self._offset_s += seconds
        self._write()

    def _write(self) -> None:
        aside = self._file.with_name(f"{self._file.name}.new")
        aside.write_text(f"{self._offset_s:+.3f}\n")
        os.rename(aside, self._file)  # noqa: TID251 - never half a number


def find_library() -> str:
    """Return where libfaketime is. Raises ``NotAvailableError``."""
    for pattern in PLACES:
        if found := sorted(glob.glob(pattern)):
            return found[0]
    raise NotAvailableError(NEED, "libfaketime was not found", ADVICE)
