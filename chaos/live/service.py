"""The subject of a live world, running as a child process: every call is an operation in the history."""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import httpx

from chaos.errors import ChaosError, CommandRefusedError, CommandUnansweredError, OverdueError
from chaos.history import History, Running
from chaos.live.failpoints import Failpoint, Failpoints
from chaos.live.process import ChildProcess
from chaos.protocols import Client, Site, Subject
from chaos.sample_reports import report_id

T = TypeVar("T")
EXIT_LIMIT_S = 150.0
HEALTH_LIMIT_S = 5.0
ASK_PAUSE_S = 0.05
POLL_S = 0.05


async def until(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], what: str, limit_s: float) -> T:
    """Ask again and again until the answer is as wished, and return it. Raises ``OverdueError`` with the last one."""
    last: object = "no answer"
    try:
        async with asyncio.timeout(limit_s):
            while not holds(answer := await ask()):
                last = answer
                await asyncio.sleep(POLL_S)
            return answer
    except TimeoutError as error:
        raise OverdueError(what, limit_s, str(last)[:300]) from error


class LiveFailpoint:
    """A failpoint of a running service; its firing is written into the history once somebody waited for it."""

    def __init__(self, place: str, failpoint: Failpoint, history: History) -> None:
        self._place, self._failpoint, self._history = place, failpoint, history
        self._told = 0

    async def fired(self, times: int = 1, *, limit_s: float = 20) -> None:
        """Wait until it has fired that often, and write that into the history. Raises ``DeadlineError``."""
        await self._failpoint.wait_fired(times, deadline_s=limit_s)
        self.tell()

    def tell(self) -> None:
        """Write what has fired since the last time."""
        if (new := self._failpoint.fired - self._told) > 0:
            self._told += new
            action = self._failpoint.terms.partition("(")[0].rpartition("*")[2]
            self._history.fault(f"failpoint.{action}", place=self._place, times=new)

    def __repr__(self) -> str:
        return f"LiveFailpoint({self._place}, {self._failpoint!r})"


class LiveService:
    """A running subject. Every request goes over a connection of its own, as from a command line."""

    def __init__(
        self,
        process: ChildProcess,
        subject: Subject,
        site: Site,
        history: History,
        failpoints: Failpoints | None,
        places: Mapping[str, str],
        draw: Callable[[], bytes],
    ) -> None:
        self.process, self.ipc_address = process, subject.ipc_address(site)
        self._subject, self._site, self._history, self._draw = subject, site, history, draw
        armed = failpoints if failpoints is not None else {}
        self._failpoints = {p: LiveFailpoint(p, armed[target], history) for p, target in places.items()}

    async def submit(self, body: bytes | None = None) -> str:
        """Hand over a report (a sample if None) and return its id once accepted. Raises when it is not."""
        body = self._draw() if body is None else body
        async with self._client() as client:
            with self._submitting(body) as operation:
                found = await client.submit(body)
                operation.ok(id=found)
        return found

    async def offer(self, body: bytes, client: Client) -> None:
        """Hand over a report through ``client``; a refusal is written as such and not raised."""
        with suppress(CommandRefusedError, CommandUnansweredError), self._submitting(body) as operation:
            operation.ok(id=await client.submit(body))

    def another_client(self) -> Client:
        """Return one more client; whoever asked for it closes it."""
        return self._subject.client(self._site)

    async def must_fail(
        self, command: str, arguments: Mapping[str, Any], *, code: str, token: str | None = None
    ) -> None:
        """Send a command that deserves an error; observe as ``command_error`` what became of it."""
        said: dict[str, Any]
        self._history.fault("ipc.bad_request", command=command)
        async with self._client(token=token) as client:
            try:
                said = {"data": await client.request(command, arguments)}
            except CommandRefusedError as error:
                said = {"code": error.code, "message": error.message, "request_id": error.request_id}
                said |= {"type": error.kind, "typed": error.typed}
            except CommandUnansweredError as error:
                said = {"type": type(error).__name__, "message": str(error)}
        self._history.observe("command_error", command=command, deserves=code, **said)

    async def status(self) -> Mapping[str, Any]:
        """Return what the subject says of itself, and observe it as ``status``."""
        async with self._client() as client:
            found: Mapping[str, Any] = await client.request("get_status")
        self._history.observe("status", **found)
        return found

    async def health(self) -> None:
        """Ask for the health over HTTP and observe it as ``health``."""
        async with httpx.AsyncClient(trust_env=False, timeout=HEALTH_LIMIT_S) as client:
            answer = await client.get(self._subject.health_url(self._site))
        self._history.observe("health", status_code=answer.status_code, text=answer.text)

    @asynccontextmanager
    async def asked_all_the_time(self) -> AsyncIterator[None]:
        """Ask for the status over and over inside the context, each time as an operation ``ask``."""
        ended = asyncio.Event()

        async def ask() -> None:
            while not ended.is_set():
                operation = self._history.invoke("ask")
                try:
                    async with self._client() as client:
                        await client.request("get_status")
                    operation.ok()
                except ChaosError as error:
                    operation.failed(error=str(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(ASK_PAUSE_S):
                        await ended.wait()

        async with asyncio.TaskGroup() as group:
            group.create_task(ask(), name="asking all the time")
            try:
                yield
            finally:
                ended.set()

    def failpoint(self, place: str) -> LiveFailpoint:
        """Return the failpoint that the service was started with at that place."""
        return self._failpoints[place]

    async def stop(self, *, signals: int = 1) -> None:
        """Send SIGTERM that often and wait until the subject is gone: operation ``stop``, with its exit code.

        A further signal is sent once the subject says that it is stopping: two at the same instant would be one.
        """
        operation = self._history.invoke("stop", signals=signals)
        self.process.send(signal.SIGTERM)
        for _ in range(signals - 1):
            await until(self.status, lambda said: said["status"] == "StopPending", "status StopPending", 10)
            self.process.send(signal.SIGTERM)
            self._history.fault("process.signal", number="SIGTERM")
        status = await self.process.exited(EXIT_LIMIT_S)
        code = status.code if status.code is not None else -1
        operation.ok(exit=str(status), outcome=self._subject.exit_means(code))

    async def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone."""
        self.process.kill()
        await self.process.exited(EXIT_LIMIT_S)
        self._history.fault("process.kill", pid=self.process.pid)

    async def died(self, *, limit_s: float = 20) -> None:
        """Wait until it is gone, by a fault that kills it. Raises ``DeadlineError``."""
        status = await self.process.exited(limit_s)
        for failpoint in self._failpoints.values():
            failpoint.tell()
        self._history.fault("process.kill", exit=str(status))

    @asynccontextmanager
    async def _client(self, *, token: str | None = None) -> AsyncIterator[Client]:
        client = self._subject.client(self._site, token=token)
        try:
            yield client
        finally:
            await client.close()

    @contextmanager
    def _submitting(self, body: bytes) -> Iterator[Running]:
        digest = hashlib.sha256(body).hexdigest()
        operation = self._history.invoke("submit", report_id=report_id(body), sha256=digest, size=len(body))
        try:
            yield operation
        except CommandRefusedError as error:
            operation.failed(code=error.code, error=error.message)
            raise
        except CommandUnansweredError as error:
            operation.unknown(error=str(error))
            raise

    def __repr__(self) -> str:
        return f"LiveService({self._subject.name}, {self.process!r})"
