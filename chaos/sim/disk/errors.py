"""The errors of system calls, with the very words and file names that the operating system gives them."""

from __future__ import annotations

import os
from typing import Any


def failed(number: int, path: Any = None, other: Any = None) -> OSError:
    """Return the error of that number; ``path`` and ``other`` are what the caller gave, as it gave it."""
    if other is not None:
        return OSError(number, os.strerror(number), path, None, other)
    if path is not None:
        return OSError(number, os.strerror(number), path)
    return OSError(number, os.strerror(number))
