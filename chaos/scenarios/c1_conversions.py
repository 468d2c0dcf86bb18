"""C1.9, live: conversions that are killed at each of their steps, slow writers, files of one name."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos.live.world import LiveWorld
from chaos.protocols import EVERYWHERE, scenario

CONVERGENCE_S = 60.0
PLACES = (
    "before_the_conversion",
    "before_the_hand_over",
    "after_the_hand_over",
    "before_the_filing",
    "after_the_filing",
)
WRITER_PAUSE_S = 3.5
CONVERTER: Mapping[str, Any] = {"name": "dropped", "module_path": "wsjf", "watch_folder": "drop"}


def _drop(world: LiveWorld, name: str, body: bytes) -> None:
    """Put a whole file into the watched folder at one stroke, as a careful tester would."""
    folder = _watched(world)
    aside = world.file(f"aside-{world.report_id(body)}")
    aside.write_bytes(body)
    os.rename(aside, folder / name)  # noqa: TID251 - the tester's own files, not the service's
    _note(world, name, body)


def _watched(world: LiveWorld) -> Path:
    """Return the watched folder, made when it is not there: a service that misses it looks again after 30 s only."""
    folder = world.site.data / "drop"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _note(world: LiveWorld, name: str, body: bytes) -> None:
    digest = hashlib.sha256(body).hexdigest()
    world.history.observe("dropped", file=name, report_id=world.report_id(body), sha256=digest)


def _look(world: LiveWorld) -> None:
    """Observe ``sources``: the hashes of what is in the watched folder and below it, by place."""
    folder = world.site.data / "drop"
    found = {str(path.relative_to(folder)): _digest(path) for path in folder.rglob("*") if path.is_file()}
    world.history.observe("sources", files=found)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def _all_filed(world: LiveWorld) -> None:
    def waiting() -> list[str]:
        return [entry.name for entry in os.scandir(world.site.data / "drop") if entry.is_file()]

    await world.until(lambda: asyncio.to_thread(waiting), lambda names: not names, "no file waiting", CONVERGENCE_S)
    await world.until(lambda: world.kept("pending"), lambda kept: not kept, "pending/ empty", CONVERGENCE_S)
    _look(world)
    await world.observe()


async def _taken_away(world: LiveWorld, name: str) -> None:
    def is_there() -> bool:
        return os.path.exists(world.site.data / "drop" / name)

    await world.until(lambda: asyncio.to_thread(is_there), lambda there: not there, f"{name} filed away", 30)


@scenario(proves=["C1.9"], faults=["failpoint.kill", "process.kill"], limit_s=150, worlds=EVERYWHERE)
async def conversions_are_killed_at_every_step(world: LiveWorld) -> None:
    """The service dies at each step of a conversion, and finds at its start what was dropped while it was down."""
    bodies = iter(world.sample_reports(2 * len(PLACES)))
    _watched(world)
    for number, place in enumerate(PLACES):
        service = await world.start(failpoints={place: "kill"}, converters=[dict(CONVERTER)])
        _drop(world, f"log-{number}.json", next(bodies))
        await service.died(limit_s=30)
        _look(world)
        await world.observe()
        _drop(world, f"while-down-{number}.json", next(bodies))
    await world.start()
    await _all_filed(world)


@scenario(proves=["C1.9"], faults=["files.slow_writer", "files.same_name"], limit_s=90, worlds=EVERYWHERE)
async def slow_writers_and_equal_names(world: LiveWorld) -> None:
    """A writer pauses half-way, and three files of one name come one after the other: all whole, none overwritten."""
    folder = _watched(world)
    await world.start(converters=[dict(CONVERTER)])
    slow, *others = world.sample_reports(4)
    with (folder / "slow.json").open("wb") as file:
        file.write(slow[: len(slow) // 2])
        file.flush()
        await asyncio.sleep(WRITER_PAUSE_S)  # Longer than the service takes a quiet file for whole: the fault itself.
        world.history.fault("files.slow_writer", pause_s=WRITER_PAUSE_S)
        await world.observe()
        world.history.observe("half_written", report_id=world.report_id(slow))
        file.write(slow[len(slow) // 2 :])
    _note(world, "slow.json", slow)
    for body in others:
        _drop(world, "same.json", body)
        world.history.fault("files.same_name")
        await world.server.saw("answered", report_id=world.report_id(body), limit_s=30)
        await _taken_away(world, "same.json")  # Or the next one would overwrite it: that were the tester's own doing.
    await _all_filed(world)
