"""A simulated run in one line: what is printed can be copied and means the same run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.errors import UsageError
from chaos.trial import PlannedFault, StepFault, Trial, parse_trial

NAMES = st.from_regex(r"[a-z][a-z_.]{0,8}", fullmatch=True)
FAULTS = st.builds(
    PlannedFault,
    NAMES,
    st.integers(0, 10**14),
    st.integers(0, 10**14),
    st.from_regex(r"[a-z0-9:/,-]{0,8}", fullmatch=True),
)
TRIALS = st.builds(
    Trial,
    st.just("C1.6/kill_mid_upload"),
    st.integers(0, 2**64),
    st.sampled_from(["fifo", "portfolio", "pct"]),
    st.none() | st.lists(FAULTS, max_size=4).map(tuple),
    st.frozensets(st.sampled_from(["network", "disk", "schedule"])),
    st.none() | st.integers(0, 100),
    st.none() | st.builds(StepFault, st.sampled_from(["cancel", "kill"]), st.integers(0, 10**6)),
)


@given(TRIALS)
def test_every_trial_survives_its_line(trial: Trial) -> None:
    assert parse_trial(str(trial)) == trial


def test_a_line_reads_as_one_would_say_it() -> None:
    trial = Trial("C1.6/kill", 4117, plan=(PlannedFault("power", 12_031_000_000),))
    assert str(trial) == "C1.6/kill seed=4117 plan=power@12.031"


@pytest.mark.parametrize(
    "line", ["", "seed=1", "C1.6/x", "C1.6/x seed=-1", "C1.6/x seed=1 plan=power", "C1.6/x seed=1 color=red",
             "C1.6/x seed=1 seed=2", "C1.6/x seed=1 step=cancel"],
)  # fmt: skip
def test_a_line_that_means_nothing_is_refused_in_one_line(line: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_trial(line)
    assert "\n" not in str(refused.value)
