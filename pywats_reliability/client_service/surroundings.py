"""What a service takes from the world around it, in one value, so that all of it can be exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from pywats_reliability.converter_pool.writers import WriterCheck, is_open_for_writing
from pywats_reliability.disk import Disk
from pywats_reliability.logs import Secrets
from pywats_reliability.ports import Randomness, SystemClock, WallClock, system_randomness


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The disk, the clock, the network and the places of a service; the defaults are those of this computer.

    ``config_path``: the file that is watched and that ``set_config`` saves to; None: neither. ``secrets_folder``: where
    the IPC secret is kept; None: the user's. ``transport`` replaces the network under httpx. ``blocked_loop_thread``:
    tell of a blocked event loop while it lasts, by a thread; for real processes only. ``secrets``: what no text that is
    shown may contain; the service registers those of its configuration. ``is_being_written`` asks the system about a
    dropped file; ``never_known`` where it cannot be asked.
    """

    disk: Disk = field(default_factory=Disk)
    clock: WallClock = field(default_factory=SystemClock)
    randomness: Randomness = field(default_factory=system_randomness)
    transport: httpx.AsyncBaseTransport | None = None
    secrets_folder: Path | None = None
    config_path: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)
    blocked_loop_thread: bool = False
    is_being_written: WriterCheck = is_open_for_writing
