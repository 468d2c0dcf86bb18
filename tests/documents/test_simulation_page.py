"""What ``docs/simulation.md`` shows is run, and does what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=50, check=False
    )


def test_the_first_example_finds_the_race_and_its_replay_line_finds_it_again(tmp_path: Path) -> None:
    (tmp_path / "test_account.py").write_text(BLOCKS[0])
    found = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_account.py")
    assert "assert -60 >= 0" in found.stdout, found.stdout + found.stderr
    line = re.search(r"replay with: pytest '(.*?)' (--sim-seed=\d+)", found.stdout)
    assert line is not None, found.stdout
    again = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", line[1].split("/")[-1], line[2])
    assert "assert -60 >= 0" in again.stdout


def test_the_other_programs_end_well(tmp_path: Path) -> None:
    for block in BLOCKS[1:]:
        (tmp_path / "program.py").write_text(block)
        ended = run(tmp_path, "program.py")
        assert ended.returncode == 0, ended.stderr
