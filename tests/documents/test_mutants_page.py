"""The page about mutants: its example is planted and hunted, its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "writing-a-mutant.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "seeds", "code", "words"),
    [("waits_for_nobody", "60", 0, "1 of 1 mutants found"), ("waits_twice", "4", 1, "0 of 1 mutants found")],
)
def test_the_example_is_found_or_survives_as_the_page_says(
    tmp_path: Path, name: str, seeds: str, code: int, words: str
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    simulated = 'worlds=(WorldKind.SIMULATION,), subtle="only when'  # The live world would take its time to hold.
    text = example.replace('subtle="only when', simulated)
    text = text.replace("from chaos.replacements", "from chaos.protocols import WorldKind\nfrom chaos.replacements")
    (tmp_path / "my_mutants.py").write_text(text)
    command = [sys.executable, "-m", "chaos", "mutants", f"my_mutants.py:{name}", "--repeat", "1", "--seeds", seeds]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=58, check=False)
    assert (found.returncode, words in found.stdout) == (code, True), found.stdout + found.stderr


@pytest.mark.parametrize("line", [line[2:] for line in PAGE.splitlines() if line.startswith("$ ")])
def test_the_commands_take_their_options(line: str, tmp_path: Path) -> None:
    arguments = line.split()[2:]
    if ".py:" in line:
        (tmp_path / "my_mutants.py").write_text(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0])
    command = [sys.executable, "-m", "chaos", "mutants", *arguments, "--list"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=58, check=False)
    assert found.returncode == 0, found.stderr
