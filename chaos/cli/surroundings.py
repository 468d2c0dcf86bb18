"""What a campaign ran on: versions, platform, commit; enough to run it again."""

from __future__ import annotations

import datetime as dt
import platform
import re
import shutil
import subprocess
from importlib import metadata

from chaos.cli.question import Question
from chaos.outcome import Header
from chaos.protocols import Subject

DISTRIBUTION = "pywats-reliability"
GIT_LIMIT_S = 5.0


def header_of(question: Question, subject: Subject) -> Header:
    """Return what identifies this campaign, as it begins now."""
    limits = {"runs at a time": float(question.jobs)}
    limits |= {f"{run.scenario.name}, seconds": run.scenario.limit_s for run in question.runs}
    if question.minutes:
        limits["minutes"] = question.minutes
    return Header(
        metadata.version(DISTRIBUTION),
        subject.name,
        question.profile,
        platform.python_version(),
        f"{platform.system()} {platform.release()}",
        question.seed,
        commit=commit(),
        began_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        shard=question.shard,
        versions=versions(),
        limits=limits,
    )


def versions() -> dict[str, str]:
    """Return the versions of what we build on, by distribution."""
    needed = metadata.requires(DISTRIBUTION) or []
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed if "extra ==" not in line]
    return {name: metadata.version(name) for name in sorted(names, key=str.lower)}


def commit() -> str:
    """Return the commit of the folder we run in, with a plus when there are changes; empty when there is none."""
    head = _git("rev-parse", "--short=12", "HEAD")
    return head + ("+" if head and _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str:
    if (program := shutil.which("git")) is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [program, *arguments], capture_output=True, text=True, timeout=GIT_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
