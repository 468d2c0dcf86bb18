"""The same question gives the same plan, and a wrong question gives one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.checkers import all_checkers
from chaos.errors import UsageError
from chaos.guarantees import properties
from chaos.plan import find_scenario, plan_runs
from chaos.profiles import load_profile, property_ids
from chaos.protocols import WorldKind
from chaos.scenarios import all_scenarios
from chaos.seed import Seed

LIVE = (WorldKind.LIVE,)


def test_the_same_question_gives_the_same_plan() -> None:
    plans = [plan_runs(all_scenarios(), properties=["C1.6"], worlds=LIVE, seed=Seed(7), repeat=2) for _ in range(2)]
    assert plans[0] == plans[1]


def test_repetitions_have_seeds_of_their_own() -> None:
    runs = plan_runs(all_scenarios(), properties=["H4.1"], worlds=LIVE, seed=Seed(7), repeat=5)
    assert len({run.seed for run in runs}) == 5


def test_streams_of_one_seed_are_independent_and_repeatable() -> None:
    seed = Seed(7)
    assert seed.stream("disk").random() == Seed(7).stream("disk").random() != seed.stream("network").random()


# What is explored is judged by the story itself, in every state; the others by checkers, from their history.
PLAYED = [story for story in all_scenarios() if story.worlds != (WorldKind.CRASH,)]


@pytest.mark.parametrize("story", PLAYED, ids=lambda story: story.name)
def test_every_scenario_proves_known_properties_that_have_checkers(story: object) -> None:
    proves = set(getattr(story, "proves"))  # noqa: B009 - parametrised over scenarios
    assert proves <= set(properties())
    assert proves <= set(all_checkers())


def test_every_checker_judges_a_property_that_some_scenario_proves() -> None:
    assert set(all_checkers()) == {property_id for story in PLAYED for property_id in story.proves}


def test_a_scenario_is_found_by_its_short_name() -> None:
    assert find_scenario(all_scenarios(), "clients_that_hang").name == "H6.1/clients_that_hang"


def test_an_unknown_scenario_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean H6\.1/clients_that_hang"):
        find_scenario(all_scenarios(), "H6.1/client_that_hangs")


def test_a_guarantee_stands_for_its_properties() -> None:
    assert property_ids(["h2", "C1.6"]) == ("C1.6", "H2.1", "H2.2", "H2.3", "H2.4", "H2.5", "H2.6")


def test_the_release_profile_asks_for_all(tmp_path: Path) -> None:
    profile = load_profile("release", tmp_path)
    assert (profile.require, len(profile.properties)) == ("all", 71)


def test_a_project_changes_a_profile_in_its_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pywats-chaos.profiles.ci]\nproperties = ['C1']\njobs = 1\n")
    profile = load_profile("ci", tmp_path)
    assert (len(profile.properties), profile.jobs, profile.repeat) == (12, 1, 1)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("jobs = 0", "jobs as a whole number"),
        ("jobs = true", "jobs as a whole number"),
        ("speed = 3", "'speed'"),
        ("require = 'some'", "require as one of proven, all"),
        ("require = ['X1']", "a property id"),
        ("minutes = -1", "minutes as a whole number"),
        ("worlds = ['moon']", "worlds among sim, crash, live"),
        ("properties = ['C9.1']", "a property id"),
    ],
)
def test_a_wrong_profile_is_one_clear_line(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.pywats-chaos.profiles.ci]\n{table}\n")
    with pytest.raises(UsageError, match=words):
        load_profile("ci", tmp_path)


def test_an_unknown_profile_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the profiles here are ci, quick, release, soak"):
        load_profile("nightly", tmp_path)
