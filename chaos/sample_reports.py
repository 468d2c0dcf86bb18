"""Test reports drawn from a seed: what a station's tests would hand over, in many shapes, all of them valid WSJF."""

from __future__ import annotations

import json
import random
import uuid
from functools import lru_cache
from typing import Any

_STATIONS = ("FCT-01", "ICT 7", "Prüfplatz 3", "最終検査-2", "Línea 4")
_SERIALS = ("{}", "SN {}", "'{}\"; --", "サ{}", "e\u0301{}", "🔧{}", "שבב {}", "{}\t\n", "{}" + "9" * 80)
"""What labels and scanners give: quotes, other scripts, combining marks, control characters; nothing WATS forbids."""
_USERS = ("operator", "Åse", "", "PLANT\\tester", "../night shift", "%s {0}")
_CLOCKS = ("15:00+01:00", "15:00Z", "15:00.125-05:00", "59:59+14:00", "00:00")
_STEPS = ("Supply voltage", "Leakage current", "Flash firmware", "Sensor offset", "Übertragung", "Self test")
STEPS_MAX = 12
IDS_REMEMBERED = 256


def sample_report(stream: random.Random, *, size_bytes: int = 0) -> bytes:
    """Return one report with an id of its own, as JSON: ``size_bytes`` long, or longer where its steps need it."""
    steps = [_step(stream, number) for number in range(stream.randint(0, STEPS_MAX))]
    report: dict[str, Any] = {
        "id": str(uuid.UUID(int=stream.getrandbits(128), version=4)),
        "type": "T",
        "pn": f"PN-{stream.randint(1, 999_999)}",
        "sn": stream.choice(_SERIALS).format(f"{stream.randint(0, 10**12):012d}"),
        "rev": stream.choice(("A", "B", "1.0", "03")),
        "processCode": stream.choice((10, 50, 100)),
        "result": stream.choice("PFET"),
        "machineName": stream.choice(_STATIONS),
        "location": stream.choice(("Drammen", "Œuvre Hall 2", "Suzhou")),
        "purpose": "Production",
        "start": f"2026-11-{stream.randint(1, 28):02d}T{stream.randint(0, 23):02d}:{stream.choice(_CLOCKS)}",
        "uut": {"user": stream.choice(_USERS), "execTime": round(stream.uniform(0.1, 900), 3)},
        "root": {"stepType": "SequenceCall", "name": "Main", "group": "M", "status": "P", "steps": steps},
    }
    if size_bytes > len(_encoded(report)):
        report["root"]["reportText"] = ""
        report["root"]["reportText"] = "x" * (size_bytes - len(_encoded(report)))
    return _encoded(report)


@lru_cache(maxsize=IDS_REMEMBERED)
def report_id(body: bytes) -> str:
    """Return the id that a report carries. Remembered: a report is handed over many times while its service is down."""
    return str(json.loads(body)["id"])


def _step(stream: random.Random, number: int) -> dict[str, Any]:
    value = round(stream.gauss(5, 1), 6)
    measured = {"status": "P", "value": value, "unit": "V", "compOp": "GELE", "lowLimit": 0, "highLimit": 10.5}
    return {
        "stepType": "ET_NLT",
        "name": f"{number} {stream.choice(_STEPS)}",
        "group": "M",
        "status": "P",
        "totTime": round(stream.uniform(0, 3), 4),
        "numericMeas": [measured],
    }


def _encoded(report: dict[str, Any]) -> bytes:
    return json.dumps(report, ensure_ascii=False, separators=(",", ":")).encode()
