"""Pages and the window, closed at any instant and in any way: what they still hold afterwards (H2.1, H2.3, H2.5)."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtWidgets import QApplication, QPushButton

from chaos.faults.ipc_answers import Fault
from chaos.subjects.configurator.census import Census, more
from chaos.subjects.configurator.stage import Stage, chosen, failures_of, traced
from pywats_reliability.gui.page import Page
from pywats_reliability.gui.pages import PAGES
from pywats_reliability.gui.window import CLOSE_LIMIT_S, MainWindow

INSTANTS = ("at once", "while loading", "while a request hangs", "with the service gone", "after loading", "in action")
IN_ACTION = {"Connection": "upload", "About": "diagnose"}  # Those that go on for longer than one request.
WAYS = ("cleanup", "close")


async def pages_closed_at_any_instant(
    stage: Stage, *, pages: Sequence[str] = (), instants: Sequence[str] = INSTANTS
) -> dict[str, Any]:
    """Open and close each page in each way at each instant; what is more than before, and what complains, is wrong.

    The first page with which something is wrong is the last.
    """
    wrong: list[str] = []
    closings = 0
    for kind in chosen(pages):
        if wrong:
            break
        for instant in ("after loading", "with the service gone"):  # What is made once per process is made now.
            await _closed(stage, kind, instant, "close", stage.census())
        before = stage.census()
        for instant in [i for i in instants if i != "in action" or kind.name in IN_ACTION]:
            for way in WAYS:
                found, before = await _closed(stage, kind, instant, way, before)
                if found:  # Once more, with the places where things are made.
                    with traced():
                        await stage.recover()
                        found = (await _closed(stage, kind, instant, way, stage.census()))[0] or found
                    before = stage.census()
                wrong += [f"{kind.name} {way} {instant}: {leak}" for leak in found]
                closings += 1
    return {"closings": closings, "wrong": wrong}


async def _closed(stage: Stage, kind: type[Page], instant: str, way: str, before: Census) -> tuple[list[str], Census]:
    """Close one page at an instant; return what is wrong, and the census afterwards.

    With ``cleanup`` alone it is looked at while the page is still there.
    """
    stage.complaints.clear()
    page = await _at(stage, kind, instant)
    if way == "close":
        page.close()
        wrong = await stage.dispose(page)
    else:
        wrong = await failures_of(page)
        told = page.banner.words()
        wrong += await failures_of(page)
        if page.banner.words() != told:
            wrong.append(f"it still acts after its clean-up, and says: {page.banner.words()!r}")
        wrong += _still_held(more(before, stage.census()))
        wrong += await stage.dispose(page)
    del page
    await stage.recover()
    after = stage.census()
    return wrong + more(before, after) + stage.complaints, after


def _still_held(leaks: list[str]) -> list[str]:
    """Return what a cleaned-up page still holds: its widgets may be there, its timers, tasks and the rest may not."""
    return [leak for leak in leaks if not leak.startswith(("object ", "socket ", "task ScriptedService"))]


async def _at(stage: Stage, kind: type[Page], instant: str) -> Page:
    if instant == "while a request hangs":
        stage.service.misbehave(lambda _, __: Fault.SILENT)
    elif instant == "with the service gone":
        await stage.service.go_away()
    page = stage.open(kind)
    if instant == "while loading":
        for _ in range(stage.draw.randrange(12)):
            await asyncio.sleep(0)
    elif instant == "while a request hangs":
        await stage.until(lambda: bool(stage.service.asked) or not page.is_busy, "a request that hangs")
    elif instant != "at once":
        await stage.idle(page)
    if instant == "in action":
        _press(stage, page, IN_ACTION[kind.name])
        await asyncio.sleep(0)
    if instant == "after loading":
        stage.place.link.came_up.emit()  # What a page does when the service is back.
        await stage.idle(page)
    return page


async def each_step_fails(stage: Stage, *, pages: Sequence[str] = ()) -> dict[str, Any]:
    """Let each step of each page's clean-up fail, and all at once: the others must run, and every error be told.

    The first page with which something is wrong is the last.
    """
    wrong: list[str] = []
    planted = 0
    for kind in chosen(pages):
        if wrong:
            break
        count = await _steps_of(stage, kind)
        for failing in [*({number} for number in range(count)), set(range(count))]:
            planted += 1
            wrong += [f"{kind.name}: {words}" for words in await _failing(stage, kind, failing)]
    return {"failures_planted": planted, "wrong": wrong}


async def _steps_of(stage: Stage, kind: type[Page]) -> int:
    page = kind(stage.place)
    count = len(page.holdings.scope._steps)  # noqa: SLF001 - the fault is planted inside
    await stage.dispose(page)
    return count


async def _failing(stage: Stage, kind: type[Page], failing: set[int]) -> list[str]:
    """Let the chosen steps fail; return which step did not run, or which failure was not told."""
    page = kind(stage.place)
    steps = page.holdings.scope._steps  # noqa: SLF001
    names = [name for name, _ in steps]
    ran: list[str] = []
    steps[:] = [(name, _watched(name, closer, ran, fails=n in failing)) for n, (name, closer) in enumerate(steps)]
    logging.disable(logging.CRITICAL)  # Every planted failure is logged, with its traceback.
    try:
        told = [failure.partition(":")[0] for failure in await failures_of(page)]
    finally:
        logging.disable(logging.NOTSET)
    await stage.dispose(page)
    planted = [names[number] for number in failing]
    wrong = [f"when {planted[0]} fails, {name} does not run" for name in names if name not in ran]
    return wrong + ([] if sorted(told) == sorted(planted) else [f"{sorted(planted)} failed, {sorted(told)} was told"])


def _watched(name: str, closer: Callable[[], Any], ran: list[str], *, fails: bool) -> Callable[[], Any]:
    async def watched() -> None:
        ran.append(name)
        result = closer()
        if inspect.isawaitable(result):
            await result
        if fails:
            raise OSError("planted in a step of the clean-up")

    return watched


ACTIVITIES = ("just made", "started", "loading", "request hangs", "service gone", "uploading", "diagnosing", "idle")


class _NeverEndedError(Exception):
    """A closed window that did not end: it is in the way of everything after it."""


async def window_closed_during_each_activity(stage: Stage, *, activities: Sequence[str] = ACTIVITIES) -> dict[str, Any]:
    """Close the window during each activity: within its limit everything is ended and nothing asks.

    The first activity with which something is wrong is the last.
    """
    activity, closings = "diagnosing", 0
    try:
        await _window_closed(stage, activity)  # What is made once per process is made now.
        for activity in activities:
            closings += 1
            if found := await _window_closed(stage, activity):
                with traced():
                    await stage.recover()
                    found = await _window_closed(stage, activity) or found
                return {"closings": closings, "wrong": [f"window closed when {activity}: {words}" for words in found]}
    except _NeverEndedError as late:
        return {"closings": closings + 1, "wrong": [f"window closed when {activity}: {late}"]}
    return {"closings": closings, "wrong": []}


async def _window_closed(stage: Stage, activity: str) -> list[str]:
    before = stage.census()
    stage.complaints.clear()
    window = MainWindow(stage.place.config_path, stage.place.data, stage.look(), stage.place.limits)
    await _begin(stage, window, activity)
    began = stage.loop.time()
    window.close()
    wrong = [] if not window.isVisible() else ["it is still to be seen"]
    if (modal := QApplication.activeModalWidget()) is not None:
        wrong.append(f"{type(modal).__name__} asks something")
    try:
        await stage.until(window.ended.is_set, "the end of a closed window")
    except TimeoutError as late:
        raise _NeverEndedError(str(late)) from late
    if (took_s := stage.loop.time() - began) > CLOSE_LIMIT_S:
        wrong.append(f"it took {took_s:.1f} s to end")
    wrong += window.failures
    window.deleteLater()
    del window
    await stage.deleted()
    await stage.recover()
    return wrong + more(before, stage.census()) + stage.complaints


async def _begin(stage: Stage, window: MainWindow, activity: str) -> None:
    if activity == "just made":
        return
    if activity == "service gone":
        await stage.service.go_away()
    if activity == "request hangs":
        stage.service.misbehave(lambda _, __: Fault.SILENT)
    window.start()
    window.show()
    if activity == "started":
        return
    if activity == "idle":
        for kind in PAGES:
            await stage.idle(window.open_page(kind.name))
    name, button = {"uploading": ("Connection", "upload"), "diagnosing": ("About", "diagnose")}.get(activity, ("", ""))
    if name:
        page = window.open_page(name)
        await stage.idle(page)
        _press(stage, page, button)
        await asyncio.sleep(0)
    elif activity != "idle":
        page = window.open_page("Setup")
        for _ in range(stage.draw.randrange(20)):
            await asyncio.sleep(0)


def _press(stage: Stage, page: Page, button: str) -> None:
    """Press a button whose action then waits for an answer that never comes, or for a program."""
    found = page.findChild(QPushButton, button)
    assert isinstance(found, QPushButton), f"{page!r} has a button {button}"
    stage.service.misbehave(lambda _, command: Fault.SILENT if command == "show_report" else None)
    found.click()
