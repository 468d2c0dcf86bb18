"""A simulated world's looks at the subject's folders: of one instant, without a step, and only after a change."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from typing import Any

import pytest

from chaos.errors import OverdueError
from chaos.protocols import KeptReport
from chaos.sim import simulate
from chaos.sim.disk import fail
from chaos.sim.disk.faults import CHANGES
from chaos.sim.stage import Stage
from chaos.sim.world import SimWorld
from chaos.subjects import find_simulated
from chaos.trial import parse_trial
from chaos.worlds.waiting import until

REPORT = '{"id": "one"}'


class CountingSubject:
    """The reference, but that it counts how often a folder is really read."""

    def __init__(self) -> None:
        self._subject: Any = find_simulated("reference")
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._subject, name)

    def kept_reports(self, site: Any, folder: str) -> Sequence[KeptReport]:
        self.reads += 1
        found: Sequence[KeptReport] = self._subject.kept_reports(site, folder)
        return found


def told(look: Any) -> Any:
    """Return what ``look`` tells of a world in which nothing runs but it."""
    trial, said = parse_trial("C1.6/all_at_once seed=1"), list[Any]()
    stage = Stage(trial)

    async def tester() -> None:
        subject: Any = CountingSubject()
        world = SimWorld(stage, subject, trial)
        world.folder("pending").mkdir(parents=True)
        (world.folder("pending") / "one.json").write_text(REPORT)
        said.append(await look(world, subject))

    with stage:
        stage.drive(tester)
    return said[0]


def test_a_look_is_not_hit_by_a_fault_of_the_disk_and_takes_no_step() -> None:
    async def look(world: SimWorld, _: CountingSubject) -> Any:
        kernel, disk = world.stage.kernel, world.stage.disk
        with disk.fault(fail(errno.EIO), calls=(*CHANGES, "read", "scandir", "lstat", "stat", "close")):
            before = kernel.step, kernel.digest, disk.calls
            ids = [report.report_id for report in await world.kept("pending")]
            return ids, (kernel.step, kernel.digest, disk.calls) == before

    assert told(look) == (["one"], True)


def test_a_folder_is_read_again_only_after_a_change_of_the_disk() -> None:
    async def look(world: SimWorld, subject: CountingSubject) -> Any:
        reads: list[tuple[int, int]] = []
        for contents in ("", REPORT.replace("one", "two"), ""):
            if contents:
                (world.folder("pending") / "two.json").write_text(contents)
            for _ in range(5):
                await asyncio.sleep(1)
                found = await world.kept("pending")
            reads.append((subject.reads, len(found)))
        return reads

    assert told(look) == [(1, 1), (2, 2), (2, 2)]


@pytest.mark.parametrize(("pause_max_s", "asked"), [(0.05, 200), (0.5, 45)])
def test_a_wait_asks_less_often_the_longer_it_takes_where_it_may(pause_max_s: float, asked: int) -> None:
    async def main() -> int:
        times = 0

        async def ask() -> None:
            nonlocal times
            times += 1

        with pytest.raises(OverdueError):
            await until(ask, bool, "a change", 10, pause_max_s=pause_max_s)
        return times

    assert simulate(main)[0].result == asked
