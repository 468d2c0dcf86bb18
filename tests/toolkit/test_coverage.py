"""The table of faults and operations, by hand-written histories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.coverage import columns, disk_calls, empty_cells, met, table, tried
from chaos.history import History
from chaos.verdict import Finding, Verdict


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(clock: Clock) -> History:
    return History(clock)


def test_a_fault_meets_what_is_under_way_and_nothing_else(history: History, clock: Clock) -> None:
    first, clock.ns = history.invoke("submit"), 10
    history.fault("clock.jump")
    clock.ns = 20
    first.ok()
    clock.ns = 30
    history.invoke("stop")
    assert met(history) == {"clock.jump × submit"}


def test_a_fault_that_meets_nothing_says_so(history: History) -> None:
    history.fault("clock.jump")
    assert met(history) == {"clock.jump × nothing"}


def test_what_begins_at_the_same_time_and_after_the_fault_is_not_met(history: History) -> None:
    history.fault("process.kill")
    history.invoke("start")
    assert met(history) == {"process.kill × nothing"}


@pytest.mark.parametrize(("is_lost", "cell"), [(True, "submit"), (False, "nothing")])
def test_what_ends_as_the_fault_comes_was_met_if_it_was_cut_off(history: History, is_lost: bool, cell: str) -> None:
    submit = history.invoke("submit")
    submit.unknown() if is_lost else submit.ok()
    history.fault("process.kill")
    assert met(history) == {f"process.kill × {cell}"}


def test_a_fault_in_force_meets_what_begins_later(history: History, clock: Clock) -> None:
    history.fault("network.partition")
    clock.ns = 10
    submit, clock.ns = history.invoke("submit"), 20
    submit.ok()
    history.healed("network.partition")
    clock.ns = 30
    history.invoke("stop")
    assert met(history) == {"network.partition × submit"}


def test_a_kill_meets_what_was_under_way_and_not_the_next_start(history: History, clock: Clock) -> None:
    history.invoke("submit")
    clock.ns = 5
    history.fault("process.kill")
    clock.ns = 10
    history.invoke("start").ok()
    assert met(history) == {"process.kill × submit"}


def test_uploads_are_what_the_server_saw(history: History, clock: Clock) -> None:
    clock.ns = 50
    history.fault("server.html", at_ns=15)
    one = {"report_id": "r", "start_ns": 10, "end_ns": 20}
    asked = {"report_id": None, "start_ns": 10, "end_ns": 20}
    history.observe("requests", requests=[one, asked])
    assert met(history) == {"server.html × upload"}


def test_the_call_that_a_disk_fault_hit_is_an_operation_of_its_own(history: History) -> None:
    history.invoke("submit")
    history.fault("disk.fault", call="fsync")
    rows = table([dict.fromkeys(met(history), 1)] * 3)
    assert rows == {"disk.fault": {"disk: fsync": 3, "submit": 3}}
    assert (columns(rows), disk_calls(rows), empty_cells(rows)) == (["submit"], [("fsync", 3)], [])


def found(property_id: str, verdict: Verdict) -> Finding:
    return Finding(property_id, verdict, "something", "something else")


def test_a_property_is_tried_by_a_fault_that_met_something_where_somebody_judged_it() -> None:
    findings = [found("H1.1", Verdict.HELD), found("H1.2", Verdict.NOT_EXERCISED), found("H1.3", Verdict.UNKNOWN)]
    cells = ["kill × submit", "kill × upload", "jump × nothing"]
    assert tried(findings, cells) == {"H1.1 × kill"}


def test_a_property_that_one_of_its_checkers_sees_broken_was_not_tried() -> None:
    assert tried([found("H1.1", Verdict.HELD), found("H1.1", Verdict.BROKEN)], ["kill × submit"]) == set()


def test_cells_that_were_never_met_are_named() -> None:
    rows = table([{"kill × submit": 1}, {"html × upload": 2}])
    assert empty_cells(rows) == [("html", "submit"), ("kill", "upload")]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(0, 9)), max_size=8), st.integers(0, 40)
)
def test_it_finds_the_same_as_looking_at_each_operation(spans: list[tuple[str, int, int]], fault_ns: int) -> None:
    clock = Clock()
    history = History(clock)
    moments = sorted({(start, 0, place) for place, (_, start, _) in enumerate(spans)}
                     | {(start + length, 2, place) for place, (_, start, length) in enumerate(spans)}
                     | {(fault_ns, 1, -1)})  # fmt: skip
    running = {}
    for clock.ns, what, place in moments:
        if what == 1:
            history.fault("clock.jump")
        elif what == 0:
            running[place] = history.invoke(spans[place][0])
        else:
            running[place].ok()
    expected = {f"clock.jump × {name}" for name, start, length in spans if start <= fault_ns <= start + length}
    assert met(history) == (expected or {"clock.jump × nothing"})
