"""Whose turn it is in a hunt: time is shared out evenly among the stories, so that a slow one holds up no other."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass

SIZE_MAX = 10
SLICE_S = 1.0


@dataclass(slots=True)
class _Account:
    played: int = 0
    spent_s: float = 0.0
    size: int = 1


class Turns:
    """The turns of some stories. ``paces`` is what a schedule of each took when it was last played, in seconds.

    It is kept up to date; a story that is not in it is thought to take no time, and so comes early.
    """

    def __init__(self, stories: Sequence[str], paces: MutableMapping[str, float]) -> None:
        self._accounts = {story: _Account() for story in stories}
        self._paces = paces

    @property
    def played(self) -> int:
        """How many schedules were played, of all stories."""
        return sum(account.played for account in self._accounts.values())

    def next(self) -> tuple[str, int, int]:
        """Return the story whose turn will be over first, how many of its schedules were played, and how many to play.

        The turns of a story grow, but none takes much longer than a second.
        """
        story = min(self._accounts, key=lambda name: self._accounts[name].spent_s + self._paces.get(name, 0.0))
        account = self._accounts[story]
        affordable = int(SLICE_S / pace) if (pace := self._paces.get(story, 0.0)) else account.size
        return story, account.played, max(1, min(account.size, affordable))

    def took(self, story: str, played: int, took_s: float) -> None:
        """Take note of a turn: so many schedules, in so many seconds."""
        account = self._accounts[story]
        account.played += played
        account.spent_s += took_s
        account.size = min(account.size * 2, SIZE_MAX)
        self._paces[story] = took_s / max(1, played)

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {a.played} in {a.spent_s:.1f} s" for name, a in self._accounts.items())
        return f"Turns({told})"
