"""What a scenario asks of the WATS server, the same in every world: rules, waiting for what it saw, its listener."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.errors import DeadlineError, OverdueError
from chaos.history import History


class ServerCalls(ABC):
    """A ``chaos.protocols.Server`` that writes the server's faults into the history; a world adds the way to it."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._told_at = self._faults_until = 0

    @abstractmethod
    async def set_rules(self, rules: Sequence[Mapping[str, Any]]) -> int:
        """Replace the rules; return the number of the event that marks the change."""

    @abstractmethod
    async def wait_for(self, event: str, report_id: str | None, after: int, limit_s: float) -> None:
        """Return once there is such an event above ``after``. Raises ``DeadlineError``."""

    @abstractmethod
    async def listen(self, *, on: bool) -> None:
        """Open or close the data port; closing cuts its connections."""

    @abstractmethod
    async def rules_fired(self, after: int) -> Sequence[Any]:
        """Return the events above ``after`` that say that a rule has fired."""

    @abstractmethod
    async def deliveries(self) -> Mapping[str, Any]:
        """Return what the server knows of each report id."""

    async def misbehave(self, *rules: Mapping[str, Any]) -> None:
        """Replace the rules (none: behave); they hold from the moment this returns."""
        await self.write_faults()
        self._told_at = await self.set_rules(rules)

    async def saw(self, event: str, *, report_id: str | None = None, limit_s: float = 20) -> None:
        """Return once the server has seen the event since the last ``misbehave``. Raises ``OverdueError``."""
        try:
            await self.wait_for(event, report_id, self._told_at, limit_s)
        except DeadlineError as error:
            raise OverdueError(f"at the server: {error.what}", limit_s, error.seen) from error
        await self.write_faults()

    async def go_down(self) -> None:
        """Stop listening and cut open connections, as a server that is switched off."""
        await self.listen(on=False)
        self._history.fault("server.down")

    async def come_up(self) -> None:
        """Listen again at the same port."""
        await self.listen(on=True)
        self._history.healed("server.down")

    async def write_faults(self) -> None:
        """Write into the history what the server has done wrong since this was last called."""
        for event in await self.rules_fired(self._faults_until):
            detail = dict(event.detail)
            at_ns = self._history.elapsed_ns(event.time_ns)
            self._history.fault(f"server.{detail.pop('action')}", report_id=event.report_id, at_ns=at_ns, **detail)
            self._faults_until = event.seq

    async def observe(self) -> None:
        """Observe ``deliveries``: per report id how often it came, with what effect, and the hash of what is kept."""
        await self.write_faults()
        reports = {
            report_id: {
                "deliveries": known.deliveries,
                "effects": known.effects,
                "sha256": known.sha256[-1] if known.sha256 else None,
            }
            for report_id, known in (await self.deliveries()).items()
            if known.stored
        }
        self._history.observe("deliveries", reports=reports)
