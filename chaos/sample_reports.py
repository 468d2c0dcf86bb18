"""Test reports drawn from a seed: what a station's tests would hand over, in many shapes, all of them valid WSJF."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

_STATIONS = ("FCT-01", "ICT 7", "Prüfplatz 3", "最終検査-2", "Línea 4")
_STEPS = ("Supply voltage", "Leakage current", "Flash firmware", "Sensor offset", "Übertragung", "Self test")


def sample_report(stream: random.Random, *, size_bytes: int = 0) -> bytes:
    """Return one report with an id of its own, as JSON, at least ``size_bytes`` long."""
    steps = [_step(stream, number) for number in range(stream.randint(1, 12))]
    report: dict[str, Any] = {
        "id": str(uuid.UUID(int=stream.getrandbits(128), version=4)),
        "type": "T",
        "pn": f"PN-{stream.randint(1, 999_999)}",
        "sn": f"SN{stream.randint(0, 10**12):012d}",
        "rev": stream.choice(("A", "B", "1.0", "03")),
        "processCode": stream.choice((10, 50, 100)),
        "result": stream.choice("PF"),
        "machineName": stream.choice(_STATIONS),
        "location": stream.choice(("Drammen", "Œuvre Hall 2", "Suzhou")),
        "purpose": "Production",
        "start": f"2026-11-{stream.randint(1, 28):02d}T{stream.randint(0, 23):02d}:15:00+01:00",
        "uut": {"user": stream.choice(("operator", "Åse", "")), "execTime": round(stream.uniform(0.1, 900), 3)},
        "root": {"stepType": "SequenceCall", "name": "Main", "group": "M", "status": "P", "steps": steps},
    }
    missing = size_bytes - len(_encoded(report))
    if missing > 0:
        report["root"]["reportText"] = "x" * missing
    return _encoded(report)


def report_id(body: bytes) -> str:
    """Return the id that a report carries."""
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
