"""H4, simulated: configuration files with mistakes drawn from the seed, put in the place of a running service's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from chaos.protocols import SIMULATED, scenario
from chaos.sim.world import SimWorld

LOOK_S = 5.0
MISTAKES: tuple[tuple[str, Any], ...] = (
    ("max_queue_size", "many"),
    ("max_queue_size", -1),
    ("max_queue_size", True),
    ("max_queue_size", 1e400),
    ("max_queue_size", [777]),
    ("queue_full_action", "shrug"),
    ("ipc_read_timeout", 0),
    ("retry_interval_seconds", None),
    ("no_such_setting", 1),
    ("station_name", {"a": "b"}),
)
KINDS = ("one mistake", "torn", "binary", "empty", "a list", "doubled")


@scenario(
    proves=["H4.6"],
    faults=["config.bad_file"],
    marks=list(KINDS),
    worlds=SIMULATED,
    judged_by=["fuzzed_files_change_nothing"],
)
async def fuzzed_configuration_files(world: SimWorld) -> None:
    """Files with drawn mistakes come one after another, good ones between: bad ones change nothing."""
    service = await world.start(max_queue_size=777)
    path = world.subject.config_path(world.site)
    good = json.loads(world.config_text())
    limit = 777
    for _ in range(world.draw.count(2, 6)):
        kind = world.draw.one_of(KINDS)
        world.mark(kind)
        key, contents = _bad(world, kind, {**good, "max_queue_size": limit})
        world.replace_file(path, contents)
        world.history.fault("config.bad_file", kind=kind)
        await asyncio.sleep(LOOK_S + 0.1)
        status = await service.status()
        told = next((reason for reason in status["reasons"] if "configuration refused" in reason), "")
        world.history.observe(
            "fuzzed_file", kind=kind, key=key, told=told, limit=status["pending_queue"]["max_queue_size"],
            expected=limit, untouched=path.read_bytes() == contents,
        )  # fmt: skip
        limit = world.draw.count(1, 1000)
        world.replace_file(path, json.dumps({**good, "max_queue_size": limit}).encode())
        await asyncio.sleep(LOOK_S + 0.1)
        status = await service.status()
        told = next((reason for reason in status["reasons"] if "configuration refused" in reason), "")
        found = status["pending_queue"]["max_queue_size"]
        world.history.observe("mended_file", told=told, limit=found, expected=limit)


def _bad(world: SimWorld, kind: str, good: dict[str, Any]) -> tuple[str, bytes]:
    """Return a file that is no configuration, and the key that its refusal must name, if there is one."""
    text = json.dumps(good).encode()
    if kind == "one mistake":
        key, value = world.draw.one_of(MISTAKES)
        return key, json.dumps({**good, key: value}).encode()
    if kind == "torn":
        return "", text[: world.draw.count(1, len(text) - 1)]
    if kind == "binary":
        place = world.draw.count(1, len(text) - 1)
        return "", text[:place] + b"\xff\x00" + text[place:]
    return "", {"empty": b"", "a list": b"[1, 2]", "doubled": text * 2}[kind]
