"""The outcome of a campaign in OpenMetrics text, for whoever keeps a history of campaigns."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest

from chaos.outcome import Fact, Outcome

PREFIX = "pywats_chaos"


def to_openmetrics(outcome: Outcome) -> str:
    """Return the text, which ends with ``# EOF``."""
    registry = CollectorRegistry()
    registry.register(_Campaign(outcome))
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call] # They ship types without this one.
    return text.decode()


EXIT_CODES = "0 held, 1 broken, 2 not proven, 4 not the same when repeated, 130 interrupted"


class _Campaign:
    """What a registry asks for families of metrics."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        outcome, header = self._outcome, self._outcome.header
        told = {"version": header.version, "subject": header.subject, "profile": header.profile}
        yield InfoMetricFamily(f"{PREFIX}_campaign", "what was run", {**told, "commit": header.commit})
        yield _number(
            "exit_code",
            EXIT_CODES,
            int(outcome.exit_code),
        )
        yield _number("campaign_seconds", "how long the campaign took", round(outcome.took_s, 3))
        yield _number("schedules", "schedules that were run", outcome.schedules)
        yield from self._properties()
        yield from self._faults_and_facts()

    def _properties(self) -> Iterator[Metric]:
        verdicts = GaugeMetricFamily(f"{PREFIX}_property", "1 for the property's verdict", labels=["id", "verdict"])
        runs = GaugeMetricFamily(f"{PREFIX}_property_schedules", "schedules behind it", labels=["id", "world"])
        for result in self._outcome.properties:
            verdicts.add_metric([result.property_id, str(result.verdict)], 1)
            for world in sorted({run.world for run in result.runs}):
                runs.add_metric([result.property_id, world], result.within(world).schedules)
        yield verdicts
        yield runs

    def _faults_and_facts(self) -> Iterator[Metric]:
        fired: dict[str, int] = {}
        for run in self._outcome.runs:
            for name, times in run.faults_fired.items():
                fired[name] = fired.get(name, 0) + times
        faults = GaugeMetricFamily(f"{PREFIX}_faults_fired", "how often each fault fired", labels=["fault"])
        for name in sorted(fired):
            faults.add_metric([name], fired[name])
        yield faults
        facts = GaugeMetricFamily(f"{PREFIX}_fact", "what the engines counted", labels=["fact"])
        for fact in Fact:
            facts.add_metric([str(fact)], self._outcome.total(fact))
        yield facts
        mutants = GaugeMetricFamily(f"{PREFIX}_mutants", "sabotaged parts, found or not", labels=["found"])
        for found in (True, False):
            mutants.add_metric([str(found).lower()], sum(m.found is found for m in self._outcome.mutants))
        yield mutants


def _number(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", words, value=value)
