"""``doctor``, ``init``, ``completion`` and the live view: what a person meets first."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli.commands import cli
from chaos.cli.display import view_of
from chaos.cli.machine import abilities
from chaos.errors import UsageError
from tests.toolkit import sample_outcomes


def test_the_doctor_names_every_ability_with_what_to_install() -> None:
    found = CliRunner().invoke(cli, ["doctor", "--json"], standalone_mode=False)
    told = {ability["name"]: ability for ability in json.loads(found.output)}
    assert list(told) == [
        "simulation", "live", "fuzzing", "pytest", "syscalls", "power cuts", "gui", "faketime", "cluster"
    ]  # fmt: skip
    assert not [name for name, ability in told.items() if not ability["is_there"] and not ability["advice"]]


def test_the_doctor_is_not_content_with_a_machine_without_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    told = {ability.name: ability for ability in abilities()}
    assert (told["syscalls"].is_there, told["syscalls"].advice) == (False, "apt install strace")
    assert not told["power cuts"].is_there


def test_what_init_writes_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chaos", "init", "--ci", "shell"]
    wrote = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "wrote tests/chaos/conftest.py" in wrote
    assert os.access(tmp_path / "verify-chaos.sh", os.X_OK)
    pytest_line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/chaos"]
    found = subprocess.run(pytest_line, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "4 passed" in found.stdout, found.stdout


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "tests" / "chaos").mkdir(parents=True)
    mine = tmp_path / "tests" / "chaos" / "conftest.py"
    mine.write_text("mine")
    found = CliRunner().invoke(cli, ["init", str(tmp_path)], standalone_mode=False)
    assert isinstance(found.exception, UsageError)
    assert (mine.read_text(), sorted(path.name for path in tmp_path.rglob("*.*"))) == ("mine", ["conftest.py"])


def test_init_adds_the_evidence_once_to_what_git_ignores(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.pyc")
    for _ in range(2):
        CliRunner().invoke(cli, ["init", str(tmp_path), "--force"], standalone_mode=False)
    assert (tmp_path / ".gitignore").read_text() == "*.pyc\nchaos-evidence/\n"


@pytest.mark.parametrize("recipe", ["github", "gitlab", "jenkins", "shell", "none"])
def test_init_writes_the_recipe_that_is_asked_for(recipe: str, tmp_path: Path) -> None:
    assert CliRunner().invoke(cli, ["init", str(tmp_path), "--ci", recipe], standalone_mode=False).exit_code == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == (3 if recipe == "none" else 4)
    assert (tmp_path / ".gitignore").read_text() == "chaos-evidence/\n"
    ast.parse((tmp_path / "tests" / "chaos" / "test_promises.py").read_text())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_for_our_program(shell: str) -> None:
    found = CliRunner().invoke(cli, ["completion", shell], standalone_mode=False)
    assert "_PYWATS_CHAOS_COMPLETE" in found.output
    assert "pywats-chaos" in found.output


def test_completion_completes(tmp_path: Path) -> None:
    asked = {"_PYWATS_CHAOS_COMPLETE": "bash_complete", "COMP_WORDS": "pywats-chaos ver", "COMP_CWORD": "1"}
    program = "import sys; sys.argv = ['pywats-chaos']; from chaos.cli import main; main()"
    command = [sys.executable, "-c", program]
    found = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **asked}
    )
    assert found.stdout.strip() == "plain,verify"


def test_the_live_view_shows_lanes_queue_and_faults() -> None:
    lines = [line.plain for line in view_of("C1.6/kill_mid_upload", sample_outcomes.lost_report(), 100)]
    assert lines[0] == "C1.6/kill_mid_upload"
    assert any(line.strip().startswith("WATS server") for line in lines)
    assert "  queue   submitted 3, accepted 1" in lines
    assert "  faults  server.hang_after_body × 1, process.kill × 1" in lines
