"""What a failpoint says when the call goes on as if it had not been there."""

from __future__ import annotations


class Nothing:
    """The one value that replaces no result."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = Nothing()
