"""A test report as the service handles it: an id and bytes that never change on their way from producer to server.

* The bytes that are accepted are the bytes on the disk and the bytes on the wire: nothing is decoded and encoded again,
  so no number is rounded and no unknown field is lost (C1.6: "byte for byte").
* Every report has an id (a UUID) before it is durable: sending it again is then idempotent (H1.5). A report without one
  gets it written in front of its first field; the rest stays as it was.
* What could never be delivered is refused at the door, in one line: no JSON object, an id that is no UUID, an unknown
  type, a required field missing (wats.md, 3.1). Everything else is the server's to judge.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pywats_reliability.errors import ReportInvalidError

REQUIRED_TEXTS = ("pn", "sn", "rev", "machineName", "location", "purpose")
TYPES = ("T", "R")
TEXT_LENGTH_MAX = 100
_KINDS = {
    dict: "an object", list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number",
}


@dataclass(frozen=True, slots=True)
class Report:
    """A report that may be accepted: ``id`` is its UUID in canonical form, ``body`` its JSON in UTF-8."""

    id: str
    body: bytes

    def __repr__(self) -> str:
        return f"Report({self.id}, {len(self.body)} bytes)"


def parse_report(source: bytes | str | Mapping[str, Any]) -> Report:
    """Return the report in ``source`` (JSON text, or a mapping of its fields), with an id if it had none.

    Raises ``ReportInvalidError`` when it could never be delivered.
    """
    body = _encoded(source)
    fields = _decoded(body)
    _require_fields(fields)
    if "id" in fields:
        return Report(_canonical_id(fields["id"]), body)
    report_id = str(uuid.uuid4())
    return Report(report_id, _with_id(body, report_id))


def _encoded(source: bytes | str | Mapping[str, Any]) -> bytes:
    if isinstance(source, bytes):
        return source.removeprefix(b"\xef\xbb\xbf")  # A byte order mark is common in files written on Windows.
    try:
        text = source if isinstance(source, str) else json.dumps(source, ensure_ascii=False, allow_nan=False, indent=1)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ReportInvalidError("fields that JSON can carry", type(error).__name__) from error


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        # Decoded here: json would guess an encoding, and take UTF-16, which the server does not.
        fields = json.loads(body.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise ReportInvalidError("UTF-8 text", f"another byte at position {error.start}") from error
    except json.JSONDecodeError as error:
        found = error.msg.removesuffix(" at")
        raise ReportInvalidError("JSON", f"{found} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise ReportInvalidError("JSON of sane depth", "nesting without end") from error
    except ValueError as error:  # Python refuses to convert whole numbers of thousands of digits.
        raise ReportInvalidError("numbers of sane length", "one with thousands of digits") from error
    if not isinstance(fields, dict):
        raise ReportInvalidError("a JSON object", _kind(fields))
    return fields


def _refuse_constant(name: str) -> None:
    raise ReportInvalidError("JSON", f"{name}, which JSON does not have")


def _require_fields(fields: dict[str, Any]) -> None:
    for name in REQUIRED_TEXTS:
        value = fields.get(name)
        if not isinstance(value, str) or not 1 <= len(value) <= TEXT_LENGTH_MAX:
            found = f"{len(value)} characters" if isinstance(value, str) else _kind(value)
            raise ReportInvalidError(f"{name} as text of 1 to {TEXT_LENGTH_MAX} characters", found)
    process_code = fields.get("processCode")
    if isinstance(process_code, bool) or not (isinstance(process_code, int) or _is_integer_text(process_code)):
        raise ReportInvalidError("processCode as a whole number", _kind(process_code))
    if fields.get("type", "T") not in TYPES:
        raise ReportInvalidError("type T (test) or R (repair)", "another one")


def _is_integer_text(value: object) -> bool:
    return isinstance(value, str) and value.strip().removeprefix("-").isdecimal()


def _canonical_id(value: object) -> str:
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) else _refuse_id(value)
    except ValueError:
        return _refuse_id(value)


def _refuse_id(value: object) -> str:
    raise ReportInvalidError("id as a UUID", _kind(value)) from None


def _with_id(body: bytes, report_id: str) -> bytes:
    """Return ``body`` with the id as the first field of its object; every other byte stays."""
    brace = body.index(b"{") + 1
    return body[:brace] + f'"id": "{report_id}", '.encode() + body[brace:]


def _kind(value: object) -> str:
    """Name the kind of a JSON value without showing it: error texts carry no report contents (H3.5)."""
    return _KINDS.get(type(value), "nothing")
