"""A share of all runs is played again in a process that differs in all else; what is not the same there is named."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.explore import Order, Pool, Search, SimulationPlayer, another_pool
from chaos.explore.order import is_repeated
from chaos.explore.worker import play_order
from chaos.folding import folded
from chaos.outcome import Divergence, ExitCode, Fact, RunResult
from chaos.plan import Run, find_scenario
from chaos.protocols import WorldKind
from chaos.reports.evidence_json import from_document, to_document
from chaos.reports.headline import headline
from chaos.reports.summary import to_summary
from chaos.scenarios import all_scenarios
from chaos.seed import Seed
from chaos.verdict import Verdict
from tests.toolkit.sample_outcomes import outcome_of, simulated

STORY = "C1.6/one_report_and_a_crash"
SETS = '''
from chaos.mutants import mutant


@mutant("C1.6")
def waits_for_a_set_of_texts(service):
    """Tries what is due in the order of a set, which is another one in each process."""

    async def starts(original, self):
        import asyncio

        for wait in {"0.001", "0.002", "0.003", "0.004", "0.005", "0.006"}:
            await asyncio.sleep(float(wait))
        return await original(self)

    service.wrap("pywats_reliability.client_service.service:AsyncClientService.start", starts)
'''


@pytest.fixture
def pools() -> Iterator[tuple[Pool, Pool]]:
    both = (Pool(1), another_pool(1))
    yield both
    for pool in both:
        pool.close()


def played(pools: tuple[Pool, Pool], *, share: float, seeds: int, mutant: str = "") -> RunResult:
    search = Search(seeds, repeat_share=share, mutant=mutant, shrinks=False)
    player = SimulationPlayer(pools[0], "reference", search, other=pools[1])
    story = find_scenario(all_scenarios(), STORY)
    return asyncio.run(player(Run(replace(story, faults=(), marks=()), WorldKind.SIMULATION, Seed(0))))


def test_the_share_is_what_was_asked_for_and_the_same_each_time() -> None:
    lines = [f"{STORY} seed={seed}" for seed in range(10_000)]
    some = [line for line in lines if is_repeated(line, 0.02)]
    assert 150 < len(some) < 250
    assert some == [line for line in lines if is_repeated(line, 0.02)]
    assert all(is_repeated(line, 1.0) for line in lines)
    assert not any(is_repeated(line, 0.0) for line in lines)


def test_only_the_runs_to_be_repeated_are_told_by_their_lines() -> None:
    assert play_order(Order(STORY, 0, 2)).to_repeat == {}
    assert list(play_order(Order(STORY, 0, 2, repeat_share=1.0)).to_repeat) == [f"{STORY} seed={n}" for n in (0, 1)]


def test_honest_runs_are_the_same_in_a_process_with_another_hash_seed_heap_and_order(pools: tuple[Pool, Pool]) -> None:
    result = played(pools, share=1.0, seeds=6)
    assert (result.divergences, result.facts[Fact.REPEATED]) == ((), result.stands_for)


def test_what_hangs_on_the_order_of_a_set_is_named_with_its_seed_and_its_first_differing_step(
    pools: tuple[Pool, Pool], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(SETS)
    result = played(pools, share=1.0, seeds=1, mutant=f"{tmp_path / 'own.py'}:waits_for_a_set_of_texts")
    (divergence,) = result.divergences
    assert divergence.trial == f"{STORY} seed=0"
    assert divergence.step > 0
    assert divergence.first != divergence.second


def test_a_run_that_differs_fails_the_campaign_with_a_code_of_its_own_and_is_told_everywhere() -> None:
    found = Divergence(f"{STORY} seed=7", 812, "task a", "task b")
    outcome = outcome_of([replace(simulated(), divergences=(found,), facts={Fact.REPEATED: 40})])
    assert outcome.exit_code is ExitCode.NOT_DETERMINISTIC
    assert headline(outcome) == "1 run was not the same when repeated: the harness is at fault, and no verdict counts"
    words = f"{STORY} seed=7: step 812 is 'task a' in one process and 'task b' in another"
    assert words in to_summary(outcome)
    assert "40 runs repeated in another process, 1 differed" in to_summary(outcome)
    assert from_document(to_document(outcome)).divergences == (found,)


def test_a_soak_forgets_none_of_them() -> None:
    found = Divergence(f"{STORY} seed=7", 812, "task a", "task b")
    (one,) = folded([replace(simulated(), divergences=(found,)), simulated()])
    assert one.divergences == (found,)


def test_what_was_played_of_a_run_that_is_interrupted_is_unknown_and_no_longer_lost(pools: tuple[Pool, Pool]) -> None:
    async def play_a_part() -> None:
        playing = asyncio.ensure_future(player(Run(story, WorldKind.SIMULATION, Seed(0))))  # noqa: TID251 - cancelled
        await heard.wait()
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing

    heard = asyncio.Event()
    story = find_scenario(all_scenarios(), STORY)
    player = SimulationPlayer(pools[0], "reference", Search(100_000), lambda *_: heard.set())
    asyncio.run(play_a_part())
    (result,) = player.cut_short
    assert result.stands_for >= 25
    assert {finding.verdict for finding in result.findings} == {Verdict.UNKNOWN}
    assert f"interrupted: {result.stands_for} schedules were played" in result.findings[0].found
