"""The page on experiments is run, as its reader would run it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from chaos.experiment import read_experiment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
needs_perl = pytest.mark.skipif(shutil.which("perl") is None, reason="perl is not installed: apt install perl")


@needs_perl
def test_the_experiment_on_the_page_holds(tmp_path: Path) -> None:
    (text,) = re.findall(r'```toml title="uploader.toml"\n(.*?)```', PAGE, re.DOTALL)
    (tmp_path / "uploader.toml").write_text(text)
    shutil.copy(ROOT / "examples" / "experiments" / "uploader.pl", tmp_path)
    command = [sys.executable, "-m", "chaos", "run", "uploader.toml", "--json"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert json.loads(found.stdout)["totals"]["properties"]["held"] == 2


@needs_perl
def test_the_commands_on_the_page_name_files_that_are_there() -> None:
    for name in re.findall(r"examples/experiments/\w+\.toml", PAGE):
        assert read_experiment(ROOT / name)[0].fault


def test_the_two_examples_differ_in_the_mistake_only() -> None:
    healthy, careless = (
        tomllib.loads((ROOT / "examples" / "experiments" / f"{name}.toml").read_text())
        for name in ("uploader", "careless")
    )
    careless["subject"]["start"].remove("--careless")
    careless["workload"]["within"] = healthy["workload"]["within"]
    assert careless == healthy
