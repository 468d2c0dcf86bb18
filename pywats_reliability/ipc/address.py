"""Where a service of an instance listens: a unix socket in a folder of the user's own, or a port on loopback (Windows).

* ``default_address`` is the rule of wats.md, 1.1. The folder is the runtime folder of the user (H6.7), not ``/tmp``; a
  ``UnixAddress`` of any other path points the service at upstream's place, or at another.
* A path that the system could not bind is refused with words, before a socket is made.
"""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import platformdirs

from pywats_reliability.errors import IPCAddressError

LOOPBACK = "127.0.0.1"
PORT_FIRST, PORT_COUNT = 50000, 10000
PATH_BYTES_MAX = 103 if sys.platform == "darwin" else 107
"""What fits into the system's ``sun_path`` beside its closing NUL."""


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket, by its path. Raises ``IPCAddressError`` when the path is longer than the system takes."""

    path: Path

    def __post_init__(self) -> None:
        if (length := len(os.fsencode(self.path))) > PATH_BYTES_MAX:
            raise IPCAddressError(str(self.path), f"a socket path of at most {PATH_BYTES_MAX} bytes", f"{length} bytes")

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP port on this computer. Port 0 lets the system choose one; the server then knows which."""

    port: int
    host: str = LOOPBACK

    def __post_init__(self) -> None:
        if self.host not in (LOOPBACK, "::1", "localhost"):
            raise IPCAddressError(str(self), "a loopback address", f"host {self.host}")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


Address: TypeAlias = UnixAddress | TcpAddress


def logical_name(instance_id: str) -> str:
    """Return the name that both ends derive an instance's address from.

    Raises ``IPCAddressError`` for an id that would name a place outside its folder.
    """
    if not instance_id or any(mark in instance_id for mark in "/\\\0"):
        raise IPCAddressError(repr(instance_id), "an instance id without / \\ NUL", "one of them, or an empty id")
    return f"pyWATS_Service_{instance_id}"


def default_address(instance_id: str, *, folder: Path | None = None, platform: str = sys.platform) -> Address:
    """Return where the service of ``instance_id`` listens on ``platform``; ``folder`` replaces the runtime folder."""
    name = logical_name(instance_id)
    if platform == "win32":
        digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        return TcpAddress(PORT_FIRST + int(digest[:8], 16) % PORT_COUNT)
    return UnixAddress((folder or _runtime_folder()) / f"{name}.sock")


def _runtime_folder() -> Path:
    with warnings.catch_warnings():  # Where XDG_RUNTIME_DIR is not set there is a fallback, and nothing to warn of.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        return platformdirs.user_runtime_path("pywats")
