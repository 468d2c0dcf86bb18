"""What ``docs/exploring.md`` shows: its commands are understood, its replay line fails as shown, its words exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.cli.commands import cli
from chaos.explore.worker import play_trial
from chaos.mutants import find_mutant
from chaos.plan import find_scenario
from chaos.scenarios import all_scenarios
from chaos.sim.step_faults import STEP_FAULTS
from chaos.trial import parse_trial
from chaos.verdict import Verdict

PAGE = (Path(__file__).parents[2] / "docs" / "exploring.md").read_text()
COMMANDS = [shlex.split(line)[1:] for line in re.findall(r"^\$ (pywats-chaos .*)$", PAGE, re.MULTILINE)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_is_understood(words: list[str]) -> None:
    command = cli.commands[words[0]]
    options = command.make_context(words[0], list(words[1:]), resilient_parsing=False).params
    names = [*options.get("scenarios", ()), *([options["line"].split()[0]] if "line" in options else [])]
    assert all(find_scenario(all_scenarios(), name) for name in names)
    mutants = [*options.get("names", ()), *([options["mutant"]] if options.get("mutant") else [])]
    assert all(find_mutant(name) for name in mutants)


def test_the_replay_line_fails_as_the_page_says() -> None:
    options = next(words for words in COMMANDS if words[0] == "replay")
    result = play_trial(parse_trial(options[1]), mutant=options[3]).result
    assert result.verdict is Verdict.BROKEN
    assert "was accepted and is nowhere" in result.findings[0].found


def test_the_page_knows_every_fault_at_a_step_and_every_option_of_a_replay() -> None:
    assert all(f"| `{name}` |" in PAGE for name in STEP_FAULTS)
    flags = [option for parameter in cli.commands["replay"].params for option in parameter.opts]
    shown = [flag for flag in flags if flag.startswith("--") and flag not in ("--mutant", "--subject")]
    assert all(f"| `{flag}` |" in PAGE for flag in shown)


def test_the_list_of_mutants_is_printed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chaos", "mutants", "--list"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)
    assert (listed.returncode, "shows only" in listed.stdout) == (0, True)
