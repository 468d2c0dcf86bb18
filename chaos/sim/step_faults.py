"""Faults at one step of the subject's schedule, and the list of the steps where there can be one.

* A *point* is the moment just before a step of the subject's event loop, ``417``, or just before the third call of the
  subject to the disk within a step, ``417.3`` (calls of its threads count, too).
* ``cancel`` and ``raise`` are done to the task whose step it is; ``kill`` and ``power`` to the whole process.
* The numbers are those of one trial: with another seed, policy or version of the subject they mean something else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from chaos.errors import UsageError
from chaos.history import History
from chaos.sim.kernel import SimKernel
from chaos.sim.process import SimProcess
from chaos.sim.scheduler import Step
from chaos.trial import StepFault

OF_TASKS, OF_PROCESSES = ("cancel", "raise"), ("kill", "power")
STEP_FAULTS = (*OF_TASKS, *OF_PROCESSES)
Subject = Callable[[], SimProcess | None]
"""Gives the subject's process as it was last started."""


class InjectedError(Exception):
    """What ``raise`` throws into a task: an error that the subject cannot know."""


class Points:
    """Collects the points of a run that is played without a fault."""

    def __init__(self) -> None:
        self.of_tasks: list[tuple[int, int]] = []
        self.of_processes: list[tuple[int, int]] = []
        self._calls = (0, 0)

    def watch(self, kernel: SimKernel, subject: Subject) -> None:
        """Collect from now on."""

        def stepped(step: Step) -> None:
            kernel.at_step(step.number + 1, stepped)
            if step.process is not None and step.process is subject():
                self.of_processes.append((step.number, 0))
                if step.task is not None:
                    self.of_tasks.append((step.number, 0))

        def called(process: SimProcess, _: str) -> None:
            if process is subject():
                step, calls = self._calls
                self._calls = (kernel.step, calls + 1 if step == kernel.step else 1)
                self.of_processes.append(self._calls)

        kernel.at_step(kernel.step + 1, stepped)
        kernel.before_pause = called

    def faults(self, name: str) -> list[StepFault]:
        """Return the fault of that name at every point where there can be one."""
        points = self.of_tasks if name in OF_TASKS else self.of_processes
        return [StepFault(name, step, call) for step, call in points]

    def __repr__(self) -> str:
        return f"Points({len(self.of_tasks)} of tasks, {len(self.of_processes)} of the process)"


def checked(fault: StepFault) -> StepFault:
    """Return the fault. Raises ``UsageError`` when there is none of that name, or none at such a point."""
    if fault.name not in STEP_FAULTS or (fault.call and fault.name in OF_TASKS):
        known = f"{' or '.join(OF_TASKS)} at a step, {' or '.join(OF_PROCESSES)} at a step or at a call in it"
        raise UsageError(known, str(fault), "name one of these")
    return fault


def plan_step_fault(fault: StepFault, kernel: SimKernel, subject: Subject, history: History) -> None:
    """Let the fault happen when its point comes, if the subject is at it then."""

    def ends(process: SimProcess) -> None:
        history.fault(f"process.{fault.name}", pid=process.number, step=kernel.step)
        process.kill(power_lost=fault.name == "power")

    def stepped(step: Step) -> None:
        if step.process is None or step.process is not subject():
            return
        if fault.name in OF_PROCESSES:
            ends(step.process)
        elif step.task is not None:
            history.fault(f"task.{fault.name}", task=step.task.get_name(), step=step.number)
            (_raise_in if fault.name == "raise" else _cancel)(step.task)

    calls = [0]

    def called(process: SimProcess, _: str) -> None:
        if kernel.step == fault.step and process is subject():
            calls[0] += 1
            if calls[0] == fault.call:
                ends(process)

    if fault.call:
        kernel.before_pause = called
    else:
        kernel.at_step(fault.step, stepped)


def _cancel(task: Any) -> None:
    task.cancel()


def _raise_in(task: Any) -> None:
    """Let the innermost coroutine of the task fail where it goes on, which is in the step that comes now.

    A task gives no other way in: what it awaited is done by now. So its next frame is traced, once.
    """
    frame = _innermost(task.get_coro())
    if frame is None:
        return

    def trace(seen: FrameType, event: str, _: Any) -> None:
        if seen is frame and event == "call":
            sys.settrace(None)
            raise InjectedError(f"injected into {seen.f_code.co_qualname}")

    sys.settrace(trace)


def _innermost(coroutine: Any) -> FrameType | None:
    frame = None
    while coroutine is not None:
        found = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        frame = found if found is not None else frame
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return frame
