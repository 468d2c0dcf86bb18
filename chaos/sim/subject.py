"""What the simulated world asks of a service under test, beyond what the live world does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from chaos.protocols import Site, Subject


class SimulatedSubject(Subject, Protocol):
    """A service that can run as a simulated process: unmodified, but started by a call instead of a command line."""

    def settings(self, site: Site) -> Mapping[str, Any]:
        """Return everything that it will be started with."""
        ...

    def prepare(self, site: Site) -> None:
        """Write what it reads at its start, durably: called by the tester's process, before every start."""
        ...

    def main(self, site: Site, started: Callable[[], None]) -> Callable[[], Any]:
        """Return the process's main function (plain or async); it calls ``started`` once and returns an exit code."""
        ...

    def life(
        self, site: Site, calls: Sequence[tuple[float, str]], told: Callable[[Mapping[str, Any]], object]
    ) -> Callable[[], Any]:
        """Return a main function that makes ``calls``, ``start`` or ``stop``, each so many seconds after its begin.

        When all have returned it tells ``outcomes`` (of each call ``what`` and ``error``), the last ``status``, how
        many different ``ends`` the stops reported, and the ``tasks`` and ``threads`` that are left.
        """
        ...
