"""Facts about the status: it never says more than is true (C2.2, C2.3, C2.9)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from pywats_reliability.health import (
    ApiStatus,
    Condition,
    Facts,
    Phase,
    ServiceStatus,
    Severity,
    TaskCondition,
    TaskState,
    assess,
    describe,
    judge_tasks,
)

CRITICAL = TaskState("pending_queue", critical=True, condition=TaskCondition.RUNNING)
OTHER = TaskState("ping", critical=False, condition=TaskCondition.RUNNING)
WELL = Facts(Phase.STARTED, (CRITICAL, OTHER))


def with_tasks(critical: TaskCondition, other: TaskCondition) -> tuple[TaskState, ...]:
    return (replace(CRITICAL, condition=critical), replace(OTHER, condition=other))


def all_facts() -> Iterator[Facts]:
    """Yield every combination of phase, tasks' conditions and each other fact being there or not."""
    flags = product((False, True), repeat=7)
    for phase, critical, other, api, flag in product(Phase, TaskCondition, TaskCondition, ApiStatus, flags):
        start, unsaved, converter, port, blocked, paused, noted = flag
        yield Facts(
            phase,
            with_tasks(critical, other),
            api,
            "planted api",
            ("planted start",) if start else (),
            ("planted critical",) if unsaved else (),
            ("planted converter",) if converter else (),
            "planted port" if port else None,
            "planted block" if blocked else None,
            "planted pause" if paused else None,
            ("planted note",) if noted else (),
        )


def flaws(facts: Facts) -> list[str]:
    """Name everything in the facts that somebody who reads the status must learn of, written independently."""
    words = [*facts.start_failures, *facts.critical_errors, *facts.failed_converters, *facts.notes]
    words += [text for text in (facts.health_port_error, facts.loop_blocked, facts.pause_reason) if text]
    words += ["planted api"] if facts.api is not ApiStatus.ONLINE else []
    stopped_is_a_flaw = facts.phase is Phase.STARTED
    for task in facts.tasks:
        if task.condition is not TaskCondition.RUNNING and (not task.is_stopped or stopped_is_a_flaw):
            words.append(f"{task.name} is {task.condition}")
    return words


def must_be_error(facts: Facts) -> bool:
    critical = facts.tasks[0].condition
    fine = {TaskCondition.RUNNING} if facts.phase is Phase.STARTED else {TaskCondition.RUNNING, TaskCondition.STOPPED}
    return bool(facts.start_failures or facts.critical_errors or critical not in fine)


@pytest.mark.proves("C2.9")
def test_c2_9_in_every_combination_each_flaw_is_named_and_none_means_none() -> None:
    for facts in all_facts():
        condition, expected = assess(facts), flaws(facts)
        if facts.phase is not Phase.STOPPED:
            assert len(condition.reasons) == len(expected), facts
            assert all(any(flaw in reason for reason in condition.reasons) for flaw in expected), facts
            assert condition.degraded is bool(expected), facts


@pytest.mark.proves("C2.9")
def test_c2_9_in_every_combination_the_status_is_the_one_the_facts_allow() -> None:
    for facts in all_facts():
        allowed = {
            Phase.STOPPED: ServiceStatus.STOPPED,
            Phase.STOPPING: ServiceStatus.STOP_PENDING,
            Phase.STARTING: ServiceStatus.ERROR if must_be_error(facts) else ServiceStatus.START_PENDING,
            Phase.STARTED: ServiceStatus.PAUSED if facts.pause_reason else ServiceStatus.RUNNING,
        }[facts.phase]
        if facts.phase is Phase.STARTED and must_be_error(facts):
            allowed = ServiceStatus.ERROR
        assert assess(facts).status is allowed, facts


def test_all_well_is_running_with_nothing_to_say() -> None:
    assert assess(WELL) == Condition(ServiceStatus.RUNNING, ApiStatus.ONLINE, ())


def test_a_stopped_service_claims_no_server() -> None:
    assert assess(replace(WELL, phase=Phase.STOPPED)).api_status is ApiStatus.OFFLINE


def test_a_reason_is_one_line_whatever_the_text() -> None:
    condition = assess(replace(WELL, notes=("two\nlines",), pause_reason=""))
    assert condition.reasons == ("paused:", "two lines")


@pytest.mark.proves("C2.2")
@pytest.mark.parametrize("condition", [each for each in TaskCondition if each is not TaskCondition.RUNNING])
def test_c2_2_any_critical_task_that_is_not_running_is_an_error(condition: TaskCondition) -> None:
    assert judge_tasks(with_tasks(condition, TaskCondition.RUNNING)).severity is Severity.ERROR


@pytest.mark.proves("C2.3")
@pytest.mark.parametrize("condition", [each for each in TaskCondition if each is not TaskCondition.RUNNING])
def test_c2_3_any_other_task_that_is_not_running_degrades(condition: TaskCondition) -> None:
    assert judge_tasks(with_tasks(TaskCondition.RUNNING, condition)).severity is Severity.DEGRADED


def test_the_reason_tells_the_last_error_of_a_task_that_failed() -> None:
    failed = replace(OTHER, condition=TaskCondition.DOWN, last_error="ValueError: planted")
    assert failed.reason == "task ping is down: ValueError: planted"


def test_an_old_error_is_no_reason_for_a_stall() -> None:
    stalled = replace(OTHER, condition=TaskCondition.STALLED, last_error="ValueError: planted")
    assert stalled.reason == "task ping is stalled"


def test_the_description_is_json() -> None:
    described = json.loads(json.dumps(describe(assess(WELL), WELL.tasks)))
    assert (described["status"], described["tasks"][0]["name"]) == ("Running", "pending_queue")


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (ServiceStatus.STOPPED, "Stopped"),
        (ServiceStatus.START_PENDING, "StartPending"),
        (ServiceStatus.RUNNING, "Running"),
        (ServiceStatus.STOP_PENDING, "StopPending"),
        (ServiceStatus.PAUSED, "Paused"),
        (ServiceStatus.ERROR, "Error"),
    ],
)
def test_the_status_names_are_the_ones_clients_know(status: ServiceStatus, name: str) -> None:
    assert str(status) == name
