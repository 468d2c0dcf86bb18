"""What the service answers, checked before anybody believes it: a missing or odd part is an error, never a default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pywats_reliability.errors import AnswerMalformedError

T = TypeVar("T")
_WORDS = {str: "a text", bool: "true or false", int: "a whole number", float: "a number", dict: "an object",
          list: "a list"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Status:
    """How the service says that it is."""

    status: str
    api_status: str
    reasons: tuple[str, ...]
    uptime_s: float
    pending: int
    in_flight: int
    sent: int
    failed: int
    limit: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A report in one of the folders."""

    report_id: str
    accepted_at: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Converter:
    """A converter, and what the pool says of it where it says something."""

    name: str
    is_enabled: bool
    priority: int
    state: str


def object_in(command: str, answer: object) -> Mapping[str, Any]:
    """Return an answer that is an object. Raises ``AnswerMalformedError``, as all of these do."""
    if not isinstance(answer, dict):
        raise AnswerMalformedError(command, "an object", _kind(answer))
    return cast("Mapping[str, Any]", answer)


def part_of(command: str, answer: object, name: str, kind: type[T]) -> T:
    """Return one part of an answer, which must be there and of its kind (an ``int`` will do for a ``float``)."""
    whole = object_in(command, answer)
    if name not in whole:
        raise AnswerMalformedError(command, f"{name} in the answer", "none")
    value = whole[name]
    if kind is float and type(value) is int:
        return cast("T", float(value))
    if type(value) is not kind:
        raise AnswerMalformedError(command, f"{name} to be {_WORDS[kind]}", _kind(value))
    return value


def status_in(answer: object) -> Status:
    """Return the status in the answer to ``get_status``."""
    command = "get_status"
    queue = part_of(command, answer, "pending_queue", dict)
    reasons = part_of(command, answer, "reasons", list)
    return Status(
        status=part_of(command, answer, "status", str),
        api_status=part_of(command, answer, "api_status", str),
        reasons=tuple(str(reason) for reason in reasons),
        uptime_s=part_of(command, answer, "uptime_seconds", float),
        pending=part_of(command, queue, "queued_files", int),
        in_flight=part_of(command, queue, "active_uploads", int),
        sent=part_of(command, queue, "successful", int),
        failed=part_of(command, queue, "stuck_files", int),
        limit=part_of(command, queue, "max_queue_size", int),
    )


def queue_in(answer: object) -> tuple[Waiting, ...]:
    """Return the records in the answer to ``get_queue``."""
    command = "get_queue"
    return tuple(
        Waiting(
            part_of(command, record, "id", str),
            part_of(command, record, "accepted_at", str),
            part_of(command, record, "size", int),
        )
        for record in part_of(command, answer, "records", list)
    )


def converters_in(answer: object) -> tuple[Converter, ...]:
    """Return the converters in the answer to ``get_converters``, whether or not it says how they run."""
    command = "get_converters"
    if not isinstance(answer, list):
        raise AnswerMalformedError(command, "a list", _kind(answer))
    return tuple(
        Converter(
            part_of(command, item, "name", str),
            part_of(command, item, "enabled", bool),
            part_of(command, item, "priority", int),
            part_of(command, item, "state", str) if "state" in item else "",
        )
        for item in answer
    )


def settings_in(answer: object, names: Iterable[str], *, command: str = "get_config") -> dict[str, Any]:
    """Return the named settings of an answer that holds the configuration; all must be there."""
    whole = object_in(command, answer)
    missing = [name for name in names if name not in whole]
    if missing:
        raise AnswerMalformedError(command, f"the setting {missing[0]} in the answer", "none")
    return {name: whole[name] for name in names}


def number_in(command: str, answer: object, name: str, *, at_least: int = 0) -> int:
    """Return how many an action touched; fewer than ``at_least`` is no success."""
    count = part_of(command, answer, name, int)
    if count < at_least:
        raise AnswerMalformedError(command, f"{name} of at least {at_least}", str(count))
    return count


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    return _WORDS.get(type(value), f"a {type(value).__name__}")
