"""``explore`` and ``replay`` as a person uses them: a mutant is found, made small, kept, and replayed from its line."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.cli.commands import main

MUTANT = "C1.6/writes_without_syncing"
STORY = "C1.6/all_at_once"


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chaos", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=55, check=False)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("explore")
    return run("explore", STORY, "--seeds", "100", "--jobs", "1", "--mutant", MUTANT, cwd=folder)


def line_of(found: subprocess.CompletedProcess[str]) -> list[str]:
    line = re.search(r"replay +(pywats-chaos replay .*)", found.stdout)
    assert line is not None, found.stdout + found.stderr
    return shlex.split(line[1])[1:]


def test_a_mutant_is_found_and_its_plan_made_small(found: subprocess.CompletedProcess[str]) -> None:
    assert found.returncode == 1, found.stdout + found.stderr
    plan = re.search(r"plan=(\S+)", " ".join(line_of(found)))
    assert plan is not None
    assert "power" in plan[1]
    assert len(plan[1].split(",")) <= 3


@pytest.fixture(scope="module")
def again(
    found: subprocess.CompletedProcess[str], tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    parts = ("--trace", "--history", "--log", "--disk", "--nearest")
    return run(*line_of(found), *parts, cwd=tmp_path_factory.mktemp("replay"))


def test_the_printed_line_replays_the_same_failure(
    found: subprocess.CompletedProcess[str], again: subprocess.CompletedProcess[str]
) -> None:
    assert again.returncode == 1, again.stdout + again.stderr
    for said in (found, again):
        assert "was accepted and is nowhere" in said.stdout
    moment = re.compile(r"seen +([\d.]+) s after")
    assert moment.findall(found.stdout) == moment.findall(again.stdout) != []


def test_without_the_mutant_the_same_line_holds(found: subprocess.CompletedProcess[str], tmp_path: Path) -> None:
    line = line_of(found)
    honest = line[: line.index("--mutant")]
    assert run(*honest, cwd=tmp_path).returncode in (0, 2)


def test_a_replay_shows_every_part_that_is_asked_for(again: subprocess.CompletedProcess[str]) -> None:
    shown = again.stdout
    assert re.search(r"^ +\d+ +\d+\.\d{6} ", shown, re.MULTILINE), "a step of the trace"
    assert '"process.power"' in shown, "an event of the history"
    assert re.search(r" reference-1 INFO ", shown), "a line of the log"
    assert re.search(
        r"^ +[\d.]+ reference-1/\S+: (Write|Rename|MakeFile)\n    config.json  \d+ bytes", shown, re.MULTILINE
    )
    assert re.search(r"^nearest: C1\.6/all_at_once seed=", shown, re.MULTILINE)
    assert "--- holds" in shown


def test_a_failure_of_the_honest_service_would_be_kept_but_that_of_a_mutant_is_not(
    found: subprocess.CompletedProcess[str],
) -> None:
    assert "kept in" not in found.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explore", "no_such_story"], "expected the name of a scenario"),
        (["explore", "C1.6/fifty_kills_in_a_row"], "which is live only"),
        (["explore", STORY, "--mutant", "none_such"], "expected the name of a mutant"),
        (["explore", STORY, "--policy", "random"], "Invalid value for '--policy'"),
        (["replay", "nowhere.txt"], "expected a replay line, or a file that holds one"),
        (["replay", f"{STORY} seed=1 seed=2"], "once each of"),
        (["replay", f"{STORY} seed=1 plan=explode@1"], "expected a planned fault"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_exit_code_3(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # A replay with another one begins anew, in a process of its own.
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n"), words in said) == (3, 1, True), said


def test_a_corpus_with_a_bad_line_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("chaos-corpus.txt").write_text("this is no line\n")
    with pytest.raises(SystemExit) as ended:
        main(["explore", STORY, "--seeds", "1", "--jobs", "1"])
    assert ended.value.code == 3
    assert "copy a replay line" in capsys.readouterr().err
