"""Each page, and the window, opened and closed a hundred times: nothing may grow, memory neither (H2.2).

* The long run goes without tracing, as tracing doubles its length; where something has grown, a few more cycles are run
  with tracing on, so that the place where it was made can be told.
* Memory is the resident set, looked at when every page was there some times, and at the end.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from typing import Any

import psutil

from chaos.subjects.configurator.census import more
from chaos.subjects.configurator.stage import Stage, chosen, traced
from pywats_reliability.gui.page import Page
from pywats_reliability.gui.window import MainWindow

WINDOW = "window"
WARM_UP, TRACED_CYCLES = 3, 3
GROWTH_BYTES_MAX = 12 * 1024 * 1024
"""What the allocators take at their leisure in a thousand cycles, and half of what is lost if one page in a hundred
cycles of one kind were kept in memory each time (some 250 KiB each) without a trace in the census."""


async def opened_and_closed_again_and_again(
    stage: Stage, *, cycles: int = 100, pages: Sequence[str] = ()
) -> dict[str, Any]:
    """Open and close each page (all, or those named) and the window ``cycles`` times; return what has grown."""
    kinds = (*chosen(pages), *([None] if not pages or WINDOW in pages else []))
    for kind in kinds * WARM_UP:
        await _cycle(stage, kind)
    early = _resident_bytes()
    wrong: list[str] = []
    for kind in kinds:
        name = kind.name if kind is not None else "window"
        wrong += [f"{name}: {leak}" for leak in await _grown(stage, kind, cycles)]
    growth = _resident_bytes() - early
    if growth > GROWTH_BYTES_MAX:
        wrong.append(f"memory has grown by {growth >> 10} KiB in {cycles} cycles of every page")
    return {"cycles": cycles * len(kinds), "growth_bytes": growth, "wrong": wrong + stage.complaints[:3]}


async def _grown(stage: Stage, kind: type[Page] | None, cycles: int) -> list[str]:
    before = stage.census()
    for _ in range(cycles):
        await _cycle(stage, kind)
    leaks = more(before, stage.census())
    return await _traced(stage, kind, leaks) if leaks else []


async def _traced(stage: Stage, kind: type[Page] | None, leaks: list[str]) -> list[str]:
    """Return the leaks with the places where they are made, from some more cycles under tracing."""
    with traced():
        before = stage.census()
        for _ in range(TRACED_CYCLES):
            await _cycle(stage, kind)
        return more(before, stage.census()) or leaks


def _resident_bytes() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


async def _cycle(stage: Stage, kind: type[Page] | None) -> None:
    """Open and close once, at an instant that the seed draws: before, while or after the page loads."""
    turns = stage.draw.randrange(30)
    if kind is None:
        window = MainWindow(stage.place.config_path, stage.place.data, stage.look(), stage.place.limits)
        window.start()
        window.show()
        await _turns(turns)
        window.close()
        await window.ended.wait()
        window.deleteLater()
        await stage.deleted()
        return
    page = stage.open(kind)
    await _turns(turns)
    page.close()
    await stage.dispose(page)


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
