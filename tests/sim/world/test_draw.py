"""What a scenario draws: the same for a seed, within its limits, and harmless where its stream is calmed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chaos.seed import Seed
from chaos.sim.choices import Script, SeededChoices
from chaos.sim.draw import Draw

WORDS = ("harmless", "worse", "worst")
DRAWS: dict[str, Callable[[Draw], Any]] = {
    "seconds": lambda draw: draw.seconds(0.5, 2.25),
    "count": lambda draw: draw.count(1, 12),
    "one_of": lambda draw: draw.one_of(WORDS),
    "some_of": lambda draw: tuple(draw.some_of(WORDS)),
    "chance": lambda draw: draw.chance(0.5),
}
HARMLESS = {"seconds": 0.5, "count": 1, "one_of": "harmless", "some_of": (), "chance": False}


def of(seed: int, *, calmed: tuple[str, ...] = (), workload: int | None = None) -> Draw:
    return Draw(SeededChoices(Seed(seed), Script(calmed=calmed)), workload)


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_draws_the_same_again_and_another_one_something_else(name: str) -> None:
    series = [[DRAWS[name](draw) for _ in range(50)] for draw in (of(1), of(1), of(2))]
    assert series[0] == series[1] != series[2]


@pytest.mark.parametrize("name", DRAWS)
def test_a_calmed_stream_draws_what_is_harmless(name: str) -> None:
    draw = of(3, calmed=("all",))
    assert {DRAWS[name](draw) for _ in range(20)} == {HARMLESS[name]}


def test_times_are_whole_milliseconds_from_one_end_to_the_other() -> None:
    draw = of(4)
    drawn = {draw.seconds(0.001, 0.004) for _ in range(200)}
    assert drawn == {0.001, 0.002, 0.003, 0.004}


def test_counts_come_to_both_ends() -> None:
    draw = of(5)
    assert {draw.count(2, 4) for _ in range(100)} == {2, 3, 4}


@pytest.mark.parametrize(("workload", "most"), [(None, 12), (20, 12), (5, 5), (1, 1), (0, 1)])
def test_a_smaller_trial_limits_every_count_but_leaves_one(workload: int | None, most: int) -> None:
    draw = of(6, workload=workload)
    drawn = [draw.count(3, 12) for _ in range(300)]
    assert max(drawn) == most
    assert min(drawn) == min(3, most)


def test_a_workload_shifts_no_other_draw() -> None:
    small, whole = of(7, workload=1), of(7)
    for draw in (small, whole):
        draw.count(1, 12)
    assert [small.count(1, 12, stream="later"), small.seconds(0, 9)] != []
    assert small.seconds(0, 9) == [whole.seconds(0, 9), whole.seconds(0, 9)][1]


def test_one_stream_s_draws_do_not_shift_another_s() -> None:
    busy, calm = of(8), of(8)
    for _ in range(10):
        busy.one_of(WORDS, stream="busy")
    assert [busy.one_of(WORDS) for _ in range(20)] == [calm.one_of(WORDS) for _ in range(20)]


def test_some_of_several_keeps_their_order_and_takes_each_half_of_the_time() -> None:
    draw = of(9)
    parts = [draw.some_of(WORDS) for _ in range(400)]
    assert all(part == [word for word in WORDS if word in part] for part in parts)
    for word in WORDS:
        assert 140 < sum(word in part for part in parts) < 260


@pytest.mark.parametrize(("probability", "least", "most"), [(0.0, 0, 0), (0.25, 60, 140), (1.0, 400, 400)])
def test_a_chance_comes_as_often_as_it_says(probability: float, least: int, most: int) -> None:
    draw = of(10)
    assert least <= sum(draw.chance(probability) for _ in range(400)) <= most
