"""What tests of the store share: reports, a clock to set, an opened store, and system calls that fail."""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from pywats_reliability.disk import Disk, no_syncfs
from pywats_reliability.report import Report, parse_report
from pywats_reliability.store import ReportStore, StoreLimits
from pywats_reliability.store.report_store import NO_LIMITS_GIVEN

FIELDS: dict[str, Any] = {
    "pn": "PN", "sn": "SN", "rev": "1", "processCode": 10, "machineName": "M", "location": "L", "purpose": "P",
}  # fmt: skip


def contents(*, with_id: bool = True, **more: Any) -> bytes:
    """Return the JSON of a valid report."""
    fields = {"id": str(uuid.uuid4())} if with_id else {}
    return json.dumps({**fields, **FIELDS, **more}).encode()


def make_report(**more: Any) -> Report:
    """Return a valid report, with an id of its own unless one is given."""
    return parse_report(contents(**more))


@dataclass
class SetClock:
    """A wall clock that stands still until it is set."""

    instant: datetime = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the instant that was set."""
        return self.instant


@asynccontextmanager
async def opened(
    folder: Path, limits: StoreLimits = NO_LIMITS_GIVEN, *, clock: SetClock | None = None, disk: Disk | None = None
) -> AsyncIterator[ReportStore]:
    """Open a store and close it again."""
    store = ReportStore(folder, disk=disk or Disk(), clock=clock or SetClock(), limits=limits)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def names(folder: Path) -> list[str]:
    """Return what stands in ``folder``, in order."""
    return sorted(os.listdir(folder))


def records(folder: Path) -> list[bytes]:
    """Return the contents of the records in ``folder``, in order of arrival."""
    return [path.read_bytes() for path in sorted(folder.glob("*Z_*.json")) if ".history." not in path.name]


def take_all(store: ReportStore) -> list[str]:
    """Take everything that may be taken; return the ids in their order."""
    return [record.report_id for record in iter(store.take, None)]


@dataclass
class Calls:
    """The system calls seen, as (name, path or descriptor)."""

    seen: list[tuple[str, str]] = field(default_factory=list)

    def count(self, call: str) -> int:
        """Return how often ``call`` was seen."""
        return sum(name == call for name, _ in self.seen)

    def order(self) -> list[str]:
        """Return the names of the calls in their order."""
        return [name for name, _ in self.seen]


@contextmanager
def recorded(*calls: str) -> Iterator[Calls]:
    """Note every use of these functions of ``os``."""
    noted = Calls()

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            noted.seen.append((name, str(args[0])))
            return real(*args, **kwargs)

        return call

    with ExitStack() as patches:
        for name in calls:
            patches.enter_context(mock.patch.object(os, name, wrap(name, getattr(os, name))))
        yield noted


@contextmanager
def failing(
    call: str, number: int = errno.EIO, *, only: Callable[[str], bool] = lambda _: True
) -> Iterator[list[str]]:
    """Let the function ``call`` of ``os`` fail where ``only`` says so of its first argument; yield what failed."""
    real = getattr(os, call)
    failed: list[str] = []

    def fail(*args: Any, **kwargs: Any) -> Any:
        if only(str(args[0])):
            failed.append(str(args[0]))
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    with mock.patch.object(os, call, fail):
        yield failed


def disk_without_syncfs() -> Disk:
    """Return a disk that syncs each file by itself."""
    return Disk(syncfs=no_syncfs)
