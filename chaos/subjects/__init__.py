"""Subjects: the services that can be put to the proof. Only this package (and the mutants) know a particular one."""

from __future__ import annotations

from chaos.errors import UsageError
from chaos.protocols import Subject
from chaos.sim.subject import SimulatedSubject
from chaos.subjects.reference import ReferenceSubject
from chaos.subjects.reference_simulated import SimulatedReference

__all__ = ["find_simulated", "find_subject"]


def find_subject(name: str) -> Subject:
    """Return the subject of that name. Raises ``UsageError``."""
    if name != "reference":
        raise UsageError("the name of a subject", repr(name), "there is one so far: reference")
    return ReferenceSubject()


def find_simulated(name: str) -> SimulatedSubject:
    """Return the subject of that name, as it runs in simulated processes. Raises ``UsageError``."""
    if name != "reference":
        raise UsageError("a subject that can be simulated", repr(name), "there is one so far: reference")
    return SimulatedReference()
