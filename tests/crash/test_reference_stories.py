"""The reference service's stories: the honest service holds in every crash state, and each mistake is found."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.crash.explorer import Bounds, Explorer
from chaos.crash.found import counterexample
from chaos.crash.machine import Disturbance, Machine
from chaos.crash.story import Outside
from chaos.explore.crash_player import explore_story, result_of
from chaos.mutants import all_mutants, disk_order, files_to_reports, find_mutant, folder_lock, planted
from chaos.mutants.mutant import Mutant
from chaos.plan import Run, find_scenario
from chaos.protocols import WorldKind
from chaos.scenarios import all_scenarios
from chaos.seed import Seed
from chaos.storage import EXT4_ORDERED, POSIX, XFS
from chaos.subjects import find_crash_story
from chaos.subjects.reference_crash import STORIES
from chaos.verdict import Verdict
from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError

QUICK = [name for name in STORIES if name not in ("accept_four_with_syncfs", "retry_and_fail", "evict")]
MODULES = (disk_order, files_to_reports, folder_lock)
MISTAKES = [thing for module in MODULES for thing in vars(module).values() if isinstance(thing, Mutant)]
FOUND_BY = {"settings_saved_in_place": "save_settings", "deleted_before_the_answer": "send_one"}
FOUND_BY |= {"attempts_written_in_place": "retry_and_fail"}
FOUND_BY |= {
    mistake.name.partition("/")[2]: story
    for mistake in MISTAKES
    for start, story in (("C1.9/", "convert_one"), ("H1.9/", "take_over"))
    if mistake.name.startswith(start)
}
FOUND_BY |= {m.name.partition("/")[2]: "import_service_queue" for m in MISTAKES if "/import_" in m.name}


@pytest.mark.parametrize(
    "story",
    [
        "first_start",
        "accept_two",
        "accept_twins",
        "send_one",
        "save_settings",
        "convert_one",
        "import_service_queue",
        "import_gui_queue",
    ],
)
@pytest.mark.parametrize("model", [POSIX, XFS], ids=str)
def test_the_honest_service_holds(story: str, model: object) -> None:
    told = find_crash_story("reference", story)
    explored = Explorer(told, model).explore()  # type: ignore[arg-type] # A parameter of pytest.
    assert {explored.verdict(property_id) for property_id in told.proves} == {Verdict.HELD}


def test_the_honest_service_holds_when_a_call_fails_or_is_cancelled() -> None:
    told = find_crash_story("reference", "accept_one")
    explored = Explorer(told, EXT4_ORDERED, Bounds(is_disturbed=True)).explore()
    assert explored.verdict("H1.1") is Verdict.HELD


@pytest.mark.parametrize("story", ["first_start", "send_one", "quarantine", "import_service_queue", "import_gui_queue"])
def test_the_honest_service_holds_when_a_call_fails_or_all_work_is_stopped(story: str) -> None:
    told = find_crash_story("reference", story)
    assert told.is_disturbed
    explored = Explorer(told, XFS, Bounds(is_disturbed=True)).explore()
    assert {explored.verdict(property_id) for property_id in told.proves} == {Verdict.HELD}


@pytest.mark.parametrize("story", [name for name, story in STORIES.items() if story.is_disturbed])
def test_a_stop_at_some_change_of_a_disturbed_story_changes_what_is_done(story: str) -> None:
    told = find_crash_story("reference", story)
    if not asyncio.iscoroutinefunction(told.program(Outside(frozenset()))):
        return  # Settings are saved without a loop: there is nothing to cancel.
    with Machine(told) as machine:
        whole = machine.run(told.start, frozenset())
        stopped = [
            machine.run(told.start, frozenset(), Disturbance(number, "stop")) for number in range(1, whole.changes + 1)
        ]
    assert any(len(ran.log) < len(whole.log) for ran in stopped)


def test_a_folder_left_without_a_sync_by_an_error_is_found_with_the_file_moved_into_it_later() -> None:
    """The second import finds ``imported/``, which the first one made before its next call failed."""

    def make_folder(disk: Disk, *paths: Path) -> None:
        path = paths[-1]
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        try:
            for folder in reversed(missing):
                folder.mkdir(mode=0o700)
        except OSError as error:
            raise DiskError("make folder", path, error) from error
        for folder in reversed(missing):
            disk.sync_folder(folder.parent)

    told = find_crash_story("reference", "import_gui_queue")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Disk, "make_folder", make_folder)
        assert Explorer(told, POSIX).explore().verdict("H1.15") is Verdict.HELD
        assert Explorer(told, POSIX, Bounds(is_disturbed=True)).explore().verdict("H1.15") is Verdict.BROKEN


@pytest.mark.parametrize("story", ["send_two", "retry_and_fail", "evict"])
def test_runs_that_are_known_already_change_nothing_of_what_is_explored(story: str) -> None:
    """A program that asks the outside for everything shares no run with another past; it must find the same."""
    told = find_crash_story("reference", story)
    curious = replace(told, program=lambda outside: (outside.before, told.program(outside))[1])
    shared, apart = (Explorer(one, EXT4_ORDERED, Bounds()).explore() for one in (told, curious))
    assert (shared.states, shared.recoveries, shared.depth) == (apart.states, apart.recoveries, apart.depth)
    assert (shared.operations, shared.broken_count) == (apart.operations, 0)
    assert shared.runs < apart.runs <= apart.recoveries


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
@pytest.mark.parametrize("model", [POSIX, EXT4_ORDERED], ids=str)
def test_every_mistake_is_found_by_its_property_with_one_crash_and_at_most_one_loss(
    mistake: Mutant, model: object
) -> None:
    story = find_crash_story("reference", FOUND_BY.get(mistake.name.partition("/")[2], "accept_one"))
    with planted(mistake):
        explored = Explorer(story, model).explore()  # type: ignore[arg-type] # A parameter of pytest.
        smallest = counterexample(story, explored)
    assert explored.verdict(mistake.property_id) is Verdict.BROKEN
    assert smallest is not None
    assert (smallest.node.depth, smallest.lost) <= (1, 1)


def test_the_mistakes_are_among_the_mutants_and_every_story_is_a_scenario() -> None:
    assert set(MISTAKES) <= set(all_mutants())
    scenarios = {s.name.rpartition("/")[2]: s for s in all_scenarios() if WorldKind.CRASH in s.worlds}
    assert {name: scenario.proves for name, scenario in scenarios.items()} == {
        s.name: s.proves for s in STORIES.values()
    }


def test_a_run_says_for_each_property_what_was_explored_and_how_to_see_a_broken_state_again() -> None:
    run = Run(find_scenario(all_scenarios(), "accept_one"), WorldKind.CRASH, Seed(1))
    (honest,) = explore_story("reference", "accept_one", ["ext4-ordered"])
    (mistaken,) = explore_story("reference", "accept_one", ["posix"], find_mutant("no_folder_is_synced").name)
    held, broken = result_of(run, [honest], 0.1), result_of(run, [honest, mistaken], 0.1)
    assert (held.verdict, broken.verdict) == (Verdict.HELD, Verdict.BROKEN)
    assert "none left out" in held.findings[0].found
    assert held.facts["crash states"] == honest.states
    assert broken.replay == f"pywats-chaos crash-state accept_one --model posix --way {mistaken.way}"
    assert "LOST  rename" in broken.trace
    assert asyncio.iscoroutinefunction(run.scenario.play)
