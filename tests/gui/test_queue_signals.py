"""The queue's events as Qt signals: of a queue in this process, and of the service's by looking at it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from chaos.subjects.configurator.stage import Stage, play
from pywats_reliability.gui.holdings import Holdings
from pywats_reliability.gui.pages.dashboard import DashboardPage
from pywats_reliability.gui.queue_signals import QueueSignals
from pywats_reliability.queue_manager import QueueManager
from tests.gui.desk import Desk, at_a_desk
from tests.service.store_world import make_report, opened


def test_what_a_queue_emits_is_emitted_as_signals_until_the_holdings_close(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        async with opened(tmp_path / "reports") as store:
            await told(stage, QueueManager(store))

    async def told(stage: Stage, queue: QueueManager) -> None:
        signals = QueueSignals()
        holdings = Holdings("test", signals, stage.place.tasks)
        heard: list[tuple[object, ...]] = []
        signals.follow(queue, holdings)
        for signal in (signals.operation_queued, signals.operation_sent, signals.operation_failed):
            signal.connect(lambda *told: heard.append(told))
        report_id = await queue.submit(make_report())
        queue.sent(report_id)
        queue.failed(report_id, "no", final=True)
        assert heard == [(report_id,), (report_id,), (report_id, "no")]
        await holdings.close()
        queue.sent(report_id)
        assert len(heard) == 3
        queue.close()

    play(tmp_path, story)


def test_the_dashboard_tells_what_happens_in_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        world = await desk.start_service()
        page = cast("DashboardPage", await desk.page("Dashboard"))
        looks: list[object] = []
        desk.window.queue.queue_changed.connect(looks.append)
        desk.window.watch.look_now()
        await desk.until(lambda: bool(looks), "a first look")
        world.service._parts.pending_queue.pause("for the test")
        report_id = await world.service.queue.submit(make_report())
        desk.window.watch.look_now()
        await desk.until(lambda: page.events.count() == 1, "the report queued")
        world.service._parts.pending_queue.resume()
        await world.until(lambda: bool(world.kept("sent")))
        desk.window.watch.look_now()
        await desk.until(lambda: page.events.count() == 2, "the report sent")
        assert [f"{word}  {report_id}" in page.events.item(row).text() for row, word in enumerate(("sent", "queued"))]

    at_a_desk(tmp_path, monkeypatch, story)
