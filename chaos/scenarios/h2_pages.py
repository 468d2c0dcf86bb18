"""H2: the configurator's pages and window, opened and closed on real Qt, offscreen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chaos.errors import NotAvailableError
from chaos.protocols import World, scenario

GROUPS = (
    ("Dashboard", "Connection", "Log"),
    ("Converters", "Setup", "About"),
    ("SerialNumberHandler", "ApiSettings", "Location", "ProxySettings", "Software", "window"),
)
"""A process each, so that none is long."""
FEW = 3


async def played(
    world: World, story: str, *, groups: Sequence[Sequence[str]] = GROUPS, **arguments: Any
) -> Mapping[str, Any]:
    """Play a story of the configurator for each group of pages, each in a process of its own; return the sum.

    The first group in which something is wrong is the last.

    ``groups``: other groups, or one without pages for a story that is not about pages.

    Raises ``NotAvailableError`` where Qt cannot load, with the system packages to install.
    """
    whole: dict[str, Any] = {}
    for pages in groups:
        given = {"pages": pages, **arguments} if pages else arguments
        found = await world.probe(f"configurator:{story}", seed=world.seed.number, **given)
        if (absent := found.get("not_available")) is not None:
            raise NotAvailableError(absent["need"], absent["reason"], absent["advice"])
        whole = {key: _sum(whole.get(key), value) for key, value in found.items()}
        if found["wrong"]:
            break  # It is broken, whatever the other pages do.
    return whole


def _sum(one: Any, other: Any) -> Any:
    """Return two findings together: numbers and lists added, the counts in objects too."""
    if one is None:
        return other
    if isinstance(one, dict):
        return {key: _sum(one.get(key), other.get(key, 0)) for key in {**one, **other}}
    return one + other


@scenario(proves=["H2.1"], faults=["page.close"], limit_s=400)
async def pages_closed_at_any_instant(world: World) -> None:
    """Each page is cleaned up, and closed, at once, while it loads, while a request hangs and with the service gone."""
    found = await played(world, "pages_closed")
    world.history.fault("page.close", times=found["closings"])
    world.history.observe("pages_closed", closings=found["closings"], wrong=found["wrong"])


@scenario(proves=["H2.2"], faults=["page.open_and_close"], limit_s=400)
async def a_hundred_times_open_and_closed(world: World) -> None:
    """Each page and the window are opened and closed a hundred times; nothing has grown, memory neither."""
    found = await played(world, "cycles", cycles=FEW)  # What grows each time shows at once.
    if not found["wrong"]:
        found = await played(world, "cycles", cycles=100)
    world.history.fault("page.open_and_close", times=found["cycles"])
    world.history.observe(
        "pages_cycled", cycles=found["cycles"], growth_bytes=found["growth_bytes"], wrong=found["wrong"]
    )


@scenario(proves=["H2.3"], faults=["cleanup.raise"], limit_s=400, judged_by=["every_step_runs_and_is_told"])
async def each_step_of_a_cleanup_fails(world: World) -> None:
    """Each step of each page's clean-up raises, and all at once: the others run, and every error is told."""
    found = await played(world, "steps_fail")
    world.history.fault("cleanup.raise", times=found["failures_planted"])
    world.history.observe("cleanups_failed", planted=found["failures_planted"], wrong=found["wrong"])


@scenario(proves=["H2.5"], faults=["window.close"], limit_s=400)
async def window_closed_during_each_activity(world: World) -> None:
    """The window is closed while it starts, loads, waits for a hung request, uploads, diagnoses: all of it ends."""
    found = await played(world, "window_closed", groups=[()])
    world.history.fault("window.close", times=found["closings"])
    world.history.observe("window_closed", closings=found["closings"], wrong=found["wrong"])
