"""One campaign: a plan played in the worlds this machine has, from a question to an outcome.

* Whatever ends it (its last run, its time, Ctrl-C, SIGTERM, an error of ours), ``outcome`` has what had ended by then.
* A campaign of many minutes plays round after round from new seeds, adds up what held, and saves itself as it goes; it
  can go on from what was saved.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from chaos.checkers import all_checkers
from chaos.cli.display import LiveProgress, LiveView, PlainProgress
from chaos.cli.question import Question
from chaos.cli.surroundings import header_of
from chaos.cli.worlds import Worlds
from chaos.errors import UsageError
from chaos.folding import folded
from chaos.outcome import MutantResult, Outcome, RunResult, by_property
from chaos.plan import Run
from chaos.protocols import Subject
from chaos.reports.agreement import disagreements
from chaos.reports.headline import title_line
from chaos.reports.reproduction import reproductions
from chaos.runner import Listener, Runner
from chaos.verdict import Verdict

SAVED_EVERY_S = 60.0
ROUNDS = "rounds"
REFERENCE = "reference"
Save = Callable[[Outcome], object]
Hunting = Callable[[Console, list[MutantResult]], bool]
"""Hunts mutants, adds what became of them to those that are known, and returns whether it was cut short."""


class Campaign:
    """Conducts one campaign; ``earlier`` is what an interrupted one had found, ``save`` keeps what there is.

    ``hunting`` comes last, when all runs have ended.
    """

    def __init__(
        self,
        question: Question,
        subject: Subject,
        worlds: Worlds,
        *,
        earlier: Outcome | None = None,
        save: Save | None = None,
        subject_option: str = REFERENCE,
        hunting: Hunting | None = None,
    ) -> None:
        self._question, self._worlds, self._save, self._subject = question, worlds, save, subject_option
        self.header = header_of(question, subject)
        self._results: list[RunResult] = list(earlier.runs) if earlier else []
        self._hunting, self._mutants = hunting, [m for m in earlier.mutants if m.found] if earlier else []
        self._rounds = int(earlier.header.limits.get(ROUNDS, 0)) if earlier else 0
        self._took_before_s = earlier.took_s if earlier else 0.0
        self._began = self._saved_at = time.monotonic()
        self._runner: Runner | None = None
        self._interrupted = True
        if earlier:
            self._refuse_other(earlier)

    def __repr__(self) -> str:
        return f"Campaign({self._question.profile}, {len(self._results)} results, {self._rounds} rounds ended)"

    def conduct(self, console: Console, *, is_one: bool = False) -> None:
        """Play everything, showing progress on ``console``; Ctrl-C ends it early and properly."""
        console.print(Text(title_line(self.header), style="bold"), soft_wrap=True)
        with contextlib.ExitStack() as stack:
            stack.callback(self._worlds.close)
            display: Listener = PlainProgress(console, len(self._due(0)))
            if console.is_terminal:
                total = 0 if self._question.minutes else len(self._due(0))
                live = LiveView(console) if is_one else LiveProgress(console, total)
                display = stack.enter_context(live)
            self._interrupted = self._played(display)
        if self._hunting is not None and not self._interrupted:
            self._interrupted = self._hunting(console, self._mutants)

    def outcome(self) -> Outcome:
        """Return what is known by now."""
        question = self._question
        running = self._runner.results if self._runner else []
        partial = self._worlds.cut_short if self._interrupted else ()
        results = [self._named(result) for result in (*self._results, *running, *partial)]
        order = {(run.scenario.name, run.seed.number): place for place, run in enumerate(question.runs)}
        ordered = tuple(
            sorted(results, key=lambda r: (r.scenario, r.world, order.get((r.scenario, r.seed), 0), r.seed))
        )
        told = by_property(question.shown, question.asked, ordered, excused=question.excused)
        took_s = self._took_before_s + time.monotonic() - self._began
        header = self.header
        if question.minutes:
            header = replace(header, limits={**header.limits, ROUNDS: float(self._rounds)})
        rates = tuple(one.words() for one in reproductions(ordered))
        outcome = Outcome(
            header, told, ordered, took_s, interrupted=self._interrupted, notes=rates, mutants=tuple(self._mutants)
        )
        return replace(outcome, notes=(*rates, *disagreements(outcome)))

    def _named(self, result: RunResult) -> RunResult:
        """Return the result with a replay line that names the subject, where that is not the one by default."""
        option = f"--subject {self._subject}"
        if self._subject == REFERENCE or result.replay_line or option in result.replay:
            return result
        return replace(result, replay_line=f"{result.replay} {option}")

    def _played(self, display: Listener) -> bool:
        """Play round after round; return whether SIGINT or SIGTERM ended it early. Every world is left properly."""
        ends_at = self._began + self._question.minutes * 60 - self._took_before_s
        while self._rounds == 0 or (self._question.minutes and time.monotonic() < ends_at):
            runs = self._due(self._rounds)
            self._runner = Runner(
                self._worlds.opened,
                all_checkers(),
                jobs=self._question.jobs,
                listener=display,
                players=self._worlds.players,
                players_give_way=self._worlds.players_give_way,
            )
            if executed(self._runner, runs):
                return True
            self._rounds += 1
            self._results += self._runner.results
            self._runner = None
            if not self._question.minutes:
                return False
            self._keep()
        return False

    def _due(self, round_number: int) -> list[Run]:
        """Return the runs of a round that have not ended yet (in a campaign that this one goes on from)."""
        question = self._question
        runs = question.runs if round_number == 0 else question.again(round_number)
        done = {(r.scenario, r.world, r.seed) for r in self._results if r.verdict is not Verdict.UNKNOWN}
        return [run for run in runs if (run.scenario.name, str(run.world), run.seed.number) not in done]

    def _keep(self) -> None:
        self._results = folded(self._results)
        if self._save and time.monotonic() - self._saved_at >= SAVED_EVERY_S:
            self._save(self.outcome())
            self._saved_at = time.monotonic()

    def _refuse_other(self, earlier: Outcome) -> None:
        for key in ("version", "subject", "profile", "seed", "shard"):
            ours, theirs = getattr(self.header, key), getattr(earlier.header, key)
            if ours != theirs:
                advice = "resume with the same question, or name another --out"
                raise UsageError(f"a campaign of {key} {ours!r} to go on from", repr(theirs), advice)


def executed(runner: Runner, runs: Sequence[Run], limit_s: float | None = None) -> bool:
    """Execute the runs; return whether SIGINT, SIGTERM or the limit ended them early, every world being left first."""
    return cut_short(lambda: runner.execute(runs), limit_s)


def cut_short(work: Callable[[], Awaitable[object]], limit_s: float | None = None) -> bool:
    """Do the work in an event loop of its own; return whether SIGINT, SIGTERM or the limit cancelled it.

    Once a signal has, no further one is heard: what is left to do (workers are ended, evidence is written) has limits,
    and must not be torn by somebody's second Ctrl-C.
    """
    heard: list[int] = []
    cancel: list[Callable[[], object]] = []

    def hear(number: int, _: object) -> None:
        heard.append(number)
        if len(heard) == 1 and cancel:
            cancel[0]()

    async def until_signal() -> bool:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "this coroutine runs in a task"
        cancel.append(lambda: loop.call_soon_threadsafe(task.cancel))
        if heard:
            return True
        try:
            async with asyncio.timeout(limit_s):
                await work()
        except (asyncio.CancelledError, TimeoutError):
            return True
        return False

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return asyncio.run(until_signal())
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if heard else handler)
