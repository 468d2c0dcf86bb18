"""The page on crash states is run, as its reader would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.crash.recorder.strace import strace_available
from chaos.errors import NotAvailableError
from chaos.mutants import disk_order
from chaos.mutants.mutant import Mutant

PAGE = Path(__file__).parents[2] / "docs" / "crash-states.md"
BLOCKS = dict(re.findall(r'```(?:python|sh) title="(\S+)"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.DOTALL))


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line with the commands of this environment first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_ten_minutes_find_what_the_page_says(tmp_path: Path) -> None:
    try:
        strace_available()
    except NotAvailableError as error:
        pytest.skip(str(error))
    for name in ("saver.py", "check.py", "library.py"):
        (tmp_path / name).write_text(BLOCKS[name])
    recorded = shell(BLOCKS["record"], tmp_path)
    assert recorded.returncode == 0, recorded.stderr
    found = shell(BLOCKS["crash"].replace("python3 check", "python3 -S -I check"), tmp_path)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "milk was said to be saved, and is not (exit code 1)" in found.stdout
    summary = re.search(r"broken in (\d+ of \d+) states; the one with the fewest losses is (\d+)", PAGE.read_text())
    assert summary is not None
    assert f"broken in {summary.group(1)} states" in found.stdout
    built = shell(f"pywats-chaos crash log.jsonl --build {summary.group(2)} again && cat again/note-0", tmp_path)
    assert built.returncode == 0
    assert shell("python3 library.py", tmp_path).stdout.startswith("broken ")


def test_the_counterexample_on_the_page_is_what_the_command_shows(tmp_path: Path) -> None:
    shown = re.search(r'```text title="settings"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    found = shell(BLOCKS["crash-state"], tmp_path)
    assert found.returncode == 1
    assert found.stdout.startswith(shown.group(1))


@pytest.mark.parametrize("mistake", [thing for thing in vars(disk_order).values() if isinstance(thing, Mutant)])
def test_each_mistake_about_the_order_on_the_disk_is_in_the_pages_table(mistake: Mutant) -> None:
    assert f"| {mistake.name.partition('/')[2]} |" in PAGE.read_text(encoding="utf-8")
