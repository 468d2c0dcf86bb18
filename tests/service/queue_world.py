"""What tests of the sending share: a store in memory that keeps the contract, a sender with a script, an observer."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pywats_reliability.answers import Decision, Sent
from pywats_reliability.errors import DiskError, QueueCriticalError, QueueFullError
from pywats_reliability.events import Event
from pywats_reliability.pending_queue import AsyncPendingQueue, UploadSettings
from tests.service.virtual_clock import now

DISK_ERROR = DiskError("write", Path("pending/x.json"), OSError(28, "No space left on device"))


@dataclass(frozen=True, slots=True)
class FakeRecord:
    """A record in the fake store."""

    name: str
    report_id: str


@dataclass(frozen=True, slots=True)
class FakeCounts:
    """The one count that the sending asks for."""

    pending: int


class MemoryStore:
    """Keeps the contract of a ``PendingStore`` without a disk, and checks that its caller keeps it too."""

    def __init__(self, *report_ids: str) -> None:
        self.changed: Event[[]] = Event("changed")
        self.state: dict[FakeRecord, str] = {}
        self.attempts: dict[str, list[str]] = {}
        self.reasons: dict[str, str] = {}
        self.dropped_in: list[str] = []
        self.refusal: QueueFullError | None = None
        self.scans = 0
        self.duration_s: dict[str, float] = {}
        self._errors: dict[str, BaseException] = {}
        self.add(*report_ids)

    def add(self, *report_ids: str) -> None:
        """Accept reports."""
        for report_id in report_ids:
            self.state[FakeRecord(f"{len(self.state):06d}_{report_id}.json", report_id)] = "waiting"
        self.changed.emit()

    def in_state(self, state: str) -> list[str]:
        """Return the ids in a state: waiting, in flight, deferred, sent, failed or quarantined."""
        return [record.report_id for record, its in self.state.items() if its == state]

    @contextmanager
    def failing(self, method: str, error: BaseException = DISK_ERROR) -> Iterator[None]:
        """Let a method raise."""
        self._errors[method] = error
        try:
            yield
        finally:
            del self._errors[method]

    @property
    def counts(self) -> FakeCounts:
        """The counts of this instant."""
        return FakeCounts(sum(state in ("waiting", "in flight", "deferred") for state in self.state.values()))

    def can_accept(self, size_bytes: int = 0) -> QueueFullError | None:  # noqa: ARG002 - the contract's name
        """Return the refusal that a test has set."""
        return self.refusal

    def take(self) -> FakeRecord | None:
        """Give out the oldest that waits."""
        if "take" in self._errors:
            raise self._errors["take"]
        busy = {*self.in_state("in flight"), *self.in_state("deferred")}
        for record, state in self.state.items():
            if state == "waiting" and record.report_id not in busy:
                self.state[record] = "in flight"
                return record
        return None

    async def read(self, record: FakeRecord) -> bytes:
        """Return something that tells the report."""
        await self._do("read", record)
        return f'{{"id":"{record.report_id}"}}'.encode()

    def defer(self, record: FakeRecord) -> None:
        """Mark it as waiting for its retry."""
        if self.state[record] == "in flight":
            self.state[record] = "deferred"

    def release(self, record: FakeRecord) -> None:
        """Let it be taken again."""
        if self.state[record] in ("in flight", "deferred"):
            self.state[record] = "waiting"
            self.changed.emit()

    async def record_attempt(self, record: FakeRecord, error: str) -> int:
        """Keep the attempt."""
        await self._do("record_attempt", record)
        self.attempts.setdefault(record.report_id, []).append(error)
        return len(self.attempts[record.report_id])

    async def mark_sent(self, record: FakeRecord) -> None:
        """Move it to the sent ones."""
        await self._do("mark_sent", record)
        self._leave(record, "sent")

    async def mark_failed(self, record: FakeRecord, reason: str) -> None:
        """Move it to the failed ones."""
        await self._do("mark_failed", record)
        self.reasons[record.report_id] = reason
        self._leave(record, "failed")

    async def scan(self) -> None:
        """Adopt what a test has dropped in."""
        self.scans += 1
        await self._do("scan", None)
        dropped, self.dropped_in = self.dropped_in, []
        self.add(*dropped)

    async def _do(self, method: str, record: FakeRecord | None) -> None:
        assert record is None or self.state[record] == "in flight", f"{method} of {record}: {self.state[record]}"
        await asyncio.sleep(self.duration_s.get(method, 0.0))
        if method in self._errors:
            raise self._errors[method]

    def _leave(self, record: FakeRecord, state: str) -> None:
        self.state[record] = state
        self.changed.emit()


Script = Callable[[str, int], Awaitable[Decision]]


async def deliver(_report_id: str, _attempt: int) -> Decision:
    """Deliver at once: the script of a sender that has no trouble."""
    return Sent()


def taking(seconds: float) -> Script:
    """Return the script of a server that needs some time."""

    async def script(_report_id: str, _attempt: int) -> Decision:
        await asyncio.sleep(seconds)
        return Sent()

    return script


class ScriptedSender:
    """Sends as its script says, and remembers when what began."""

    def __init__(self, script: Script = deliver) -> None:
        self.script = script
        self.begun: list[tuple[float, str]] = []
        self.under_way: list[str] = []
        self.most = 0
        self.cancelled: list[str] = []

    def times(self, report_id: str) -> list[float]:
        """Return when the uploads of a report began."""
        return [at for at, begun in self.begun if begun == report_id]

    async def send(self, report_id: str, body: bytes) -> Decision:
        """Follow the script."""
        assert body == f'{{"id":"{report_id}"}}'.encode()
        assert report_id not in self.under_way, f"{report_id} is in flight twice"
        self.begun.append((now(), report_id))
        self.under_way.append(report_id)
        self.most = max(self.most, len(self.under_way))
        try:
            return await self.script(report_id, len(self.times(report_id)))
        except asyncio.CancelledError:
            self.cancelled.append(report_id)
            raise
        finally:
            self.under_way.remove(report_id)


@dataclass
class Listener:
    """Keeps what it was told."""

    sents: list[str] = field(default_factory=list)
    failures: list[tuple[str, str, bool]] = field(default_factory=list)
    criticals: list[QueueCriticalError] = field(default_factory=list)

    def sent(self, report_id: str) -> None:
        """Keep it."""
        self.sents.append(report_id)

    def failed(self, report_id: str, error: str, *, final: bool) -> None:
        """Keep it."""
        self.failures.append((report_id, error, final))

    def critical(self, error: QueueCriticalError) -> None:
        """Keep it."""
        self.criticals.append(error)


class LongestWait:
    """Jitter that always waits for the whole limit, so that instants can be compared exactly."""

    def uniform(self, _a: float, b: float, /) -> float:
        """Return the upper bound."""
        return b


@dataclass
class QueueWorld:
    """A queue that runs, and everything around it."""

    store: MemoryStore
    sender: ScriptedSender
    told: Listener
    queue: AsyncPendingQueue[FakeRecord]
    beats: list[float]
    run: asyncio.Task[None] | None = None

    async def until(self, is_so: Callable[[], bool], within_s: float = 20_000.0) -> None:
        """Return once ``is_so``; looked at every tenth of a (virtual) second, and less often after a while."""
        looks = itertools.count()
        async with asyncio.timeout(within_s):
            while not is_so():  # noqa: ASYNC110 - in virtual time a look costs nothing
                await asyncio.sleep(0.1 if next(looks) < 400 else 5.0)

    async def end(self) -> None:
        """Cancel the run and wait for its end."""
        assert self.run is not None
        self.run.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.run


def make_world(store: MemoryStore, script: Script = deliver, **settings: float) -> QueueWorld:
    """Return a queue that does not run yet."""
    sender, told = ScriptedSender(script), Listener()
    queue = AsyncPendingQueue(
        store, sender, settings=UploadSettings(**settings), observer=told, randomness=LongestWait()  # type: ignore[arg-type]
    )
    return QueueWorld(store, sender, told, queue, [])


@asynccontextmanager
async def running(store: MemoryStore, script: Script = deliver, **settings: float) -> AsyncIterator[QueueWorld]:
    """Run a queue for as long as the block lasts; a bug that ends it early ends the block too."""
    world = make_world(store, script, **settings)
    async with asyncio.TaskGroup() as tasks:
        world.run = tasks.create_task(world.queue.run(lambda: world.beats.append(now())), name="pending_queue")
        yield world
        await world.end()
    assert world.queue.get_active_count() == 0
    assert not store.in_state("in flight")
