"""An experiment is checked as a whole before anything starts, and a complaint says at which line, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.errors import ExperimentError
from chaos.experiment import read_experiment, told_in_words
from chaos.experiment.model import toxic_of

GOOD = """\
[subject]
start = ["sh", "-c", "true", "{data}", "{server}", "{port}", "{here}"]
ready = { http = "http://127.0.0.1:{port}/health" }
folders = { inbox = "{data}/inbox" }
[workload]
into = "inbox"
within = "5 s"
[steady-state]
"nothing is lost" = { server.delivered = "all accepted" }
"it answers" = { http.p99 = "200 ms", during = true }
[[fault]]
at = "while uploading"
proxy = { reset_peer = { timeout = 5 } }
"""


def complaint(tmp_path: Path, old: str, new: str) -> tuple[int, str]:
    """Return the line and the words of the complaint about the good file with that change."""
    assert GOOD.count(old) == 1, "a change that is none proves nothing"
    path = tmp_path / "experiment.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ExperimentError) as caught:
        read_experiment(path)
    words = str(caught.value)
    assert "\n" not in words
    line, _, said = words.removeprefix(f"{path}:").partition(": ")
    return int(line), said


def test_the_file_that_the_others_differ_from_is_good(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(GOOD)
    experiment, _ = read_experiment(path)
    assert experiment.workload.within == 5
    assert experiment.has_proxy


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('start = ["sh"', 'strat = ["sh"', 2, "did you mean start?"),
        ('["sh"', '["no-such-program-here"', 2, "none at no-such-program-here"),
        ('["sh"', '["./not-beside-the-file"', 2, "not-beside-the-file"),
        ('"{here}"', '"{home}"', 2, "placeholders {data}, {server}, {port}, {here}"),
        ('["sh", "-c", "true", "{data}", "{server}", "{port}", "{here}"]', '"sh"', 2, "subject.start"),
        ('["sh", "-c", "true", "{data}", "{server}", "{port}", "{here}"]', "[]", 2, "subject.start"),
        ("http://127.0.0.1:{port}/health", "http://example.org:80/", 3, "loopback"),
        ("http://127.0.0.1:{port}/health", "https://127.0.0.1:{port}/", 3, "loopback"),
        ("http://127.0.0.1:{port}/health", "http://127.0.0.1/", 3, "with its port"),
        ('{ http = "http://127.0.0.1:{port}/health" }', "{}", 3, "exactly one of http, tcp, file, says"),
        ('port}/health" }', 'port}/health", says = "x" }', 3, "exactly one of http, tcp, file, says"),
        ('"{data}/inbox"', '"/etc"', 4, "below the folder of the run"),
        ('"{data}/inbox"', '"{data}/../inbox"', 4, "below the folder of the run"),
        ('"{data}/inbox"', '"{data}{here}"', 4, "below the folder of the run"),
        ('into = "inbox"', 'into = "outbox"', 6, "one of subject.folders (inbox)"),
        ('into = "inbox"', "reports = 3", 5, "exactly one of into, post, run"),
        ('into = "inbox"', 'into = "inbox"\nreports = 0', 7, "greater than or equal to 1"),
        ('into = "inbox"', 'run = ["true"]', 9, "reports of a workload"),
        ('within = "5 s"', 'within = "soon"', 7, 'a duration such as "200 ms"'),
        ('within = "5 s"', "within = 5", 7, 'a duration such as "200 ms"'),
        ('within = "5 s"', 'within = "0 s"', 7, "above 0"),
        ("all accepted", "most", 9, "all accepted"),
        ('server.delivered = "all accepted"', "", 9, "exactly one of server, http, folder, log, process, command"),
        ('server.delivered = "all accepted"', 'folder.sent = "empty"', 9, "one of subject.folders (inbox)"),
        ('server.delivered = "all accepted"', "process.exit = 0, during = true", 9, "how it ends is seen at its end"),
        ('p99 = "200 ms"', "p98 = 1", 10, "did you mean p99?"),
        ("while uploading", "whenever", 12, "a moment:"),
        ("reset_peer = { timeout = 5 }", "reset_pear = {}", 13, "reset_pear"),
        ("reset_peer = { timeout = 5 }", "reset_peer = { timeout = -5 }", 13, "timeout"),
        ("reset_peer = { timeout = 5 }", "reset_peer = { after = 5 }", 13, "after"),
        ("reset_peer = { timeout = 5 }", 'reset_peer = { stream = "up" }', 13, "upstream or downstream"),
        ("reset_peer = { timeout = 5 }", "reset_peer = { toxicity = 2 }", 13, "from 0 to 1"),
        ("reset_peer = { timeout = 5 }", "", 13, "exactly one toxic"),
        ("proxy = { reset_peer = { timeout = 5 } }", 'server = { action = "explode" }', 13, "action"),
        ("proxy = { reset_peer = { timeout = 5 } }", 'server = { action = "html", times = 2 }', 13, "beside server"),
        ("proxy = { reset_peer = { timeout = 5 } }", "process = { kill = 15 }", 13, "fault.0.process.kill"),
        ("proxy = { reset_peer = { timeout = 5 } }", "process = { kill = 9, of = 'x', restart = true }", 13, "restart"),
        ("proxy = { reset_peer = { timeout = 5 } }", 'process = { signal = "SIGSTOP" }', 13, "SIGTERM"),
        ("proxy = { reset_peer = { timeout = 5 } }", "times = 2", 11, "exactly one of proxy, server, process"),
        ('at = "while uploading"\n', "", 11, "fault.0.at"),
        ("[[fault]]", "[fault]", 11, "fault"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    found, said = complaint(tmp_path, old, new)
    assert (found, words in said) == (line, True), said


def test_the_first_of_several_mistakes_is_told_and_the_others_are_named(tmp_path: Path) -> None:
    line, said = complaint(tmp_path, 'into = "inbox"\nwithin = "5 s"', 'into = 3\nwithin = "soon"\nevery = 1')
    assert (line, said.endswith("(and lines 7, 8)")) == (6, True), said


def test_an_experiment_without_a_fault_or_a_steady_state_is_none(tmp_path: Path) -> None:
    fault = GOOD[GOOD.index("[[fault]]") :]
    assert "fault" in complaint(tmp_path, fault, "")[1]
    lines = GOOD[GOOD.index("[steady-state]") : GOOD.index("[[fault]]")]
    assert "steady-state" in complaint(tmp_path, lines, "")[1]


@pytest.mark.parametrize(
    ("given", "attributes"),
    [
        ('{ after = "512 B" }', {"after_bytes": 512}),
        ('{ after = "2 KiB", timeout = "0.5 s" }', {"after_bytes": 2048, "timeout": 500}),
        ("{ after_bytes = 3 }", {"after_bytes": 3}),
    ],
)
def test_a_toxic_takes_values_with_their_units(tmp_path: Path, given: str, attributes: dict[str, int]) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(GOOD.replace("{ timeout = 5 }", given))
    (fault,) = read_experiment(path)[0].fault
    assert fault.proxy is not None
    assert toxic_of(fault.proxy).attributes == attributes


@pytest.mark.parametrize("given", ['{ after = "512 b" }', '{ after = "soon" }', '{ timeout = "-1 s" }'])
def test_a_unit_that_is_none_is_refused_with_its_line(tmp_path: Path, given: str) -> None:
    assert complaint(tmp_path, "{ timeout = 5 }", given)[0] == 13


def test_the_dry_run_says_every_step_in_words(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(GOOD + '[[fault]]\nat = "after 2 answers"\nserver = "down"\n[[rollback]]\nrun = ["rm", "x"]\n')
    said = told_in_words(read_experiment(path)[0], path)
    for words in (
        "put a fault proxy between it and the server",
        "wait until http://127.0.0.1:{port}/health answers 2xx, 20 s at most",
        "hand over 10 sample reports into the folder inbox",
        "after 1 request at the server: put reset_peer (timeout 5, stream downstream)",
        "after 2 answers at the server: switch the server off for 1 s",
        "look all the time at: it answers",
        "nothing is lost: every accepted report is at the server, byte for byte",
        "run `rm x`",
    ):
        assert words in said, said
