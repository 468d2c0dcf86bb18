"""How a WATS server misbehaves: an ordered list of rules decides, per request, which fate it meets.

* A rule is data: an ``Action``, conditions that pick requests, and the action's parameters. As JSON it is one flat
  object: ``{"action": "status", "status": 503, "report_id": "…", "times": 2}``.
* A request is looked at four times, as it becomes known: ``STARTED`` (its first byte is there), ``HEADERS_READ``,
  ``IN_BODY`` (after each number of bytes that a rule asks for) and ``BODY_READ``. Each time the first rule in the list
  that acts there and whose conditions hold is *chosen*. A chosen rule is the request's fate: no other one is asked.
* ``reached`` counts the requests that met a rule's conditions and had not been taken by a rule before it; ``nth`` and
  the coin of ``probability`` go by that count. ``chosen`` counts decisions (``times`` limits them), ``fired`` what the
  server really did: a body too short to stop in the middle of is chosen, and not fired.
* Each rule draws from a stream of its own, so that adding a rule shifts nobody's draws. No clock, no I/O, no globals.
"""

from __future__ import annotations

import ipaddress
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.config import with_config

from chaos.errors import UsageError
from chaos.seed import Seed

IN_BODY_BYTES_DEFAULT = 4096
PADDING_BYTES_DEFAULT = 64 * 1024 * 1024
_EARLY_ID = re.compile(rb'"id"\s*:\s*"([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"')


class Point(StrEnum):
    """Where in its way through the server a request meets its fate."""

    STARTED = "started"
    HEADERS_READ = "headers_read"
    IN_BODY = "in_body"
    BODY_READ = "body_read"
    STORED = "stored"
    ANSWER = "answer"
    IN_ANSWER = "in_answer"


class Effect(StrEnum):
    """What happens there: wait without end, cut the connection, wait a while, or send another answer."""

    HANG = "hang"
    DROP = "drop"
    DELAY = "delay"
    ANSWER = "answer"


class Action(StrEnum):
    """The misbehaviours, by name. Those of the answer store nothing unless ``stored`` says so."""

    HANG_BEFORE_HEADERS = "hang_before_headers"
    HANG_AFTER_HEADERS = "hang_after_headers"
    HANG_IN_BODY = "hang_in_body"
    HANG_AFTER_BODY = "hang_after_body"
    HANG_AFTER_STORING = "hang_after_storing"
    HANG_IN_ANSWER = "hang_in_answer"
    DROP_BEFORE_HEADERS = "drop_before_headers"
    DROP_AFTER_HEADERS = "drop_after_headers"
    DROP_IN_BODY = "drop_in_body"
    DROP_AFTER_BODY = "drop_after_body"
    DROP_AFTER_STORING = "drop_after_storing"
    TRUNCATE_ANSWER = "truncate_answer"
    DELAY_STORING = "delay_storing"
    DELAY_ANSWER = "delay_answer"
    STATUS = "status"
    HTML = "html"
    ERROR_OBJECT = "error_object"
    NOT_JSON = "not_json"
    REDIRECT = "redirect"
    OTHER_ID = "other_id"
    LONG_ANSWER = "long_answer"
    SLOW_ANSWER = "slow_answer"


@dataclass(frozen=True, slots=True)
class _Kind:
    point: Point
    effect: Effect
    parameters: tuple[str, ...] = ()


_KINDS: Mapping[Action, _Kind] = {
    Action.HANG_BEFORE_HEADERS: _Kind(Point.STARTED, Effect.HANG),
    Action.HANG_AFTER_HEADERS: _Kind(Point.HEADERS_READ, Effect.HANG),
    Action.HANG_IN_BODY: _Kind(Point.IN_BODY, Effect.HANG, ("after_bytes",)),
    Action.HANG_AFTER_BODY: _Kind(Point.BODY_READ, Effect.HANG),
    Action.HANG_AFTER_STORING: _Kind(Point.STORED, Effect.HANG),
    Action.HANG_IN_ANSWER: _Kind(Point.IN_ANSWER, Effect.HANG, ("after_bytes",)),
    Action.DROP_BEFORE_HEADERS: _Kind(Point.STARTED, Effect.DROP, ("how",)),
    Action.DROP_AFTER_HEADERS: _Kind(Point.HEADERS_READ, Effect.DROP, ("how",)),
    Action.DROP_IN_BODY: _Kind(Point.IN_BODY, Effect.DROP, ("how", "after_bytes")),
    Action.DROP_AFTER_BODY: _Kind(Point.BODY_READ, Effect.DROP, ("how",)),
    Action.DROP_AFTER_STORING: _Kind(Point.STORED, Effect.DROP, ("how",)),
    Action.TRUNCATE_ANSWER: _Kind(Point.IN_ANSWER, Effect.DROP, ("how", "after_bytes")),
    Action.DELAY_STORING: _Kind(Point.BODY_READ, Effect.DELAY, ("delay_s",)),
    Action.DELAY_ANSWER: _Kind(Point.STORED, Effect.DELAY, ("delay_s",)),
    Action.STATUS: _Kind(
        Point.ANSWER,
        Effect.ANSWER,
        ("status", "retry_after", "retry_after_date_s", "message", "message_key", "duplicate", "stored"),
    ),
    Action.HTML: _Kind(Point.ANSWER, Effect.ANSWER, ("stored",)),
    Action.ERROR_OBJECT: _Kind(Point.ANSWER, Effect.ANSWER, ("message", "message_key", "stored")),
    Action.NOT_JSON: _Kind(Point.ANSWER, Effect.ANSWER, ("stored",)),
    Action.REDIRECT: _Kind(Point.ANSWER, Effect.ANSWER, ("status", "location", "stored")),
    Action.OTHER_ID: _Kind(Point.ANSWER, Effect.ANSWER, ("stored",)),
    Action.LONG_ANSWER: _Kind(Point.ANSWER, Effect.ANSWER, ("padding_bytes",)),
    Action.SLOW_ANSWER: _Kind(Point.ANSWER, Effect.ANSWER, ("bytes_per_second",)),
}

_Count = Annotated[int, Field(ge=1)]
_Size = Annotated[int, Field(ge=0)]
_LineText = Annotated[str, Field(pattern=r"^[\x20-\x7e]*$", max_length=2000)]


@with_config(ConfigDict(extra="forbid", strict=True))
@dataclass(frozen=True, slots=True)
class Rule:
    """One misbehaviour, the requests it is for, and its parameters. Raises ``UsageError`` when they do not fit.

    * ``nth``: only the n-th request that reaches this rule; ``times``: at most so often; ``probability`` is drawn from
      the rule's own stream of ``seed``; ``path`` is compared whole, without a query; ``already_stored``: only a report
      that the server has (or has not) stored before. For a rule about the body's middle, the report id is the first
      ``"id"`` within the bytes read so far. ``name`` is what events and counts call the rule.
    * ``after_bytes`` counts body bytes, of the request (default: half of it, at most 4,096) or of the answer (default:
      0, only headers, for a hang; half of it for a truncation). ``how``: ``fin`` ends the stream, ``rst`` resets it.
    * ``retry_after`` is sent as it is; ``retry_after_date_s`` as the HTTP date so many seconds from now.
    * ``duplicate`` says in a 409 that the server has the report; it then has it, for a server does not lie about that.
    """

    action: Action
    name: _LineText = ""
    nth: _Count | None = None
    report_id: str | None = None
    path: str | None = None
    already_stored: bool | None = None
    probability: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1.0
    seed: int = 0
    times: _Count | None = None
    after_bytes: _Size | None = None
    how: Literal["fin", "rst"] = "fin"
    delay_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 1.0
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    retry_after: _LineText | _Size | None = None
    retry_after_date_s: int | None = None
    message: str = ""
    message_key: Literal["message", "Message", "error", "text"] = "message"
    duplicate: bool = False
    stored: bool = False
    location: _LineText = ""
    padding_bytes: Annotated[int, Field(ge=1, le=2**30)] = PADDING_BYTES_DEFAULT
    bytes_per_second: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = 1.0

    def __post_init__(self) -> None:
        self._refuse_foreign_parameters()
        self._refuse_conditions_not_yet_known()
        if self.report_id is not None:
            object.__setattr__(self, "report_id", _canonical_id(self.report_id))
        if self.action is Action.REDIRECT:
            _refuse_bad_redirect(self.status, self.location)

    @property
    def point(self) -> Point:
        """Return where it acts."""
        return _KINDS[self.action].point

    @property
    def effect(self) -> Effect:
        """Return what kind of thing it does."""
        return _KINDS[self.action].effect

    @property
    def moment(self) -> Point:
        """Return when it is decided: at the first moment when all that it may ask for is known."""
        late = self.point in (Point.STORED, Point.ANSWER, Point.IN_ANSWER)
        return Point.BODY_READ if late else self.point

    @property
    def stores(self) -> bool:
        """Return whether the server stores the report although its answer says something else."""
        truthful = self.action in (Action.LONG_ANSWER, Action.SLOW_ANSWER)
        return self.effect is not Effect.ANSWER or truthful or self.stored or self.duplicate

    def stop_in(self, length_bytes: int) -> int | None:
        """Return after how many bytes of a body of that length it acts; None when that body has no such middle."""
        default = min(length_bytes // 2, IN_BODY_BYTES_DEFAULT)
        stop = default if self.after_bytes is None else self.after_bytes
        return stop if stop < length_bytes else None

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON data, without what stands at its default."""
        given = asdict(self)
        return {one.name: given[one.name] for one in fields(self) if given[one.name] != one.default}

    def _refuse_foreign_parameters(self) -> None:
        taken = _KINDS[self.action].parameters
        for one in fields(self)[_FIRST_PARAMETER:]:
            if one.name not in taken and getattr(self, one.name) != one.default:
                expected = f"for {self.action} " + (", ".join(taken) if taken else "no parameter")
                raise UsageError(expected, one.name, "leave it out or choose another action")

    def _refuse_conditions_not_yet_known(self) -> None:
        asked = [name for name in _UNKNOWN_AT.get(self.moment, ()) if getattr(self, name) is not None]
        if asked:
            expected = f"for {self.action} a condition known by then (nth, times, probability)"
            raise UsageError(expected, asked[0], "leave it out or act later in the request")


_FIRST_PARAMETER = [one.name for one in fields(Rule)].index("after_bytes")
_UNKNOWN_AT: Mapping[Point, tuple[str, ...]] = {
    Point.STARTED: ("path", "report_id", "already_stored"),
    Point.HEADERS_READ: ("report_id", "already_stored"),
}


def _canonical_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise UsageError("report_id as a UUID", repr(text[:60]), "take the id of the report itself") from None


def _refuse_bad_redirect(status: int | None, location: str) -> None:
    if status is not None and not 300 <= status <= 399:
        raise UsageError("a redirect's status between 300 and 399", str(status), "leave it out for 302")
    try:
        parts = urlsplit(location)
        elsewhere = ipaddress.ip_address(parts.hostname or "").is_loopback and parts.scheme in ("http", "https")
    except ValueError:
        elsewhere = False
    if not elsewhere and not re.match(r"/(?![/\\])", location):
        advice = "name http://127.0.0.1:PORT/… or a path"
        raise UsageError("location as a path or a URL on a loopback address", repr(location[:80]), advice)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a request at a moment. ``at_bytes`` and ``length_bytes`` matter in the middle of the body."""

    moment: Point
    path: str | None = None
    report_id: str | None = None
    already_stored: bool = False
    at_bytes: int = 0
    length_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """How often a rule was reached, chosen and really fired."""

    reached: int = 0
    chosen: int = 0
    fired: int = 0


def choose(rules: Sequence[Rule], counts: Sequence[Counts], facts: Facts) -> tuple[int | None, tuple[Counts, ...]]:
    """Return the index of the rule that the request meets at this moment (None: none), and the new counts."""
    new = list(counts)
    for index, rule in enumerate(rules):
        if not _holds(rule, facts):
            continue
        new[index] = counted = replace(new[index], reached=new[index].reached + 1)
        if _takes(rule, index, counted):
            new[index] = replace(counted, chosen=counted.chosen + 1)
            return index, tuple(new)
    return None, tuple(new)


def _holds(rule: Rule, facts: Facts) -> bool:
    return (
        rule.moment is facts.moment
        and rule.path in (None, facts.path)
        and rule.report_id in (None, facts.report_id)
        and rule.already_stored in (None, facts.already_stored)
        and (facts.moment is not Point.IN_BODY or rule.stop_in(facts.length_bytes) == facts.at_bytes)
    )


def _takes(rule: Rule, index: int, counted: Counts) -> bool:
    if rule.nth not in (None, counted.reached) or (rule.times is not None and counted.chosen >= rule.times):
        return False
    return rule.probability >= 1 or _draw(rule, index, counted.reached) < rule.probability


def _draw(rule: Rule, index: int, reached: int) -> float:
    return Seed(rule.seed).stream(f"wats_server/{index}/{reached}").random()


class RuleBook:
    """The rules in force and their counts; replaced as a whole. Written from one thread only."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self.rules = tuple(rules)
        self.counts = tuple(Counts() for _ in self.rules)

    def __repr__(self) -> str:
        fired = sum(counted.fired for counted in self.counts)
        return f"RuleBook({len(self.rules)} rules, {fired} fired)"

    def decide(self, facts: Facts) -> int | None:
        """Return the index of the rule that this request meets, and count it; None when it may go on."""
        index, self.counts = choose(self.rules, self.counts, facts)
        return index

    def fired(self, index: int) -> None:
        """Count that the server did what the rule says."""
        counted = self.counts[index]
        self.counts = (*self.counts[:index], replace(counted, fired=counted.fired + 1), *self.counts[index + 1 :])

    def label(self, index: int) -> str:
        """Return what a rule is called: its name, or its place in the list and its action."""
        return self.rules[index].name or f"{index}:{self.rules[index].action}"

    def stops_in(self, length_bytes: int) -> list[int]:
        """Return the places in a body of that length at which rules want to be asked, in order."""
        stops = {rule.stop_in(length_bytes) for rule in self.rules if rule.point is Point.IN_BODY}
        return sorted(stop for stop in stops if stop is not None)

    def as_data(self) -> list[dict[str, Any]]:
        """Return the rules with their counts, as JSON data."""
        return [
            {"label": self.label(index), "rule": rule.as_data(), **asdict(counted)}
            for index, (rule, counted) in enumerate(zip(self.rules, self.counts, strict=True))
        ]


def early_report_id(body_start: bytes) -> str | None:
    """Return the report's id from the beginning of its body: the first ``"id"`` that is a UUID; None: not there yet."""
    found = _EARLY_ID.search(body_start)
    return found.group(1).decode().lower() if found else None


_RULES = TypeAdapter(tuple[Rule, ...], config=ConfigDict(strict=True))


def rules_from_json(text: bytes | str) -> tuple[Rule, ...]:
    """Return the rules in a JSON list of flat objects. Raises ``UsageError`` with the first thing that is wrong."""
    try:
        return _RULES.validate_json(text)
    except ValidationError as error:
        raise usage_error(error, "a list of rules") from None


def rules_from_data(data: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Return the rules in a list of plain mappings. Raises ``UsageError`` with the first thing that is wrong."""
    return rules_from_json(json.dumps(data))


def usage_error(error: ValidationError, whole: str) -> UsageError:
    """Return the first complaint of a validation in our three parts; ``whole`` names the thing that was validated."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    expected = f"{place}: {first['msg']}" if place else f"{whole}: {first['msg']}"
    found = " ".join(repr(first["input"]).split())
    return UsageError(expected, found if len(found) <= 80 else found[:77] + "...", f"mend {whole} and send it again")
