"""What is handed over is a report or is refused in one line; its bytes never change."""

from __future__ import annotations

import json

import pytest

from pywats_reliability.errors import ReportInvalidError
from pywats_reliability.report import parse_report

FIELDS = {"pn": "P", "sn": "S", "rev": "1", "processCode": 10, "machineName": "M", "location": "L", "purpose": "P"}
ID = "6f1d3f0a-3d7e-4d2b-9a55-0d8f2b6f7c11"


def text(**more: object) -> str:
    return json.dumps({"id": ID, **FIELDS, **more})


def test_the_bytes_of_a_report_with_an_id_stay_as_they_are() -> None:
    body = text(value=1).replace("1}", "1.5000e+00 }").encode()
    assert parse_report(body).body == body


def test_a_report_without_an_id_gets_one_in_front_and_nothing_else_changes() -> None:
    body = json.dumps(FIELDS).encode()
    report = parse_report(body)
    assert report.body == b'{"id": "' + report.id.encode() + b'", ' + body[1:]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"", "expected JSON"),
        (b"\xff", "expected UTF-8 text"),
        (text().encode("utf-16"), "expected UTF-8 text"),
        (b"[]", "expected a JSON object, found a list"),
        (b'{"a": NaN}', "which JSON does not have"),
        (b"[" * 100_000, "nesting without end"),
        (b'{"a": ' + b"9" * 5000 + b"}", "one with thousands of digits"),
        (text(pn="").encode(), "pn as text of 1 to 100 characters, found 0 characters"),
        (text(sn=5).encode(), "sn as text of 1 to 100 characters, found a number"),
        (text(processCode=True).encode(), "processCode as a whole number, found a truth value"),
        (text(type="X").encode(), "type T (test) or R (repair)"),
        (text(id="7").encode(), "id as a UUID, found a text"),
        ({"pn": {1, 2}}, "fields that JSON can carry"),
    ],
    ids=range(13),
)
def test_what_is_no_report_is_refused_in_one_line(source: bytes | dict[str, object], words: str) -> None:
    with pytest.raises(ReportInvalidError) as refused:
        parse_report(source)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_number_is_accepted_as_text_where_the_server_coerces_it() -> None:
    assert parse_report(text(processCode="10")).id == ID
