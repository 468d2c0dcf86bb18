"""A failed action in words for the person before the screen: what failed, why, what to do, details (H3.2)."""

from __future__ import annotations

import platform
import traceback
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata

from pywats_reliability.errors import ConfigError, IPCRemoteError, ReliabilityError, described

BUG = "this is a fault of the configurator: copy the details and report it"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the banner shows. ``settings`` are those that the words are about."""

    what: str
    why: str
    to_do: str
    detail: str
    settings: tuple[str, ...] = ()


def trouble_from(what: str, error: BaseException, *, when: datetime) -> Trouble:
    """Return the words for ``error``; our own messages already say why and, after the last semicolon, what to do."""
    if isinstance(error, IPCRemoteError):
        message = error.message
    elif isinstance(error, ReliabilityError):
        message = str(error)
    else:
        return Trouble(what, described(error), BUG, _detail(what, error, when))
    why, mark, to_do = message.rpartition("; ")
    if not mark:
        why, to_do = message, "try again; if that does not help, look at the log"
    return Trouble(what, why, to_do, _detail(what, error, when), settings_named(error))


def settings_named(error: BaseException) -> tuple[str, ...]:
    """Return the settings that a refusal is about, from the beginning of its message (``proxy_port: expected …``)."""
    if isinstance(error, IPCRemoteError):
        if error.remote_code != ConfigError.code:
            return ()
        message = error.message
    elif isinstance(error, ConfigError):
        message = str(error)
    else:
        return ()
    names, mark, _ = message.partition(": ")
    return tuple(name.partition("[")[0].strip(" '") for name in names.split(",")) if mark else ()


def _detail(what: str, error: BaseException, when: datetime) -> str:
    """Return what whoever helps will ask for. Our messages carry no secrets (H3.5), and no values are added here."""
    versions = f"pywats-reliability {metadata.version('pywats-reliability')}, Python {platform.python_version()}"
    lines = [f"{when.isoformat(timespec='seconds')} {what}", f"{type(error).__name__}: {error}", versions]
    if not isinstance(error, ReliabilityError):
        lines += [line.rstrip() for line in traceback.format_exception(error)]
    return "\n".join(lines)
