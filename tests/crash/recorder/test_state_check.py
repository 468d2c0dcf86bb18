"""A checker on every crash state of a recorded program: what it finds, and when nothing follows."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chaos.cli.crash_command import crash_command
from chaos.crash.check_command import CommandCheck, printed
from chaos.crash.counterexample import TORN, story_of
from chaos.crash.log_file import Recording, from_lines, to_lines
from chaos.crash.state_check import CheckUnansweredError, Options, check_states, state_numbered
from chaos.crash.state_folder import ChangingFolder
from chaos.errors import UsageError
from chaos.outcome import ExitCode
from chaos.storage.crash_states import Limits
from chaos.storage.operations import Entry, MakeFile, MakeSymlink, Sync, Unmodelled, Visible, Write
from chaos.storage.persistence import EXT4_ORDERED, MODELS, POSIX, Persistence
from chaos.storage.tree import Contents, Symlink, Tree
from chaos.verdict import Verdict
from tests.crash.recorder.recorded_programs import recorded_writer, saved_items_are_there
from tests.crash.recorder.spool_writer import FAULTS

SAID = Recording(Tree(), [Entry(MakeFile(0, "a", 1)), Entry(Visible("printed", {"stream": "stdout", "text": "ok\n"}))])


def a_is_there(folder: Path, seen: Sequence[Visible]) -> str:
    return "a is lost" if printed(seen) and not (folder / "a").exists() else ""


@pytest.mark.parametrize("model", MODELS.values(), ids=str)
def test_the_honest_writer_holds_under_every_model(tmp_path: Path, model: Persistence) -> None:
    recording = recorded_writer(tmp_path / "spool")
    judgement = check_states(recording, model, saved_items_are_there)
    assert (judgement.verdict, judgement.broken) == (Verdict.HELD, 0)
    assert judgement.states > 10


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in {"none", "in place"}])
def test_a_faulty_writer_is_found_and_the_counterexample_is_small(tmp_path: Path, fault: str) -> None:
    recording = recorded_writer(tmp_path / "spool", fault)
    judgement = check_states(recording, POSIX, saved_items_are_there)
    assert judgement.verdict is Verdict.BROKEN
    assert judgement.smallest is not None
    assert len(judgement.smallest.state.lost) == (0 if fault == "said too early" else 1)


def test_a_file_written_in_place_is_found_half_written(tmp_path: Path) -> None:
    def whole_or_absent(folder: Path, _seen: Sequence[Visible]) -> str:
        return "" if all(len(item.read_bytes()) == 700 for item in folder.iterdir()) else "an item is torn"

    assert check_states(recorded_writer(tmp_path / "a", "in place"), POSIX, whole_or_absent).verdict is Verdict.BROKEN


def test_a_state_is_made_again_by_its_number(tmp_path: Path) -> None:
    recording = recorded_writer(tmp_path / "spool", "no folder sync")
    worst = check_states(recording, EXT4_ORDERED, saved_items_are_there).smallest
    assert worst is not None
    again = state_numbered(from_lines(to_lines(recording)), EXT4_ORDERED, worst.number)
    assert again.contents == worst.state.contents


def test_the_story_marks_what_was_lost(tmp_path: Path) -> None:
    recording = recorded_writer(tmp_path / "spool", "no file sync")
    worst = check_states(recording, POSIX, saved_items_are_there).smallest
    assert worst is not None
    story = story_of(recording, worst.state)
    assert [row.words for row in story.rows if row.mark == TORN] == [
        "write 700 bytes at 0 of item-0.tmp: first 350 of 700 bytes"
    ]
    assert story.differences


@pytest.mark.parametrize("options", [Options(jobs=3), Options(reads_only=True)])
def test_the_answers_do_not_depend_on_how_the_states_are_shown(tmp_path: Path, options: Options) -> None:
    recording = recorded_writer(tmp_path / "spool", "no file sync", count=1)
    one_by_one = check_states(recording, POSIX, saved_items_are_there)
    judgement = check_states(recording, POSIX, saved_items_are_there, options)
    assert (judgement.states, judgement.broken) == (one_by_one.states, one_by_one.broken)


@pytest.mark.parametrize("model", MODELS.values(), ids=str)
@pytest.mark.parametrize("data_only", [True, False])
def test_a_synced_folder_keeps_its_names(model: Persistence, data_only: bool) -> None:
    """Also with fdatasync, as sqlite3 does it; 75 real cuts of ext4 say the same."""
    recording = dataclasses.replace(SAID, entries=[SAID.entries[0], Entry(Sync(0, data_only)), SAID.entries[1]])
    assert check_states(recording, model, a_is_there).verdict is Verdict.HELD
    assert check_states(SAID, model, a_is_there).verdict is Verdict.BROKEN


def test_an_unmodelled_call_makes_the_verdict_unknown_and_is_named() -> None:
    recording = dataclasses.replace(SAID, entries=[*SAID.entries, Entry(Unmodelled("mmap", "stores into a"))])
    judgement = check_states(recording, POSIX, a_is_there)
    assert (judgement.verdict, judgement.doubts) == (Verdict.UNKNOWN, ["mmap: stores into a"])


def test_a_replay_that_differs_from_the_folder_makes_the_verdict_unknown() -> None:
    assert check_states(dataclasses.replace(SAID, differences=("~ a",)), POSIX, a_is_there).verdict is Verdict.UNKNOWN


def test_a_check_that_does_not_answer_makes_the_verdict_unknown() -> None:
    def silent(folder: Path, _seen: Sequence[Visible]) -> str:
        if (folder / "a").exists():
            return ""
        raise CheckUnansweredError("no end within 1 s")

    judgement = check_states(SAID, POSIX, silent)
    assert (judgement.verdict, judgement.unknown) == (Verdict.UNKNOWN, 2)


def test_a_bounded_enumeration_never_holds() -> None:
    judgement = check_states(SAID, POSIX, lambda _folder, _seen: "", Options(Limits(states=1)))
    assert judgement.verdict is Verdict.UNKNOWN
    assert judgement.bounds_hit


def test_a_check_that_fails_without_a_crash_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a check that holds without a crash, found never content"):
        check_states(SAID, POSIX, lambda _folder, _seen: "never content")


@pytest.mark.parametrize("size", [10, 4096])
def test_a_long_log_that_was_never_synced_is_bounded_and_said_to_be(size: int) -> None:
    """Each such line multiplies the outcomes by four: all of them would fit into no memory."""
    lines = [Entry(Write(1, number * size, b"x" * size)) for number in range(60)]
    recording = dataclasses.replace(SAID, entries=[*SAID.entries, *lines])
    judgement = check_states(recording, POSIX, lambda _folder, _seen: "", Options(Limits(states_per_point=200)))
    assert judgement.states > 10
    assert judgement.verdict is Verdict.UNKNOWN
    assert any("more outcomes of a than can be held" in hit for hit in judgement.bounds_hit)


def test_the_changing_folder_shows_each_state_exactly(tmp_path: Path) -> None:
    folder = ChangingFolder(tmp_path / "state")
    shown: list[Contents] = [{"a": None, "a/b": b"1"}, {"a": b"a file now"}, {"a": Symlink("b"), "b": b""}, {}]
    for contents in shown:
        folder.show(contents)
        found = {str(path.relative_to(folder.path)) for path in folder.path.rglob("*")}
        assert found == set(contents)
    assert not list(folder.path.iterdir())


def test_a_command_learns_what_had_become_visible(tmp_path: Path) -> None:
    script = "import os, sys; sys.exit(open(sys.argv[1]).read() + open(os.environ['PYWATS_CHAOS_SEEN']).read())"
    (tmp_path / "state").mkdir()
    seen = [Visible("printed", {"stream": "stdout", "text": "ok "}), Visible("sent", {"to": "x", "text": "y"})]
    wrong = CommandCheck((sys.executable, "-c", script, "{stdout}"))(tmp_path / "state", seen)
    assert wrong == '{"name": "sent", "to": "x", "text": "y"} (exit code 1)'
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_command_that_hangs_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(CheckUnansweredError, match=r"no end within 0\.2 s"):
        CommandCheck(("sleep", "60"), limit_s=0.2)(tmp_path / "state", [])


@pytest.mark.parametrize("line", ["", "'", "no-such-program {dir}"])
def test_a_check_that_cannot_run_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="for --check"):
        CommandCheck.parsed(line)


@pytest.mark.parametrize(
    "line",
    ["", "[]", '{"format": "x"}', '{"format": "pywats-chaos operation log", "version": 2}'],
)
def test_a_file_that_is_no_log_is_refused(line: str) -> None:
    with pytest.raises(UsageError):
        from_lines([line])


def test_a_recording_survives_its_file() -> None:
    start = Tree.of({"d": None, "d/f": b"\x00\xff", "l": Symlink("d")})
    start.folders[0]["hard"] = start.find(start.find(0, "d"), "f")
    odd = Entry(MakeSymlink(0, "\udcff", 9, "x"), 5, "7", "trace line 1")
    recording = Recording(start, [odd], "/spool", ["prog"], 3, ["*-shm"], ["~ a"])
    again = from_lines(list(to_lines(recording)))
    assert again.start.contents() == start.contents()
    assert again.start.find(0, "hard") == again.start.find(again.start.find(0, "d"), "f")
    assert dataclasses.replace(again, start=start) == dataclasses.replace(recording, entries=[odd])


def crash(*arguments: str | Path) -> Result:
    return CliRunner().invoke(crash_command, [str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log in which something was said that was never synced."""
    (tmp_path / "log.jsonl").write_text("".join(to_lines(SAID)))
    return tmp_path / "log.jsonl"


def test_the_command_shows_the_counterexample_and_builds_it_again(log: Path) -> None:
    check = "sh -c 'test -e {dir}/a || ! grep -q ok {stdout}'"
    bad, again = log.parent / "bad", log.parent / "again"
    done = crash(log, "--check", check, "--jobs", "2", "--keep-bad", bad)
    assert done.return_value == ExitCode.BROKEN, done.output
    assert "LOST" in done.output
    assert "make a" in done.output
    number = re.search(r"--build (\d+) DIR", done.output)
    assert number is not None
    assert crash(log, "--build", number.group(1), again).return_value == ExitCode.HELD
    assert not list(again.iterdir())
    assert [path.name for path in bad.iterdir()] == [f"posix-{number.group(1)}"]
    assert isinstance(crash(log, "--build", number.group(1), again).exception, UsageError)


def test_the_command_says_when_all_is_well_and_when_it_cannot_know(log: Path) -> None:
    assert crash(log, "--check", "true", "--model", "all").return_value == ExitCode.HELD
    assert crash(log, "--check", "true", "--limit", "1").return_value == ExitCode.NOT_PROVEN
    counted = crash(log)
    assert (counted.return_value, counted.output.splitlines()[0]) == (2, "posix: 4 states of 2 entries")
