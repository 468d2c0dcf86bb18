"""What the simulated world asks of a service under test, beyond what the live world does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
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

    def lives(
        self,
        site: Site,
        plans: Sequence[Sequence[int]],
        starting: Callable[[], AbstractContextManager[object]],
        told: Callable[[Mapping[str, Any]], object],
    ) -> Callable[[], Any]:
        """Return a main function that starts and stops the service once for each of ``plans``, in one process.

        A plan gives the places of the clean-up's steps that fail, each once it has done its work (from 0, as the start
        opened them). The start happens within ``starting()``. After each stop it tells the ``start_error`` (or ""), the
        last ``status``, the ``steps`` of the clean-up that were due, those that ``ran`` and that ``failed``, the
        ``errors`` that the stop told, the ``tasks`` and ``threads`` that are left, and whether its address is
        (``left``).
        """
        ...
