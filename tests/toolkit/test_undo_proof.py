"""The proof of the undo list: a run that is killed leaves nothing, and one that leaves something is found out."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli.commands import cli
from chaos.live import process_table, undo_proof
from chaos.live.undo_proof import kill_a_run

ORPHAN = "import subprocess, time; subprocess.Popen(['sleep', '30'], start_new_session=True); time.sleep(30)"
FOLDER = """
import os, tempfile, time
os.mkdir(f"{tempfile.gettempdir()}/pywats-chaos-{os.getpid()}-x")
time.sleep(30)
"""


CLOCK = """
import asyncio, os, pathlib, sys
from chaos.live.process import ChildProcess
from chaos.live.run_folder import RunFolder
from chaos.live.wall_clock import WallClock
from chaos.live.watchdog import Watchdog

async def main():
    watchdog = Watchdog.start()
    folder = RunFolder.create(watchdog)
    clock = WallClock(folder.file("clock"))
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = await ChildProcess.start(command, watchdog=watchdog, log=folder.file("log"), env=clock.environment)
    while not [name for name in os.listdir("/dev/shm") if name.endswith(f"_{child.pid}")]:
        await asyncio.sleep(0.01)
    print("SEGMENTS", child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.needs("faketime")
def test_a_process_with_a_jumping_clock_leaves_no_shared_memory(tmp_path: Path) -> None:
    found = kill_a_run([sys.executable, "-c", CLOCK], 4.0, tmp_path / "log")
    said, pid = (tmp_path / "log").read_text().split()[:2]
    assert (said, found.left) == ("SEGMENTS", ())
    assert not [name for name in os.listdir("/dev/shm") if name.endswith(f"_{pid}")]


def test_runs_of_three_kinds_killed_at_random_moments_leave_nothing() -> None:
    found = CliRunner().invoke(cli, ["doctor", "--prove-undo", "3", "--seed", "9"], standalone_mode=False)
    assert (found.return_value, found.output.count("nothing left after")) == (0, 3), found.output
    assert "3 runs killed at random moments (seed 9): nothing left" in found.output


def test_a_process_that_is_left_is_found_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo_proof, "GONE_LIMIT_S", 0.2)
    found = kill_a_run([sys.executable, "-c", ORPHAN], 1.0, tmp_path / "log")
    (left,) = found.left
    pid = int(left.removeprefix("process "))
    started = process_table.start_of(pid)
    assert started is not None
    assert process_table.send_signal(pid, started, 9)


def test_a_folder_that_is_left_is_found_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undo_proof, "GONE_LIMIT_S", 0.2)
    monkeypatch.setattr(undo_proof, "temporary_folder", lambda: str(tmp_path))
    found = kill_a_run([sys.executable, "-c", FOLDER], 1.0, tmp_path / "log")
    assert [left.rpartition("-")[0].rpartition("-")[0] for left in found.left] == ["folder pywats-chaos"]


def test_a_folder_under_any_name_is_found_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the configurator's, which is named after the program and not after the run."""
    monkeypatch.setattr(undo_proof, "GONE_LIMIT_S", 0.2)
    line = "import tempfile, time; tempfile.mkdtemp(prefix='another-'); time.sleep(30)"
    (left,) = kill_a_run([sys.executable, "-c", line], 1.0, tmp_path / "log").left
    assert left.startswith("folder another-")


def test_a_run_that_was_over_before_its_moment_says_so(tmp_path: Path) -> None:
    found = kill_a_run([sys.executable, "-c", ""], 20.0, tmp_path / "log")
    assert (found.had_ended, found.left) == (True, ())
