"""Which of a live run's faults happen: every one is asked for before it is done, and is known by name and number.

* The n-th fault of a name that the scenario comes to is ``name#n``, whether the earlier ones happened or not.
* ``asked`` is every fault so far with how long it lasts (0: it has no duration): what can be left out or shortened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from chaos.live_trial import LiveTrial
from chaos.trial import NS_PER_S

TIMES = ("delay_s", "latency", "jitter", "timeout", "delay")
"""Parameters of server rules (seconds) and toxics (milliseconds) that say how long something lasts."""


class FaultChoice:
    """The choice of one run; None admits every fault as the scenario has it."""

    def __init__(self, trial: LiveTrial | None = None) -> None:
        self._trial, self._met = trial, Counter[str]()
        self.asked: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"FaultChoice({len(self.asked)} asked for, {self._trial or 'all of them'})"

    @property
    def workload(self) -> int | None:
        """Return how many reports the scenario may draw at a time."""
        return None if self._trial is None else self._trial.workload

    def admits(self, name: str, lasts_s: float = 0.0) -> str:
        """Number one fault and return what it is called, ``name#n``, if it is to happen; an empty text if not."""
        self._met[name] += 1
        called = f"{name}#{self._met[name]}"
        self.asked[called] = round(lasts_s * NS_PER_S)
        return called if self._trial is None or self._trial.admits(called) else ""

    def chosen(self, name: str, parameters: Mapping[str, Any], unit_s: float = 1.0) -> dict[str, Any] | None:
        """Return a fault's parameters, its duration as chosen, or None if it is left out; ``unit_s``: their unit."""
        key = next((key for key in TIMES if isinstance(parameters.get(key), int | float)), None)
        called = self.admits(name, parameters[key] * unit_s if key else 0.0)
        if not called:
            return None
        given = dict(self._trial.times) if self._trial else {}
        if key is None or called not in given:
            return dict(parameters)
        return {**parameters, key: type(parameters[key])(given[called] / NS_PER_S / unit_s)}
