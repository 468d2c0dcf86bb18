"""Shrinking: what is left still fails in the same way, and nothing can be left out of it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from chaos.shrink import Shrinker, minimal
from chaos.trial import NS_PER_S, PlannedFault, Trial

PLAN = tuple(
    PlannedFault(name, at_ns, 7 * NS_PER_S + 123) for at_ns, name in enumerate(["cut", "kill", "enospc", "jump"], 12345)
)
TRIAL = Trial("H1.3/x", 7, "pct", PLAN)


def fails_with(*needed: str) -> Callable[[Trial], str | None]:
    """Return a judge that sees the failure exactly where all the needed faults are."""

    def judge(trial: Trial) -> str | None:
        return "lost" if set(needed) <= {fault.name for fault in trial.plan or ()} else None

    return judge


@given(st.lists(st.integers(), max_size=30, unique=True), st.data())
def test_what_is_minimal_holds_what_is_needed_and_nothing_else(items: list[int], data: st.DataObject) -> None:
    needed = set(data.draw(st.lists(st.sampled_from(items), max_size=4))) if items else set()
    assert set(minimal(items, lambda part: needed <= set(part))) == needed


def test_faults_that_do_not_matter_are_dropped() -> None:
    found = Shrinker(fails_with("kill", "jump")).shrink(TRIAL, "lost")
    assert [fault.name for fault in found.trial.plan or ()] == ["kill", "jump"]


def test_times_become_round() -> None:
    found = Shrinker(fails_with("kill")).shrink(TRIAL, "lost")
    assert str(found.trial) == "H1.3/x seed=7 policy=fifo plan=kill@0+7 workload=1"


def test_a_run_that_fails_otherwise_is_not_taken_for_the_same() -> None:
    def judge(trial: Trial) -> str | None:
        names = {fault.name for fault in trial.plan or ()}
        return "lost" if {"cut", "kill"} <= names else "twice" if "kill" in names else None

    found = Shrinker(judge).shrink(TRIAL, "lost")
    assert {fault.name for fault in found.trial.plan or ()} == {"cut", "kill"}


def test_streams_that_do_not_matter_are_zeroed() -> None:
    def judge(trial: Trial) -> str | None:
        return "lost" if not trial.zeroed & {"schedule", "all"} else None

    found = Shrinker(judge, streams=("network", "schedule", "disk")).shrink(TRIAL, "lost")
    assert found.trial.zeroed == {"network", "disk"}


def test_all_streams_that_do_not_matter_are_one_word() -> None:
    found = Shrinker(fails_with("kill"), streams=("network", "schedule", "disk")).shrink(TRIAL, "lost")
    assert str(found.trial) == "H1.3/x seed=7 policy=fifo plan=kill@0+7 zeroed=all workload=1"


def test_the_budget_ends_it_and_is_told() -> None:
    found = Shrinker(fails_with("kill", "jump"), budget=2).shrink(TRIAL, "lost")
    assert (found.plays, found.is_complete) == (2, False)
