"""Subjects: the services that can be put to the proof. Only this package (and the mutants) know a particular one."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from chaos.crash.story import CrashStory
from chaos.errors import UsageError
from chaos.protocols import Subject
from chaos.sim.subject import SimulatedSubject
from chaos.subjects.reference import ReferenceSubject
from chaos.subjects.reference_crash import crash_story
from chaos.subjects.reference_simulated import SimulatedReference

__all__ = ["find_crash_story", "find_simulated", "find_subject"]


def find_crash_story(subject: str, name: str) -> CrashStory:
    """Return a subject's story of that name. Raises ``UsageError``."""
    if subject != "reference":
        raise UsageError("a subject with stories to crash", repr(subject), "there is one so far: reference")
    return crash_story(name)


def find_subject(name: str) -> Subject:
    """Return the subject of that name. Raises ``UsageError``."""
    if ":" in name:
        return _foreign(name)
    if name != "reference":
        advice = "there is one by name, reference; others are given as module:Class"
        raise UsageError("the name of a subject", repr(name), advice)
    return ReferenceSubject()


def _foreign(name: str) -> Subject:
    """Return somebody else's subject, an object of the class that ``module:Class`` names."""
    module, _, kind = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Subject = getattr(import_module(module), kind)()
    except Exception as error:  # Whatever somebody else's module raises, the question was wrong.
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(f"a subject at {name}", words, "give module:Class of a class without arguments") from error
    return found


def find_simulated(name: str) -> SimulatedSubject:
    """Return the subject of that name, as it runs in simulated processes. Raises ``UsageError``."""
    if name != "reference":
        raise UsageError("a subject that can be simulated", repr(name), "there is one so far: reference")
    return SimulatedReference()
