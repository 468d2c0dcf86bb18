"""``pywats-chaos doctor --prove-undo N``: runs of every kind are killed at random moments, and nothing may be left."""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import click

from chaos.live.undo_proof import Killed, kill_a_run
from chaos.outcome import ExitCode
from chaos.plan import find_scenario
from chaos.scenarios import all_scenarios

LATEST_S = 12.0
KINDS = (
    ("fault proxy", "H1.3/the_network_fails_in_every_way"),
    ("failpoints", "C1.6/kills_at_every_place_of_the_way"),
    ("system calls", "C1.10/a_configuration_save_is_cut_off"),
    ("a full disk", "H1.8/the_disk_fails_while_accepting"),
    ("hung clients", "H6.4/a_thousand_hung_clients"),
    ("converters", "C1.9/conversions_are_killed_at_every_step"),
    ("configurator", "H2.5/window_closed_during_each_activity"),
    ("planted leaks", "H2.6/each_kind_of_leak_is_planted"),
    ("descriptors", "H6.10/no_descriptor_is_left"),
    ("a hundred starts", "H2.4/a_hundred_starts_and_stops"),
    ("experiment", ""),
)
EXPERIMENT = """
[subject]
start = [{python!r}, "-m", "http.server", "{{port}}", "--bind", "127.0.0.1", "--directory", "{{data}}"]
ready = {{ http = "http://127.0.0.1:{{port}}/" }}

[steady-state]
"it answers" = {{ http = {{}} }}

[workload]
run = ["sleep", "5"]

[[fault]]
at = "at once"
process = {{ pause = "3 s" }}
"""


def prove_undo(kills: int, seed: int) -> int:
    """Kill so many runs, print a line for each, and return the exit code: 0 if nothing was ever left."""
    moments = random.Random(seed)  # noqa: S311 - replayable on purpose
    for _, name in KINDS:
        if name:
            find_scenario(all_scenarios(), name)
    is_clean, done = True, 0
    with tempfile.TemporaryDirectory(prefix="chaos-proof-") as folder:
        log, experiment = Path(folder, "runner.log"), Path(folder, "experiment.toml")
        experiment.write_text(EXPERIMENT.format(python=sys.executable), encoding="utf-8")
        while done < kills:
            kind, scenario = KINDS[done % len(KINDS)]
            argv = [sys.executable, "-m", "chaos", "run", scenario or str(experiment), "--world", "live"]
            after_s = moments.uniform(0.1, LATEST_S)
            killed = kill_a_run(argv, after_s, log)
            if not killed.had_ended or killed.left:
                done += 1
                is_clean = is_clean and not killed.left
                click.echo(_line(done, kind, after_s, killed))
    click.echo(f"{kills} runs killed at random moments (seed {seed}): {'nothing left' if is_clean else 'NOT CLEAN'}")
    return ExitCode.HELD if is_clean else ExitCode.BROKEN


def _line(number: int, kind: str, after_s: float, killed: Killed) -> str:
    had = f"{killed.processes} processes, {killed.folders} folders, {killed.sockets} sockets"
    end = f"LEFT: {'; '.join(killed.left)}" if killed.left else f"nothing left after {killed.gone_after_s:.2f} s"
    return f"{number:>3}  {kind:<17} killed after {after_s:5.2f} s with {had:<38} {end}"
