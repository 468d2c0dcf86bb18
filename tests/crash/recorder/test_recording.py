"""Real programs under strace: the replay of their log is equal to the folder they leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli.record_command import record_command
from chaos.crash.log_file import load
from chaos.crash.recorder import record
from chaos.crash.recorder.strace import strace_available
from chaos.errors import NotAvailableError, UsageError
from chaos.storage.operations import Close, MakeFile, Sync, Visible, Write
from tests.crash.recorder.recorded_programs import PYTHON, recorded, recorded_writer

EVERYTHING = """
import fcntl, os, subprocess, threading
fd = os.open("f", os.O_CREAT | os.O_RDWR)
os.write(fd, b"hello"); os.lseek(fd, 0, 0); os.read(fd, 3); os.writev(fd, [b"a", b"bc"]); os.pwrite(fd, b"z", 1)
os.ftruncate(fd, 50); os.posix_fallocate(fd, 0, 60)
other = os.dup(fd); os.close(fd); os.dup2(other, 20); fcntl.fcntl(other, fcntl.F_DUPFD_CLOEXEC, 30)
os.rename("f", "g"); os.mkdir("q"); os.link("g", "q/h"); os.symlink("q", "s"); os.rename("s/h", "h2"); os.rmdir("q")
here = os.open(".", os.O_RDONLY); os.fsync(here); os.unlink("s", dir_fd=here); os.truncate("h2", 7)
subprocess.run(["/bin/sh", "-c", "echo one >> old; mkdir -p x/y; cd x; echo two > y/z; mv y/z ../moved"], check=True)
def work(number):
    for round in range(5):
        with open(f"t{number}-{round}", "w") as file:
            file.write(f"thread {number}")
        os.rename(f"t{number}-{round}", f"u{number}-{round}")
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
if os.fork() == 0:
    os.write(20, b"child"); os._exit(0)
os.wait()
os.write(20, b"parent")
"""


def test_the_replay_of_everything_is_equal_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").write_text("zero\n")
    os.link(tmp_path / "old", tmp_path / "older")
    recording = recorded(tmp_path, *PYTHON, "-c", EVERYTHING)
    assert recording.doubts == []
    assert recording.end()["older"] == b"zero\none\n"
    assert recording.exit_code == 0


def test_the_log_tells_the_operations_of_a_program_in_their_order(tmp_path: Path) -> None:
    found = [entry.operation for entry in recorded_writer(tmp_path / "spool", count=1).entries]
    kinds = [type(op).__name__ for op in found if not isinstance(op, Close)]
    assert kinds == ["Visible", "MakeFile", "Write", "Sync", "Rename", "Sync", "Visible", "Visible"]


def test_what_stood_there_before_is_the_start(tmp_path: Path) -> None:
    (tmp_path / "before").write_text("x")
    recording = recorded(tmp_path, "true")
    assert recording.start.contents() == recording.end() == {"before": b"x"}


def test_stdout_may_lead_into_the_folder(tmp_path: Path) -> None:
    """Then it is a file like any other, from where it stands."""
    with (tmp_path / "log").open("a") as log:
        log.write("begun ")
        log.flush()
        code = f"from chaos.crash.recorder import record; assert not record(['echo', 'hi'], {str(tmp_path)!r}).doubts"
        subprocess.run([sys.executable, "-c", code], stdout=log, check=True, timeout=60)
    assert (tmp_path / "log").read_text() == "begun hi\n"


def test_a_folder_that_changes_behind_the_log_is_told(tmp_path: Path) -> None:
    """Here a mapping shared with the file stores into it; no call tells of that."""
    program = "import mmap; f = open('a', 'w+b'); f.truncate(10); m = mmap.mmap(f.fileno(), 10); m[0] = 65; m.flush()"
    recording = recorded(tmp_path, *PYTHON, "-c", f"import os; os.chdir({str(tmp_path)!r}); {program}")
    assert any(doubt.startswith("mmap: stores into a shared mapping") for doubt in recording.doubts)
    assert any("differs from the real one: ~ a" in doubt for doubt in recording.doubts)


def test_without_strace_it_is_not_available_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NotAvailableError, match="apt install strace"):
        strace_available()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a folder that is there"):
        record(["true"], str(tmp_path / "nowhere"))


def chaos(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "chaos", *(str(argument) for argument in arguments)]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_writes_the_log_and_passes_the_exit_code_on(tmp_path: Path) -> None:
    recorded(tmp_path, "true")
    done = chaos("record", "-o", "log.jsonl", "--", "sh", "-c", "echo hi > f; echo said; exit 7", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (7, "said\n")
    assert "their replay is equal to the folder" in done.stderr
    assert load(tmp_path / "log.jsonl").end() == {"f": b"hi\n"}


def test_a_second_recording_does_not_count_the_log_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(tmp_path, "true")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        CliRunner().invoke(record_command, ["--", "true"], standalone_mode=False)
    assert load(tmp_path / "recording.jsonl").start.contents() == {}


def test_an_interruption_ends_the_program_and_keeps_the_log_so_far(tmp_path: Path) -> None:
    recorded(tmp_path, "true")
    program = "import os, signal; open('f', 'w').write('x'); os.write(1, b'ready\\n'); signal.pause()"
    words = [sys.executable, "-m", "chaos", "record", "--", *PYTHON, "-c", program]
    with subprocess.Popen(
        words, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 128 + signal.SIGINT
    recording = load(tmp_path / "recording.jsonl")
    assert not recording.doubts
    assert [type(entry.operation) for entry in recording.entries[:2]] == [MakeFile, Write]
    assert recording.entries[-1].operation == Visible("exited", {"signal": "SIGINT"})


def test_a_writer_that_is_sabotaged_has_fewer_syncs(tmp_path: Path) -> None:
    def syncs(fault: str) -> int:
        folder = tmp_path / fault.replace(" ", "-")
        return sum(isinstance(e.operation, Sync) for e in recorded_writer(folder, fault).entries)

    assert syncs("none") == 4
    assert syncs("no file sync") == syncs("no folder sync") == 2


def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a program that strace can run, found 'no-such-program'"):
        recorded(tmp_path, "no-such-program")
