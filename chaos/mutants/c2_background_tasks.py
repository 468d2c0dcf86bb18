"""Mistakes by which a background task fails, ends or stands still, and nobody hears of it, or too much is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.health import Severity, TaskCondition

TASK = "pywats_reliability.supervisor.supervised_task"
SUPERVISOR = "pywats_reliability.supervisor.supervisor:Supervisor"
POLICY = "pywats_reliability.supervisor.restart_policy:SupervisionLimits"
JUDGE = "pywats_reliability.health:judge_tasks"
log = logging.getLogger("pywats_reliability.mutant")
Result = Callable[..., Any]


@mutant("C2.1")
def logs_without_the_traceback(service: Replacements) -> None:
    """Logs what failed in one line, since "the message says it all" and tracebacks frighten operators."""

    def one_line(task: Any, error: BaseException, consequence: str) -> None:
        words = type(error).__name__
        log.error("task %s failed (failure %d; %s): %s", task.spec.name, task._failures, consequence, words)

    service.replace(f"{TASK}:SupervisedTask._log", one_line)


@mutant("C2.1")
def logs_as_a_warning(service: Replacements) -> None:
    """Logs a failed task at WARNING: it is going to be restarted, so nothing is really wrong."""

    def warns(task: Any, error: BaseException, consequence: str) -> None:
        said = (task.spec.name, task._failures, consequence)
        log.warning("task %s failed (failure %d; %s)", *said, exc_info=error)

    service.replace(f"{TASK}:SupervisedTask._log", warns)


@mutant("C2.1", subtle="only when a task fails more than once")
def logs_the_first_failure_only(service: Replacements) -> None:
    """Logs the first failure of a task and leaves out the rest, which "is always the same anyway"."""

    def first_only(original: Result, task: Any, *arguments: Any) -> None:
        if task._failures == 1:
            original(task, *arguments)

    service.wrap(f"{TASK}:SupervisedTask._log", first_only)


@mutant("C2.1", subtle="only for SystemExit")
def takes_system_exit_for_a_wish_to_end(service: Replacements) -> None:
    """Does not count a task that raises ``SystemExit``: whoever raises that knows what he is doing."""

    def not_counted(original: Result, task: Any, error: BaseException) -> None:
        original(task, error)
        task._failures -= isinstance(error.__cause__, SystemExit)

    service.wrap(f"{TASK}:SupervisedTask._fail", not_counted)


@mutant("C2.2")
def error_only_when_it_stays_down(service: Replacements) -> None:
    """Waits with the status Error until the restarts are used up, so that the icon does not flicker."""

    def patient(original: Result, tasks: Any) -> Any:
        found = original(tasks)
        is_down = any(task.critical and task.condition is TaskCondition.DOWN for task in tasks)
        milder = found.severity is Severity.ERROR and not is_down
        return replace(found, severity=Severity.DEGRADED) if milder else found

    service.wrap(JUDGE, patient)


@mutant("C2.2")
def error_without_a_name(service: Replacements) -> None:
    """Says that a critical part has failed and leaves the name to the log, where the details belong."""

    def nameless(original: Result, tasks: Any) -> Any:
        found = original(tasks)
        return replace(found, reasons=("a critical part has failed",)) if found.reasons else found

    service.wrap(JUDGE, nameless)


@mutant("C2.2")
def takes_the_others_down(service: Replacements) -> None:
    """Stops the lesser tasks when a critical one has failed, to "leave the system in a defined state"."""

    def stops_the_rest(original: Result, supervisor: Any, *arguments: Any, **named: Any) -> None:
        original(supervisor, *arguments, **named)

        def heard(state: Any) -> None:
            if state.critical and state.condition is TaskCondition.BACKOFF:
                for name in ("watchdog", "config_watcher"):
                    supervisor._tasks[name].request_stop()

        supervisor.on_change.subscribe(heard)

    service.wrap(f"{SUPERVISOR}.__init__", stops_the_rest)


@mutant("C2.2", subtle="only while a critical task waits for its restart")
def refuses_reports_while_in_error(service: Replacements) -> None:
    """Refuses reports while the status is Error: better no report than one that is not sent."""

    def refusing(original: Result, commands: Any, args: Any) -> Any:
        if str(commands._service.status) == "Error":
            raise RuntimeError("the service has an error")
        return original(commands, args)

    service.wrap("pywats_reliability.client_service.commands:Commands.submit", refusing)


@mutant("C2.3")
def every_task_is_critical(service: Replacements) -> None:
    """Calls the failure of any task an error of the service, to be on the safe side."""
    service.wrap(JUDGE, lambda original, tasks: original(tuple(replace(task, critical=True) for task in tasks)))


@mutant("C2.3")
def lesser_tasks_do_not_matter(service: Replacements) -> None:
    """Judges the service by its critical tasks alone: the others are conveniences."""
    service.wrap(JUDGE, lambda original, tasks: original(tuple(task for task in tasks if task.critical)))


@mutant("C2.3", subtle="only in the first second after the failure")
def restarting_is_not_degraded(service: Replacements) -> None:
    """Leaves out a lesser task that is about to be restarted, since it is nearly well again."""

    def hopeful(original: Result, tasks: Any) -> Any:
        soon_well = (TaskCondition.BACKOFF,)
        return original(tuple(task for task in tasks if task.critical or task.condition not in soon_well))

    service.wrap(JUDGE, hopeful)


@mutant("C2.4")
def a_cancellation_is_a_failure(service: Replacements) -> None:
    """Treats every end of a task alike, asked for or not: a task that ends has failed."""
    service.wrap(f"{TASK}:_why", lambda original, name, run, *, was_asked: original(name, run, was_asked=False))


@mutant("C2.4")
def swallows_its_cancellation(service: Replacements) -> None:
    """Catches everything in the configuration watcher's loop, so that nothing can ever end it."""

    def goes_on(original: Result, watcher: Any) -> Any:
        async def look() -> None:
            try:
                await original(watcher)
            except asyncio.CancelledError:
                log.debug("the look at the configuration was interrupted")

        return look()

    def never_ends(original: Result, watcher: Any, heartbeat: Any) -> Any:
        async def run() -> None:
            while True:
                try:
                    await original(watcher, heartbeat)
                except (Exception, asyncio.CancelledError):
                    log.debug("the configuration watcher goes on", exc_info=True)

        return run()

    service.wrap("pywats_reliability.config_file:ConfigWatcher.look", goes_on)
    service.wrap("pywats_reliability.config_file:ConfigWatcher.run", never_ends)


@mutant("C2.4", subtle="only when the stop meets a ping on its way")
def logs_its_cancellation_as_an_error(service: Replacements) -> None:
    """Logs whatever ends a ping as an error, with ``except BaseException`` "so that nothing is lost"."""

    def logging_all(original: Result, rhythms: Any) -> Any:
        async def ask() -> None:
            try:
                await original(rhythms)
            except (Exception, asyncio.CancelledError):
                log.exception("ping failed")
                raise

        return ask()

    service.wrap("pywats_reliability.client_service.rhythms:Rhythms.ask_for_a_sign_of_life", logging_all)


@mutant("C2.5", subtle="only for a task that returns")
def a_return_is_no_failure(service: Replacements) -> None:
    """Takes a task that returns for one that is done: it raised nothing, after all."""

    def contented(original: Result, name: str, run: Any, *, was_asked: bool) -> Any:
        is_fine = not run.cancelled() and run.exception() is None
        return original(name, run, was_asked=was_asked or is_fine)

    service.wrap(f"{TASK}:_why", contented)


@mutant("C2.5", subtle="only for a task that is cancelled by somebody else")
def any_cancellation_was_asked_for(service: Replacements) -> None:
    """Believes that whatever is cancelled was cancelled by the supervisor: who else would?"""

    def believing(original: Result, name: str, run: Any, *, was_asked: bool) -> Any:
        return original(name, run, was_asked=was_asked or run.cancelled())

    service.wrap(f"{TASK}:_why", believing)


@mutant("C2.5")
def an_early_end_is_not_restarted(service: Replacements) -> None:
    """Restarts after exceptions only: a task that ends without one has had its reasons."""

    def restarts_failures_only(original: Result, task: Any, error: BaseException) -> None:
        if error.__cause__ is None and type(error).__name__ == "TaskEndedError":
            task._failures += 1
            task._log(error, "not restarted")
            task._become(TaskCondition.DOWN)
            return
        original(task, error)

    service.wrap(f"{TASK}:SupervisedTask._fail", restarts_failures_only)


@mutant("C2.6", subtle="only when the monitor hangs")
def nobody_watches_the_monitor(service: Replacements) -> None:
    """Leaves the monitor to look after itself: it goes through all tasks, and it is one of them."""
    service.replace(f"{SUPERVISOR}._check_monitor", lambda supervisor, now: None)


@mutant("C2.6", subtle="only when the monitor fails")
def the_monitor_is_not_restarted(service: Replacements) -> None:
    """Logs the monitor's failure and restarts the others only: the monitor cannot restart itself."""

    def but_the_monitor(original: Result, task: Any, error: BaseException) -> None:
        original(task, error)
        if task.spec.name == "task_monitor":
            task._stop_timer()
            task._become(TaskCondition.DOWN)

    service.wrap(f"{TASK}:SupervisedTask._fail", but_the_monitor)


@mutant("C2.6", subtle="only when the monitor fails")
def the_monitors_end_is_its_own_affair(service: Replacements) -> None:
    """Says nothing of the monitor's end, which "only happens when the service stops"."""

    def not_the_monitor(original: Result, name: str, run: Any, *, was_asked: bool) -> Any:
        return None if name == "task_monitor" else original(name, run, was_asked=was_asked)

    service.wrap(f"{TASK}:_why", not_the_monitor)


@mutant("C2.7", subtle="only from the second failure in a row on")
def restarts_without_growing_pauses(service: Replacements) -> None:
    """Waits a second before each restart; exponential backoff is for networks."""
    service.replace(f"{POLICY}.restart_delay_s", lambda limits, failures_in_a_row: 1.0)


@mutant("C2.7", subtle="only at the fourth failure")
def one_restart_too_many(service: Replacements) -> None:
    """Compares with "at most" instead of "less than" when it counts the restarts of the last five minutes."""

    def off_by_one(limits: Any, restarted_at: Any, due: float) -> bool:
        recent: int = sum(due - when < limits.restart_window_s for when in restarted_at)
        return recent <= int(limits.restart_limit)

    def room_for_one_more(original: Result, task: Any, *arguments: Any, **named: Any) -> None:
        original(task, *arguments, **named)
        task._restarted_at = type(task._restarted_at)(maxlen=16)

    service.replace(f"{POLICY}.may_restart", off_by_one)
    service.wrap(f"{TASK}:SupervisedTask.__init__", room_for_one_more)


@mutant("C2.7")
def never_well_again(service: Replacements) -> None:
    """Keeps a task that was restarted under suspicion until the next start of the service."""
    service.replace(f"{TASK}:SupervisedTask._check_hold", lambda task: None)


@mutant("C2.7", subtle="only when failures lie far apart")
def remembers_failures_for_ever(service: Replacements) -> None:
    """Lets the pauses grow over the whole life of a task, since it "was unreliable before"."""

    def unforgiving(original: Result, task: Any) -> None:
        before = task._failures_in_a_row
        original(task)
        task._failures_in_a_row = before

    service.wrap(f"{TASK}:SupervisedTask._check_hold", unforgiving)


@mutant("C2.7", subtle="only when the circuit opens, and minutes later")
def tries_again_when_the_window_is_over(service: Replacements) -> None:
    """Gives a task that is down another chance every five minutes: perhaps it works by then."""

    def gives_another_chance(original: Result, task: Any, error: BaseException) -> None:
        original(task, error)
        if task._condition is TaskCondition.DOWN:
            task._timer = asyncio.get_running_loop().call_later(300, task._restart)

    service.wrap(f"{TASK}:SupervisedTask._fail", gives_another_chance)


@mutant("C2.8")
def alive_is_well_enough(service: Replacements) -> None:
    """Calls a task well as long as it has not ended: whoever runs does something."""

    def only_ended(task: Any, now: float) -> None:
        if task._run is not None and task._run.done():
            task._ended(task._run)

    service.replace(f"{TASK}:SupervisedTask.check", only_ended)


@mutant("C2.8")
def stalled_after_ten_intervals(service: Replacements) -> None:
    """Is generous with slow tasks, since a false alarm costs trust."""
    service.wrap(f"{TASK}:SupervisedTask.check", lambda original, task, now: original(task, _slowed(task, now)))


def _slowed(task: Any, now: float) -> float:
    alive_at: float = task._alive_at
    return alive_at + (now - alive_at) * 0.3


@mutant("C2.8", subtle="only for a block of less than five seconds")
def only_long_blocks_count(service: Replacements) -> None:
    """Reports a blocked loop from five seconds on: shorter ones are the garbage collector's."""

    def long_ones(original: Result, watch: Any) -> None:
        if asyncio.get_running_loop().time() - watch._due < 5:
            watch._due = asyncio.get_running_loop().time()
        original(watch)

    service.wrap("pywats_reliability.supervisor.loop_watch:LoopWatch._tick", long_ones)
