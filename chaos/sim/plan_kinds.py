"""The faults that a plan may hold, by name: what each does to a simulated world, and how it is undone.

* A kind begins when its time has come and is undone ``lasts`` later, or when the world is healed.
* ``what`` is one of the kind's own words (a status, a direction, a number of seconds); the first is drawn most simply.
* kill, power and term end the subject and start it again after the time they last. ``kill@12(submit)`` lies in wait
  from that time on, and comes in the middle of the next submit.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chaos.errors import UsageError
from chaos.sim.disk.faults import SYNCS, WRITES, Effect, fail, shorten, slow, tear

if TYPE_CHECKING:
    from chaos.sim.world import SimWorld

STATION, WATS = "station", "wats"
SUBMIT = "submit"
HANGS = ("after_body", "after_headers", "in_body", "in_answer", "after_storing")
Undo = Callable[[], Awaitable[None]]
Begin = Callable[["SimWorld", str], Awaitable[Undo]]


@dataclass(frozen=True, slots=True)
class PlanKind:
    """One kind of planned fault. ``lasts_s`` is the span it is drawn from, ``ends_subject``: it needs a restart."""

    name: str
    begin: Begin
    what: tuple[str, ...] = ("",)
    lasts_s: tuple[float, float] = (1.0, 60.0)
    ends_subject: bool = False


async def _nothing() -> None:
    pass


def _network(name: str, **more: Any) -> Begin:
    async def begin(world: SimWorld, what: str) -> Undo:
        make = getattr(world.network.faults, name)
        fault = make(WATS, STATION, **more) if what == "answers" else make(STATION, WATS, **more)
        fault.begin()

        async def undo() -> None:
            fault.end()

        return undo

    return begin


def _server(rule: Callable[[str], Mapping[str, Any]]) -> Begin:
    async def begin(world: SimWorld, what: str) -> Undo:
        await world.server.misbehave(rule(what))

        async def undo() -> None:
            await world.server.misbehave()
            await world.server.release()

        return undo

    return begin


async def _server_down(world: SimWorld, _: str) -> Undo:
    await world.server.go_down()
    return world.server.come_up


def _disk(effect: Effect, calls: tuple[str, ...]) -> Begin:
    async def begin(world: SimWorld, _: str) -> Undo:
        rule = world.stage.disk.fault(effect, calls=calls, paths=(f"{world.site.data}/*",))

        async def undo() -> None:
            rule.remove()

        return undo

    return begin


async def _clock(world: SimWorld, what: str) -> Undo:
    world.stage.clock.wall.jump(float(what))
    world.history.fault("clock.jump", seconds=float(what))
    return _nothing


async def _kill(world: SimWorld, what: str) -> Undo:
    return await world.end_subject("kill", within=what)


async def _power(world: SimWorld, what: str) -> Undo:
    return await world.end_subject("power", within=what)


async def _term(world: SimWorld, _: str) -> Undo:
    return await world.end_subject("term")


_CHANGING = ("open", *WRITES, "rename", "link", "unlink", "mkdir")
KINDS: Mapping[str, PlanKind] = {
    kind.name: kind
    for kind in (
        PlanKind("kill", _kill, what=("", SUBMIT), lasts_s=(0.0, 30.0), ends_subject=True),
        PlanKind("power", _power, what=("", SUBMIT), lasts_s=(0.0, 30.0), ends_subject=True),
        PlanKind("term", _term, lasts_s=(0.0, 30.0), ends_subject=True),
        PlanKind("cut", _network("partition")),
        PlanKind("cut_one_way", _network("partition", one_way=True), what=("requests", "answers")),
        PlanKind("black_hole", _network("black_hole", one_way=True), what=("requests", "answers")),
        PlanKind("reset", _network("reset"), lasts_s=(0.0, 0.0)),
        PlanKind("delay", _network("delay", by_s=0.4, jitter_s=2.0)),
        PlanKind("bandwidth", _network("bandwidth", bytes_per_s=400)),
        PlanKind("loss", _network("loss", probability=0.3)),
        PlanKind("refuse", _network("refuse")),
        PlanKind("cut_off", _network("end_after", count_bytes=700), what=("requests", "answers")),
        PlanKind("server_down", _server_down, lasts_s=(1.0, 120.0)),
        PlanKind("server_status", _server(lambda what: {"action": "status", "status": int(what or 500)}),
                 what=("500", "502", "503", "504", "408", "429")),
        PlanKind("server_hangs", _server(lambda what: {"action": what or "hang_after_body"}),
                 what=tuple(f"hang_{where}" for where in HANGS)),
        PlanKind("server_lies", _server(lambda what: {"action": what or "html"}),
                 what=("html", "error_object", "other_id", "truncate_answer", "drop_after_body")),
        PlanKind("disk_full", _disk(fail(errno.ENOSPC), _CHANGING)),
        PlanKind("disk_error", _disk(fail(errno.EIO), (*WRITES, *SYNCS))),
        PlanKind("disk_read_only", _disk(fail(errno.EROFS), _CHANGING)),
        PlanKind("disk_torn", _disk(tear(), WRITES), lasts_s=(0.1, 5.0)),
        PlanKind("disk_short", _disk(shorten(), WRITES)),
        PlanKind("disk_slow", _disk(slow(0.7), SYNCS)),
        PlanKind("clock", _clock, what=("3600", "-3600", "86400", "-86400", "315576000", "-315576000"),
                 lasts_s=(0.0, 0.0)),
    )
}  # fmt: skip


def find_kind(name: str) -> PlanKind:
    """Return the kind of that name. Raises ``UsageError``."""
    if name not in KINDS:
        raise UsageError(f"a planned fault ({', '.join(KINDS)})", repr(name), "name one of these")
    return KINDS[name]
