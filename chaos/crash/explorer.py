"""Restarts a program on every state that a crash may leave, and on every one that a crash of the restart may leave.

* The exploration is breadth first, from the story's beginning. A *node* is a folder and what the outside has seen; each
  is run once, to its end, and judged there. Every crash state of that run's log is a node in turn, so that crashes
  during recovery are covered like all others, to any depth: the exploration ends when no new node appears (closure).
* Nodes are the same when their folders are the same after the story's abstraction, and the outside has seen the same.
* Disturbed runs (an error, a cancellation or, with a process beside it, a SIGKILL at each change of the disk) start
  from the story's beginning; what they may leave is explored as well.
* Nothing is ever called proven when a bound was hit: see ``Explored.bounds_hit``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from chaos.crash.leavings import Leavings
from chaos.crash.machine import UNDISTURBED, Disturbance, Machine, Ran
from chaos.crash.story import CrashStory, Fact
from chaos.storage import Contents, CrashState, Limits, Persistence
from chaos.storage.operations import Visible
from chaos.verdict import Verdict

BROKEN_KEPT_MAX = 20
CANCELLATIONS = ("cancel", "stop")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far to go: recoveries in all, seconds, crashes in a row, and what is enumerated at each point.

    ``stops_when_broken``: with the first broken node, only what the same run may leave is still looked at.
    """

    recoveries: int = 200_000
    seconds: float = 600.0
    crashes: int = 1_000
    limits: Limits = field(default_factory=Limits)
    stops_when_broken: bool = True
    is_disturbed: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A folder to start on, for an outside that has seen something; ``state`` of ``parent``'s run made it.

    ``number``: of that state, in the order in which the run's states are enumerated.
    """

    contents: Contents
    seen: frozenset[Fact]
    depth: int = 0
    parent: Node | None = None
    state: CrashState | None = None
    disturbance: Disturbance = UNDISTURBED
    number: int = 0

    @property
    def way(self) -> list[Node]:
        """Return the nodes that lead here, the first crash first."""
        above = self.parent.way if self.parent is not None else []
        return [*above, self] if self.state is not None else above


@dataclass(frozen=True, slots=True)
class Broken:
    """A node whose run broke properties, and how."""

    node: Node
    wrong: dict[str, str]


@dataclass(slots=True)
class Explored:
    """What an exploration found.

    ``states``: crash states enumerated; ``nodes``: different ones, by folder and by what the outside has seen; each is
    a recovery, judged at its end; ``runs``: programs run for that: a run that would be the same again is left out.
    """

    story: str
    model: Persistence
    states: int = 0
    nodes: int = 0
    recoveries: int = 0
    runs: int = 0
    operations: int = 0
    depth: int = 0
    points: int = 0
    broken_count: int = 0
    broken_properties: set[str] = field(default_factory=set)
    broken: list[Broken] = field(default_factory=list)
    bounds_hit: list[str] = field(default_factory=list)
    took_s: float = 0.0

    def verdict(self, property_id: str) -> Verdict:
        """Return what it says of one property: held only when everything was explored."""
        if property_id in self.broken_properties:
            return Verdict.BROKEN
        if self.bounds_hit or self.broken_count or not self.recoveries:  # Nothing is explored behind a broken state.
            return Verdict.UNKNOWN
        return Verdict.HELD

    def __repr__(self) -> str:
        rate = self.recoveries / self.took_s if self.took_s else 0
        return (
            f"Explored({self.story} under {self.model}: {self.states} states, {self.recoveries} recoveries by"
            f" {self.runs} runs, depth {self.depth}, {self.broken_count} broken, {rate:.0f}/s)"
        )


class Explorer:
    """Explores one story under one model.

    ``machine`` and ``leavings`` are its own, or those that others explore the story with, too.
    """

    def __init__(
        self,
        story: CrashStory,
        model: Persistence,
        bounds: Bounds | None = None,
        machine: Machine | None = None,
        leavings: Leavings | None = None,
    ) -> None:
        self._story, self._model, self._bounds = story, model, bounds or Bounds()
        self._machine = machine
        self._known: set[tuple[bytes, frozenset[Fact]]] = set()
        self._leavings = leavings or Leavings(story)

    def explore(self) -> Explored:
        """Go on until nothing new appears, or a bound is hit."""
        found = Explored(self._story.name, self._model)
        began = time.perf_counter()
        todo: deque[Node] = deque()
        with nullcontext(self._machine) if self._machine is not None else Machine(self._story) as machine:
            runs_before = machine.runs
            for node in self._beginnings(machine):
                todo.append(node)
                while todo and not self._is_bound_hit(found, began, len(todo)):
                    next_node = todo.popleft()
                    if not self._is_enough(found, next_node):
                        todo.extend(self._visit(machine, next_node, found))
            found.runs = machine.runs - runs_before
        found.took_s = time.perf_counter() - began
        return found

    def _beginnings(self, machine: Machine) -> Iterator[Node]:
        first = Node(self._story.start, frozenset())
        yield first
        ran = machine.run(first.contents, first.seen)
        changes, kinds = ran.changes, ["kill"] if self._story.beside else []
        if self._bounds.is_disturbed:
            kinds = ["EIO", *(how for how in CANCELLATIONS if how in ran.end.outside.tasks), *kinds]
        for what in kinds:
            for number in range(1, changes + 1):
                yield Node(first.contents, first.seen, disturbance=Disturbance(number, what))

    def _visit(self, machine: Machine, node: Node, found: Explored) -> Iterator[Node]:
        """Run from a node, judge the end, and yield the new nodes that its crashes may leave."""
        ran = machine.run(node.contents, node.seen, node.disturbance)
        found.recoveries += 1
        found.nodes = found.recoveries
        found.operations += len(ran.log)
        found.depth = max(found.depth, node.depth)
        if ran.wrong:
            found.broken_count += 1
            if len(found.broken) < BROKEN_KEPT_MAX or not set(ran.wrong) <= found.broken_properties:
                found.broken.append(Broken(node, ran.wrong))
            found.broken_properties |= set(ran.wrong)
            return
        if node.depth >= self._bounds.crashes:
            self._hit(found, f"stopped after {self._bounds.crashes} crashes in a row")
            return
        yield from self._after_crash(node, ran, found)

    def _after_crash(self, node: Node, ran: Ran, found: Explored) -> Iterator[Node]:
        left = self._leavings.of(ran, self._model, self._bounds.limits)
        seen_at = _seen_after(node.seen, ran)
        for one in left.first:
            seen = seen_at[one.state.visible]
            if (one.like, seen) not in self._known:
                self._known.add((one.like, seen))
                yield Node(one.state.contents, seen, node.depth + 1, node, one.state, number=one.number)
        found.states += left.states
        found.points += left.points
        for words in left.bounds_hit:
            self._hit(found, words)

    def _is_enough(self, found: Explored, node: Node) -> bool:
        """Whether a broken node was found and this one is no sibling of it."""
        if not found.broken or not self._bounds.stops_when_broken:
            return False
        return node.parent is not found.broken[0].node.parent or node.disturbance != found.broken[0].node.disturbance

    def _is_bound_hit(self, found: Explored, began: float, waiting: int) -> bool:
        if found.recoveries >= self._bounds.recoveries:
            self._hit(found, f"stopped after {found.recoveries} recoveries, {waiting} states waiting")
            return True
        if time.perf_counter() - began >= self._bounds.seconds:
            self._hit(found, f"stopped after {self._bounds.seconds:g} s, {waiting} states waiting")
            return True
        return False

    def _hit(self, found: Explored, words: str) -> None:
        if words not in found.bounds_hit:
            found.bounds_hit.append(words)

    def __repr__(self) -> str:
        return f"Explorer({self._story.name} under {self._model}, {len(self._known)} nodes known)"


def _seen_after(before: frozenset[Fact], ran: Ran) -> Sequence[frozenset[Fact]]:
    """Return what the outside has seen after each number of visible events of a run."""
    seen = [before]
    for entry in ran.log:
        if isinstance(entry.operation, Visible):
            seen.append(seen[-1] | {(entry.operation.name, str(entry.operation.value["of"]))})
    return seen
