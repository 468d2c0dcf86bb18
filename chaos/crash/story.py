"""A story to crash: a program on one mounted folder, what the outside has seen of it, and what must be true in the end.

* The *program* is the same for the first start and for every restart: it recovers what it finds, then goes on with what
  the outside still wants. It tells the outside of everything that is visible there, through ``Outside.say``.
* The *outside* survives every crash: what it has seen obliges the program for ever. The order in which it saw things
  does not matter, so that the states of an exploration can be told apart by a set.
* ``wrong`` judges the end of a run: for each property that is broken, a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chaos.storage import MODELS, Contents

if TYPE_CHECKING:
    from asyncio import Task

    from chaos.sim.disk import SimDisk

FOLDER = "/crash"
Fact = tuple[str, str]
"""Something that the outside has seen: what, and of what (an id, a digest)."""


class Outside:
    """What the outside has seen up to now, in this run and in those before the crash.

    ``met_trouble``: an error was told in this run, so that not everything need have been done at its end.
    ``complaints``: what was seen to be wrong meanwhile, by property. ``lives``: whether a process of this run is alive.

    It takes down what the program is told of the time before the crash: a run that asks the same and is told the same,
    on the same folder, is the same run (see ``tells_the_same``).
    """

    def __init__(self, before: frozenset[Fact], disk: SimDisk | None = None) -> None:
        self._before, self._disk = before, disk
        self._said: list[Fact] = []
        self._told: dict[tuple[str, str | None], object] = {}
        self._told_all = False
        self.tasks: dict[str, list[Task[Any]]] = {}
        self.met_trouble = False
        self.complaints: dict[str, str] = {}
        self.lives: Callable[[int], bool] = _everybody

    @property
    def before(self) -> frozenset[Fact]:
        """Return all that was seen before the crash."""
        self._told_all = True
        return self._before

    def say(self, what: str, of: str = "") -> None:
        """Let the outside see something, here and now: a point of crash like an operation."""
        assert self._disk is not None, "the run is over"
        self._said.append((what, of))
        self._disk.seen(what, of=of)

    def has_seen(self, what: str, of: str = "") -> bool:
        """Whether the outside has seen that, before a crash or since."""
        return (what, of) in self._said or bool(self._asked(what, of))

    def all_seen(self, what: str) -> list[str]:
        """Return of what it has seen that, in order of name, each once."""
        known: Any = self._asked(what, None)
        return sorted({*known, *(of for name, of in self._said if name == what)})

    def _asked(self, what: str, of: str | None) -> object:
        answer = self._told[what, of] = _known(self._before, what, of)
        return answer

    def tells_the_same(self, before: frozenset[Fact]) -> bool:
        """Whether the program would have been told the same by an outside that had seen ``before`` the crash."""
        if self._told_all and before != self._before:
            return False
        return all(_known(before, what, of) == answer for (what, of), answer in self._told.items())

    def end(self) -> None:
        """Let go of the world that the run was in; of the tasks, which kinds there were is still known."""
        self._disk, self.lives = None, _everybody
        self.tasks = {by: [] for by in self.tasks}

    def after(self, before: frozenset[Fact]) -> Outside:
        """Return how the same run is seen, when it is over, by an outside that had seen ``before`` the crash."""
        other = Outside(before)
        other._said, other.met_trouble, other.complaints = self._said, self.met_trouble, self.complaints
        other.tasks = self.tasks
        return other

    def was_refused(self) -> None:
        """Note that the program was told of an error."""
        self.met_trouble = True

    def may_be_cancelled(self, task: Task[Any], by: str = "cancel") -> None:
        """Let a disturbed run cancel this task at any operation.

        ``by``: ``cancel`` for somebody who gives up while all else goes on, ``stop`` for the end of all work at once.
        """
        self.tasks.setdefault(by, []).append(task)

    def __repr__(self) -> str:
        return f"Outside({len(self._before)} seen before, {len(self._said)} since)"


def _known(before: frozenset[Fact], what: str, of: str | None) -> object:
    """Return whether that was seen of ``of``, or of what it was."""
    return frozenset(of for name, of in before if name == what) if of is None else (what, of) in before


def _everybody(_process_id: int) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class End:
    """The end of a run: the folder, what the program returned, and all that the outside has seen."""

    contents: Contents
    result: Any
    outside: Outside


Program = Callable[[Outside], Callable[[], Any]]
Wrong = Mapping[str, str]


def as_it_is(contents: Contents) -> Contents:
    """Abstract from nothing."""
    return contents


@dataclass(frozen=True, slots=True)
class CrashStory:
    """See the module. ``proves`` are the ids of its properties, the main one first.

    ``abstract`` makes the same of contents whose difference means nothing (who held a lock, say): without it an
    exploration may not come to an end. ``start`` is what the folder holds at first. ``models`` are those under which
    the enumeration is complete in reasonable time. ``is_disturbed``: also with an error, or a cancellation of what may
    be cancelled, at each change of the disk. ``beside``: a second process that lives beside the first, which is also
    killed at each change.
    """

    name: str
    proves: tuple[str, ...]
    program: Program
    wrong: Callable[[End], Wrong]
    abstract: Callable[[Contents], Contents] = as_it_is
    start: Contents = field(default_factory=dict)
    models: tuple[str, ...] = tuple(MODELS)
    is_disturbed: bool = False
    beside: Program | None = None
