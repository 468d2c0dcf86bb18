"""What the server answers, as values: the truth in each of its valid shapes, and each of the lies."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from email.utils import formatdate
from enum import StrEnum
from http import HTTPStatus

from chaos.rules.wats_server import Action, Rule

VERSION = "2025.1.0.0"
_LOGIN_PAGE = """<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><h1>Sign in to continue</h1><form method="post" action="/login"><input name="user"></form></body></html>
"""
_NOT_JSON = '[{"ID": "'
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class AnswerShape(StrEnum):
    """The valid ways to acknowledge a report (wats.md, 2)."""

    LIST = "list"
    OBJECT_UPPER = "ID"
    OBJECT_LOWER = "id"
    OBJECT_UUID = "uuid"
    TEXT = "text"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is put on the wire. ``padding_bytes`` blanks go before the body, which JSON allows."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    padding_bytes: int = 0

    @property
    def length_bytes(self) -> int:
        """Return the length of the whole content."""
        return self.padding_bytes + len(self.body)

    def __repr__(self) -> str:
        return f"Reply({self.status}, {self.length_bytes} bytes of {self.content_type})"


def receipt(report_id: str, shape: AnswerShape = AnswerShape.LIST) -> Reply:
    """Return the acknowledgement of a report."""
    shapes: dict[AnswerShape, object] = {
        AnswerShape.LIST: [{"ID": report_id}],
        AnswerShape.OBJECT_UPPER: {"ID": report_id},
        AnswerShape.OBJECT_LOWER: {"id": report_id},
        AnswerShape.OBJECT_UUID: {"uuid": report_id},
        AnswerShape.TEXT: report_id,
    }
    return Reply(200) if shape is AnswerShape.EMPTY else _json(200, shapes[shape])


def version() -> Reply:
    """Return the answer to the question for the version."""
    return _json(200, VERSION)


def error(status: int, message: str = "", *, key: str = "message", headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Return an error as WATS words it: the message under ``key``, or as plain text if that is ``"text"``."""
    if status in _BODILESS:
        return Reply(status, headers=headers)
    words = message or usual_words(status)
    if key == "text":
        return Reply(status, words.encode(), "text/plain; charset=utf-8", headers)
    return _json(status, {key: words}, headers)


def misleading(rule: Rule, report_id: str | None, truth: Reply, wall_time_s: float) -> Reply:
    """Return the answer that an answer rule puts in place of ``truth``."""
    return _LIES[rule.action](rule, report_id, truth, wall_time_s) if rule.action in _LIES else truth


def _status(rule: Rule, report_id: str | None, _truth: Reply, wall_time_s: float) -> Reply:
    status = rule.status or 500
    if rule.duplicate:
        message = rule.message or f"Duplicate: a report with id {report_id} already exists"
    else:
        message = rule.message
    return error(status, message, key=rule.message_key, headers=tuple(_status_headers(rule, status, wall_time_s)))


def _status_headers(rule: Rule, status: int, wall_time_s: float) -> list[tuple[str, str]]:
    headers = []
    if rule.retry_after is not None:
        headers.append(("Retry-After", str(rule.retry_after)))
    if rule.retry_after_date_s is not None:
        headers.append(("Date", formatdate(wall_time_s, usegmt=True)))  # What a date is to be compared with.
        headers.append(("Retry-After", formatdate(wall_time_s + rule.retry_after_date_s, usegmt=True)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append(("WWW-Authenticate", 'Basic realm="WATS"'))
    return headers


def usual_words(status: int) -> str:
    """Return what a status is usually called."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def _json(status: int, value: object, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(status, json.dumps(value).encode(), headers=headers)


def _login_page(_rule: Rule, _report_id: str | None, _truth: Reply, _wall_time_s: float) -> Reply:
    return Reply(200, _LOGIN_PAGE.encode(), "text/html; charset=utf-8")


def _error_object(rule: Rule, _report_id: str | None, _truth: Reply, _wall_time_s: float) -> Reply:
    return error(200, rule.message or "The report could not be saved", key=rule.message_key)


def _not_json(_rule: Rule, _report_id: str | None, _truth: Reply, _wall_time_s: float) -> Reply:
    return Reply(200, _NOT_JSON.encode())


def _redirect(rule: Rule, _report_id: str | None, _truth: Reply, _wall_time_s: float) -> Reply:
    return error(rule.status or 302, "Moved", headers=(("Location", rule.location),))


def _other_id(_rule: Rule, report_id: str | None, _truth: Reply, _wall_time_s: float) -> Reply:
    return receipt(str(uuid.uuid5(uuid.NAMESPACE_OID, f"not {report_id}")))


def _long_answer(rule: Rule, _report_id: str | None, truth: Reply, _wall_time_s: float) -> Reply:
    return replace(truth, padding_bytes=rule.padding_bytes)


_LIES = {
    Action.STATUS: _status,
    Action.HTML: _login_page,
    Action.ERROR_OBJECT: _error_object,
    Action.NOT_JSON: _not_json,
    Action.REDIRECT: _redirect,
    Action.OTHER_ID: _other_id,
    Action.LONG_ANSWER: _long_answer,
}
