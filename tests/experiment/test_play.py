"""Experiments are played on real processes: services in Perl and in shell, none of them ours."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from chaos.cli.commands import cli
from chaos.errors import ExperimentError
from chaos.live import process_table

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "experiments"
SCHEMA = json.loads((ROOT / "docs" / "evidence.schema.json").read_text(encoding="utf-8"))
needs_perl = pytest.mark.skipif(shutil.which("perl") is None, reason="perl is not installed: apt install perl")

IDLE = """\
[subject]
start = ["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"]
ready = { says = "ready" }
folders = { inbox = "{data}/inbox" }
[workload]
run = ["sh", "-c", "exit 0"]
within = "2 s"
[steady-state]
"it runs" = { log.never = "broken" }
[[fault]]
at = "at once"
process = { pause = "50 ms" }
"""


def play(path: Path, out: Path) -> tuple[int, dict[str, Any]]:
    """Run an experiment as a person would; return the exit code and the evidence."""
    found = CliRunner().invoke(cli, ["run", str(path), "--out", str(out)], standalone_mode=False)
    if found.exception is not None:
        raise found.exception
    evidence = json.loads((out / "evidence.json").read_text(encoding="utf-8"))
    jsonschema.validate(evidence, SCHEMA)
    return int(found.return_value), evidence


def findings(evidence: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {found["property"]: found for found in evidence["runs"][0]["findings"]}


def variant(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = IDLE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = tmp_path / "idle.toml"
    path.write_text(text)
    return path


def leftovers() -> set[str]:
    """Return the folders of runs of this very process."""
    return {path.name for path in Path(tempfile.gettempdir()).glob(f"pywats-chaos-{os.getpid()}-*")}


@needs_perl
def test_a_healthy_service_that_is_not_ours_holds(tmp_path: Path) -> None:
    before = leftovers()
    code, evidence = play(EXAMPLES / "uploader.toml", tmp_path / "out")
    assert {name: found["verdict"] for name, found in findings(evidence).items()} == dict.fromkeys(
        ("no report is lost", "none arrives twice", "the inbox is emptied", "it stops when told", "nothing is left"),
        "held",
    )
    fired = evidence["runs"][0]["faults_fired"]
    assert (fired["process.kill"], fired["server.status"], fired["proxy.reset_peer"] >= 1) == (1, 2, True)
    assert code == 0
    assert "21 of 21" in findings(evidence)["no report is lost"]["found"]
    assert leftovers() == before


@needs_perl
def test_the_planted_mistake_is_found(tmp_path: Path) -> None:
    code, evidence = play(EXAMPLES / "careless.toml", tmp_path / "out")
    found = findings(evidence)["no report is lost"]
    assert (code, found["verdict"]) == (1, "broken")
    assert "missing: " in found["found"]
    assert "after healing" in found["found"]
    assert "no report is lost" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@needs_perl
def test_a_report_that_arrives_with_other_bytes_is_not_delivered(tmp_path: Path) -> None:
    program = (EXAMPLES / "uploader.pl").read_text(encoding="utf-8")
    assert program.count("content => $body }") == 1
    (tmp_path / "uploader.pl").write_text(program.replace("content => $body }", 'content => "$body " }'))
    text = (EXAMPLES / "uploader.toml").read_text(encoding="utf-8").replace('"10 s"', '"2 s"')
    (tmp_path / "uploader.toml").write_text(text)
    code, evidence = play(tmp_path / "uploader.toml", tmp_path / "out")
    found = findings(evidence)
    assert (code, found["no report is lost"]["verdict"]) == (1, "broken")
    assert found["the inbox is emptied"]["verdict"] != "broken"


def test_a_line_is_held_when_every_fault_has_fired(tmp_path: Path) -> None:
    code, evidence = play(variant(tmp_path), tmp_path / "out")
    assert (code, findings(evidence)["it runs"]["verdict"]) == (0, "held")


def test_a_fault_that_never_fires_is_not_exercised(tmp_path: Path) -> None:
    code, evidence = play(variant(tmp_path, ("at once", "after 1 answers")), tmp_path / "out")
    found = findings(evidence)["it runs"]
    assert (code, found["verdict"]) == (2, "not exercised")
    assert "fault 1 (process.pause, line 10)" in found["found"]


def test_a_selector_that_meets_nothing_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = variant(tmp_path, ('pause = "50 ms"', "kill = 9, of = 'nobody-is-called-so'"))
    before = leftovers()
    with pytest.raises(ExperimentError, match=r"idle\.toml:12: .*nobody-is-called-so.*while :; do"):
        play(path, tmp_path / "out")
    assert leftovers() == before
    evidence = json.loads((tmp_path / "out" / "evidence.json").read_text(encoding="utf-8"))
    assert evidence["exit_code"] != 0


def test_a_selector_chooses_among_the_subjects_own_processes(tmp_path: Path) -> None:
    path = variant(
        tmp_path,
        ("echo ready; while", "n=97; sleep $n & echo ready; while"),
        ('pause = "50 ms"', "kill = 9, of = 'sleep 97'"),
    )
    code, evidence = play(path, tmp_path / "out")
    assert (code, evidence["runs"][0]["faults_fired"]) == (0, {"process.kill": 1})


def test_without_a_steady_state_no_fault_is_injected(tmp_path: Path) -> None:
    changes = (
        ('"it runs" = { log.never = "broken" }', '"never" = { log.says = "x" }\n"it runs" = { log.never = "broken" }'),
        ("2 s", "200 ms"),
    )
    code, evidence = play(variant(tmp_path, *changes), tmp_path / "out")
    found = findings(evidence)
    assert (code, evidence["runs"][0]["faults_fired"]) == (1, {})
    assert found["never"]["found"].startswith("before any fault")
    assert (found["it runs"]["verdict"], found["it runs"]["found"]) == (
        "not exercised",
        "no fault was injected: there was no steady state",
    )


def test_what_breaks_only_under_the_fault_is_found_where_the_line_says_so(tmp_path: Path) -> None:
    check = '["sh", "-c", "test ! -e {data}/inbox/busy"]'
    changes = (
        ('"it runs" = { log.never = "broken" }', f'"calm" = {{ command = {check}, during = true }}'),
        ('["sh", "-c", "exit 0"]', '["sh", "-c", "touch {data}/inbox/busy; sleep 1; rm {data}/inbox/busy"]'),
        ("2 s", "4 s"),
    )
    code, evidence = play(variant(tmp_path, *changes), tmp_path / "out")
    assert (code, findings(evidence)["calm"]["found"][:16]) == (1, "under the faults")
    path = variant(tmp_path, *changes, (", during = true", ""))
    assert play(path, tmp_path / "out")[0] == 0


def test_a_subject_that_ends_by_itself_is_never_held(tmp_path: Path) -> None:
    changes = (("while :; do sleep 0.05; done", "sleep 0.7; exit 3"), ('exit 0"]', 'sleep 1"]'))
    code, evidence = play(variant(tmp_path, *changes), tmp_path / "out")
    found = findings(evidence)["it runs"]
    assert (code, found["verdict"]) == (2, "unknown")
    assert "the subject ended by itself: exit code 3" in found["found"]


def test_a_subject_that_never_gets_ready_is_unknown(tmp_path: Path) -> None:
    changes = (('{ says = "ready" }', '{ tcp = "http://127.0.0.1:{port}", within = "300 ms" }'),)
    code, evidence = play(variant(tmp_path, *changes), tmp_path / "out")
    found = findings(evidence)["it runs"]
    assert (code, found["verdict"]) == (2, "unknown")
    assert "ready within 0.3 s" in found["found"]


def test_a_workload_or_a_rollback_that_fails_is_said_and_never_held(tmp_path: Path) -> None:
    path = variant(tmp_path, ('exit 0"]', 'echo no; exit 4"]'))
    path.write_text(path.read_text() + '[[rollback]]\nrun = ["sh", "-c", "exit 5"]\n')
    code, evidence = play(path, tmp_path / "out")
    said = findings(evidence)["it runs"]["found"]
    assert (code, "the workload failed: exit code 4, said no" in said, "exit code 5" in said) == (2, True, True)


def test_a_machine_without_the_live_world_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_table, "start_of", lambda _: None)
    code, evidence = play(variant(tmp_path), tmp_path / "out")
    assert (code, findings(evidence)["it runs"]["verdict"]) == (2, "not available")


def test_http_is_the_readiness_the_workload_and_the_check(tmp_path: Path) -> None:
    """A subject that takes reports over HTTP, sends nothing on, and is therefore found to lose what it has accepted."""
    server = tmp_path / "taker.py"
    server.write_text(
        "import http.server, sys\n"
        "class Taker(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers()\n"
        "    def do_POST(self):\n"
        "        self.rfile.read(int(self.headers['content-length'])); self.do_GET()\n"
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Taker).serve_forever()\n"
    )
    path = tmp_path / "taker.toml"
    path.write_text(
        f'[subject]\nstart = ["{sys.executable}", "{{here}}/taker.py", "{{port}}"]\n'
        'ready = { http = "http://127.0.0.1:{port}/" }\n'
        '[workload]\npost = "http://127.0.0.1:{port}/report"\nreports = 2\nwithin = "500 ms"\n'
        '[steady-state]\n"delivered" = { server.delivered = "all accepted" }\n"answers" = { http.p99 = "2 s" }\n'
        '[[fault]]\nat = "at once"\nserver = "down"\n'
    )
    code, evidence = play(path, tmp_path / "out")
    assert (code, findings(evidence)["delivered"]["verdict"]) == (1, "broken")
    assert "0 of 1 accepted reports are at the server" in findings(evidence)["delivered"]["found"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_undoes_everything_and_runs_the_rollback(tmp_path: Path, number: signal.Signals) -> None:
    path = variant(tmp_path, ('exit 0"]', 'touch {here}/working; sleep 30"]'), ("2 s", "40 s"))
    path.write_text(path.read_text() + '[[rollback]]\nrun = ["sh", "-c", "echo {data} > {here}/rolled-back"]\n')
    os.mkfifo(tmp_path / "working")
    path.write_text(path.read_text().replace("touch {here}/working", "echo > {here}/working"))
    command = [sys.executable, "-m", "chaos", "run", str(path), "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        (tmp_path / "working").read_text()  # Returns when the workload is under way.
        running.send_signal(number)
        said, _ = running.communicate(timeout=30)
    assert running.returncode == 130, said
    folder = Path((tmp_path / "rolled-back").read_text().strip()).parent
    assert folder.name.startswith(f"pywats-chaos-{running.pid}-")
    assert not folder.exists()
    assert not [row for row in process_table.read_table() if b"while :; do sleep 0.05" in cmdline(row.pid)]
    assert json.loads((tmp_path / "out" / "evidence.json").read_text())["interrupted"]


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_dry_run_starts_nothing_and_a_scenario_has_none(tmp_path: Path) -> None:
    path = variant(tmp_path, ('exit 0"]', 'touch {here}/started"]'))
    found = CliRunner().invoke(cli, ["run", str(path), "--dry-run"], standalone_mode=False)
    assert (found.return_value, "let the subject stand still for 0.05 s" in found.output) == (0, True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["idle.toml"]
    other = CliRunner().invoke(cli, ["run", str(path), "--world", "sim"], standalone_mode=False)
    assert "an experiment is played live" in str(other.exception)
    wrong = CliRunner().invoke(cli, ["run", "C1.6", "--dry-run"], standalone_mode=False)
    assert "an experiment file (.toml)" in str(wrong.exception)
