"""``pywats-chaos`` as a person and as CI use it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
import pytest

from chaos.outcome import ExitCode

COMMAND = [sys.executable, "-m", "chaos"]
LONG_RUN = ["run", "stop_with_uploads_that_hang", "--world", "live"]


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_list_has_every_property_and_says_what_proves_it(tmp_path: Path) -> None:
    contents = json.loads(run("list", "--json", cwd=tmp_path).stdout)
    assert len(contents["properties"]) == 71
    proven = {p["id"]: p["scenarios"] for p in contents["properties"]}
    assert "C1.6/kill_when_the_request_was_read" in proven["C1.6"]


def test_the_list_is_readable_without_a_terminal(tmp_path: Path) -> None:
    assert "H6.10" in run("list", cwd=tmp_path).stdout


def test_a_property_is_explained(tmp_path: Path) -> None:
    assert "pywats-chaos run C1.3/stop_with_uploads_that_hang" in run("explain", "C1.3", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "--property", "C1.66"], "expected a property id such as C1.6, found 'C1.66'; did you mean"),
        (["verify", "--profile", "nightly"], "the profiles here are ci, quick, release, soak"),
        (["run", "no_such_story"], "expected the name of a scenario"),
        (["run", "no_descriptor_is_left", "--world", "sim"], "expected a world of H6.10/no_descriptor_is_left: live"),
        (["run", "clients_that_hang", "--subject", "theirs"], "expected the name of a subject"),
        (["verify", "--nonsense"], "No such option"),
        (["server", "--host", "10.0.0.1"], "loopback"),
        (["explain", ""], "expected a property id"),
        (["explain", "C1.66"], "did you mean C1.6"),
        (["verify", "--shard", "4/3"], "expected a shard such as 2/3, found '4/3'"),
        (["verify", "--against", "nowhere"], "expected evidence at nowhere"),
        (["verify", "--require", "C1,X9"], "a property id such as C1.6"),
        (["verify", "--out", "/proc/evidence"], "expected a folder to write to at /proc/evidence"),
        (["verfy"], "No such command 'verfy'; did you mean verify?"),
        (["report", "nowhere"], "name a folder that `pywats-chaos verify --out` has written"),
        (["completion", "tcsh"], "is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_a_wrong_question_is_one_line_and_exit_code_3(tmp_path: Path, arguments: list[str], words: str) -> None:
    found = run(*arguments, cwd=tmp_path)
    assert (found.returncode, found.stderr.count("\n")) == (ExitCode.USAGE, 1)
    assert words in found.stderr


def test_verify_proves_a_property_and_writes_what_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pywats-chaos.profiles.ci]\nworlds = ['live']\n")
    found = run("verify", "--property", "H3.3", "--json", "--junit", "junit.xml", "--out", "evidence", cwd=tmp_path)
    outcome = json.loads(found.stdout)
    assert (found.returncode, outcome["properties"][0]["verdict"]) == (0, "held")
    assert outcome["properties"][0]["faults_fired"] == 5
    assert ET.parse(tmp_path / "junit.xml").getroot().get("failures") == "0"
    assert json.loads((tmp_path / "evidence" / "evidence.json").read_text()) == outcome


def test_what_nobody_proves_is_not_exercised_when_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pywats-chaos.profiles.ci]\nworlds = ['live']\n")
    found = run("verify", "--property", "H1.1", cwd=tmp_path)
    assert (found.returncode, "not exercised" in found.stdout) == (ExitCode.NOT_PROVEN, True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_an_interrupted_run_leaves_nothing_and_shows_what_there_is(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = subprocess.Popen([*COMMAND, *LONG_RUN], cwd=tmp_path, stdout=subprocess.PIPE)
    children = _children_once_there(process)
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, b"interrupted" in out) == (code, True)
    assert not [child for child in children if child.is_running()]


def test_whoever_is_impatient_tears_no_evidence(tmp_path: Path) -> None:
    command = [*COMMAND, "verify", "--property", "C1.3", "--world", "live"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE)
    _children_once_there(process)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, b"evidence:" in out) == (130, True)
    assert json.loads((tmp_path / "chaos-evidence" / "evidence.json").read_text())["interrupted"]


def _of_small_files() -> None:
    """Let every file be as small as on a disk that is full."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000))


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no limit for the size of files")
def test_where_the_evidence_does_not_fit_one_line_says_so_and_the_outcome_is_told(tmp_path: Path) -> None:
    command = [*COMMAND, "verify", "--property", "C1.8", "--world", "sim", "--seeds", "1"]
    found = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, preexec_fn=_of_small_files
    )
    assert found.returncode == ExitCode.USAGE
    assert "1 property: 1 held" in found.stdout
    assert "expected a folder to write to at chaos-evidence, found File too large; name another" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_killed_run_leaves_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, *LONG_RUN],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    children = _children_once_there(process)
    process.kill()
    process.communicate(timeout=30)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def _children_once_there(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the run's processes (watchdog, server, service) once the third has been started."""
    runner = psutil.Process(process.pid)
    while len(children := runner.children(recursive=True)) < 3:
        assert process.poll() is None, "the run ended before it had started its processes"
    return children
