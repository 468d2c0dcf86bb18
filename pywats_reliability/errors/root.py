"""The root of every error of the service, and a way to put any exception into one line."""

from __future__ import annotations

from typing import ClassVar


class ReliabilityError(Exception):
    """The root of everything this package raises on purpose."""

    code: ClassVar[str] = "error"

    def __str__(self) -> str:
        """Return the message as written, also for the classes that are a ``KeyError`` (which would quote it)."""
        return str(self.args[0]) if self.args else type(self).__name__


def described(error: BaseException, length_max: int = 300) -> str:
    """Return type and text of any exception in one line, cut to a length; also of one whose text cannot be made."""
    try:
        text = str(error)
    except Exception as flaw:  # noqa: BLE001 - a foreign __str__ may raise anything, and the error must still be told
        text = f"(its text could not be made: {type(flaw).__name__})"
    return " ".join(f"{type(error).__name__}: {text}".split())[:length_max]
