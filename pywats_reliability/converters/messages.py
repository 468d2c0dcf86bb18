"""What the service and a converter's worker process say to each other: one JSON object a line, both ways; no I/O.

* service → worker: ``{"load": {...}}`` once, then ``{"id": n, "source": {...}, "context": {...}}`` for each source;
  with both goes ``limit_s``, after which the service will not wait any more.
* worker → service: ``{"loaded": true}``; for each source ``{"id": n, "result": {...}}``; in place of either
  ``{"expected": …, "found": …, "details": …}``, with the id if there is one.
* Reports travel as JSON *text*, so that what a converter wrote is what is kept, byte for byte.
* Nothing that comes from a worker is trusted: an answer of any other shape is a ``ConversionError``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pywats_reliability.converters.interface import (
    ConversionStatus,
    ConverterContext,
    ConverterResult,
    ConverterSource,
    PostAction,
    ReportLike,
    StationInfo,
)
from pywats_reliability.converters.loader import Reference
from pywats_reliability.errors import ConversionError

TEXT_LENGTH_MAX = 2000
RETRY_AFTER_MAX_S = 86_400.0
Message = Mapping[str, Any]


def encode(message: Message) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the message in a line. Raises ``ConversionError``."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise ConversionError("an answer in JSON from the worker process", "something else") from None
    if not isinstance(message, dict):
        raise ConversionError("an object as the worker's answer", "something else")
    return message


def load_request(reference: Reference, limit_s: float) -> Message:
    """Return the request to load a converter."""
    fields = {"converter": reference.converter, "file": reference.file, "module": reference.module}
    return {"limit_s": limit_s, "load": {**fields, "class_name": reference.class_name}}


def convert_request(
    number: int, source: ConverterSource, context: ConverterContext, limit_s: float
) -> Message:
    """Return the request to convert a source; its contents stay on the disk."""
    station = context.station
    return {
        "id": number,
        "limit_s": limit_s,
        "source": {
            "path": str(source.path), "modified_at": source.modified_at.isoformat(), "is_folder": source.is_folder,
        },
        "context": {
            "converter": context.converter, "arguments": dict(context.arguments),
            "station": [station.name, station.location, station.purpose],
        },
    }  # fmt: skip


def requested(message: Message) -> tuple[ConverterSource, ConverterContext]:
    """Return what a request asks for."""
    source, context = message["source"], message["context"]
    modified_at = datetime.fromisoformat(source["modified_at"])
    return (
        ConverterSource(Path(source["path"]), modified_at, is_folder=source["is_folder"]),
        ConverterContext(context["converter"], context["arguments"], StationInfo(*context["station"])),
    )


def result_message(result: object) -> Message:
    """Return what a converter returned, for the way; raises ``ConversionError`` when it is no result."""
    if not isinstance(result, ConverterResult):
        raise ConversionError("a ConverterResult from the converter", type(result).__name__)
    return {
        "status": result.status,
        "reports": [_text(report) for report in result.reports],
        "error": str(result.error),
        "post_action": result.post_action,
        "retry_after_s": result.retry_after_s,
        "confidence": result.confidence,
    }


def received(message: object) -> ConverterResult:
    """Return the result in a worker's answer. Raises ``ConversionError``."""
    if not isinstance(message, dict):
        raise ConversionError("a result as an object", "something else")
    reports = message.get("reports")
    if not isinstance(reports, list) or not all(isinstance(report, str) for report in reports):
        raise ConversionError("a result with a list of reports", "something else")
    try:
        action = message.get("post_action")
        return ConverterResult(
            ConversionStatus(str(message.get("status"))),
            tuple(reports),
            error=" ".join(str(message.get("error", "")).split())[:TEXT_LENGTH_MAX],
            post_action=None if action is None else PostAction(action),
            retry_after_s=_number(message.get("retry_after_s"), 0.0, RETRY_AFTER_MAX_S),
            confidence=_number(message.get("confidence"), 0.0, 1.0),
        )
    except (ValueError, TypeError):
        raise ConversionError("a result with a status, an action and numbers", "others") from None


def failure(expected: str, found: str, details: str) -> Message:
    """Return the answer that tells of a failure."""
    return {"expected": expected, "found": found, "details": details}


def failure_in(message: Message) -> ConversionError | None:
    """Return the failure that an answer tells of, or None."""
    if "expected" not in message:
        return None
    expected, found, details = (str(message.get(key, ""))[:20_000] for key in ("expected", "found", "details"))
    return ConversionError(_line(expected), _line(found), details=details)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


def _text(report: ReportLike) -> str:
    try:
        if isinstance(report, bytes):
            return report.decode("utf-8-sig")
        return report if isinstance(report, str) else json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1)
    except (ValueError, TypeError, RecursionError) as error:
        raise ConversionError("reports that JSON can carry", type(error).__name__) from error


def _number(value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise TypeError
    return min(max(float(value), least), most)
