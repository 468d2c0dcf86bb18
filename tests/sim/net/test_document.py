"""The example of the page about the simulated network is run, and its faults are those that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaos.sim.net import NetworkFaults

PAGE = (Path(__file__).parents[3] / "docs" / "simulated-network.md").read_text(encoding="utf-8")


def test_the_example_says_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "simulated-network.md", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.splitlines()[-1] == "answered after 5.0020 s of virtual time"


def test_every_fault_is_on_the_page() -> None:
    told = set(re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE))
    assert told == {name for name in vars(NetworkFaults) if not name.startswith("_")}
