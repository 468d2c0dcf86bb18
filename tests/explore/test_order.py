"""What workers are told to play, and how what they tell is added up."""

from __future__ import annotations

from chaos.explore import Order, Tally
from chaos.explore.player import summed_up
from chaos.history import History
from chaos.outcome import RunResult
from chaos.plan import find_scenario
from chaos.scenarios import all_scenarios
from chaos.verdict import Finding, Verdict

STORY = "C1.6/all_at_once"
FAULTS = {"process.kill": 1, "process.power": 1}


def result(seed: int, verdict: Verdict, *, faults: dict[str, int] | None = None) -> RunResult:
    found = Finding("C1.6", verdict, "all kept", f"as seen with seed {seed}")
    fired = FAULTS if faults is None else faults
    return RunResult(STORY, "sim", seed, (found,), fired, 0.5, History(lambda: 0), facts={"scheduling steps": 10})


def tally(*verdicts: Verdict, first: int = 0, **more: dict[str, int]) -> Tally:
    counted = Tally()
    for seed, verdict in enumerate(verdicts, first):
        counted.add(result(seed, verdict, **more), f"{STORY} seed={seed}", digest=seed)
    return counted


def test_an_order_is_cut_into_parts_that_cover_it_once() -> None:
    parts = Order(STORY, 7, 60).parts(25)
    assert [(part.first_seed, part.seeds) for part in parts] == [(7, 25), (32, 25), (57, 10)]


def test_a_tally_of_several_chunks_adds_up() -> None:
    total = Tally()
    for first in (0, 10, 20):
        total.join(tally(Verdict.HELD, Verdict.HELD, first=first))
    assert (total.played, total.took_s, len(total.digests)) == (6, 3.0, 6)
    assert (total.faults["process.kill"], total.facts["scheduling steps"]) == (6, 60)
    assert not total.is_broken


def test_the_worst_verdict_wins_in_whatever_order_it_comes() -> None:
    held, broken, unknown = tally(Verdict.HELD), tally(Verdict.BROKEN, first=5), tally(Verdict.UNKNOWN, first=9)
    for chunks in ([held, unknown, broken], [broken, unknown, held], [unknown, broken, held]):
        total = Tally()
        for chunk in chunks:
            total.join(chunk)
        assert total.is_broken
        assert total.failure_line == f"{STORY} seed=5"
        assert total.shown is not None
        assert total.shown.seed == 5


def test_held_somewhere_is_more_than_not_exercised_elsewhere_but_less_than_unknown() -> None:
    some = tally(Verdict.NOT_EXERCISED, Verdict.HELD, Verdict.NOT_EXERCISED)
    assert [finding.verdict for finding in some.findings.values()] == [Verdict.HELD]
    some.join(tally(Verdict.UNKNOWN))
    assert [finding.verdict for finding in some.findings.values()] == [Verdict.UNKNOWN]


def test_of_two_failures_the_first_is_shown() -> None:
    assert tally(Verdict.BROKEN, Verdict.BROKEN, first=3).failure_line == f"{STORY} seed=3"


def test_what_held_without_its_faults_was_not_exercised() -> None:
    scenario = find_scenario(all_scenarios(), STORY)
    without = tally(Verdict.HELD, faults={"process.kill": 1})
    assert without.shown is not None
    summed = summed_up(scenario, without, without.shown, 1.0)
    assert summed.verdict is Verdict.NOT_EXERCISED
    assert "process.power never fired" in summed.findings[0].found
    whole = tally(Verdict.HELD)
    assert whole.shown is not None
    assert summed_up(scenario, whole, whole.shown, 1.0).verdict is Verdict.HELD
