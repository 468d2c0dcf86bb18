"""Runs a program on a folder with given contents, again and again, in one simulated world: quick enough for thousands.

* Every run begins at the same instant of the wall clock, on a freshly mounted folder, as the only process there is (but
  for one that the story may have beside it), and with the harmless decisions throughout, so that a run depends on its
  folder and on nothing else.
* A disturbance, if there is one, meets one call of the disk: an error, the cancellation of the program's tasks, or
  a SIGKILL of the first process.
* What was run once is remembered: the persistence models lead to the same folders, and only what may be lost differs.
* A run is a function of its folder, its disturbance and what it is told of the time before the crash. One that would be
  told the same is therefore the same run, whatever else the outside has seen: it is not run again, only judged again.
"""

from __future__ import annotations

import errno
import gc
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from chaos.crash.story import FOLDER, CrashStory, End, Fact, Outside
from chaos.seed import Seed
from chaos.sim import Clock, SimKernel, SimProcess
from chaos.sim.choices import Script
from chaos.sim.disk import SimDisk, Volume, add_disk, fail
from chaos.sim.disk.faults import CHANGES
from chaos.sim.entropy import Entropy
from chaos.sim.escapes import Escapes
from chaos.sim.process_calls import ProcessCalls
from chaos.sim.threads import Threads
from chaos.sim.verdicts import SimulationError
from chaos.storage import Contents, Tree, contents_key
from chaos.storage.operations import Entry

RUNS_PER_WORLD = 250
RUNS_PER_COLLECTION = 10
RUN_LIMIT_NS = 3600 * 10**9
REMEMBERED_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What meets the ``number``-th call of the disk that changes something: ``EIO``, ``kill``, ``cancel`` or ``stop``.

    The last two are described at ``Outside.may_be_cancelled``.
    """

    number: int
    what: str

    def __str__(self) -> str:
        return f"{self.what} at change {self.number}"


UNDISTURBED = Disturbance(0, "")


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: the log of its operations on the tree that it began with, its end, and what is wrong with it."""

    start: Tree
    log: Sequence[Entry]
    end: End
    wrong: dict[str, str] = field(default_factory=dict)
    changes: int = 0


@dataclass(slots=True)
class _Run:
    """What a run left, without who looks at it; ``failed``: what is wrong with it whoever looks."""

    ran: Ran
    outside: Outside
    failed: dict[str, str]
    judged: dict[frozenset[Fact], Ran] = field(default_factory=dict)


class Machine:
    """Use it as a context manager: inside it the seams are in force."""

    def __init__(self, story: CrashStory) -> None:
        self._story = story
        self._kernel: SimKernel | None = None
        self._runs = 0
        self.runs = 0  # In all, those that were known already not counted.
        self._remembered: dict[tuple[bytes, Disturbance], list[_Run]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._leave(kind, error, at)

    def run(self, contents: Contents, seen: frozenset[Fact], disturbance: Disturbance = UNDISTURBED) -> Ran:
        """Run the story's program to its end on ``contents``, for an outside that has seen ``seen``; each once."""
        known = self._remembered.setdefault((contents_key(contents), disturbance), [])
        run = next((run for run in known if run.outside.tells_the_same(seen)), None)
        if run is None:
            run = self._run(contents, seen, disturbance)
            if self.runs <= REMEMBERED_MAX:
                known.append(run)
        return self._judged(run, seen)

    def _run(self, contents: Contents, seen: frozenset[Fact], disturbance: Disturbance) -> _Run:
        kernel = self._world()
        start = Tree.of(contents)
        self._volume.remount(start.copy())
        outside = Outside(seen, self._disk)
        changes = [0]
        program = self._story.program(outside)
        hear = _Disturber(disturbance, outside, changes, kernel)
        self._disk.on_call.append(hear)
        process = kernel.new_process("program", program)
        beside = [kernel.new_process("beside", self._story.beside(outside))] if self._story.beside else []
        outside.lives = lambda number: any(one.number == number and one.is_alive for one in (process, *beside))
        hear.process = process
        rule = None
        if disturbance.what == "EIO":
            rule = self._disk.fault(fail(errno.EIO), calls=CHANGES, numbers=(disturbance.number,))
        try:
            stuck = self._driven(kernel, [process, *beside])
        finally:
            self._disk.on_call.remove(hear)
            if rule is not None:
                rule.remove()
        ran = Ran(start, list(self._volume.log), End(self._volume.contents(), process.result, outside), {}, changes[0])
        outside.end()
        failed = self._failed([process, *beside], stuck)
        kernel.begin_anew()
        return _Run(ran, outside, failed)

    def _failed(self, processes: Sequence[SimProcess], stuck: str) -> dict[str, str]:
        main = self._story.proves[0]
        if stuck:
            return {main: stuck}
        for process in processes:
            if process.error is not None:
                return {main: f"the program ended by {type(process.error).__name__}: {process.error}"}
        if self._escapes.found:
            raise self._escapes.found[0]
        return {}

    def _judged(self, run: _Run, seen: frozenset[Fact]) -> Ran:
        if (ran := run.judged.get(seen)) is None:
            end = replace(run.ran.end, outside=run.outside.after(seen))
            wrong = run.failed or {**end.outside.complaints, **self._story.wrong(end)}
            ran = run.judged[seen] = replace(run.ran, end=end, wrong=wrong)
        return ran

    def _driven(self, kernel: SimKernel, processes: Sequence[SimProcess]) -> str:
        """Let the processes live to their end, their log unheard; return what kept them from it."""
        try:
            for process in processes:
                process.start()
            until_ns = kernel.now_ns + RUN_LIMIT_NS
            kernel.run(until_ns=until_ns, stop_when=lambda: not any(process.is_alive for process in processes))
        except SimulationError as error:
            return str(error)
        else:
            still = any(process.is_alive for process in processes)
            return f"the program came to no end: {'; '.join(kernel.waiting())}" if still else ""
        finally:
            for process in processes:
                process.kill()  # Harmless to one that has ended.

    def _world(self) -> SimKernel:
        if self._kernel is None or self._runs >= RUNS_PER_WORLD:
            self._leave(None, None, None)
            self._open()
        assert self._kernel is not None, "a world was just opened"
        self._runs += 1
        self.runs += 1
        if self._runs % RUNS_PER_COLLECTION == 0:
            gc.collect(0)  # No collection happens by itself in a world; what is left of earlier runs makes tasks dear.
        return self._kernel

    def _open(self) -> None:
        self._escapes, self._clock = Escapes(), Clock()
        seams: list[Any] = [self._escapes, Threads(), self._clock, Entropy(), ProcessCalls()]
        harmless = Script(calmed=("disk", "pause", "preempt", "policy", "schedule"))
        self._kernel = kernel = SimKernel(Seed(0), policy="fifo", script=harmless, seams=seams)
        self._disk: SimDisk = add_disk(kernel)
        self._volume: Volume = self._disk.mount(FOLDER)
        kernel.__enter__()
        self._logging_was = logging.root.manager.disable
        logging.disable(logging.CRITICAL)  # The programs' logs are unheard; to say so for each run alone costs time.
        self._clock.wall.freeze()
        self._runs = 0

    def _leave(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            logging.disable(self._logging_was)
            kernel.__exit__(kind, error, at)

    def __repr__(self) -> str:
        return f"Machine({self._story.name}, {self._runs} runs in this world)"


class _Disturber:
    """Counts the calls that change something; cancels the program's tasks, or kills it, at the planned one."""

    def __init__(self, plan: Disturbance, outside: Outside, changes: list[int], kernel: SimKernel) -> None:
        self._plan, self._outside, self._changes, self._kernel = plan, outside, changes, kernel
        self.process: SimProcess | None = None

    def __call__(self, call: str, _path: str) -> None:
        if call not in CHANGES:
            return
        self._changes[0] += 1
        if self._plan.what == "kill" and self._changes[0] == self._plan.number and self.process is not None:
            self.process.kill()
        if self._changes[0] == self._plan.number and self.process is not None:
            for task in self._outside.tasks.get(self._plan.what, ()):
                self.process.loop.call_soon_threadsafe(task.cancel)

    def __repr__(self) -> str:
        return f"_Disturber({self._plan}, {self._changes[0]} changes)"
