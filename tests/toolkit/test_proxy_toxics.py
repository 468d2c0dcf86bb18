"""Each toxic as a pure decision: which bytes become due when, and which ends it makes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from chaos.errors import UsageError
from chaos.live.proxy.settings import ToxicSettings
from chaos.live.proxy.steps import Direction, Place, Stage, Step, StepKind, Turns
from chaos.live.proxy.toxics import TOXICS
from chaos.seed import Seed

NOW = 100.0
DOWN, UP = Direction.DOWNSTREAM, Direction.UPSTREAM


class Bench:
    """One toxic in one connection, with its stages, its counter and what has come of it."""

    def __init__(
        self, kind: str, *, stream: Direction = DOWN, number: int = 1, turns: Turns | None = None, **given: Any
    ) -> None:
        self.fired = 0
        toxic = ToxicSettings(kind, stream=stream, attributes=given).toxic()
        place = Place(Seed(7).stream(str(number)), self.fire, turns or Turns(), stream)
        self.stages = dict(toxic.stages(place))

    def fire(self) -> None:
        self.fired += 1

    def stage(self, direction: Direction = DOWN) -> Stage:
        return self.stages[direction]

    def takes(self, *pieces: bytes | StepKind, at: float = NOW, direction: Direction = DOWN) -> list[Step]:
        made: list[Step] = []
        for piece in pieces:
            kind, data = (StepKind.DATA, piece) if isinstance(piece, bytes) else (piece, b"")
            made += self.stage(direction).take(Step(at, kind, data))
        for step in made:
            if step.fire is not None:
                step.fire()
        return made


def text(steps: Iterable[Step]) -> bytes:
    return b"".join(step.data for step in steps)


def ends(steps: Iterable[Step]) -> list[StepKind]:
    return [step.kind for step in steps if step.kind is not StepKind.DATA]


def test_latency_delays_each_piece_and_no_piece_waits_for_another() -> None:
    bench = Bench("latency", latency=250)
    assert [step.due for step in bench.takes(b"a", b"b")] == [NOW + 0.25, NOW + 0.25]
    assert bench.fired == 2


def test_jitter_spreads_the_delay_within_its_bounds_and_keeps_the_order() -> None:
    dues = [step.due for step in Bench("latency", latency=100, jitter=50).takes(*[b"x"] * 200)]
    assert dues == sorted(dues)
    assert NOW + 0.05 <= dues[0] < dues[-1] <= NOW + 0.15


def test_bandwidth_measures_out_by_the_second() -> None:
    steps = Bench("bandwidth", rate=10).takes(b"x" * 5000, b"y" * 5000)
    assert steps[-1].due == pytest.approx(NOW + 1.0)
    assert text(steps) == b"x" * 5000 + b"y" * 5000


def test_a_bandwidth_of_zero_lets_nothing_pass() -> None:
    bench = Bench("bandwidth", rate=0)
    assert bench.takes(b"x") == []
    assert bench.fired == 1


def test_slicer_cuts_into_pieces_that_come_one_after_the_other() -> None:
    bench = Bench("slicer", average_size=10, size_variation=4, delay=1000)
    steps = bench.takes(bytes(range(200)))
    assert text(steps) == bytes(range(200))
    assert {len(step.data) for step in steps[:-1]} <= set(range(6, 15))
    assert steps[-1].due == pytest.approx(NOW + 0.001 * (len(steps) - 1))
    assert bench.fired == len(steps)


def test_slow_close_holds_back_the_end_only() -> None:
    data, end = Bench("slow_close", delay=500).takes(b"x", StepKind.FIN)
    assert (data.due, end.due) == (NOW, NOW + 0.5)


def test_timeout_drops_all_data_and_closes_after_its_time() -> None:
    bench = Bench("timeout", timeout=300)
    (close,) = bench.stage().begin(NOW)
    assert (close.kind, close.due) == (StepKind.CLOSE, NOW + 0.3)
    assert bench.takes(b"x", b"y") == []
    assert bench.fired == 2


def test_a_timeout_of_zero_never_closes_until_it_is_taken_away() -> None:
    stage = Bench("timeout").stage()
    assert list(stage.begin(NOW)) == []
    assert ends(stage.leave(NOW)) == [StepKind.CLOSE]


def test_reset_peer_resets_once_behind_the_first_data() -> None:
    bench = Bench("reset_peer", timeout=200)
    (reset,) = bench.takes(b"x", b"y")
    assert (reset.kind, reset.due) == (StepKind.RESET, NOW + 0.2)
    assert bench.fired == 1


def test_reset_peer_lets_so_many_bytes_pass_first() -> None:
    bench = Bench("reset_peer", after_bytes=7)
    steps = bench.takes(b"12345", b"67890", b"more")
    assert text(steps) == b"1234567"
    assert [step.kind for step in steps if step.kind is not StepKind.DATA] == [StepKind.RESET]


def test_limit_data_lets_exactly_that_much_pass_over_several_pieces() -> None:
    bench = Bench("limit_data", bytes=7)
    steps = bench.takes(b"12345", b"67890", b"more")
    assert text(steps) == b"1234567"
    assert ends(steps) == [StepKind.CLOSE]
    assert bench.fired == 1


def test_a_black_hole_swallows_the_end_as_well() -> None:
    bench = Bench("black_hole", after_bytes=3)
    assert text(bench.takes(b"12345", b"678", StepKind.FIN)) == b"123"
    assert bench.fired == 2


def test_a_black_hole_in_one_direction_leaves_the_other_alone() -> None:
    assert set(Bench("black_hole", stream=UP).stages) == {UP}


@pytest.mark.parametrize("end", [StepKind.FIN, StepKind.RESET])
def test_half_open_passes_data_and_keeps_silent_about_the_end(end: StepKind) -> None:
    bench = Bench("half_open")
    assert text(bench.takes(b"data")) == b"data"
    assert bench.takes(end) == []
    assert bench.fired == 1
    assert ends(bench.stage().leave(NOW)) == [end]


def test_corrupt_turns_over_one_bit_in_every_stretch() -> None:
    bench = Bench("corrupt", every=100)
    found = text(bench.takes(*[bytes(30)] * 20))
    for begin in range(0, 600, 100):
        assert sum(byte.bit_count() for byte in found[begin : begin + 100]) == 1
    assert bench.fired == 6


def test_duplicate_repeats_a_piece_behind_itself() -> None:
    bench = Bench("duplicate", probability=1)
    assert text(bench.takes(b"ab", b"c")) == b"ababcc"
    assert bench.fired == 2


def test_what_is_lost_comes_later_and_holds_up_what_follows() -> None:
    bench = Bench("packet_loss", loss_rate=0.5, retransmission=200)
    steps = bench.takes(*[bytes([number]) for number in range(100)])
    assert text(steps) == bytes(range(100))
    assert [step.due for step in steps] == sorted(step.due for step in steps)
    assert steps[-1].due >= NOW + 0.2
    assert 30 < bench.fired < 200


def test_a_loss_rate_of_zero_costs_nothing() -> None:
    bench = Bench("packet_loss", loss_rate=0)
    assert [step.due for step in bench.takes(b"a", b"b")] == [NOW, NOW]
    assert bench.fired == 0


@pytest.mark.parametrize("kind", ["latency", "slicer", "corrupt", "packet_loss", "duplicate"])
def test_the_same_seed_and_connection_give_the_same(kind: str) -> None:
    given: dict[str, Any] = {"latency": {"jitter": 9}, "slicer": {"size_variation": 9}}.get(kind, {})

    def outcome(number: int) -> list[tuple[float, bytes]]:
        return [(step.due, step.data) for step in Bench(kind, number=number, **given).takes(*[bytes(5000)] * 9)]

    assert outcome(1) == outcome(1)
    assert outcome(1) != outcome(2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ToxicSettings("lateness"), "expected a type of toxic (.*latency.*), found 'lateness'"),
        (ToxicSettings("latency", attributes={"latancy": 1}), "latancy"),
        (ToxicSettings("latency", attributes={"latency": -1}), "latency: .*greater than or equal to 0, found -1"),
        (ToxicSettings("http_cut", attributes={"at": "the moon"}), "at: .*found 'the moon'"),
    ],
)
def test_a_toxic_that_makes_no_sense_is_refused_in_one_line(settings: ToxicSettings, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        settings.toxic()
    assert "\n" not in str(refused.value)


def test_every_toxic_of_the_catalogue_has_defaults_and_a_sentence() -> None:
    for kind, made in TOXICS.items():
        assert made.__doc__
        assert isinstance(ToxicSettings(kind).toxic(), made)
