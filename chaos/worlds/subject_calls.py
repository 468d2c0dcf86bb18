"""Calls to a running subject through its users' own client: each becomes an operation in the history, in any world."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from typing import Any

import httpx

from chaos.errors import ChaosError, CommandRefusedError, CommandUnansweredError
from chaos.history import History, Running
from chaos.protocols import Client, Site, Subject
from chaos.sample_reports import report_id

HEALTH_LIMIT_S = 5.0
ASK_PAUSE_S = 0.05


@cache
def _authorities() -> ssl.SSLContext:
    """Return whom a subject that answers over TLS is believed with; reading them takes longer than asking."""
    return httpx.create_ssl_context(trust_env=False)


class SubjectCalls:
    """What can be asked of a running subject. Every request goes over a connection of its own, as from a command line.

    ``draw`` gives a sample report. Nothing here knows how the subject runs: a world's own service adds that.
    """

    def __init__(self, subject: Subject, site: Site, history: History, draw: Callable[[], bytes]) -> None:
        self.ipc_address = subject.ipc_address(site)
        self._subject, self._site, self._history, self._draw = subject, site, history, draw
        self._token = ""

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

    @property
    def ipc_token(self) -> str:
        """Return what clients prove themselves with; empty until the subject has made it, then read from it once."""
        self._token = self._token or self._subject.ipc_token(self._site)
        return self._token

    async def change_settings(self, **settings: object) -> None:
        """Change settings of the running subject over IPC. Raises ``CommandRefusedError``."""
        client = self.another_client()
        try:
            await client.request("set_config", {"settings": settings})
        finally:
            await client.close()

    def another_client(self) -> Client:
        """Return one more client; whoever asked for it closes it."""
        return self._subject.client(self._site, token=self.ipc_token)

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
        async with httpx.AsyncClient(trust_env=False, timeout=HEALTH_LIMIT_S, verify=_authorities()) as client:
            answer = await client.get(self._subject.health_url(self._site))
        self._history.observe("health", status_code=answer.status_code, text=answer.text)

    @asynccontextmanager
    async def asked_all_the_time(self, pause_s: float = ASK_PAUSE_S) -> AsyncIterator[None]:
        """Ask for the status every ``pause_s`` seconds inside the context, each time as an operation ``ask``."""
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
                    async with asyncio.timeout(pause_s):
                        await ended.wait()

        async with asyncio.TaskGroup() as group:
            group.create_task(ask(), name="asking all the time")
            try:
                yield
            finally:
                ended.set()

    @asynccontextmanager
    async def _client(self, *, token: str | None = None) -> AsyncIterator[Client]:
        client = self._subject.client(self._site, token=token or self.ipc_token)
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
