"""Subjects: the services that can be put to the proof. Only this package (and the mutants) know a particular one."""

from __future__ import annotations

from chaos.errors import UsageError
from chaos.protocols import Subject
from chaos.subjects.reference import ReferenceSubject

__all__ = ["find_subject"]


def find_subject(name: str) -> Subject:
    """Return the subject of that name. Raises ``UsageError``."""
    if name != "reference":
        raise UsageError("the name of a subject", repr(name), "there is one so far: reference")
    return ReferenceSubject()
