"""The examples of the documents are run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_pytest_example_passes(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "chaos.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "test_example.py").write_text(example)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    found = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert "1 passed" in found.stdout, found.stdout


PAGES = ("scenario", "checker", "fault", "subject")


def test_the_examples_of_the_writing_pages_pass(tmp_path: Path) -> None:
    """Each page has one example, which is a whole test file."""
    for name in PAGES:
        text = (ROOT / "docs" / f"writing-a-{name}.md").read_text(encoding="utf-8")
        (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        (tmp_path / f"test_{name}.py").write_text(example)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    found = subprocess.run(
        [*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert "7 passed" in found.stdout, found.stdout
