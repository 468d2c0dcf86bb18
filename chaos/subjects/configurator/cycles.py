"""Each page, and the window, opened and closed a hundred times: nothing may grow, memory neither (H2.2).

* The long run goes without tracing, as tracing doubles its length; where something has grown, a few more cycles are run
  with tracing on, so that the place where it was made can be told.
* Memory is the resident set, looked at after a quarter of the cycles, when caches are warm, and at the end.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import psutil

from chaos.subjects.configurator.census import FRAMES, Census, more
from chaos.subjects.configurator.stage import Stage
from pywats_reliability.gui.page import Page
from pywats_reliability.gui.pages import PAGES
from pywats_reliability.gui.window import MainWindow

WARM_UP, TRACED_CYCLES = 3, 3
GROWTH_BYTES_MAX = 6 * 1024 * 1024
"""A page is some hundred kilobytes: were one in ten forgotten, a hundred cycles would show more than this."""


async def opened_and_closed_again_and_again(stage: Stage, *, cycles: int = 100) -> dict[str, Any]:
    """Open and close each page and the window ``cycles`` times; return what has grown, in words."""
    wrong: list[str] = []
    done = 0
    for kind in PAGES:
        wrong += [f"{kind.name}: {leak}" for leak in await _grown(stage, kind, cycles)]
        done += cycles
    wrong += [f"window: {leak}" for leak in await _grown(stage, None, cycles)]
    growth, complaints = await _memory_growth(stage, cycles), stage.complaints[:3]
    if growth > GROWTH_BYTES_MAX:
        wrong.append(f"memory has grown by {growth >> 10} KiB in {cycles} rounds of all pages")
    return {"cycles": done + cycles, "growth_bytes": growth, "wrong": wrong + complaints}


async def _grown(stage: Stage, kind: type[Page] | None, cycles: int) -> list[str]:
    for _ in range(WARM_UP):
        await _cycle(stage, kind)
    before = stage.census()
    for _ in range(cycles):
        await _cycle(stage, kind)
    leaks = more(before, stage.census())
    return await _traced(stage, kind, leaks) if leaks else []


async def _traced(stage: Stage, kind: type[Page] | None, leaks: list[str]) -> list[str]:
    """Return the leaks with the places where they are made, from some more cycles under tracing."""
    tracemalloc.start(FRAMES)
    try:
        before: Census = stage.census()
        for _ in range(TRACED_CYCLES):
            await _cycle(stage, kind)
        return more(before, stage.census()) or leaks
    finally:
        tracemalloc.stop()


async def _memory_growth(stage: Stage, cycles: int) -> int:
    """Return by how many bytes the process grows in the last three quarters of ``cycles`` rounds of all pages."""
    process, early = psutil.Process(), 0
    rounds = max(4, cycles // 10)
    for number in range(rounds):
        for kind in PAGES:
            await _cycle(stage, kind)
        if number == rounds // 4:
            gc.collect()
            early = process.memory_info().rss
    gc.collect()
    return int(process.memory_info().rss - early)


async def _cycle(stage: Stage, kind: type[Page] | None) -> None:
    """Open and close once, at an instant that the seed draws: before, while or after the page loads."""
    turns = stage.draw.randrange(30)
    if kind is None:
        window = MainWindow(stage.place.config_path, stage.place.data, stage.look, stage.place.limits)
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
