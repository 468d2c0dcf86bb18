"""Old bugs stay found: each is red with the mutant that puts it back, and breaks nothing without it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos.crash.explorer import Bounds, Explorer
from chaos.explore import Pool
from chaos.explore.worker import play_line
from chaos.mutants import find_mutant, planted
from chaos.old_bugs import OldBug, old_bugs
from chaos.storage import model_named
from chaos.subjects import find_crash_story
from chaos.verdict import Verdict

SIMULATED = [bug for bug in old_bugs() if not bug.model]
CRASHED = [bug for bug in old_bugs() if bug.model]


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(1)
    yield pool
    pool.close()


async def broken(pool: Pool, bug: OldBug, mutant: str) -> set[str]:
    """Return what the run breaks; in a worker, whose hashes are pinned."""
    tally = await pool.run(play_line, bug.run, mutant=mutant)
    return {finding.property_id for finding in tally.findings.values() if finding.verdict is Verdict.BROKEN}


@pytest.mark.asyncio
@pytest.mark.parametrize("bug", SIMULATED, ids=lambda bug: bug.commit)
async def test_a_simulated_run_shows_the_bug_and_holds_without_it(pool: Pool, bug: OldBug) -> None:
    assert find_mutant(bug.mutant).property_id in await broken(pool, bug, bug.mutant)
    assert await broken(pool, bug, "") == set()


@pytest.mark.parametrize("bug", CRASHED, ids=lambda bug: bug.commit)
def test_crash_states_show_the_bug_and_hold_without_it(bug: OldBug) -> None:
    story, model, mutant = find_crash_story("reference", bug.run), model_named(bug.model), find_mutant(bug.mutant)
    bounds = Bounds(seconds=20, is_disturbed=story.is_disturbed)
    with planted(mutant):
        assert Explorer(story, model, bounds).explore().verdict(mutant.property_id) is Verdict.BROKEN
    honest = Explorer(story, model, bounds).explore()
    assert not honest.broken
