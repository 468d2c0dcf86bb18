"""The operator's guide and the help texts are true: every command and option in them exists; nothing traces back."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click
import pytest

from pywats_reliability.cli.commands import cli
from pywats_reliability.config import ClientConfig

GUIDE = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
LINES = [line for line in GUIDE.splitlines() if line.startswith("pywats-service ")]
NAME = "torn.txt"
COMMAND = [sys.executable, "-m", "pywats_reliability"]


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize("line", LINES)
def test_every_line_of_the_guide_is_understood(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is parsed by the command that it names, with the files that it names, and not carried out."""
    monkeypatch.chdir(tmp_path)
    for name in ("reports", "queue"):
        (tmp_path / name).mkdir()
    for name in ("report.json", "station.json"):
        (tmp_path / name).touch()
    words, command = shlex.split(line)[1:], cast("click.Command", cli)
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    assert command.make_context("x", words).params


def test_the_settings_in_the_guide_are_good() -> None:
    blocks = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
    assert [ClientConfig(**json.loads(block)) for block in blocks]


def test_every_command_is_in_the_guide() -> None:
    assert not [path for path, _ in leaves(cli) if f"pywats-service {' '.join(path)} " not in GUIDE]


@pytest.mark.parametrize("command", [command for _, command in leaves(cli)], ids=lambda command: command.name)
def test_every_command_and_option_says_what_it_does(command: click.Command) -> None:
    obvious = {"folder", "layout"}  # Their choices say it.
    assert command.help
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert not [option.name for option in options if not option.help and option.name not in obvious]


@pytest.mark.parametrize("words", [["config", "show"], ["queue", "show", "--contents", NAME, "--data", "data"]])
def test_pipe_closed(tmp_path: Path, words: list[str]) -> None:
    """The second one prints a file from quarantine/ as it is."""
    (tmp_path / "data" / "quarantine").mkdir(parents=True)
    (tmp_path / "data" / "quarantine" / NAME).write_bytes(b"x" * 100)
    (tmp_path / "data" / "quarantine" / f"{NAME}.reason.json").write_text("{}")
    for folder in ("pending", "sent", "failed"):
        (tmp_path / "data" / folder).mkdir()
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nobody:
        found = subprocess.run(
            [*COMMAND, *words, "--config", "c.json"],
            cwd=tmp_path, env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
            stdout=nobody, stderr=subprocess.PIPE, timeout=30, check=False,
        )  # fmt: skip
    assert (found.returncode, found.stderr) == (1, b"")


def test_a_full_disk_behind_the_output_is_one_line(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "wb") as full:
        found = subprocess.run(
            [*COMMAND, "config", "show", "--config", tmp_path / "c.json"],
            stdout=full, stderr=subprocess.PIPE, timeout=30, check=False,
        )  # fmt: skip
    assert (found.returncode, len(found.stderr.splitlines()), b"Traceback" in found.stderr) == (1, 1, False)
