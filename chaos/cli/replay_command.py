"""``pywats-chaos replay``: one simulated run again, step by step, from its line."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from chaos.checkers import all_checkers
from chaos.cli import shared_options
from chaos.cli.live_shrinking import LivePlayer, Shrinking, shrinking, with_line
from chaos.cli.question import question_of_many, question_of_one
from chaos.cli.surroundings import header_of
from chaos.errors import UsageError
from chaos.evidence import write_evidence
from chaos.explore.worker import play_trial, shrink_trial
from chaos.live_trial import LiveTrial, is_live, parse_live_trial
from chaos.mutants import find_mutant, planted
from chaos.outcome import DiskLook, Outcome, RunResult, by_property
from chaos.plan import find_scenario
from chaos.protocols import WorldKind
from chaos.scenarios import all_scenarios
from chaos.shrink import BudgetSpentError
from chaos.sim.play import stop_at_violation
from chaos.subjects import find_simulated, find_subject
from chaos.trial import Trial, parse_trial
from chaos.verdict import Verdict

HASH_SEED = "PYTHONHASHSEED"
NEAREST_TRIED = 25
DIFF_LINES = 40
ONLY_SIMULATED = ("trace", "disk", "nearest", "pdb")


@click.command("replay")
@click.argument("line")
@click.option("--trace", is_flag=True, help="Print every step: its number, the virtual time, whose it is.")
@click.option("--history", "show_history", is_flag=True, help="Print the events of the run.")
@click.option("--log", "show_log", is_flag=True, help="Print what the simulated processes logged.")
@click.option("--disk", is_flag=True, help="Print the subject's files at each change.")
@click.option("--nearest", is_flag=True, help="Print how the nearest run that holds differs, step by step.")
@click.option("--pdb", is_flag=True, help="Stop in the debugger at the moment of the violation.")
@click.option("--mutant", default="", help="Plant this mutant first.")
@shared_options.subject
@shrinking
@shared_options.out(default=None)
def replay_command(line: str, subject_name: str, mutant: str, **options: Any) -> int:
    """Play the run in LINE again (as it was printed, or a file that holds it), and show what happened.

    A simulated run is the same each time. A live one (world=live) is played anew, with the faults that LINE names.
    """
    text = _line(line)
    if is_live(text):
        outcome = _live(parse_live_trial(text), subject_name, mutant, options)
    else:
        outcome = _simulated(parse_trial(text), subject_name, mutant, options)
    if options["out"]:
        write_evidence(outcome, options["out"])
    return outcome.exit_code


def _live(trial: LiveTrial, subject_name: str, mutant: str, options: Mapping[str, Any]) -> Outcome:
    if mutant or any(options[key] for key in ONLY_SIMULATED):
        expected = "no --mutant, " + ", ".join(f"--{key}" for key in ONLY_SIMULATED) + " with a live run"
        raise UsageError(expected, "one of them", "leave it out: these are for simulated runs")
    story, subject, console = find_scenario(all_scenarios(), trial.scenario), find_subject(subject_name), Console()
    if WorldKind.LIVE not in story.worlds:
        raise UsageError(f"a world of {story.name}: {', '.join(story.worlds)}", "live", "copy the line as printed")
    question = question_of_one(story, WorldKind.LIVE, trial.seed)
    player = LivePlayer(subject)
    try:
        player.play(trial)
    except BudgetSpentError:
        raise click.Abort from None
    result = with_line(player.results[trial], trial, subject_name)
    notes: tuple[str, ...] = ()
    if options["shrink"] and result.verdict is Verdict.BROKEN:
        how = Shrinking(subject, subject_name, options["rate"], options["shrink_minutes"], console)
        result = how.smaller(result, trial)
        notes = (f"shrinking: {result.facts['shrinking']}",)
    told = by_property(question.shown, question.asked, [result])
    outcome = Outcome(header_of(question, subject), told, (result,), result.took_s, notes=notes)
    shared_options.show(outcome, console, as_json=False)
    _show_parts(result, options, console)
    return outcome


def _simulated(trial: Trial, subject_name: str, mutant: str, options: Mapping[str, Any]) -> Outcome:
    _with_pinned_hashes()
    name = find_mutant(mutant).name if mutant else ""
    console = Console()
    if options["pdb"]:
        with planted(find_mutant(name) if name else None):
            story = find_scenario(all_scenarios(), trial.scenario)
            stop_at_violation(story, trial, find_simulated(subject_name), all_checkers())
    result = play_trial(trial, subject=subject_name, mutant=name, keeps_trace=True).result
    if options["shrink"] and result.verdict is Verdict.BROKEN:
        small = shrink_trial(str(trial), subject=subject_name, mutant=name)
        trial = small.shrunk.trial
        plan = "\n".join(str(fault) for fault in trial.plan or ())
        result = replace(small.played.result, plan=plan, shrunk_from=small.faults_before)
    if options["nearest"] and result.verdict is Verdict.BROKEN:
        result = replace(result, nearest=_difference(trial, result, subject_name, name))
    question = question_of_many([find_scenario(all_scenarios(), trial.scenario)], WorldKind.SIMULATION, trial.seed)
    told = by_property(question.shown, question.asked, [result])
    outcome = Outcome(header_of(question, find_subject(subject_name)), told, (result,), result.took_s)
    shared_options.show(outcome, console, as_json=False)
    _show_parts(result, options, console)
    return outcome


def _with_pinned_hashes() -> None:
    """Begin again with the hash seed that every simulated run has, if this process has another."""
    if os.environ.get(HASH_SEED) != "0":
        os.environ[HASH_SEED] = "0"
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "chaos", *sys.argv[1:]])  # noqa: S606 - ourselves


def _line(line: str) -> str:
    """Return the one-line form behind an argument. Raises ``UsageError``."""
    path = Path(line)
    if "seed=" in line:
        return line
    try:
        lines = [f" {text}".partition(" #")[0].strip() for text in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        found = f"{line}: {error.strerror}"
        raise UsageError("a replay line, or a file that holds one", found, "copy the line in its quotes") from error
    first = next((text for text in lines if text), "")
    return _quoted(first)


def _quoted(command: str) -> str:
    """Return the line in a printed command, without the command's name, quotes and options."""
    rest = command.removeprefix("pywats-chaos replay ")
    return rest.split("'")[1] if rest.startswith("'") and rest.count("'") > 1 else rest


def _difference(trial: Trial, result: RunResult, subject: str, mutant: str) -> str:
    """Return how the steps of the nearest run that holds differ, from shortly before they part."""
    ours = _steps(result)
    best: tuple[int, list[str]] | None = None
    for candidate in _neighbours(trial):
        other = play_trial(candidate, subject=subject, mutant=mutant, keeps_trace=True).result
        if other.verdict is not Verdict.BROKEN:
            theirs = _steps(other)
            shared = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(theirs))
            if best is None or shared > best[0]:
                best = (shared, [f"nearest: {candidate}", *_diff(ours, theirs, shared)])
    return "\n".join(best[1]) if best else ""


def _neighbours(trial: Trial) -> list[Trial]:
    """Return trials that differ little: each fault left out, then other seeds."""
    plan = trial.plan or ()
    without = [trial.with_plan(plan[:n] + plan[n + 1 :]) for n in range(len(plan))]
    return [*without, *(replace(trial, seed=trial.seed + n) for n in range(1, NEAREST_TRIED - len(without)))]


def _steps(result: RunResult) -> list[str]:
    return [line[8:] for line in result.trace.splitlines()]


def _diff(ours: list[str], theirs: list[str], shared: int) -> list[str]:
    start = max(shared - 5, 0)
    lines = difflib.unified_diff(
        theirs[start : start + DIFF_LINES], ours[start : start + DIFF_LINES], "holds", "breaks", lineterm="", n=5
    )
    return list(lines)


def _show_parts(result: RunResult, shown: Mapping[str, Any], console: Console) -> None:
    parts = {
        "trace": result.trace,
        "show_history": result.history.to_lines(),
        "show_log": result.log,
        "disk": "\n".join(_look(look) for look in result.disk),
    }
    for key, text in parts.items():
        if shown.get(key):
            console.print(Text(text), soft_wrap=True)
    if result.nearest:
        console.print(Text(result.nearest), soft_wrap=True)


def _look(look: DiskLook) -> str:
    rows = "".join(f"\n    {path}  {what}" for path, what in look.files.items())
    return f"{look.time_ns / 1e9:12.6f} {look.when}{rows}"
