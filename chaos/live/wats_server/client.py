"""The way to command a WATS server for tests from another process (or the same one).

* A command holds when its call returns. What the server tells comes back as values.
* Waiting is for an event, never for time: ``wait_for`` also finds events that have happened already, and says on its
  deadline what was seen instead.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from chaos.errors import ChaosError, DeadlineError, UsageError
from chaos.live.wats_server.control import ROOT
from chaos.rules.wats_server import Counts, Rule
from chaos.wats_server.deliveries import ReportDeliveries
from chaos.wats_server.events import EventKind, ServerEvent
from chaos.wats_server.replies import AnswerShape
from chaos.wats_server.traces import RequestTrace

ANSWER_LIMIT_S = 10.0
POLL_S = 10.0
SEEN_SHOWN = 8


class ServerGoneError(ChaosError):
    """The control port does not answer: the server has ended, or was never there."""

    def __init__(self, control_url: str, found: str) -> None:
        self.control_url, self.found = control_url, found
        super().__init__(f"expected a WATS server's control port at {control_url}, found {found}; see if it still runs")


class WatsServerClient:
    """A client of the control port. Use as an async context manager, or call ``aclose``.

    Every method raises ``ServerGoneError`` when nobody answers within 10 s, and ``UsageError`` for what the server does
    not understand. Cancelling a call leaves it open whether the command was obeyed.
    """

    def __init__(self, control_url: str) -> None:
        self.control_url = control_url
        trusting_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # Loopback speaks no TLS, and loading roots is slow.
        self._http = httpx.AsyncClient(
            base_url=control_url, timeout=ANSWER_LIMIT_S, trust_env=False, verify=trusting_nobody
        )
        self._calls = 0

    def __repr__(self) -> str:
        return f"WatsServerClient({self.control_url}, {self._calls} calls)"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections to the control port."""
        await self._http.aclose()

    async def summary(self) -> Mapping[str, Any]:
        """Return what the server says of itself, with the words it knows."""
        return await self._call("GET", "/")

    async def set_rules(self, rules: Sequence[Rule | Mapping[str, Any]]) -> int:
        """Replace all rules; they are in force on return. Return the number of the event that marks the change."""
        data = [rule.as_data() if isinstance(rule, Rule) else dict(rule) for rule in rules]
        return int((await self._call("PUT", "/rules", data))["seq"])

    async def clear_rules(self) -> int:
        """Misbehave no more, from now on; who hangs goes on hanging. Return the number of the event that marks it."""
        return int((await self._call("DELETE", "/rules"))["seq"])

    async def rule_counts(self) -> dict[str, Counts]:
        """Return how often each rule in force was reached, chosen and fired, by its label."""
        told = (await self._call("GET", "/rules"))["rules"]
        return {rule["label"]: Counts(rule["reached"], rule["chosen"], rule["fired"]) for rule in told}

    async def deliveries(self) -> dict[str, ReportDeliveries]:
        """Return what the server knows of each report id, in the order in which the ids first came."""
        told = (await self._call("GET", "/deliveries"))["reports"]
        return {report["report_id"]: ReportDeliveries.from_data(report) for report in told}

    async def requests(self) -> list[RequestTrace]:
        """Return the newest requests (up to 10,000), complete or not, oldest first."""
        return [RequestTrace.from_data(trace) for trace in (await self._call("GET", "/requests"))["requests"]]

    async def body(self, report_id: str) -> bytes:
        """Return the stored bytes of a report. Raises ``UsageError`` when there are none."""
        return (await self._answer("GET", f"/report/{report_id}")).content

    async def events(
        self, after: int = 0, *, kind: EventKind | str | None = None, report_id: str | None = None, wait_s: float = 0
    ) -> list[ServerEvent]:
        """Return all events with a number above ``after``, oldest first; when there are none yet, wait for the first.

        Raises ``UsageError`` when the log has dropped some of them.
        """
        found: list[ServerEvent] = []
        while True:
            page, last = await self._page(after, kind, report_id, 0 if found else wait_s)
            found += page
            if not page or last == after:
                return found
            after = last

    async def wait_for(
        self, kind: EventKind | str, *, report_id: str | None = None, after: int = 0, deadline_s: float = 10.0
    ) -> ServerEvent:
        """Return the first event of that kind (and report) above ``after``, once there is one.

        Raises ``DeadlineError``, with the last events that there were instead, after ``deadline_s`` seconds.
        """
        loop = asyncio.get_running_loop()
        deadline, place = loop.time() + deadline_s, after
        while (left := deadline - loop.time()) > 0:
            page, place = await self._page(place, kind, report_id, min(left, POLL_S), limit=1)
            if page:
                return page[0]
        whose = f" of report {report_id}" if report_id else ""
        raise DeadlineError(f"the event {kind!s}{whose}", deadline_s, await self._seen(after, report_id))

    async def listen(self, on: bool, *, keep_connections: bool = False) -> None:
        """Open or close the data port. Closing refuses new connections, and cuts those it has unless they are kept."""
        await self._call("POST", "/listener", {"on": on, "connections": "keep" if keep_connections else "cut"})

    async def release(self, *, report_id: str | None = None, rule: str | None = None) -> int:
        """Let the hanging requests go on (of that report and rule label, where given); return how many there were."""
        return int((await self._call("POST", "/release", {"report_id": report_id, "rule": rule}))["released"])

    async def answer_as(self, shape: AnswerShape | str) -> None:
        """Acknowledge reports in that shape from now on."""
        await self._call("PUT", "/settings", {"answer_shape": shape})

    async def ask_for_token(self, token: str | None) -> None:
        """Take only requests that show this token from now on (None: take all)."""
        await self._call("PUT", "/settings", {"token": token})

    async def reset(self) -> None:
        """Cut the data port's connections and forget rules, reports, requests and events."""
        await self._call("POST", "/reset")

    async def _seen(self, after: int, report_id: str | None) -> str:
        seen = await self.events(after, report_id=report_id)
        if not seen:
            return "no event"
        names = ", ".join(f"{event.kind}" for event in seen[-SEEN_SHOWN:])
        return f"{len(seen)} events ending in {names}"

    async def _page(
        self, after: int, kind: EventKind | str | None, report_id: str | None, wait_s: float, limit: int | None = None
    ) -> tuple[list[ServerEvent], int]:
        asked = {"after": after, "wait": wait_s, "kind": kind, "report_id": report_id, "limit": limit}
        query = {name: str(value) for name, value in asked.items() if value is not None}
        told = (await self._answer("GET", "/events", query=query, limit_s=wait_s + ANSWER_LIMIT_S)).json()
        return [ServerEvent.from_data(event) for event in told["events"]], told["last"]

    async def _call(self, method: str, path: str, data: object = None) -> dict[str, Any]:
        told: dict[str, Any] = (await self._answer(method, path, data)).json()
        return told

    async def _answer(
        self,
        method: str,
        path: str,
        data: object = None,
        *,
        query: Mapping[str, str] | None = None,
        limit_s: float = ANSWER_LIMIT_S,
    ) -> httpx.Response:
        self._calls += 1
        content = None if data is None else json.dumps(data).encode()
        try:
            answer = await self._http.request(method, ROOT + path, content=content, params=query, timeout=limit_s)
        except httpx.TransportError as error:
            raise ServerGoneError(self.control_url, type(error).__name__) from error
        if answer.status_code != httpx.codes.OK:
            raise _complaint(answer)
        return answer


def _complaint(answer: httpx.Response) -> ChaosError:
    try:
        told = answer.json()
        return UsageError(told["expected"], told["found"], told["advice"])
    except (ValueError, KeyError, TypeError):
        found = f"status {answer.status_code} from {answer.url.netloc.decode()}"
        return UsageError("an answer of a WATS server's control port", found, "mend the address")
