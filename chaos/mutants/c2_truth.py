"""Mistakes by which the status says more than is true, or an exception is left to Python."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements

log = logging.getLogger("pywats_reliability.mutant")
Result = Callable[..., Any]


@mutant("C2.9", subtle="only with a converter that cannot be loaded")
def a_broken_converter_is_left_out(service: Replacements) -> None:
    """Leaves a converter that cannot be loaded out of the list: the log has said it."""
    service.replace("pywats_reliability.converter_pool:AsyncConverterPool.failed_converters", lambda pool: ())


@mutant("C2.9", subtle="only when the health port is taken")
def health_is_optional(service: Replacements) -> None:
    """Lets the health server's task wait for ever when its port is taken: the service works without it."""

    def waits(original: Result, server: Any, beat: Any) -> Any:
        async def run() -> None:
            try:
                await original(server, beat)
            except Exception as error:
                log.warning("no health: %s", error)
                while True:
                    beat()
                    await asyncio.sleep(5)

        return run()

    service.wrap("pywats_reliability.health_server:HealthServer.run", waits)


@mutant("C2.9", subtle="only when the server does not answer")
def online_until_proven_otherwise(service: Replacements) -> None:
    """Counts the server as there until an upload has failed: most of the time it is."""

    def optimistic(original: Result, facts: Any) -> Any:
        return original(replace(facts, api=type(facts.api)("Online")))

    service.wrap("pywats_reliability.health:assess", optimistic)


@mutant("C2.10")
def a_callback_fails_in_the_loop(service: Replacements) -> None:
    """Schedules what is to be done after a stop was asked for with ``call_soon``, and nobody awaits its failure."""

    def failing() -> None:
        raise LookupError("no such observer")

    def schedules(original: Result, client: Any) -> None:
        asyncio.get_running_loop().call_soon(failing)
        original(client)

    service.wrap("pywats_reliability.client_service.service:AsyncClientService.request_shutdown", schedules)


@mutant("C2.10")
def a_task_that_nobody_reads(service: Replacements) -> None:
    """Starts the registration as a task of its own, so that it "cannot disturb the rest"."""

    async def introduces() -> None:
        raise ValueError("no station")

    def fires_and_forgets(original: Result, rhythms: Any) -> Any:
        asyncio.ensure_future(introduces())  # noqa: RUF006, TID251 - the mistake itself
        return original(rhythms)

    service.wrap("pywats_reliability.client_service.rhythms:Rhythms.look_after_the_house", fires_and_forgets)
