"""Names and index: the order of arrival, whatever the clock does, and never two of one id at a time (H1.9, H1.10)."""

from __future__ import annotations

import tracemalloc
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pywats_reliability.store.index import Index, IndexEntry
from pywats_reliability.store.names import (
    EPOCH,
    Sequence,
    history_name,
    is_leftover,
    make_record,
    parse_name,
    parse_pending_name,
    record_name_of_history,
    sent_name,
)

ID = "7f3a0c1e-0000-4000-8000-000000000001"
OTHER = "7f3a0c1e-0000-4000-8000-000000000002"
STEPS = ["add", "add", "take", "take", "release", "defer", "leave", "forget", "evict"]
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def entry(sequence: int, report_id: str | None = None, *, priority: int = 5, size: int = 10) -> IndexEntry:
    return IndexEntry(sequence, report_id or str(uuid.UUID(int=sequence)), priority, size)


def filled(*entries: IndexEntry) -> Index:
    index = Index()
    for one in entries:
        index.add(one)
    return index


def taken(index: Index) -> list[int]:
    return [found.sequence for found in iter(index.take, None)]


@given(st.integers(0, 10**15), st.integers(1, 10), st.uuids())
def test_a_name_tells_its_record(sequence: int, priority: int, report_id: uuid.UUID) -> None:
    record = make_record(sequence, str(report_id), priority, 300)
    assert (parse_name(record.name), record.sequence) == (record, sequence)
    assert parse_pending_name(record.name) == (sequence, str(report_id), priority, 300)


@pytest.mark.proves("H1.12", "H1.15")
@given(st.lists(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2800, 1, 1)), min_size=2))
def test_names_sort_by_arrival_whatever_the_clock_says(instants: list[datetime]) -> None:
    sequence = Sequence()
    names = [make_record(sequence.next(instant.replace(tzinfo=UTC)), ID, 5, 300).name for instant in instants]
    assert names == sorted(set(names))


def test_a_clock_before_1970_still_gives_names() -> None:
    sequence = Sequence()
    assert sequence.next(EPOCH - timedelta(days=1)) == 1


@pytest.mark.parametrize(
    "name",
    [
        "report.json",
        f"20261123T120000.000000Z_05_{ID}_300.json.tmp",
        f"20261123T120000.000000Z_11_{ID}_300.json",
        f"20261123T120000.000000Z_00_{ID}_300.json",
        f"20260231T120000.000000Z_05_{ID}_300.json",
        f"20261123T120000.000000Z_05_{ID.upper()}_300.json",
        f"20261123T120000.000000Z_05_{ID}.json",
        f"20261123T120000.000000Z_05_{ID}_0300.json",
        f"29991231T235959.999999Z_05_{ID}_300.json",
        f"20261123T120000.000000Z_05_{ID}_300.json\n",
        "",
    ],
)
def test_other_names_are_foreign(name: str) -> None:
    assert parse_name(name) is None


def test_the_name_in_sent_tells_when_it_was_sent() -> None:
    record = make_record(1, ID, 5, 300)
    found = parse_name(sent_name(record, NOON))
    assert found is not None
    assert (found.sequence, found.report_id, found.sent_at) == (1, ID, NOON)


def test_a_sidecar_tells_its_record() -> None:
    record = make_record(1, ID, 5, 300)
    assert (record_name_of_history(history_name(record)), parse_name(history_name(record))) == (record.name, None)


@pytest.mark.parametrize(
    ("name", "truth"),
    [
        (f".20261123T120000.000000Z_05_{ID}_300.json.tmp", True),
        (f".20261123T120000.000000Z_05_{ID}_300.history.json.tmp", True),
        (".foreign.json.tmp", False),
        (f"20261123T120000.000000Z_05_{ID}_300.json.tmp", False),
    ],
)
def test_only_what_we_write_aside_is_a_leftover(name: str, truth: bool) -> None:
    assert is_leftover(name) is truth


@pytest.mark.proves("H1.10")
def test_first_in_first_out() -> None:
    assert taken(filled(entry(3), entry(1), entry(2))) == [1, 2, 3]


def test_the_more_urgent_goes_first() -> None:
    assert taken(filled(entry(1, priority=9), entry(2, priority=1), entry(3, priority=5))) == [2, 3, 1]


def test_a_second_record_of_an_id_in_flight_is_passed_over() -> None:
    index = filled(entry(1, ID), entry(2, ID), entry(3, OTHER))
    assert taken(index) == [1, 3]


def test_records_of_one_id_keep_their_order() -> None:
    index = filled(entry(1, ID), entry(2, ID))
    assert taken(index) == [1]
    index.release(1)
    assert taken(index) == [1]
    index.remove(1)
    assert taken(index) == [2]


def test_a_released_record_has_its_old_place() -> None:
    index = filled(entry(1), entry(2), entry(3))
    index.take()
    index.release(1)
    assert taken(index) == [1, 2, 3]


def test_releasing_what_is_not_in_flight_changes_nothing() -> None:
    index = filled(entry(1))
    assert (index.release(1), index.release(7), taken(index)) == (False, False, [1])


def test_a_deferred_record_is_kept_but_not_in_flight() -> None:
    index = filled(entry(1))
    index.take()
    index.defer(1)
    assert (len(index), index.in_flight, index.take()) == (1, 0, None)
    index.release(1)
    assert taken(index) == [1]


def test_the_oldest_is_evicted_whatever_its_urgency() -> None:
    index = filled(entry(1, priority=1), entry(2, priority=10))
    oldest = index.oldest_evictable()
    assert oldest is not None
    assert (oldest.sequence, taken(index)) == (1, [2])


def test_what_is_in_flight_is_not_evicted() -> None:
    index = filled(entry(1))
    index.take()
    assert index.oldest_evictable() is None


def test_what_waits_for_its_retry_is_evicted() -> None:
    index = filled(entry(1), entry(2))
    index.take()
    index.defer(1)
    oldest = index.oldest_evictable()
    assert oldest is not None
    assert (oldest.sequence, index.in_flight) == (1, 1)


def test_bytes_are_counted() -> None:
    index = filled(entry(1, size=10), entry(2, size=30))
    index.remove(1)
    index.remove(1)
    assert index.size_bytes == 30


class Model:
    """The index as a plain list that is searched: the oldest of the most urgent whose id is free."""

    def __init__(self) -> None:
        self.index = Index()
        self.waiting: dict[int, IndexEntry] = {}
        self.busy: dict[int, IndexEntry] = {}

    def add(self, sequence: int, number: int) -> None:
        new = entry(sequence, str(uuid.UUID(int=number % 3)), priority=1 + number % 2)
        self.index.add(new)
        self.waiting[sequence] = new

    def take(self, _sequence: int, _number: int) -> None:
        busy_ids = {other.report_id for other in self.busy.values()}
        free = [one for one in self.waiting.values() if one.report_id not in busy_ids]
        due = min(free, key=lambda one: (one.priority, one.sequence), default=None)
        assert self.index.take() == due
        if due is not None:
            self.busy[due.sequence] = self.waiting.pop(due.sequence)

    def evict(self, _sequence: int, _number: int) -> None:
        found = self.index.oldest_evictable()
        if found is not None:
            self.index.remove(found.sequence)
            assert (self.waiting.pop(found.sequence, None) or self.busy.pop(found.sequence)) == found

    def forget(self, _sequence: int, number: int) -> None:
        for gone in sorted(self.waiting)[number:]:
            self.index.remove(gone)
            del self.waiting[gone]

    def release(self, _sequence: int, number: int) -> None:
        for chosen in sorted(self.busy)[number:]:
            assert self.index.release(chosen)
            self.waiting[chosen] = self.busy.pop(chosen)

    def defer(self, _sequence: int, number: int) -> None:
        for chosen in sorted(self.busy)[number:]:
            self.index.defer(chosen)

    def leave(self, _sequence: int, number: int) -> None:
        for chosen in sorted(self.busy)[number:]:
            self.index.remove(chosen)
            del self.busy[chosen]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 7))))
def test_whatever_happens_the_index_agrees_with_a_plain_model(steps: list[tuple[str, int]]) -> None:
    model = Model()
    for sequence, (step, number) in enumerate(steps, start=1):
        getattr(model, step)(sequence, number)
        assert len(model.index) == len(model.waiting) + len(model.busy)


def test_a_waiting_record_costs_less_than_200_bytes() -> None:
    """H5.6: no name, no contents, no object of its own."""
    ids = [str(uuid.UUID(int=number)) for number in range(20_000)]
    tracemalloc.start()
    index = Index()
    for sequence, report_id in enumerate(ids, start=10**15):
        index.add(IndexEntry(sequence, report_id, 5, 2048))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / len(index) < 200
