"""The configuration's file: loaded strictly, saved whole, watched for changes.

* A file that is missing, torn, empty, too large, binary, wrongly encoded or wrongly typed is refused with a message
  that names the file and the key or place; nothing here ever writes over a file that cannot be read (H4.6).
* A save is atomic, and a kill or a disk error at any instant leaves the old or the new file, whole (C1.10): first the
  previous good contents go to ``.bak``, then the new ones to the file, each written aside, synced and renamed.
* The watcher looks every 5 s, takes good contents into force, and keeps the last good ones while the file is bad.
"""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from pywats_reliability.config import ClientConfig
from pywats_reliability.config.document import DOCUMENT_BYTES_MAX, decoded, encoded
from pywats_reliability.errors import (
    ConfigError,
    ConfigFileError,
    SettingTypeError,
    SettingValueError,
    UnknownSettingError,
)
from pywats_reliability.ports import Heartbeat
from pywats_reliability.workers import Workers

log = logging.getLogger(__name__)

FILE_MODE = 0o600
LOOK_INTERVAL_S = 5.0
USUAL_BYTES_MAX = 65_536  # A read makes room for all that it may bring; every look for the whole megabyte is too much.


class AtomicWriter(Protocol):
    """What a save needs of the disk."""

    def write_atomically(self, path: Path, data: bytes, *, mode: int = 0o600) -> object:
        """Put ``data`` durably into ``path``, whole or not at all; raises ``DiskError``."""
        ...


def backup_path(path: Path) -> Path:
    """Return where the previous good configuration is kept: beside the file, with ``.bak`` added to its name."""
    return path.with_name(f"{path.name}.bak")


def load_config(path: Path, *, environment: Mapping[str, str] | None = None) -> ClientConfig:
    """Return the configuration in a file, under the given environment (none, if not given).

    Raises ``ConfigFileError`` for the file, its cause being the error about the setting; ``ConfigError`` for a bad
    variable of the environment. Blocks while it reads.
    """
    return _parsed(path, _contents(path)).with_environment(environment or {})


def save_config(path: Path, config: ClientConfig, *, disk: AtomicWriter) -> None:
    """Save a configuration, keeping what the file held before as ``.bak``; does nothing when the file holds it already.

    Raises ``DiskError`` when the disk refuses, the old file then being in place; ``ConfigFileError`` when the file
    cannot be read, so that somebody's half-finished edit is not lost. Blocks while it writes.
    """
    data = encoded(config.to_dict())
    previous = _contents_if_any(path)
    if previous == data:
        return
    if previous is not None:
        _parsed(path, previous)
        disk.write_atomically(backup_path(path), previous, mode=FILE_MODE)
    disk.write_atomically(path, data, mode=FILE_MODE)


def load_or_create(
    path: Path, *, disk: AtomicWriter, environment: Mapping[str, str] | None = None
) -> ClientConfig:
    """Return the configuration in the file; when there is none, that in its ``.bak``; when there is neither, defaults.

    Only the defaults are written. Raises as ``load_config`` and ``save_config`` do: a file that is there and cannot be
    used is refused, never replaced by its ``.bak``, by defaults or in silence.
    """
    backup = backup_path(path)
    if _contents_if_any(path) is None:
        if _contents_if_any(backup) is not None:
            log.warning("%s is missing: the previous configuration in %s is used until it is saved again", path, backup)
            return load_config(backup, environment=environment)
        save_config(path, ClientConfig(), disk=disk)
    return load_config(path, environment=environment)


class ConfigWatcher:
    """Looks at the file again and again and hands changed, good configurations to ``on_change``; never writes.

    ``current`` is the configuration in force, also when somebody else changes it in place (a file that holds just that
    is no change). ``last_error`` is why the file as it is now is not in force, ``None`` when it is. ``on_change`` is
    called in the event loop and must not block; when it raises a ``ConfigError`` the change counts as refused. It reads
    in a thread of ``workers``, or else of the event loop's.
    """

    def __init__(
        self,
        path: Path,
        current: ClientConfig,
        on_change: Callable[[ClientConfig], object],
        *,
        interval_s: float = LOOK_INTERVAL_S,
        environment: Mapping[str, str] | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.path, self.current, self.interval_s = path, current, interval_s
        self._workers = workers
        self.last_error: ConfigError | None = None
        self.changes = self.refusals = 0
        self._on_change, self._environment = on_change, dict(environment or {})
        self._seen: bytes | str | None = None

    async def run(self, heartbeat: Heartbeat) -> None:
        """Look every ``interval_s`` seconds until cancelled; what ``on_change`` raises, but ``ConfigError``, passes."""
        while True:
            heartbeat()
            await self.look()
            await asyncio.sleep(self.interval_s)

    async def look(self) -> None:
        """Look once: take a change into force, or refuse it with one log line for each bad version of the file."""
        try:
            contents = await self._read()
        except ConfigFileError as error:
            if self._seen != str(error):
                self._refuse(error)
            self._seen = str(error)
            return
        if contents != self._seen:
            self._judge(contents)
            self._seen = contents

    async def _read(self) -> bytes:
        if self._workers is None:
            return await asyncio.to_thread(_contents, self.path)
        return await self._workers.run(f"reading {self.path}", _contents, self.path)

    def _judge(self, contents: bytes) -> None:
        try:
            new = _parsed(self.path, contents).with_environment(self._environment)
            if new != self.current:
                self._on_change(new)
                self.changes += 1
                log.info("%s has changed and is in force", self.path)
        except ConfigError as error:
            self._refuse(error)
            return
        self.current, self.last_error = new, None

    def _refuse(self, error: ConfigError) -> None:
        self.last_error = error
        self.refusals += 1
        log.error("configuration refused: %s", error)

    def __repr__(self) -> str:
        state = "refused" if self.last_error else "in force"
        return f"ConfigWatcher({self.path}, {state}, {self.changes} changes, {self.refusals} refusals)"


def _contents(path: Path) -> bytes:
    contents = _contents_if_any(path)
    if contents is None:
        raise ConfigFileError(path, "a configuration file", "none")
    return contents


def _contents_if_any(path: Path) -> bytes | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # Reading a FIFO or a device might never end.
            raise ConfigFileError(path, "a regular file", "something else")
        with path.open("rb") as file:
            contents = file.read(USUAL_BYTES_MAX)
            if len(contents) == USUAL_BYTES_MAX:
                contents += file.read(DOCUMENT_BYTES_MAX + 1 - USUAL_BYTES_MAX)
            return contents
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigFileError(path, "a readable file", error.strerror or type(error).__name__) from error


def _parsed(path: Path, contents: bytes) -> ClientConfig:
    try:
        return ClientConfig.from_dict(decoded(contents))
    except (SettingTypeError, SettingValueError) as error:
        raise ConfigFileError(path, f"{error.expected} at {error.key}", error.given) from error
    except UnknownSettingError as error:
        hint = f" (did you mean {error.suggestion!r}?)" if error.suggestion else ""
        raise ConfigFileError(path, "names of settings only", f"{error.key!r}{hint}") from error
