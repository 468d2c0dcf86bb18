"""A check on every crash state of a recording: which states break it, and whether anything follows from that.

* A check gets a folder as a crash may leave it, and what the outside had seen before the crash. It answers with what is
  wrong, or with nothing; when it cannot answer, it raises ``CheckUnansweredError``, and the state is *unknown*.
* First it is asked about the folder without any crash: a check that fails there says nothing about crashes.
* The verdict is *held* only when every state was enumerated, each was answered, and the log has no doubts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import monotonic

from chaos.crash.log_file import Recording
from chaos.crash.state_folder import ChangingFolder, state_in, workshop
from chaos.errors import ChaosError, UsageError
from chaos.storage.crash_states import CrashState, CrashStates, Limits
from chaos.storage.operations import Visible
from chaos.storage.persistence import Persistence
from chaos.verdict import Verdict

Check = Callable[[Path, Sequence[Visible]], str]
"""Returns what is wrong with a folder after a crash, given what was visible before it; nothing when it is right."""

Seen = Sequence[Visible]
Numbered = Iterator[tuple[int, CrashState]]

BROKEN_KEPT_MAX = 1000  # Of states that break the check, so many are kept; the count goes on.
AHEAD_PER_JOB = 2


class CheckUnansweredError(ChaosError):
    """The check did not say whether a state is right: it took too long, or fell over."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"expected an answer of the check, found {found}; its verdict on this state is unknown")


@dataclass(frozen=True, slots=True)
class Judged:
    """One state with its number in the enumeration, and what the check says of it."""

    number: int
    state: CrashState
    wrong: str = ""
    unanswered: str = ""


@dataclass(slots=True)
class Judgement:
    """What the check says of all states under one model."""

    model: Persistence
    states: int = 0
    broken: int = 0
    unknown: int = 0
    took_s: float = 0.0
    counterexamples: list[Judged] = field(default_factory=list)
    unanswered: list[Judged] = field(default_factory=list)
    bounds_hit: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """Return broken, unknown or held."""
        if self.broken:
            return Verdict.BROKEN
        return Verdict.UNKNOWN if self.unknown or self.bounds_hit or not self.states else Verdict.HELD

    @property
    def smallest(self) -> Judged | None:
        """Return the counterexample with the fewest losses, the earliest of those."""
        return min(self.counterexamples, key=lambda judged: (len(judged.state.lost), judged.number), default=None)

    def add(self, judged: Judged) -> None:
        """Count one state."""
        self.states += 1
        if judged.unanswered:
            self.unknown += 1
            self.unanswered[BROKEN_KEPT_MAX:] = []
            self.unanswered.append(judged)
        elif judged.wrong:
            self.broken += 1
            self.counterexamples.append(judged)
            if len(self.counterexamples) > BROKEN_KEPT_MAX:
                self.counterexamples.sort(key=lambda known: (len(known.state.lost), known.number))
                self.counterexamples.pop()


@dataclass(frozen=True, slots=True)
class Options:
    """How to check: states at most, checks at once, where the folders are made.

    ``reads_only``: the check promises to change nothing, and the folder is changed from one state to the next.
    """

    limits: Limits = field(default_factory=Limits)
    jobs: int = 1
    where: str | None = None
    reads_only: bool = False
    heard: Callable[[Judged], None] = lambda _judged: None


def check_states(recording: Recording, model: Persistence, check: Check, options: Options | None = None) -> Judgement:
    """Ask ``check`` about every crash state of a recording; about none when the log has doubts.

    Raises ``UsageError`` when the check fails without any crash, ``OSError`` when a state cannot be made.
    """
    chosen = options or Options()
    states = states_of(recording, model, chosen.limits)
    judgement = Judgement(model, doubts=recording.doubts)
    if judgement.doubts:  # Whatever a check said of such states, nothing would follow.
        return judgement
    began = monotonic()
    with workshop(chosen.where) as place:
        _check_without_crash(recording, check, place)
        # The enumeration looks at its limit between points of crash; here it is kept exactly.
        numbered = islice(enumerate(states), chosen.limits.states)
        for judged in _judged(numbered, recording.visible, check, place, chosen):
            judgement.add(judged)
            chosen.heard(judged)
    judgement.took_s = monotonic() - began
    judgement.bounds_hit = list(states.bounds_hit)
    if judgement.states == chosen.limits.states:
        judgement.bounds_hit.append(f"stopped after {judgement.states} states")
    return judgement


def states_of(recording: Recording, model: Persistence, limits: Limits | None = None) -> CrashStates:
    """Return the crash states of a recording; their order, and so their numbers, is always the same."""
    return CrashStates(recording.entries, model, recording.start, limits)


def state_numbered(recording: Recording, model: Persistence, number: int) -> CrashState:
    """Return one state by its number, from 0. Raises ``UsageError`` when there are not so many."""
    states = states_of(recording, model)
    for state in islice(states, number, None):
        return state
    raise UsageError(f"a state below {states.count} under {model}", str(number), "choose one that the check has named")


def _check_without_crash(recording: Recording, check: Check, place: Path) -> None:
    with state_in(place / "no-crash", recording.end()) as folder:
        wrong = check(folder, recording.visible)
    if wrong:
        raise UsageError("a check that holds without a crash", wrong, "mend the check; it says nothing about crashes")


def _judged(numbered: Numbered, visible: Seen, check: Check, place: Path, options: Options) -> Iterator[Judged]:
    if options.reads_only:
        changing = ChangingFolder(place / "state")
        for number, state in numbered:
            changing.show(state.contents)
            yield _answer(number, state, visible, check, changing.path)
    elif options.jobs == 1:
        for number, state in numbered:
            yield _in_own_folder(number, state, visible, check, place)
    else:
        yield from _at_once(numbered, visible, check, place, options.jobs)


def _at_once(numbered: Numbered, visible: Seen, check: Check, place: Path, jobs: int) -> Iterator[Judged]:
    """Yield answers as they come; the enumeration runs only a little ahead of them."""
    with ThreadPoolExecutor(jobs, thread_name_prefix="crash-check") as pool:
        under_way: set[Future[Judged]] = set()
        try:
            while True:
                for number, state in islice(numbered, jobs * AHEAD_PER_JOB - len(under_way)):
                    under_way.add(pool.submit(_in_own_folder, number, state, visible, check, place))
                if not under_way:
                    return
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in under_way:
                future.cancel()


def _in_own_folder(number: int, state: CrashState, visible: Seen, check: Check, place: Path) -> Judged:
    with state_in(place / str(number), state.contents) as folder:
        return _answer(number, state, visible, check, folder)


def _answer(number: int, state: CrashState, visible: Seen, check: Check, folder: Path) -> Judged:
    try:
        return Judged(number, state, wrong=check(folder, visible[: state.visible]))
    except CheckUnansweredError as error:
        return Judged(number, state, unanswered=error.found)
