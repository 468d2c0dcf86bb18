"""The identity of converted reports: what is converted again, after a crash say, is the same report again (C1.9, H1.5).

* A report that carries an ``id`` keeps it, and its bytes.
* Any other gets one derived from the converter's name, the source's name and contents, and its place in the list. The
  name of the source belongs to it because it may carry what the contents do not (a serial number): two sources of the
  same contents and different names are two reports.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence

from pywats_reliability.converters.interface import ReportLike
from pywats_reliability.errors import ConversionError
from pywats_reliability.report import Report, parse_report

NAMESPACE = uuid.UUID("0b8a3c7e-51d2-4f6a-9c1e-2f7d4a6b8e90")


def identified(reports: Sequence[ReportLike], *, converter: str, source: str, digest: str) -> list[Report]:
    """Return what a converter made as reports, each with its id; ``digest`` stands for the source's contents.

    Raises ``ReportInvalidError`` for one that could never be delivered, ``ConversionError`` when there is none, or two
    of the same id (the second would overwrite the first at the server).
    """
    if not reports:
        raise ConversionError("at least one report from a success", "none")
    found: dict[str, Report] = {}
    for index, made in enumerate(reports):
        report = _identified(made, derived_id(converter, source, digest, index))
        if report.id in found:
            raise ConversionError("reports with an id each", f"two with the id {report.id}")
        found[report.id] = report
    return list(found.values())


def derived_id(converter: str, source: str, digest: str, index: int) -> str:
    """Return the id of the report at that place of what a converter makes of a source."""
    return str(uuid.uuid5(NAMESPACE, json.dumps([converter, source, digest, index])))


def _identified(made: ReportLike, fallback: str) -> Report:
    if isinstance(made, Mapping):
        return parse_report(made if made.get("id") is not None else {**made, "id": fallback})
    report = parse_report(made)
    given = made.encode() if isinstance(made, str) else made.removeprefix(b"\xef\xbb\xbf")
    if report.body == given:
        return report
    # It had none, so it was given a random one in front of its fields: the first place where that stands.
    return Report(fallback, report.body.replace(report.id.encode(), fallback.encode(), 1))
