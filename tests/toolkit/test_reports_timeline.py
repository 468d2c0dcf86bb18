"""A history becomes lanes, bars, marks and bands; the axis gives room to where something happens."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from chaos.history import History
from chaos.reports.scale import Scale, seconds
from chaos.reports.steps import step_lanes
from chaos.reports.timeline import LaneKind, Timeline, looks_of, timeline_of
from chaos.reports.timeline_svg import picture_of
from chaos.reports.timeline_text import timeline_text
from tests.toolkit import sample_outcomes

S = sample_outcomes.SECOND_NS


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    return timeline_of(sample_outcomes.lost_report())


def bars(timeline: Timeline, lane: str) -> list[tuple[str, str]]:
    return [(bar.title, bar.outcome) for found in timeline.lanes if found.name == lane for bar in found.bars]


def test_processes_come_first_and_folders_last(timeline: Timeline) -> None:
    kinds = [lane.kind for lane in timeline.lanes]
    assert (kinds[0], kinds[-1]) == (LaneKind.PROCESS, LaneKind.FOLDER)


def test_a_process_lives_from_its_start_to_its_kill(timeline: Timeline) -> None:
    lives = [bar for bar in timeline.lanes[0].bars if bar.outcome == "life"]
    assert [(bar.start_ns, bar.end_ns) for bar in lives] == [(1.2 * S, 2 * S), (63 * S, 64.2 * S)]


def test_ok_failed_and_unknown_are_told_apart(timeline: Timeline) -> None:
    assert bars(timeline, "submit") == [("submit", "ok"), ("submit", "failed")]
    assert bars(timeline, "client B") == [("submit", "unknown")]


def test_an_operation_without_an_end_is_open_and_unknown() -> None:
    history = History(itertools.count().__next__)
    history.invoke("submit")
    history.observe("folders", reports=[])
    (lane,) = [lane for lane in timeline_of(history).lanes if lane.name == "submit"]
    assert (lane.bars[0].is_open, lane.bars[0].outcome) == (True, "unknown")


def test_a_kill_lasts_until_the_next_start(timeline: Timeline) -> None:
    (kill,) = [band for band in timeline.bands if band.name == "process.kill"]
    assert (kill.start_ns, kill.end_ns) == (2 * S, 63 * S)


def test_a_fault_lasts_until_it_is_healed() -> None:
    (band,) = timeline_of(sample_outcomes.quiet()).bands
    assert (band.name, band.start_ns < band.end_ns) == ("network.cut", True)


def test_a_fault_that_became_known_later_stands_where_it_happened() -> None:
    history = History(itertools.count(0, S).__next__)
    history.observe("status")
    history.fault("server.status", at_ns=S // 2)
    assert timeline_of(history).bands[0].start_ns == S // 2


def test_operations_that_overlap_lie_above_each_other() -> None:
    history = History(itertools.count().__next__)
    first, second = history.invoke("submit"), history.invoke("submit")
    first.ok()
    second.ok()
    assert timeline_of(history).lanes[0].rows == 2


def test_the_files_at_each_step_come_from_what_was_observed() -> None:
    looks = looks_of(sample_outcomes.lost())
    assert [list(look.files) for look in looks] == [[f"pending/{sample_outcomes.REPORT[:13]}…"], []]


def test_an_empty_history_can_be_drawn() -> None:
    assert timeline_text(History(lambda: 0), 80)
    assert "nothing was recorded" in picture_of(sample_outcomes.absent(), None).svg


def test_a_long_pause_is_drawn_short_and_the_order_is_kept() -> None:
    times = [0, S, 2 * S, 1000 * S, 1001 * S]
    scale = Scale(times, times[-1])
    places = [scale.at(time_ns) for time_ns in times]
    assert places == sorted(places)
    assert [(pause.start_ns, pause.end_ns) for pause in scale.pauses] == [(2 * S, 1000 * S)]
    assert places[1] > 0.2


def test_the_axis_begins_at_zero_and_ends_at_one() -> None:
    scale = Scale([3, 5, 8], 9)
    assert (scale.at(0), scale.at(9), scale.at(100)) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize(("time_ns", "words"), [(0, "0 s"), (S, "1 s"), (1_234_567_890, "1.235 s")])
def test_instants_are_told_in_seconds(time_ns: int, words: str) -> None:
    assert seconds(time_ns) == words


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_picture_in_characters_fits_and_shows_the_violation(width: int) -> None:
    lines = [line.plain for line in timeline_text(sample_outcomes.lost_report(), width, moment_ns=64 * S)]
    assert max(len(line) for line in lines) <= width
    assert "broken at 64 s ▲" in lines[-1]
    assert any(re.search("┅", line) for line in lines if "client B" in line)


def test_a_history_of_thousands_is_drawn_within_bounds() -> None:
    history = History(itertools.count().__next__)
    for number in range(5_000):
        running = history.invoke("ask")
        running.failed() if number == 3 else running.ok()
    run = sample_outcomes.lost()
    picture = picture_of(type(run)("C1.6/x", "live", 1, (), {}, 1.0, history), None)
    assert len(picture.svg) < 150_000
    assert (picture.left_out, 'class="item bar failed"' in picture.svg) == (4_700, True)


def test_tasks_network_and_disk_of_a_trace_have_lanes_of_their_own() -> None:
    trace = """\
      1       0.000000 start process=tester
      2       0.001000 upload
      2       0.001000 disk call=fsync path=/station/data
      3       0.002000 upload
      4       0.002000 _chain_future.<locals>._set_state
      5       0.003000 net.arrived host=wats
      6       0.003000 Task-2
not a step
"""
    lanes = [(lane.name, lane.times_ns, lane.steps) for lane in step_lanes(trace)]
    assert lanes == [
        ("task upload", (1_000_000, 2_000_000), 2),
        ("disk", (1_000_000,), 1),
        ("network", (3_000_000,), 1),
    ]
    run = replace(sample_outcomes.lost(), trace=trace)
    picture = picture_of(run, None)
    assert [label.name for label in picture.labels][-3:] == ["task upload", "disk", "network"]
    assert "task upload: 2 steps" in picture.svg
