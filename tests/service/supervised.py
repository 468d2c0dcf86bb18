"""A supervisor with a task to watch, the ways in which that task may fail, and what was logged about it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from pywats_reliability.health import Severity, TaskState
from pywats_reliability.ports import Heartbeat
from pywats_reliability.supervisor import SupervisionLimits, Supervisor, TaskSpec
from tests.service.virtual_clock import now

Run = Callable[[Heartbeat], Awaitable[None]]


class UnspeakableError(Exception):
    """An exception whose text cannot be made."""

    def __str__(self) -> str:
        raise ValueError("no text")


class StrangeError(BaseException):
    """An exception that is no Exception."""


def recurse() -> None:
    recurse()


def fail_with(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


FAILURES: dict[str, Callable[[], None]] = {
    "ValueError": fail_with(ValueError("planted")),
    "OSError": fail_with(OSError(5, "planted")),
    "ExceptionGroup": fail_with(ExceptionGroup("planted", [ValueError("inner")])),
    "RecursionError": recurse,
    "MemoryError": fail_with(MemoryError()),
    "UnspeakableError": fail_with(UnspeakableError()),
    "SystemExit": fail_with(SystemExit(3)),
    "KeyboardInterrupt": fail_with(KeyboardInterrupt()),
    "StrangeError": fail_with(StrangeError("planted")),
}


async def beat_every(beat: Heartbeat, seconds: float) -> None:
    while True:
        beat()
        await asyncio.sleep(seconds)


async def well(beat: Heartbeat) -> None:
    await beat_every(beat, 10)


def failing(*, after_s: float = 0.0, times: int = 10**9, fail: Callable[[], None] = FAILURES["ValueError"]) -> Run:
    """Return a task that beats every second, and fails ``after_s`` in each of its first ``times`` runs."""
    runs: list[float] = []

    async def run(beat: Heartbeat) -> None:
        runs.append(now())
        while len(runs) > times or now() - runs[-1] < after_s:
            beat()
            await asyncio.sleep(1)
        fail()

    return run


@asynccontextmanager
async def supervised(
    run: Run, *, critical: bool = False, interval_s: float = 10, limits: SupervisionLimits | None = None
) -> AsyncIterator[Supervisor]:
    """Keep ``run`` as task "subject" and a well one as "neighbour", and end with nothing left."""
    supervisor = Supervisor(limits, scrub=lambda text: text.replace("secret", "***"))
    supervisor.add(TaskSpec("subject", run, critical=critical, heartbeat_interval_s=interval_s))
    supervisor.add(TaskSpec("neighbour", well, critical=False, heartbeat_interval_s=10))
    supervisor.start()
    try:
        yield supervisor
    finally:
        assert await supervisor.cancel_all(10) == []


def subject(supervisor: Supervisor) -> TaskState:
    return next(state for state in supervisor.states() if state.name == "subject")


def severity(supervisor: Supervisor) -> Severity:
    return supervisor.verdict.severity


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]
