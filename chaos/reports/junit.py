"""The outcome of a campaign as JUnit XML: a suite per guarantee, a case per property."""

from __future__ import annotations

from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from chaos.outcome import Outcome, PropertyResult
from chaos.verdict import Verdict


def write_junit(outcome: Outcome, path: Path) -> None:
    """Write the file. A broken property is a failure, an unproven one that was asked for is an error."""
    document = JUnitXml(f"pywats-chaos {outcome.header.profile}")
    suites: dict[str, TestSuite] = {}
    for result in outcome.properties:
        guarantee_id = result.property_id.partition(".")[0]
        suite = suites.setdefault(guarantee_id, TestSuite(guarantee_id))
        suite.add_testcase(_case(result))
    for suite in suites.values():
        document.add_testsuite(suite)
    document.update_statistics()
    document.write(str(path), pretty=True)


def _case(result: PropertyResult) -> TestCase:
    case = TestCase(result.property_id, classname=f"guarantees.{result.property_id.partition('.')[0]}")
    case.time = round(sum({id(run): run.took_s for run, _ in result.findings}.values()), 3)
    worst = result.worst
    words = f"expected {worst[1].expected}; found {worst[1].found}; replay: {worst[0].replay}" if worst else ""
    if result.verdict is Verdict.BROKEN:
        case.result = [Failure(words, "broken")]
    elif result.verdict is not Verdict.HELD:
        kind = Error if result.asked else Skipped
        case.result = [kind(words or "no run speaks of it", str(result.verdict))]
    return case
