"""A counterexample of an exploration: the crash that breaks a property, as a table, and the folder to look at.

It is for the first of the story's properties that is broken: the one with the fewest crashes; of all states that the
last of these may leave, the broken one with the fewest operations lost, and of those the earliest. A *way*
to a node is written as the numbers of the states that lead to it, ``41`` or ``41/3``, after the disturbance if there is
one (``EIO@7:41``): together with story and model it makes the same folder again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from chaos.crash.counterexample import story_of
from chaos.crash.explorer import Broken, Explored, Node
from chaos.crash.log_file import Recording
from chaos.crash.machine import UNDISTURBED, Disturbance, Machine, Ran
from chaos.crash.story import CrashStory, Fact
from chaos.errors import UsageError
from chaos.storage import CrashState, CrashStates, Persistence, contents_key
from chaos.storage.operations import Visible
from chaos.storage.tree import listing

ADVICE = "take it from the line that a broken run shows"


@dataclass(frozen=True, slots=True)
class Counterexample:
    """The smallest node found that breaks something: how to get there, the table, what is wrong."""

    way: str
    node: Node
    wrong: dict[str, str]
    table: str

    @property
    def lost(self) -> int:
        """Return how many operations were lost in the last crash."""
        return len(self.node.state.lost) if self.node.state is not None else 0


def counterexample(story: CrashStory, found: Explored) -> Counterexample | None:
    """Return the smallest counterexample of an exploration, None when nothing was broken."""
    if not found.broken:
        return None
    wanted = next((name for name in story.proves if name in found.broken_properties), min(found.broken_properties))
    few = min((broken for broken in found.broken if wanted in broken.wrong), key=_size)
    smallest = _fewest_lost(story, found.model, few, wanted)
    return Counterexample(way_of(smallest.node), smallest.node, smallest.wrong, table_of(story, found.model, smallest))


def _fewest_lost(story: CrashStory, model: Persistence, broken: Broken, wanted: str) -> Broken:
    """Return, of all states that the last crash before ``broken`` may leave, the one that breaks it with fewest losses.

    The exploration itself meets a folder once, by whichever losses led there first, and may have met it elsewhere.
    """
    parent = broken.node.parent
    if parent is None:
        return broken
    with Machine(story) as machine:
        ran = machine.run(parent.contents, parent.seen, parent.disturbance)
        fewest: dict[tuple[bytes, int], CrashState] = {}
        for state in CrashStates(ran.log, model, ran.start, every_reason=True):
            key = contents_key(story.abstract(state.contents)), state.visible
            if key not in fewest or _losses(state) < _losses(fewest[key]):
                fewest[key] = state
        for state in sorted(fewest.values(), key=_losses):
            node = _node_of(ran, parent, model, state)
            if wanted in (wrong := machine.run(node.contents, node.seen).wrong):
                return Broken(node, wrong)
    return broken


def _losses(state: CrashState) -> tuple[int, int]:
    return len(state.lost), state.point


def _node_of(ran: Ran, parent: Node, model: Persistence, state: CrashState) -> Node:
    """Return the node of a state, with the number that it has when each folder is counted once."""
    once = enumerate(CrashStates(ran.log, model, ran.start))
    number = next(n for n, other in once if (other.key, other.visible) == (state.key, state.visible))
    seen = parent.seen | _seen_before(ran, state)
    return Node(state.contents, seen, parent.depth + 1, parent, state, number=number)


def _seen_before(ran: Ran, state: CrashState) -> frozenset[Fact]:
    visible = [entry.operation for entry in ran.log if isinstance(entry.operation, Visible)]
    return frozenset((event.name, str(event.value["of"])) for event in visible[: state.visible])


def _size(broken: Broken) -> tuple[int, int, int]:
    state = broken.node.state
    return broken.node.depth, len(state.lost) if state else 0, state.point if state else 0


def table_of(story: CrashStory, model: Persistence, broken: Broken, *, is_whole: bool = False) -> str:
    """Return the way to a broken node as text: for each crash the operations before it, the folder, what is wrong."""
    node = broken.node
    lines: list[str] = []
    with Machine(story) as machine:
        for number, crashed in enumerate(node.way, 1):
            assert crashed.parent is not None, "a crash has a run before it"
            assert crashed.state is not None, "a crash has left a state"
            ran = machine.run(crashed.parent.contents, crashed.parent.seen, crashed.parent.disturbance)
            state = shortest(ran, crashed.state, model)
            told = story_of(Recording(ran.start, ran.log), state, whole=is_whole)
            lines += [f"run {number}, until the power is lost after operation {state.point} ({model})"]
            lines += [f"  {row.mark:5} {row.words}" for row in told.rows]
            lines += ["the folder then, against what the program had made of it"]
            lines += [f"  {line}" for line in told.differences] or ["  (the same)"]
    if node.disturbance is not UNDISTURBED:
        lines.insert(0, f"disturbed: {node.disturbance}")
    lines += ["the folder on which it starts again", *(f"  {line}" for line in listing(node.contents))]
    lines += ["what is wrong then", *(f"  {name}: {words}" for name, words in sorted(broken.wrong.items()))]
    return "\n".join(lines)


def shortest(ran: Ran, state: CrashState, model: Persistence) -> CrashState:
    """Return the same state with the fewest losses that lead to it."""
    every = CrashStates(ran.log, model, ran.start, every_reason=True)
    same = [other for other in every if other.key == state.key and other.visible == state.visible]
    return min(same, key=_losses, default=state)


def way_of(node: Node) -> str:
    """Return the way to a node, as text."""
    numbers = "/".join(str(crashed.number) for crashed in node.way)
    disturbed = next((n.disturbance for n in (node, *node.way[:1]) if n.disturbance is not UNDISTURBED), None)
    first = node.way[0].parent if node.way else None
    if disturbed is None and first is not None and first.disturbance is not UNDISTURBED:
        disturbed = first.disturbance
    return f"{disturbed.what}@{disturbed.number}:{numbers}" if disturbed is not None else numbers


def node_at(story: CrashStory, model: Persistence, way: str) -> Broken:
    """Return the node that a way leads to, and what is wrong there. Raises ``UsageError`` for what leads nowhere."""
    disturbance, _, numbers = way.rpartition(":")
    node = Node(story.start, frozenset(), disturbance=_disturbance(disturbance))
    with Machine(story) as machine:
        for text in numbers.split("/") if numbers else []:
            if not text.isdecimal():
                raise UsageError("the numbers of states, as 41 or 41/3", repr(way), ADVICE)
            node = _next_node(machine.run(node.contents, node.seen, node.disturbance), node, model, int(text))
        return Broken(node, machine.run(node.contents, node.seen, node.disturbance).wrong)


def _disturbance(text: str) -> Disturbance:
    if not text:
        return UNDISTURBED
    what, _, number = text.partition("@")
    if not number.isdecimal():
        raise UsageError("a disturbance, as EIO@7", repr(text), ADVICE)
    return Disturbance(int(number), what)


def _next_node(ran: Ran, node: Node, model: Persistence, number: int) -> Node:
    states = CrashStates(ran.log, model, ran.start)
    state = next(islice(iter(states), number, None), None)
    if state is None:
        raise UsageError(f"a state below {states.count} under {model}", str(number), ADVICE)
    seen = node.seen | _seen_before(ran, state)
    return Node(state.contents, seen, node.depth + 1, node, state, number=number)
