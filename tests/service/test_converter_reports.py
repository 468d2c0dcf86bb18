"""What converters make: a WSJF file kept byte for byte, the reports of a CSV log, and the ids that stay the same."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.converters import (
    ConversionStatus,
    Converter,
    ConverterContext,
    ConverterResult,
    ConverterSource,
    CsvConverter,
    StationInfo,
    WsjfConverter,
)
from pywats_reliability.converters.identity import identified
from pywats_reliability.errors import ConversionError, ReportInvalidError
from pywats_reliability.report import parse_report
from tests.service.store_world import FIELDS

BODY = json.dumps(FIELDS).encode()
STATION = StationInfo("Station 1", "Lab", "Test")
UNIT = {"pn": "PN", "rev": "A", "process_code": 10}
SAMPLES = Path(__file__).parents[2] / "examples" / "converters"


def convert(converter: Converter, content: bytes, arguments: dict[str, Any] | None = None) -> ConverterResult:
    source = ConverterSource(Path("in/log.csv"), datetime(2026, 11, 23, tzinfo=UTC), content=content)
    return converter.convert(source, ConverterContext("c", arguments or {}, STATION))


def csv(text: str, **arguments: Any) -> list[Any]:
    """Return the reports of a log."""
    result = convert(CsvConverter(), text.encode(), {**UNIT, **arguments})
    assert result.status is ConversionStatus.SUCCESS, result.error
    for report in result.reports:
        parse_report(report)
    return list(result.reports)


def csv_error(text: str, **arguments: Any) -> str:
    """Return why a log fails."""
    result = convert(CsvConverter(), text.encode(), {**UNIT, **arguments})
    assert result.status is ConversionStatus.FAILED
    return result.error


def ids(reports: list[Any], **more: str) -> list[str]:
    about = {"converter": "c", "source": "a.csv", "digest": "d"} | more
    return [report.id for report in identified(reports, **about)]


def step(text: str, **arguments: Any) -> dict[str, Any]:
    """Return the only step of a log of one row, whose columns after sn and step are given."""
    (report,) = csv(text, **arguments)
    (only,) = report["root"]["steps"]
    return dict(only)


@pytest.mark.parametrize("more", [{"converter": "other"}, {"source": "b.csv"}, {"digest": "e"}])
def test_an_id_is_derived_from_the_converter_the_name_and_the_contents(more: dict[str, str]) -> None:
    assert ids([BODY]) == ids([FIELDS]) != ids([BODY], **more)


def test_the_reports_of_one_source_have_different_ids() -> None:
    assert len(set(ids([BODY, BODY, FIELDS]))) == 3


@pytest.mark.parametrize("form", [dict, json.dumps])
def test_a_report_with_an_id_keeps_it(form: Any) -> None:
    own = str(uuid.uuid4())
    assert ids([form({**FIELDS, "id": own})]) == [own]


def test_a_report_in_bytes_with_an_id_keeps_every_byte() -> None:
    body = f'{{"id": "{uuid.uuid4()}", "x": 1.10, {json.dumps(FIELDS)[1:]}'.encode()
    (report,) = identified([body], converter="c", source="s", digest="d")
    assert report.body == body


def test_a_report_in_bytes_without_an_id_keeps_every_other_byte() -> None:
    (report,) = identified([BODY], converter="c", source="s", digest="d")
    assert report.body == f'{{"id": "{report.id}", '.encode() + BODY[1:]
    assert parse_report(report.body).id == report.id


def test_an_id_that_is_null_is_none() -> None:
    assert ids([{**FIELDS, "id": None}]) == ids([FIELDS])


def test_two_reports_of_the_same_id_are_refused() -> None:
    with pytest.raises(ConversionError, match="two with the id"):
        ids([{**FIELDS, "id": "0b8a3c7e-51d2-4f6a-9c1e-2f7d4a6b8e90"}] * 2)


def test_what_is_no_report_is_refused() -> None:
    with pytest.raises(ReportInvalidError):
        ids([b"{}"])


def test_a_wsjf_file_is_handed_on_as_it_is() -> None:
    assert convert(WsjfConverter(), BODY).reports == (BODY,)


def test_one_report_for_each_unit_in_the_order_of_appearance() -> None:
    reports = csv("sn,step,value\nA,x,1\nB,x,2\nA,y,3\n")
    assert [(report["sn"], len(report["root"]["steps"])) for report in reports] == [("A", 2), ("B", 1)]


def test_a_unit_tested_twice_is_two_reports() -> None:
    reports = csv("sn,start,step\nA,2026-11-23T10:00:00,x\nA,2026-11-23T11:00:00,x\n")
    assert [report["start"] for report in reports] == ["2026-11-23T10:00:00", "2026-11-23T11:00:00"]


def test_columns_come_before_arguments_and_these_before_the_station() -> None:
    (report,) = csv("sn,pn,location,step\nA,FROM COLUMN,Here,x\n", pn="FROM ARGUMENT", purpose="Argued")
    found = [report[name] for name in ("pn", "rev", "processCode", "machineName", "location", "purpose")]
    assert found == ["FROM COLUMN", "A", 10, "Station 1", "Here", "Argued"]


def test_a_log_without_a_start_began_when_it_was_last_changed() -> None:
    assert csv("sn,step\nA,x\n")[0]["start"] == "2026-11-23T00:00:00+00:00"


@pytest.mark.parametrize("heading", ["Serial Number", "serial_number", "SERIAL-NUMBER", "SN"])
def test_headings_are_understood_in_many_spellings(heading: str) -> None:
    assert csv(f"{heading},Test Name\nA,x\n")[0]["sn"] == "A"


@pytest.mark.parametrize(("mark", "decimal"), [(",", "."), (";", ","), ("\t", "."), ("|", ".")])
def test_the_delimiter_is_found(mark: str, decimal: str) -> None:
    row = mark.join(["A", "x", f"1{decimal}5", "V"])
    found = step(f"{mark.join(['sn', 'step', 'value', 'unit'])}\n{row}\n", decimal=decimal)
    assert found["numericMeas"] == [{"status": "P", "value": 1.5, "unit": "V", "compOp": "LOG"}]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("1,2", {"compOp": "GELE", "lowLimit": 1.0, "highLimit": 2.0, "status": "P"}),
        ("1.6,2", {"compOp": "GELE", "lowLimit": 1.6, "highLimit": 2.0, "status": "F"}),
        ("1,", {"compOp": "GE", "lowLimit": 1.0, "status": "P"}),
        (",1", {"compOp": "LE", "lowLimit": 1.0, "status": "F"}),
        (",", {"compOp": "LOG", "status": "P"}),
    ],
)
def test_limits_decide_where_no_status_does(limits: str, expected: dict[str, Any]) -> None:
    (measured,) = step(f"sn,step,value,low,high\nA,x,1.5,{limits}\n")["numericMeas"]
    assert measured == {"value": 1.5, "unit": "", **expected}


def test_a_status_of_the_log_is_believed() -> None:
    assert step("sn,step,value,low,high,status\nA,x,5,1,2,Pass\n")["status"] == "P"


@pytest.mark.parametrize(("value", "status"), [("PASS", "P"), ("false", "F"), ("", "P")])
def test_truth_values_are_pass_fail_steps(value: str, status: str) -> None:
    found = step(f"sn,step,value\nA,x,{value}\n")
    assert (found["stepType"], found["status"]) == ("ET_PFT", status)


@pytest.mark.parametrize("value", ["nan", "inf", "OL"])
def test_a_number_that_is_none_fails_its_limits_and_is_not_lost(value: str) -> None:
    found = step(f"sn,step,value,low\nA,x,{value},1\n")
    assert (found["stepType"], found["status"], found["stringMeas"][0]["value"]) == ("ET_SVT", "F", value)


@pytest.mark.parametrize(("statuses", "result"), [("PP", "P"), ("PF", "F"), ("FE", "E"), ("ET", "T"), ("SP", "P")])
def test_the_result_is_the_worst_of_the_steps(statuses: str, result: str) -> None:
    rows = "".join(f"A,x,{status}\n" for status in statuses)
    assert csv(f"sn,step,status\n{rows}")[0]["result"] == result


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "expected a heading and at least one row, found no row"),
        ("sn,step\n", "expected a heading and at least one row, found no row"),
        ("sn,step,value\nA,x,1\nA,y\n", "expected 3 fields in line 3, found 2"),
        ("sn,value\nA,1\n", "expected one column step (step, testname, stepname, name), found 0"),
        ("sn,sn,step\nA,B,x\n", "expected one column sn (sn, serialnumber, serial), found 2"),
        ("sn,step\n,x\n", "expected sn in line 2, or in the converter's arguments, found none"),
        ("sn,step,low\nA,x,low\n", "expected low as a number in line 2"),
        ("sn,step,status\nA,x,perhaps\n", "expected status as passed, failed"),
        ("sn,step,start\nA,x,yesterday\n", "expected start as an ISO date and time in line 2"),
        ("sn,step,process_code\nA,x,ten\n", "expected process_code as a whole number for line 2"),
        ('sn,step\nA,"x\n', "expected CSV, found that it is none"),
    ],
)
def test_what_is_wrong_with_a_log_is_told_by_line_and_column(text: str, error: str) -> None:
    assert csv_error(text).startswith(error)


def test_an_error_shows_no_value_of_the_log() -> None:
    assert "S3CRET" not in csv_error("sn,step,low,start,status\nA,x,S3CRET,S3CRET,S3CRET\n")


@pytest.mark.parametrize("encoding", ["utf-8", "no such encoding"])
def test_text_in_another_encoding_is_a_failure(encoding: str) -> None:
    result = convert(CsvConverter(), "sn,step\nÅ,x\n".encode("latin-1"), {"encoding": encoding})
    assert (result.status, "encoding" in result.error) == (ConversionStatus.FAILED, True)


def test_a_log_without_its_end_marker_is_not_whole_yet() -> None:
    result = convert(CsvConverter(), b"sn,step\nA,x\n", {**UNIT, "end_marker": "END"})
    assert result.status is ConversionStatus.SUSPENDED
    assert len(csv("sn,step\nA,x\nEND\n", end_marker="END")) == 1


@pytest.mark.parametrize("name", ["log.csv", "units.csv"])
def test_the_sample_logs_convert(name: str) -> None:
    assert csv((SAMPLES / name).read_text())


def test_the_sample_report_is_one() -> None:
    parse_report((SAMPLES / "report.json").read_bytes())
