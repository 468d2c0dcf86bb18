"""The errors of system calls, with the very words and file names that the operating system gives them."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any


def failed(number: int, path: Any = None, other: Any = None) -> OSError:
    """Return the error of that number; ``path`` and ``other`` are what the caller gave, as it gave it."""
    if other is not None:
        return OSError(number, os.strerror(number), path, None, other)
    if path is not None:
        return OSError(number, os.strerror(number), path)
    return OSError(number, os.strerror(number))


class naming:  # noqa: N801 - reads as a verb; a class, as it stands around every call
    """Adds to an ``OSError`` the paths that the caller gave, where it names none."""

    __slots__ = ("other", "path")

    def __init__(self, path: Any, other: Any = None) -> None:
        self.path, self.other = path, other

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if isinstance(error, OSError):
            error.filename = self.path
            if self.other is not None:
                error.filename2 = self.other
