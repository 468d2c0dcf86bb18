"""The history keeps operations, faults and observations apart, and never forgets an end that nobody saw."""

from __future__ import annotations

import itertools
import json

import pytest

from chaos.errors import HistoryError
from chaos.history import History, Kind


@pytest.fixture
def history() -> History:
    ticks = itertools.count(0, 1_000_000_000)
    return History(lambda: next(ticks))


def test_an_operation_that_never_ended_is_unknown(history: History) -> None:
    history.invoke("submit", report_id="a")
    assert [op.outcome for op in history.operations("submit")] == [Kind.UNKNOWN]


def test_an_operation_takes_the_time_between_its_two_events(history: History) -> None:
    history.invoke("stop").ok(code=0)
    assert [op.took_s for op in history.operations("stop")] == [1.0]


def test_overlapping_operations_keep_their_own_ends(history: History) -> None:
    first, second = history.invoke("submit", report_id="a"), history.invoke("submit", report_id="b")
    second.failed(error="full")
    first.ok()
    assert [op.outcome for op in history.operations("submit")] == [Kind.OK, Kind.FAILED]


def test_an_operation_ends_once(history: History) -> None:
    running = history.invoke("submit")
    running.ok()
    with pytest.raises(AssertionError, match="ended twice"):
        running.unknown()


def test_the_last_observation_may_be_asked_for_by_its_values(history: History) -> None:
    history.observe("status", status="Running", number=1)
    history.observe("status", status="Error", number=2)
    assert history.last("status", status="Running").value["number"] == 1


def test_an_observation_that_nobody_made_is_an_error(history: History) -> None:
    with pytest.raises(HistoryError, match="'folders'"):
        history.last("folders")


def test_faults_are_found_by_name(history: History) -> None:
    history.fault("process.kill", pid=1)
    history.fault("server.down")
    assert [event.name for event in history.faults("server.down")] == ["server.down"]


def test_a_history_is_lines_of_json(history: History) -> None:
    history.invoke("submit", report_id="a").ok()
    lines = [json.loads(line) for line in history.to_lines().splitlines()]
    assert [line["kind"] for line in lines] == ["invoked", "ok"]


def test_a_history_says_how_much_it_holds(history: History) -> None:
    history.fault("process.kill")
    assert repr(history) == "History(1 events, 1 faults fired)"


def test_a_history_is_read_back_as_it_was_written() -> None:
    history = History(iter(range(100)).__next__)
    history.invoke("submit", report_id="a").ok(id="a")
    history.fault("process.kill", pid=4)
    assert History.from_lines(history.to_lines()).events == history.events
