"""The converter for a CSV test log: a heading, then one row per measurement; rows of one unit and start are one report.

* A report's own values (sn, pn, rev, process_code, station, location, purpose, operator, start, result) come from a
  column, else from the converter's arguments, else from the station; the start of a log that has none is the time of
  its last change. A measurement is step, value, unit, low, high, status. ``COLUMNS`` lists the headings understood.
* A row that is cut short, or a log without a row, is a failure and not a smaller report: such a log is not whole.
* ``arguments``: ``delimiter`` (else the one that the heading uses), ``decimal`` (``","``), ``encoding``, and
  ``end_marker``: the text of the last line without which a log is not whole, and is suspended until it is.
* Messages name lines and columns, never values: they are the contents of a report (H3.5).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pywats_reliability.converters.interface import ConverterContext, ConverterResult, ConverterSource
from pywats_reliability.errors import ConversionError

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "sn": ("sn", "serialnumber", "serial"),
    "pn": ("pn", "partnumber", "part"),
    "rev": ("rev", "revision"),
    "process_code": ("processcode", "operationcode"),
    "station": ("station", "stationname", "machinename"),
    "location": ("location",),
    "purpose": ("purpose",),
    "operator": ("operator", "user"),
    "start": ("start", "starttime", "timestamp"),
    "result": ("result",),
    "step": ("step", "testname", "stepname", "name"),
    "value": ("value", "measured", "measurement"),
    "unit": ("unit",),
    "low": ("low", "lowlimit", "lowerlimit"),
    "high": ("high", "highlimit", "upperlimit"),
    "status": ("status",),
}
"""Each column's headings, written without blanks, dashes and underscores, in lower case."""
UNIT_COLUMNS = ("sn", "pn", "rev", "process_code", "start")
DELIMITERS = ",;\t|"
_LETTERS = {
    "p": "P", "pass": "P", "passed": "P", "ok": "P", "true": "P",
    "f": "F", "fail": "F", "failed": "F", "nok": "F", "ng": "F", "false": "F",
    "d": "D", "done": "D", "e": "E", "error": "E", "t": "T", "terminated": "T", "s": "S", "skipped": "S",
}  # fmt: skip
_TRUTH = {"pass": True, "passed": True, "true": True, "ok": True, "fail": False, "failed": False, "false": False}
Row = Mapping[str, str]


class CsvConverter:
    """Makes one report of the rows of each unit in a log."""

    def convert(self, source: ConverterSource, context: ConverterContext, /) -> ConverterResult:
        """Return the reports of a log, in the order in which their units appear."""
        try:
            text = source.read_text(str(context.get_argument("encoding", "utf-8-sig")))
            marker = str(context.get_argument("end_marker", ""))
            if marker:
                head, last = _last_line(text)
                if last != marker:
                    return ConverterResult.suspended_result("the log's end marker is not there yet")
                text = head
            return ConverterResult.success_result(reports=_reports(text, source, context))
        except (UnicodeDecodeError, LookupError) as error:
            return ConverterResult.failed_result(f"expected text in the configured encoding, found {_place(error)}")
        except csv.Error as error:
            return ConverterResult.failed_result(f"expected CSV, found that it is none: {error}")
        except ConversionError as error:
            return ConverterResult.failed_result(str(error))


def _last_line(text: str) -> tuple[str, str]:
    head, _, last = text.rstrip().rpartition("\n")
    return head + "\n", last.strip()


def _place(error: Exception) -> str:
    return f"another byte at {error.start}" if isinstance(error, UnicodeDecodeError) else "no encoding of that name"


def _reports(text: str, source: ConverterSource, context: ConverterContext) -> list[dict[str, Any]]:
    units: dict[tuple[str, ...], list[tuple[int, Row]]] = {}
    for line, row in _rows(text, context):
        units.setdefault(tuple(row.get(name, "") for name in UNIT_COLUMNS), []).append((line, row))
    if not units:
        raise ConversionError("a heading and at least one row", "no row")
    return [_report(rows, source, context) for rows in units.values()]


def _rows(text: str, context: ConverterContext) -> list[tuple[int, Row]]:
    """Return the rows with the numbers of their lines, by column; raises ``ConversionError``."""
    lines = text.splitlines(keepends=True)
    heading = next((line for line in lines if line.strip()), "")
    given = str(context.get_argument("delimiter", ""))
    reader = csv.reader(lines, delimiter=given or max(DELIMITERS, key=heading.count), strict=True)
    columns: list[str | None] = []
    rows: list[tuple[int, Row]] = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if not columns:
            columns = _columns(cells)
        elif len(cells) != len(columns):
            raise ConversionError(f"{len(columns)} fields in line {reader.line_num}", str(len(cells)))
        else:
            named = zip(columns, cells, strict=True)
            rows.append((reader.line_num, {name: cell.strip() for name, cell in named if name and cell.strip()}))
    return rows


def _columns(headings: list[str]) -> list[str | None]:
    names = [_column(heading) for heading in headings]
    for needed in ("sn", "step"):
        if names.count(needed) != 1:
            raise ConversionError(f"one column {needed} ({', '.join(COLUMNS[needed])})", str(names.count(needed)))
    return names


def _column(heading: str) -> str | None:
    plain = "".join(mark for mark in heading.lower() if mark not in " _-\t")
    return next((name for name, headings in COLUMNS.items() if plain in headings), None)


def _report(rows: list[tuple[int, Row]], source: ConverterSource, context: ConverterContext) -> dict[str, Any]:
    line, first = rows[0]
    steps = [_step(number, row, context) for number, row in rows]
    statuses = [step["status"] for step in steps]
    computed = next((letter for letter in "TEF" if letter in statuses), "P")
    result = _letter(first["result"], "result", line) if "result" in first else computed
    name = source.name.encode(errors="backslashreplace").decode()
    return {
        "type": "T",
        "pn": _needed("pn", first, context, line),
        "sn": _needed("sn", first, context, line),
        "rev": _needed("rev", first, context, line),
        "processCode": _whole(_needed("process_code", first, context, line), line),
        "machineName": _needed("station", first, context, line),
        "location": _needed("location", first, context, line),
        "purpose": _needed("purpose", first, context, line),
        "result": result,
        "start": _start(first, source, line),
        "uut": {"user": first.get("operator") or str(context.get_argument("operator", "")), "comment": name},
        "root": {
            "stepType": "SequenceCall", "name": "MainSequence Callback", "group": "M", "status": result,
            "seqCall": {"path": name[:500], "name": name[:200], "version": "1.0.0"}, "steps": steps,
        },
    }  # fmt: skip


def _needed(name: str, row: Row, context: ConverterContext, line: int) -> str:
    station = {
        "station": context.station.name, "location": context.station.location, "purpose": context.station.purpose,
    }  # fmt: skip
    value = row.get(name) or str(context.get_argument(name, "")) or station.get(name, "")
    if not value:
        more = " or the station's settings" if name in station else ""
        raise ConversionError(f"{name} in line {line}, or in the converter's arguments{more}", "none")
    return value


def _whole(text: str, line: int) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConversionError(f"process_code as a whole number for line {line}", "something else") from None


def _start(row: Row, source: ConverterSource, line: int) -> str:
    if "start" not in row:
        return source.modified_at.isoformat()
    try:
        return datetime.fromisoformat(row["start"]).isoformat()
    except ValueError:
        raise ConversionError(f"start as an ISO date and time in line {line}", "something else") from None


def _letter(text: str, column: str, line: int) -> str:
    letter = _LETTERS.get(text.lower())
    if letter is None:
        expected = f"{column} as passed, failed, done, error, terminated or skipped in line {line}"
        raise ConversionError(expected, "another word")
    return letter


def _step(line: int, row: Row, context: ConverterContext) -> dict[str, Any]:
    decimal = str(context.get_argument("decimal", "."))
    low, high = (_limit(name, row, decimal, line) for name in ("low", "high"))
    status = _letter(row["status"], "status", line) if "status" in row else None
    step: dict[str, Any] = {"name": row.get("step", f"Step {line}")[:100], "group": "M"}
    text = row.get("value")
    number = None if text is None else _number(text, decimal)
    if number is not None:
        step["status"] = status or ("P" if _is_within(number, low, high) else "F")
        measured = {"status": step["status"], "value": number, "unit": row.get("unit", ""), **_limits(low, high)}
        return {**step, "stepType": "ET_NLT", "numericMeas": [measured]}
    if text is None or text.lower() in _TRUTH:
        truth = _TRUTH[text.lower()] if text is not None else status in (None, "P", "D")
        step["status"] = status or ("P" if truth else "F")
        return {**step, "stepType": "ET_PFT", "booleanMeas": [{"status": step["status"], "value": truth}]}
    # A text where limits are, such as "OL" or "nan" of a meter out of its range, is a measurement that failed.
    step["status"] = status or ("P" if low is None and high is None else "F")
    measured = {"status": step["status"], "value": text, "compOp": "LOG"}
    return {**step, "stepType": "ET_SVT", "stringMeas": [measured]}


def _number(text: str, decimal: str) -> float | None:
    try:
        number = float(text.replace(decimal, "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _limit(name: str, row: Row, decimal: str, line: int) -> float | None:
    if name not in row:
        return None
    limit = _number(row[name], decimal)
    if limit is None:
        raise ConversionError(f"{name} as a number in line {line}", "something else")
    return limit


def _is_within(number: float, low: float | None, high: float | None) -> bool:
    return (low is None or number >= low) and (high is None or number <= high)


def _limits(low: float | None, high: float | None) -> dict[str, Any]:
    operator = {(True, True): "GELE", (True, False): "GE", (False, True): "LE", (False, False): "LOG"}
    limits: dict[str, Any] = {"compOp": operator[low is not None, high is not None]}
    if low is not None:
        limits["lowLimit"] = low
    if high is not None:
        # One limit alone stands in lowLimit, whichever side it is on.
        limits["lowLimit" if low is None else "highLimit"] = high
    return limits
