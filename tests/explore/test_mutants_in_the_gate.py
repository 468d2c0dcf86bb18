"""``verify`` with mutants: what was found is evidence, and one that survives fails the gate."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.cli import hunting
from chaos.cli.commands import main
from chaos.explore import Terms
from chaos.mutants import find_mutant

PROFILE = """
[tool.pywats-chaos.profiles.small]
properties = ["C1.2"]
worlds = ["sim"]
seeds = 2
mutants = true
"""
OWN = '''
from chaos.mutants import mutant


@mutant("C1.2")
def does_nothing(service):
    """Does what the service does anyway."""
'''


@pytest.fixture
def verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[Any, str, dict[str, Any]]]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(PROFILE)
    (tmp_path / "own.py").write_text(OWN)

    def run(*options: str) -> tuple[Any, str, dict[str, Any]]:
        with pytest.raises(SystemExit) as ended:
            main(["verify", "--profile", "small", *options])
        document = tmp_path / "chaos-evidence" / "evidence.json"
        return ended.value.code, capsys.readouterr().out, json.loads(document.read_text())

    return run


def test_the_gate_hunts_the_mutants_of_what_it_looks_at(
    verify: Callable[..., tuple[Any, str, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, document = verify()
    assert code == 0, said
    assert {mutant["name"] for mutant in document["mutants"]} == {
        f"C1.2/{name}" for name in
        ("cancels_at_once", "looks_every_five_seconds", "thirty_seconds_are_enough", "waits_for_the_whole_window")
    }  # fmt: skip
    assert all(mutant["found"] and mutant["replay"] for mutant in document["mutants"])
    assert "4/4 found" in said
    folder = Path("chaos-evidence")
    assert "4 of 4 mutants found" in (folder / "summary.md").read_text()
    assert "C1.2/cancels_at_once" in (folder / "report.html").read_text()
    with pytest.raises(SystemExit):
        main(["explain", "C1.2"])
    explained = capsys.readouterr().out
    assert "4 of 4 mutants found" in explained
    assert "C1.2/cancels_at_once: found after" in explained


def test_a_survivor_fails_the_gate_by_name(
    verify: Callable[..., tuple[Any, str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    survivor = find_mutant("own.py:does_nothing")
    monkeypatch.setattr(hunting, "all_mutants", lambda: [find_mutant("C1.2/cancels_at_once"), survivor])
    monkeypatch.setattr(hunting, "Terms", functools.partial(Terms, seeds=4))
    code, said, document = verify()
    assert code == 2, said
    assert [mutant["found"] for mutant in document["mutants"]] == [True, False]
    assert f"mutant not found: {survivor.name}" in said.replace("\n", "")
    assert survivor.name in Path("chaos-evidence", "summary.md").read_text()


def test_the_gate_can_do_without(verify: Callable[..., tuple[Any, str, dict[str, Any]]]) -> None:
    code, said, document = verify("--no-mutants")
    assert (code, document["mutants"]) == (0, []), said
