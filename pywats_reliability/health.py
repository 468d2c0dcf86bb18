"""How the service is, in words: facts go in, a status and the one-line reasons for it come out; no clock, no I/O.

* The status never says more than is true (C2.9): ``Running`` without ``degraded`` means that no fact speaks against it,
  and every fact that does is one of the reasons, whatever the status is.
* A critical task that failed is an error until a restart holds (C2.2, C2.7); any other task degrades (C2.3).
* A request to stop outranks all: a service that stops says so, with its reasons; one that stopped has nothing to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ServiceStatus(StrEnum):
    """The status names that clients know (wats.md, 1.4)."""

    STOPPED = "Stopped"
    START_PENDING = "StartPending"
    RUNNING = "Running"
    STOP_PENDING = "StopPending"
    PAUSED = "Paused"
    ERROR = "Error"


class ApiStatus(StrEnum):
    """How the way to the WATS server is; ``Offline`` also means: not tried yet."""

    OFFLINE = "Offline"
    ONLINE = "Online"
    ERROR = "Error"


class Phase(StrEnum):
    """Where the service is in its life; the status is judged from it and from the facts."""

    STOPPED = "stopped"
    STARTING = "starting"
    STARTED = "started"
    STOPPING = "stopping"


class TaskCondition(StrEnum):
    """How one background task is.

    ``backoff``: failed, waits for its restart. ``recovering``: restarted, not yet proven to hold. ``down``: failed too
    often, stays down until somebody resets it. ``stopped``: not started, or stopped on request.
    """

    RUNNING = "running"
    BACKOFF = "backoff"
    RECOVERING = "recovering"
    DOWN = "down"
    STALLED = "stalled"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class TaskState:
    """One background task at one instant; times are the loop's, in seconds. ``last_error`` is masked and one line."""

    name: str
    critical: bool
    condition: TaskCondition
    failures: int = 0
    restarts: int = 0
    last_restart_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None
    heartbeats: int = 0

    @property
    def is_stopped(self) -> bool:
        """Whether the task does not run because nobody wants it to."""
        return self.condition is TaskCondition.STOPPED

    @property
    def reason(self) -> str | None:
        """What is wrong with the task, in one line; None when nothing is."""
        if self.condition is TaskCondition.RUNNING:
            return None
        kind = "critical task" if self.critical else "task"
        cause = f": {self.last_error}" if self.last_error and self.condition in _AFTER_A_FAILURE else ""
        return f"{kind} {self.name} is {self.condition}{cause}"


_AFTER_A_FAILURE = (TaskCondition.BACKOFF, TaskCondition.RECOVERING, TaskCondition.DOWN)


class Severity(StrEnum):
    """The three answers to "how bad is it?"."""

    OK = "ok"
    DEGRADED = "degraded"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class ServiceCondition:
    """What the background tasks mean for the service: the worst of them, and a line for each that is not well."""

    severity: Severity
    reasons: tuple[str, ...] = ()


def judge_tasks(tasks: tuple[TaskState, ...]) -> ServiceCondition:
    """Return the worst condition among ``tasks``, naming each that is not running."""
    unwell = [task for task in tasks if task.condition is not TaskCondition.RUNNING]
    if not unwell:
        return ServiceCondition(Severity.OK)
    severity = Severity.ERROR if any(task.critical for task in unwell) else Severity.DEGRADED
    return ServiceCondition(severity, tuple(str(task.reason) for task in unwell))


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the status is judged from; the texts are one-line reasons, already masked.

    Errors: ``start_failures`` (steps that failed though the service goes on) and ``critical_errors`` (an outcome that
    could not be saved, H3.4). Degrading: ``failed_converters``, ``api`` (``api_reason`` says why it is not online),
    ``health_port_error``, ``loop_blocked`` and ``notes``. ``pause_reason``: sending, or taking reports, is paused.
    """

    phase: Phase
    tasks: tuple[TaskState, ...] = ()
    api: ApiStatus = ApiStatus.ONLINE
    api_reason: str = ""
    start_failures: tuple[str, ...] = ()
    critical_errors: tuple[str, ...] = ()
    failed_converters: tuple[str, ...] = ()
    health_port_error: str | None = None
    loop_blocked: str | None = None
    pause_reason: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """How the service is: its status, whether anything at all is wrong (``degraded``), and what, line by line."""

    status: ServiceStatus
    api_status: ApiStatus
    reasons: tuple[str, ...] = ()

    @property
    def degraded(self) -> bool:
        """Whether anything speaks against "all is well"."""
        return bool(self.reasons)

    @property
    def is_healthy(self) -> bool:
        """Whether the service does its work, perhaps with a part of it missing or paused."""
        return self.status in (ServiceStatus.RUNNING, ServiceStatus.PAUSED)


def assess(facts: Facts) -> Condition:
    """Return the status that the facts allow, and every fact against it as a reason."""
    if facts.phase is Phase.STOPPED:
        return Condition(ServiceStatus.STOPPED, ApiStatus.OFFLINE, _lines(_failures(facts)))
    # Before the start is through, and while stopping, a stopped task is as it should be.
    counted = facts.tasks if facts.phase is Phase.STARTED else tuple(t for t in facts.tasks if not t.is_stopped)
    tasks = judge_tasks(counted)
    reasons = [*_failures(facts), *tasks.reasons, *_drawbacks(facts)]
    return Condition(_status(facts, tasks.severity), facts.api, _lines(reasons))


def _status(facts: Facts, tasks: Severity) -> ServiceStatus:
    if facts.phase is Phase.STOPPING:
        return ServiceStatus.STOP_PENDING
    if facts.start_failures or facts.critical_errors or tasks is Severity.ERROR:
        return ServiceStatus.ERROR
    if facts.phase is Phase.STARTING:
        return ServiceStatus.START_PENDING
    return ServiceStatus.RUNNING if facts.pause_reason is None else ServiceStatus.PAUSED


def _failures(facts: Facts) -> list[str]:
    started = [f"start incomplete: {text}" for text in facts.start_failures]
    return started + [f"critical: {text}" for text in facts.critical_errors]


def _drawbacks(facts: Facts) -> list[str]:
    found = [f"paused: {facts.pause_reason}"] if facts.pause_reason is not None else []
    if facts.api is not ApiStatus.ONLINE:
        found.append(f"server {facts.api.lower()}: {facts.api_reason or 'no answer yet'}")
    if facts.health_port_error is not None:
        found.append(f"health port: {facts.health_port_error}")
    if facts.loop_blocked is not None:
        found.append(f"event loop: {facts.loop_blocked}")
    return [*found, *(f"converter: {text}" for text in facts.failed_converters), *facts.notes]


def _lines(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(" ".join(text.split()) for text in texts)


@dataclass(frozen=True, slots=True)
class HealthSnapshot:
    """What the health endpoints answer from: ``not_ready`` is the reason why no report is accepted, or None.

    ``details`` is shown as JSON by ``/health/details``: no secrets, no report contents.
    """

    condition: Condition
    not_ready: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)


def describe(condition: Condition, tasks: tuple[TaskState, ...] = ()) -> dict[str, object]:
    """Return condition and tasks as plain JSON values, for ``/health/details`` and for IPC."""
    return {
        "status": str(condition.status),
        "api_status": str(condition.api_status),
        "degraded": condition.degraded,
        "reasons": list(condition.reasons),
        "tasks": [_described(task) for task in tasks],
    }


def _described(task: TaskState) -> dict[str, object]:
    return {
        "name": task.name,
        "critical": task.critical,
        "condition": str(task.condition),
        "failures": task.failures,
        "restarts": task.restarts,
        "last_restart_at": task.last_restart_at,
        "last_error": task.last_error,
        "heartbeats": task.heartbeats,
    }
