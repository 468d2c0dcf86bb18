"""What the generators can draw: every shape in a list must have come at least once, and what never came is named.

A bug that shows only for a report without steps, or for two faults at once, is never found by a generator that cannot
draw such a thing; nothing else would tell.
"""

from __future__ import annotations

import itertools
import json
import random
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pytest

from chaos.sample_reports import STEPS_MAX, sample_report
from chaos.seed import Seed
from chaos.sim.choices import SeededChoices
from chaos.sim.draw import Draw
from chaos.sim.plan_kinds import KINDS
from chaos.sim.plan_player import FAULTS_MAX, draw_plan
from chaos.trial import PlannedFault
from pywats_reliability.report import parse_report

SAMPLES, WITHIN_S = 600, 120.0
T = TypeVar("T")
Shapes = Mapping[str, Callable[[T], bool]]


def never_drawn(shapes: Mapping[str, Callable[[T], bool]], samples: Iterable[T]) -> list[str]:
    missing = dict(shapes)
    for sample in samples:
        for name in [name for name, fits in missing.items() if fits(sample)]:
            del missing[name]
    return sorted(missing)


def steps(report: Mapping[str, Any]) -> int:
    return len(report["root"]["steps"])


def serial_has(*characters: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda report: any(character in report["sn"] for character in characters)


def has_result(letter: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda report: report["result"] == letter


REPORTS: Shapes[Mapping[str, Any]] = {
    "no step": lambda report: steps(report) == 0,
    "one step": lambda report: steps(report) == 1,
    "as many steps as there can be": lambda report: steps(report) == STEPS_MAX,
    **{f"the result {letter}": has_result(letter) for letter in "PFET"},
    "a separator of paths": lambda report: any(character in report["uut"]["user"] for character in "/\\"),
    "a place to fill in": lambda report: "{0}" in report["uut"]["user"] and "%s" in report["uut"]["user"],
    "a quote in the serial number": serial_has("'", '"'),
    "a blank in the serial number": serial_has(" "),
    "a control character in the serial number": serial_has("\n", "\t"),
    "a character beyond 16 bits": lambda report: any(ord(character) > 0xFFFF for character in report["sn"]),
    "a combining mark": lambda report: any(unicodedata.combining(character) for character in report["sn"]),
    "letters from right to left": lambda report: any(unicodedata.bidirectional(c) == "R" for c in report["sn"]),
    "a long serial number": lambda report: len(report["sn"]) > 64,
    "a plain serial number": lambda report: report["sn"].isdecimal(),
    "nobody's name as the user": lambda report: report["uut"]["user"] == "",
    "a time in UTC": lambda report: report["start"].endswith("Z"),
    "a time without a zone": lambda report: report["start"][-6] not in "+-" and not report["start"].endswith("Z"),
    "a time with a fraction": lambda report: "." in report["start"],
    "a negative offset": lambda report: report["start"][-6] == "-",
    "a limit that is not met": lambda report: any(
        not 4 <= step["numericMeas"][0]["value"] <= 6 for step in report["root"]["steps"]
    ),
}


def test_every_shape_of_a_report_is_drawn() -> None:
    stream = random.Random(1)
    bodies = [sample_report(stream, size_bytes=stream.choice((0, 0, 4096))) for _ in range(SAMPLES)]
    assert never_drawn(REPORTS, (json.loads(body) for body in bodies)) == []
    sizes = {"small": lambda size: size < 700, "large": lambda size: size >= 4096}
    assert never_drawn(sizes, map(len, bodies)) == []


def test_every_report_is_one_that_the_service_takes_and_has_an_id_of_its_own() -> None:
    stream = random.Random(2)
    taken = [parse_report(sample_report(stream)) for _ in range(SAMPLES)]
    assert len({report.id for report in taken}) == SAMPLES


def overlapping(plan: Sequence[PlannedFault]) -> bool:
    return any(later.at_ns < earlier.at_ns + earlier.lasts_ns for earlier, later in itertools.pairwise(plan))


def has(name: str, what: str) -> Callable[[Sequence[PlannedFault]], bool]:
    return lambda plan: any(fault.name == name and fault.what == what for fault in plan)


def has_after(first: str, second: str) -> Callable[[Sequence[PlannedFault]], bool]:
    """Return whether a plan has ``second`` after ``first``."""

    def fits(plan: Sequence[PlannedFault]) -> bool:
        names = [fault.name for fault in plan]
        return first in names and second in names[names.index(first) + 1 :]

    return fits


PLANS: Shapes[Sequence[PlannedFault]] = {
    "no fault": lambda plan: not plan,
    "one fault": lambda plan: len(plan) == 1,
    "as many faults as there can be": lambda plan: len(plan) == FAULTS_MAX,
    "one kind again and again": lambda plan: len(plan) > 2 and len({fault.name for fault in plan}) == 1,
    "as many kinds as faults": lambda plan: len(plan) == FAULTS_MAX == len({fault.name for fault in plan}),
    "two faults at once": overlapping,
    "two kills": lambda plan: sum(KINDS[fault.name].ends_subject for fault in plan) >= 2,
    "a fault in the first second": lambda plan: any(fault.at_ns < 10**9 for fault in plan),
    "a fault in the last seconds": lambda plan: any(fault.at_ns > (WITHIN_S - 3) * 10**9 for fault in plan),
    "a fault that begins before another and ends after it": lambda plan: any(
        one.at_ns < other.at_ns and one.at_ns + one.lasts_ns > other.at_ns + other.lasts_ns
        for one, other in itertools.permutations(plan, 2)
    ),
    **{f"the fault {kind.name} {what}".rstrip(): has(kind.name, what) for kind in KINDS.values() for what in kind.what},
    "a kill after a full disk": has_after("disk_full", "kill"),
    "a loss of power after a jump of the clock": has_after("clock", "power"),
    "a stop after a cut": has_after("cut", "term"),
}


@pytest.fixture(scope="module")
def plans() -> list[list[PlannedFault]]:
    return [draw_plan(Draw(SeededChoices(Seed(seed))), tuple(KINDS), within_s=WITHIN_S) for seed in range(8 * SAMPLES)]


def test_every_shape_of_a_plan_is_drawn(plans: list[list[PlannedFault]]) -> None:
    assert never_drawn(PLANS, plans) == []


def test_a_generator_that_cannot_draw_something_is_named(plans: list[list[PlannedFault]]) -> None:
    tame = ([fault for fault in plan if fault.name != "power"] for plan in plans)
    expected = ["a loss of power after a jump of the clock", "the fault power", "the fault power submit"]
    assert never_drawn(PLANS, tame) == expected
