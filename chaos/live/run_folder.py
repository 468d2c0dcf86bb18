"""One folder per run, for everything that a run writes: short enough for socket paths, private, gone at the end.

* It lies directly in the system's temporary folder, is called ``pywats-chaos-<pid>-<random>``, and has mode 0700.
* It is on the watchdog's undo list before it exists, so it goes whatever becomes of the runner.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

from chaos.errors import RefusedError, UsageError
from chaos.live.undo import PREFIX, remove_tree
from chaos.live.watchdog import Guard, Watchdog, temporary_folder

SOCKET_PATH_BYTES_MAX = 107


class RunFolder:
    """The folder of one run. Made by ``RunFolder.create``; removed by ``remove()`` or as a context manager."""

    def __init__(self, path: Path, watchdog: Watchdog, guard: Guard) -> None:
        self.path = path
        self._watchdog, self._guard = watchdog, guard

    def __repr__(self) -> str:
        entries = len(list(self.path.iterdir())) if self.path.exists() else 0
        return f"RunFolder({self.path}, {entries} entries)"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    @classmethod
    def create(cls, watchdog: Watchdog) -> RunFolder:
        """Make a new, empty folder. Raises ``RefusedError`` when the watchdog does not take it, and ``OSError``."""
        path = Path(temporary_folder()) / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        if path.exists():
            raise RefusedError(f"making {path}", "it exists already and is not this run's")
        guard = watchdog.guard_folder(path)
        try:
            path.mkdir(mode=0o700)
        except OSError:
            watchdog.forget(guard)
            raise
        return cls(path, watchdog, guard)

    def file(self, name: str) -> Path:
        """Return the path of a file directly in this folder; the file need not exist."""
        return self._inside(name)

    def folder(self, name: str) -> Path:
        """Return a folder directly in this one, made with mode 0700 if it is not there."""
        path = self._inside(name)
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def socket_path(self, name: str) -> Path:
        """Return a path for a unix socket. Raises ``UsageError`` when the system's limit of 107 bytes is exceeded."""
        path = self._inside(name)
        length = len(os.fsencode(path))
        if length > SOCKET_PATH_BYTES_MAX:
            raise UsageError(
                f"a socket path of at most {SOCKET_PATH_BYTES_MAX} bytes",
                f"{length} bytes: {path}",
                "set TMPDIR to a shorter folder, such as /tmp",
            )
        return path

    def remove(self) -> None:
        """Remove the folder with all that is in it. Idempotent; raises ``OSError`` for what stays.

        End the processes of the run first: what they write meanwhile would stay.
        """
        remove_tree(str(self.path))
        self._watchdog.forget(self._guard)

    def _inside(self, name: str) -> Path:
        if not name or name in (".", "..") or "/" in name or "\0" in name:
            raise RefusedError(f"the path {name!r}", "it is not a plain name inside the run's folder")
        return self.path / name
