"""``verify`` leaves its evidence at every exit; parts, soaks and resumed campaigns end as one campaign would."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chaos.cli.campaign import Campaign
from chaos.cli.question import Question
from chaos.cli.worlds import Worlds
from chaos.errors import UsageError
from chaos.history import History
from chaos.outcome import ExitCode, Outcome, RunResult
from chaos.plan import Run
from chaos.protocols import Scenario, World, WorldKind
from chaos.seed import Seed
from chaos.subjects import find_subject
from chaos.verdict import Finding, Verdict

COMMAND = [sys.executable, "-m", "chaos"]
LIVE = "[tool.pywats-chaos.profiles.ci]\nworlds = ['live']\nlongest_s = 60\n"


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a project whose campaigns are live only: what is tested here is the same in any world."""
    if not (cwd / "pyproject.toml").exists():
        (cwd / "pyproject.toml").write_text(LIVE)
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def evidence(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
    return found


ALL = {"report.html", "evidence.json", "junit.xml", "metrics.txt", "summary.md"}


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder in which one property has been proven, the way a job of GitHub would."""
    folder = tmp_path_factory.mktemp("proven")
    found = run("verify", "--property", "H3.3", cwd=folder, GITHUB_STEP_SUMMARY=str(folder / "step.md"))
    assert (found.returncode, "evidence: chaos-evidence/report.html" in found.stdout) == (ExitCode.HELD, True)
    return folder


def test_a_campaign_leaves_every_report_and_tells_github(proven: Path) -> None:
    folder = proven / "chaos-evidence"
    assert {path.name for path in folder.iterdir() if path.is_file()} == ALL
    assert (proven / "step.md").read_text() == (folder / "summary.md").read_text()
    assert set(evidence(folder)["versions"]) >= {"httpx", "greenlet", "jinja2"}


def test_an_interrupted_campaign_leaves_every_report_and_can_be_resumed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(LIVE)
    question = ["verify", "--property", "H3.3,C1.6", "--out", "out", "--json"]
    process = subprocess.Popen([*COMMAND, *question], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    while b"[1/" not in process.stderr.readline():
        assert process.poll() is None, "the campaign ended before its first run did"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    before = evidence(tmp_path / "out")
    assert (process.returncode, before["interrupted"]) == (ExitCode.INTERRUPTED, True)
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_file()} == ALL
    ended = {item["scenario"] for item in before["runs"] if item["verdict"] == "held"}
    found = run(*question, "--resume", cwd=tmp_path)
    after = evidence(tmp_path / "out")
    assert (found.returncode, len(after["runs"]), after["interrupted"]) == (0, 4, False)
    assert not [name for name in ended if f"held          {name}" in found.stderr]


def test_two_shards_and_their_merge_are_one_campaign(tmp_path: Path) -> None:
    for number in ("1", "2"):
        run("verify", "--property", "H3.3,C1.7", "--shard", f"{number}/2", "--out", number, cwd=tmp_path)
    assert [evidence(tmp_path / number)["exit_code"] for number in ("1", "2")] == [0, 0]
    found = run("merge", "1", "2", "--out", "both", cwd=tmp_path)
    whole = evidence(tmp_path / "both")
    assert (found.returncode, len(whole["runs"]), whole["shard"]) == (0, 2, "")
    assert [item["verdict"] for item in whole["properties"]] == ["held", "held"]
    assert run("merge", "1", "--out", "half", cwd=tmp_path).returncode == ExitCode.INTERRUPTED


def soak(earlier: Outcome | None = None, *, minutes: float = 0.005) -> Outcome:
    """Return a soak of a scenario that ends at once."""

    async def play(run: Run) -> RunResult:
        held = Finding("C1.6", Verdict.HELD, "it", "that")
        history = History(lambda: 0)
        return RunResult(run.scenario.name, run.world, run.seed.number, (held,), {"planted": 2}, 0.0, history)

    async def story(_: World) -> None:
        """A story."""

    scenario = Scenario("C1.6/story", ("C1.6",), (WorldKind.LIVE,), (), "A story.", 1, story)
    first, again = [Run(scenario, WorldKind.LIVE, Seed(1))], lambda n: [Run(scenario, WorldKind.LIVE, Seed(1 + n))]
    question = Question("soak", first, ("C1.6",), ("C1.6",), (), 1, 1, minutes, again=again)
    worlds = Worlds({}, {WorldKind.LIVE: play})
    campaign = Campaign(question, find_subject("reference"), worlds, earlier=earlier)
    campaign.conduct(Console(file=io.StringIO()))
    return campaign.outcome()


def test_a_soak_goes_on_from_new_seeds_adds_up_and_goes_on_from_there() -> None:
    first = soak()
    rounds = first.header.limits["rounds"]
    assert (first.runs[0].stands_for, first.exit_code, rounds > 1) == (rounds, 0, True)
    second = soak(first, minutes=0.01)
    assert second.runs[0].stands_for == second.header.limits["rounds"] > rounds
    assert second.runs[0].faults_fired == {"planted": 2 * second.header.limits["rounds"]}


def test_a_soak_with_another_seed_is_not_gone_on_with() -> None:
    first = soak()
    with pytest.raises(UsageError, match="resume with the same question"):
        soak(replace(first, header=replace(first.header, seed=5)))


def test_the_gate_asks_for_what_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        f"{LIVE}[tool.pywats-chaos.profiles.mine]\nproperties = ['H3.3', 'H1.1']\nworlds = ['live']\n"
    )
    question = ["verify", "--profile", "mine", "--require", "H3.3,H1.1"]
    assert run(*question, cwd=tmp_path).returncode == ExitCode.NOT_PROVEN
    found = run(*question, "--allow-unknown", "H1.1", cwd=tmp_path)
    assert (found.returncode, "1 not" in found.stdout) == (0, True)


def test_a_weaker_proof_than_before_fails(proven: Path, tmp_path: Path) -> None:
    document = evidence(proven / "chaos-evidence")
    document["runs"][0]["stands_for"] = 4
    (tmp_path / "evidence.json").write_text(json.dumps(document))
    found = run("verify", "--property", "H3.3", "--against", ".", cwd=tmp_path)
    assert (found.returncode, "weaker: H3.3 (live): 4 schedules → 1 schedules" in found.stdout) == (1, True)


def test_the_last_result_is_explained_and_shown_again(proven: Path) -> None:
    assert "last       held (1 run, 5 faults fired;" in run("explain", "H3.3", cwd=proven).stdout
    again = run("report", cwd=proven)
    assert (again.returncode, "The property that was asked for held" in again.stdout) == (0, True)
