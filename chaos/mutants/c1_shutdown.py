"""Mistakes that make a stop lose work, take new work, last too long, or say too little."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.answers import Rejected, RetryLater
from pywats_reliability.health import Phase
from pywats_reliability.shutdown import Outcome, ShutdownReport

SHUTDOWN = "pywats_reliability.shutdown"
STEPS = "pywats_reliability.client_service.stop_steps:StopSteps"
QUEUE = "pywats_reliability.pending_queue:AsyncPendingQueue"
POOL = "pywats_reliability.converter_pool:AsyncConverterPool"
OUTCOMES = "pywats_reliability.pending_queue.outcomes:Outcomes"
SERVICE = "pywats_reliability.client_service.service:AsyncClientService"
log = logging.getLogger("pywats_reliability.mutant")
Result = Callable[..., Any]


async def _nothing(*_: Any) -> tuple[str, ...]:
    return ()


@mutant("C1.1")
def takes_reports_until_the_end(service: Replacements) -> None:
    """Takes reports as long as the disk is there: they are safe in pending/, so why refuse them?"""
    service.replace("pywats_reliability.queue_manager:QueueManager.stop_accepting", lambda queue: None)


@mutant("C1.1", subtle="only for commands other than submit")
def obeys_commands_while_stopping(service: Replacements) -> None:
    """Carries out every command that arrives in time, so that nobody's change is lost."""
    service.replace("pywats_reliability.client_service.commands:Commands._require_running", lambda self, command: None)


@mutant("C1.1", subtle="only for files that are dropped during the stop")
def watches_on_while_stopping(service: Replacements) -> None:
    """Leaves the watchers on until the converters are closed, so that "no file waits longer than it must"."""
    service.replace(f"{POOL}.stop_accepting", lambda pool: None)


@mutant("C1.2")
def waits_for_the_whole_window(service: Replacements) -> None:
    """Sleeps for the graceful window and then looks whether everything has ended: simple, and within the limit."""

    async def sleeps(_: Any) -> None:
        await asyncio.sleep(59)

    service.replace(f"{STEPS}.wait_idle", sleeps)


@mutant("C1.2", subtle="only by up to five seconds")
def looks_every_five_seconds(service: Replacements) -> None:
    """Polls what is in flight every five seconds, to spare the processor."""

    async def polls(steps: Any) -> None:
        while steps.in_flight():  # noqa: ASYNC110 - the mistake itself
            await asyncio.sleep(5)

    service.replace(f"{STEPS}.wait_idle", polls)


@mutant("C1.2")
def cancels_at_once(service: Replacements) -> None:
    """Does not wait for uploads, which are sent again at the next start anyway."""
    service.replace(f"{STEPS}.wait_idle", _nothing)


@mutant("C1.2", subtle="only for uploads of more than 30 s")
def thirty_seconds_are_enough(service: Replacements) -> None:
    """Cuts the window off at the time that an upload takes at most, by default."""
    shorter = property(lambda limits: min(30.0, limits.graceful_s))
    service.replace(f"{SHUTDOWN}:ShutdownLimits.graceful_until_s", shorter)


@mutant("C1.3")
def cancelled_attempts_do_not_count(service: Replacements) -> None:
    """Does not count an upload that was cancelled: it was not the server's fault."""
    service.replace(f"{OUTCOMES}.note_cancelled", _nothing)


@mutant("C1.3")
def cancelled_reports_are_given_up(service: Replacements) -> None:
    """Moves what could not be sent before the stop to failed/, where somebody will see it."""

    async def gives_up(outcomes: Any, record: Any) -> None:
        await outcomes._store.mark_failed(record, "the service was stopped")

    service.replace(f"{OUTCOMES}.note_cancelled", gives_up)


@mutant("C1.3")
def waits_on_for_hung_uploads(service: Replacements) -> None:
    """Gives the uploads the whole limit, since "the force phase is for emergencies"."""

    def whole(limits: Any) -> float:
        return float(limits.force_s - 20)

    service.replace(f"{SHUTDOWN}:ShutdownLimits.graceful_until_s", property(whole))


@mutant("C1.4", subtle="only for work that ignores its cancellation")
def leaves_without_a_word(service: Replacements) -> None:
    """Does not name what did not end: the process is on its way out, and nobody reads it."""
    service.replace("pywats_reliability.supervisor.supervisor:log", logging.getLogger("nowhere.to.be.seen"))
    logging.getLogger("nowhere.to.be.seen").setLevel(logging.CRITICAL + 1)
    service.replace(f"{STEPS}.left_behind", lambda steps: ())
    service.replace(f"{STEPS}.in_flight", lambda steps: ())


@mutant("C1.4", subtle="only for a thread that blocks")
def names_tasks_and_no_threads(service: Replacements) -> None:
    """Names the tasks that did not end: a thread ends with the process, so it is not left behind."""

    def tasks(steps: Any) -> tuple[str, ...]:
        return tuple(steps._supervisor.left_behind())

    service.replace(f"{STEPS}.left_behind", tasks)


@mutant("C1.4", subtle="only for a thread that blocks")
def names_no_report(service: Replacements) -> None:
    """Says of a thread that it belongs to the store: what it is at is the store's own affair."""

    def names(original: Result, workers: Any) -> tuple[str, ...]:
        return tuple(line.partition(":")[0] for line in original(workers))

    service.wrap("pywats_reliability.workers:Workers.under_way", names)


@mutant("C1.4", subtle="only for work that ignores its cancellation")
def waits_for_cancelled_work(service: Replacements) -> None:
    """Awaits what it has cancelled, without a limit: a cancelled task ends."""

    async def awaits(supervisor: Any, tasks: Any, timeout_s: float) -> list[str]:
        runs = [run for task in tasks if (run := task.request_stop()) is not None]
        while any(not run.done() for run in runs):
            try:
                await asyncio.wait(runs)
            except asyncio.CancelledError:
                log.debug("still waiting")
        return []

    service.replace("pywats_reliability.supervisor.supervisor:Supervisor._stop", awaits)
    service.replace("pywats_reliability.cli.process:ExitGuard.arm", lambda guard: None)


@mutant("C1.4", subtle="only for a thread that blocks")
def nobody_guards_the_exit(service: Replacements) -> None:
    """Leaves the end of the process to Python, which "waits for its threads for good reason"."""
    service.replace("pywats_reliability.cli.process:ExitGuard.arm", lambda guard: None)


@mutant("C1.5")
def says_nothing_of_what_is_pending(service: Replacements) -> None:
    """Leaves out how many reports are pending, which "is normal, and only worries people"."""
    service.replace(f"{SHUTDOWN}:ShutdownReport.pending_sentence", property(lambda report: "stopped"))


@mutant("C1.5")
def leaves_its_socket_behind(service: Replacements) -> None:
    """Does not remove the socket file: the next start replaces it anyway."""
    service.replace(f"{SERVICE}._close_ipc", _nothing)


@mutant("C1.5", subtle="only when something cannot be closed")
def stops_closing_at_the_first_error(service: Replacements) -> None:
    """Gives up closing when a step fails: what comes after it would fail, too."""

    async def until_it_fails(scope: Any, step_timeout_s: float, _: float | None) -> Any:
        while scope._steps:
            name, closer = scope._steps.pop()
            if (error := await scope._run(name, closer, step_timeout_s)) is not None:
                scope._steps.clear()
                log.warning("closing ended with %s", type(error).__name__)
        return None

    service.replace("pywats_reliability.scope:ResourceScope._close", until_it_fails)


@mutant("C1.6", subtle="only when it is killed between the answer and the move")
def a_report_is_gone_before_it_is_sent(service: Replacements) -> None:
    """Deletes a report at the start of its upload, so that it cannot be sent twice."""

    def removes_first(original: Result, store: Any, record: Any) -> Any:
        async def read() -> Any:
            body = await original(store, record)
            for path in (store.folders.pending / record.name,):
                path.unlink(missing_ok=True)
            return body

        return read()

    service.wrap("pywats_reliability.store:ReportStore.read", removes_first)


@mutant("C1.6", subtle="only when something is pending at the start")
def starts_with_an_empty_queue(service: Replacements) -> None:
    """Reads the folder later, with the first scan, to be up sooner."""
    service.replace("pywats_reliability.store.reconciliation:Reconciliation._load", lambda self, *arguments: None)


@mutant("C1.8", subtle="only when several ask for it")
def each_caller_has_a_stop_of_its_own(service: Replacements) -> None:
    """Stops anew for each caller, so that each gets a report of his own."""

    async def anew(original: Result, self: Any) -> Any:
        self._stopping = self.shutdown._task = None
        return await original(self)

    service.wrap(f"{SERVICE}.stop", anew)


@mutant("C1.8", subtle="only when several ask for it")
def says_at_once_that_it_is_stopping(service: Replacements) -> None:
    """Answers whoever asks again at once: the first one waits for the end already."""

    async def at_once(original: Result, self: Any) -> Any:
        if self._stopping is not None:
            return ShutdownReport(Outcome.CLEAN, False, 0.0, (), None)
        return await original(self)

    service.wrap(f"{SERVICE}.stop", at_once)


@mutant("C1.8", subtle="only when a stop comes during the start")
def lets_a_start_go_on(service: Replacements) -> None:
    """Stops what has been started by then, and lets the start go on: it will see for itself."""

    def asks(self: Any) -> None:
        self.queue.stop_accepting()
        self.shutdown_requested.set()

    async def stops(self: Any) -> Any:
        self._phase = Phase.STOPPING
        report = await self.shutdown.run()
        self._phase = Phase.STOPPED
        return report

    service.replace(f"{SERVICE}.request_shutdown", asks)
    service.replace(f"{SERVICE}._stop", stops)


@mutant("C1.11", subtle="only when the network breaks during the stop")
def a_lost_connection_is_final(service: Replacements) -> None:
    """Moves a report to failed/ when its connection breaks, since "it had its chance"."""

    def final(original: Result, outcomes: Any, record: Any, decision: Any) -> Any:
        is_lost = isinstance(decision, RetryLater)
        return original(outcomes, record, Rejected(decision.reason) if is_lost else decision)

    service.wrap(f"{OUTCOMES}.settle", final)


@mutant("C1.11", subtle="only when an answer is lost")
def sends_again_under_another_id(service: Replacements) -> None:
    """Gives a report a new id for its second attempt, so that the server does not take it for a duplicate."""

    def another(original: Result, client: Any, report_id: str, body: bytes) -> Any:
        async def send() -> Any:
            is_second = report_id in seen
            seen.add(report_id)
            return await original(client, report_id, body.replace(b"e", b"E", 3) if is_second else body)

        return send()

    seen: set[str] = set()
    service.wrap("pywats_reliability.wats_client:WatsClient.send", another)


@mutant("C1.12")
def windows_are_constants(service: Replacements) -> None:
    """Uses the windows that are right for everybody, whatever the configuration says."""

    def constant(original: Result, config: Any) -> Any:
        return type(original(config))()

    service.wrap("pywats_reliability.client_service.settings:shutdown_limits", constant)


@mutant("C1.12")
def seconds_left_of_the_whole_limit(service: Replacements) -> None:
    """Shows the time until the process is ended for certain, which is what people want to know."""

    def later(original: Result, progress: Any, phase: Any, in_flight: int, seconds_left: float) -> None:
        original(progress, phase, in_flight, seconds_left + 30)

    service.wrap(f"{SHUTDOWN}:ShutdownProgress.__init__", later)


@mutant("C1.12", subtle="only after three forced stops in a row")
def forgets_forced_stops(service: Replacements) -> None:
    """Counts forced stops in memory, where they belong: they are the process's own affair."""
    service.replace(f"{SERVICE}._remember_this_shutdown", _nothing)


@mutant("C1.12", subtle="only after a single forced stop")
def tells_of_every_forced_stop(service: Replacements) -> None:
    """Warns after the first forced stop already, since one is one too many."""
    service.replace(f"{SHUTDOWN}:FORCED_IN_A_ROW_TOLD", 1)
