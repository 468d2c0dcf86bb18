"""Runs a body of file calls on a real folder and on a simulated one, and gives what each of them said."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.seed import Seed
from chaos.sim import Setting, SimKernel, open_kernel
from chaos.sim.disk import SimDisk, add_disk
from chaos.storage import Contents

Body = Callable[[Path], Any]
SIMULATED = "/simulated/data"


def on_the_real_disk(body: Body, folder: Path) -> str:
    return _said(body, folder)


def in_the_simulation(body: Body) -> str:
    said: list[str] = []
    world, _ = open_world()
    with world:
        process = world.start("program", lambda: said.append(_said(body, Path(SIMULATED))))
        world.run()
    if process.error is not None:
        raise process.error
    return said[0]


def open_world(start: Contents | None = None, **more: Any) -> tuple[SimKernel, SimDisk]:
    """Return a world with a disk, not entered yet, and the disk; its decisions are the harmless ones."""
    world = open_kernel(Seed(1), Setting(policy="fifo"))
    disk = add_disk(world)
    disk.mount(SIMULATED, start, **more)
    return world, disk


def _said(body: Body, folder: Path) -> str:
    return repr(body(folder)).replace(str(folder), "FOLDER")


def told(call: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Return what a call returns, or all that its error says."""
    try:
        return call(*args, **named)
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        names = (getattr(error, "filename", None), getattr(error, "filename2", None))
        return type(error).__name__, number, str(error), tuple(map(repr, names))


def tree(folder: Path) -> list[Any]:
    """Return everything below ``folder``, by way of ``os.walk``."""
    found = []
    for place, folders, files in os.walk(folder):
        found.append((place, sorted(folders), [(name, Path(place, name).read_bytes()) for name in sorted(files)]))
    return sorted(found)
