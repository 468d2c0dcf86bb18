"""H2 in virtual time: the steps of a clean-up that ran, the errors that were told, and what is left."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.checkers.judgement import judged
from chaos.history import History
from chaos.protocols import Checker
from chaos.verdict import Finding

STOPPED = "Stopped"


def _crashes(history: History) -> list[str]:
    """Return, in words, what kept lives from being lived to their end."""
    wrong, lived = [], len(history.observed("lived"))
    for look in history.observed("lives"):
        planned, crashed = look.value["planned"], look.value["crashed"]
        wrong += [f"after {lived} of {planned} starts the process ended: {crashed or 'too early'}"] * (lived < planned)
    return wrong


def the_other_steps_run_and_all_is_told(history: History) -> Finding:
    """H2.3: every step of a clean-up ran once, whichever failed; the stop told every failure, and ended."""
    wrong, count = _crashes(history), 0
    for number, look in enumerate(history.observed("lived"), 1):
        life, failed = look.value, look.value["failed"]
        count += len(failed)
        cause = f"stop {number}, in which {', '.join(failed) or 'nothing'} failed"
        skipped = [step for step in life["steps"] if step not in life["ran"]]
        wrong += [f"{cause}: {step} did not run" for step in skipped]
        wrong += [f"{cause}: {step} ran twice" for step in life["steps"] if life["ran"].count(step) > 1]
        for step in failed:
            if not any(line.startswith(f"{step}: ") and "planted" in line for line in life["errors"]):
                wrong.append(f"{cause}: the failure of {step} was not told")
        wrong += [f"{cause}: the status is {life['status']}"] if life["status"] != STOPPED else []
    return judged("every other step run, every failure told", wrong, of=count)


def nothing_is_left_of_any_start(history: History) -> Finding:
    """H2.4: after each stop there is no task, thread, descriptor, socket or address, whether or not it had started."""
    wrong, lives = _crashes(history), history.observed("lived")
    for number, look in enumerate(lives, 1):
        life = look.value
        how = "failed" if life["start_error"] else "stopped"
        left = [*(f"task {name}" for name in life["tasks"]), *(f"thread {name}" for name in life["threads"])]
        left += [f"{life[what]} {what}" for what in ("descriptors", "sockets") if life[what]]
        left += ["its address"] if life["left"] else []
        wrong += [f"start {number} ({how}) left {thing}" for thing in left]
        wrong += [f"start {number} ({how}) left the status {life['status']}"] if life["status"] != STOPPED else []
    return judged("nothing left of any start", wrong, of=len(lives))


CHECKERS: Mapping[str, tuple[Checker, ...]] = {
    "H2.3": (the_other_steps_run_and_all_is_told,),
    "H2.4": (nothing_is_left_of_any_start,),
}
