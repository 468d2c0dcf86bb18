"""Commanding the WATS server: rules, events, the listener, and one clear line for what it does not understand."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from chaos.errors import DeadlineError, UsageError
from chaos.live.wats_server import (
    EventKind,
    RunningWatsServer,
    ServerGoneError,
    ServerSettings,
    WatsServer,
    WatsServerClient,
    running_wats_server,
)
from chaos.rules.wats_server import Action, Rule
from chaos.wats_server.events import EventLog, Wanted
from chaos.wats_server.exchange import REPORT_PATH, VERSION_PATH

pytestmark = pytest.mark.asyncio
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # No TLS here: loading roots would take most of the time.
JSON = {"Content-Type": "application/json"}
ID = "8362baa8-6f02-4d29-8e7f-8b7b2f30f03d"
CUT = (httpx.ReadError, httpx.RemoteProtocolError)
OTHER = "83ac0b8e-b575-4004-94de-f905774c3ed8"


@asynccontextmanager
async def calling(settings: ServerSettings | None = None) -> AsyncIterator[tuple[RunningWatsServer, httpx.AsyncClient]]:
    async with (
        running_wats_server(settings) as wats,
        httpx.AsyncClient(base_url=wats.url, headers=JSON, trust_env=False, verify=PLAIN) as http,
    ):
        yield wats, http


async def post(http: httpx.AsyncClient, report_id: str = ID) -> httpx.Response:
    return await http.post(REPORT_PATH, content=json.dumps({"id": report_id}).encode())


async def test_rules_hold_when_the_command_returns_and_replace_the_old_ones() -> None:
    async with calling() as (wats, http):
        statuses = []
        for rules in ([Rule(Action.STATUS, status=502)], [{"action": "status", "status": 503}], []):
            await wats.control.set_rules(rules)
            statuses.append((await post(http)).status_code)
        assert statuses == [502, 503, 200]


async def test_cleared_rules_do_not_let_go_who_hangs() -> None:
    async with calling() as (wats, http), asyncio.TaskGroup() as group:
        await wats.control.set_rules([{"action": "hang_after_body"}])
        sending = group.create_task(post(http))
        await wats.control.wait_for(EventKind.RULE_FIRED)
        await wats.control.clear_rules()
        assert not sending.done()
        assert await wats.control.release() == 1


async def test_a_refused_list_of_rules_leaves_the_old_ones_in_force() -> None:
    async with calling() as (wats, http):
        await wats.control.set_rules([{"action": "status", "status": 502}])
        with pytest.raises(UsageError, match="sulk"):
            await wats.control.set_rules([{"action": "html"}, {"action": "sulk"}])
        assert (await post(http)).status_code == 502


async def test_one_of_several_hanging_reports_is_released_by_its_id() -> None:
    async with calling() as (wats, http), asyncio.TaskGroup() as group:
        await wats.control.set_rules([{"action": "hang_after_body"}])
        sending = {report_id: group.create_task(post(http, report_id)) for report_id in (ID, OTHER)}
        for report_id in sending:
            await wats.control.wait_for(EventKind.RULE_FIRED, report_id=report_id)
        await wats.control.release(report_id=OTHER.upper())
        assert (await sending[OTHER]).json() == [{"ID": OTHER}]
        assert not sending[ID].done()
        assert await wats.control.release(rule="0:hang_after_body") == 1


async def test_waiting_finds_what_has_happened_already() -> None:
    async with calling() as (wats, http):
        await post(http)
        assert (await wats.control.wait_for("stored", report_id=ID)).kind is EventKind.STORED


async def test_waiting_wakes_on_the_event_itself() -> None:
    async with calling() as (wats, http), asyncio.TaskGroup() as group:
        waiting = group.create_task(wats.control.wait_for(EventKind.STORED, report_id=OTHER))
        await post(http, ID)
        await post(http, OTHER)
        assert (await waiting).report_id == OTHER


async def test_waiting_looks_only_after_the_number_given() -> None:
    async with calling() as (wats, http):
        await post(http)
        place = await wats.control.set_rules([])
        await post(http)
        assert (await wats.control.wait_for(EventKind.STORED, after=place)).detail["effect"] == "same"


async def test_a_deadline_says_what_was_seen_instead() -> None:
    async with calling() as (wats, http):
        await wats.control.set_rules([{"action": "status"}])
        await post(http)
        with pytest.raises(DeadlineError, match="saw 3 events ending in body_read, rule_fired, answered"):
            await wats.control.wait_for(EventKind.STORED, report_id=ID, deadline_s=0.05)


async def test_all_events_are_told_also_when_they_fill_several_answers() -> None:
    async with calling() as (wats, _):
        for number in range(2500):
            wats.server.memory.events.add(EventKind.RULES_SET, number=number)
        told = await wats.control.events()
        assert [event.detail["number"] for event in told] == list(range(2500))


async def test_a_dropped_event_is_an_error_and_no_gap() -> None:
    async with calling(ServerSettings(events_kept=5)) as (wats, http):
        await post(http)
        await post(http)
        with pytest.raises(UsageError, match="newest 5 events"):
            await wats.control.events()
        assert len(await wats.control.events(wats.server.memory.events.last - 5)) == 5


async def test_every_waiter_is_woken_by_the_event_it_waits_for() -> None:
    log = EventLog(kept=10)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        kinds = (EventKind.STORED, EventKind.ANSWERED)
        waits = [group.create_task(log.wait(Wanted(kind=kind), 1, 5)) for kind in kinds]
        for kind in (EventKind.ABORTED, *kinds):
            await asyncio.sleep(0)
            log.add(kind)
    assert [wait.result()[0].kind for wait in waits] == list(kinds)


async def test_waiting_ends_empty_after_its_time() -> None:
    assert await EventLog(kept=10).wait(Wanted(), 1, 0.01) == []


async def test_a_closed_listener_refuses_cuts_and_opens_again_at_the_same_address() -> None:
    async with calling() as (wats, http):
        await post(http)
        await wats.control.listen(False)
        with pytest.raises(httpx.ConnectError):
            await post(http)
        await wats.control.listen(True)
        assert (await post(http)).status_code == 200


async def test_a_closed_listener_may_keep_its_connections() -> None:
    async with calling() as (wats, http):
        await http.get(VERSION_PATH)
        await wats.control.listen(False, keep_connections=True)
        assert (await post(http)).status_code == 200


async def test_closing_cuts_who_hangs() -> None:
    async with calling() as (wats, http), asyncio.TaskGroup() as group:
        await wats.control.set_rules([{"action": "hang_in_body"}])
        sending = group.create_task(_outcome(http))
        await wats.control.wait_for(EventKind.RULE_FIRED)
        await wats.control.listen(False)
        assert await sending in CUT


async def _outcome(http: httpx.AsyncClient) -> type[BaseException]:
    try:
        await post(http)
    except httpx.TransportError as error:
        return type(error)
    raise AssertionError("the report was answered")


async def test_the_port_stays_ours_while_the_listener_is_closed() -> None:
    async with calling() as (wats, _):
        await wats.control.listen(False)
        with socket.socket() as thief, pytest.raises(OSError, match="in use"):
            thief.bind(("127.0.0.1", wats.server.data_port))


async def test_opening_and_closing_twice_is_harmless_and_noted_once() -> None:
    async with calling() as (wats, _):
        for on in (False, False, True, True):
            await wats.control.listen(on)
        kinds = [event.kind for event in await wats.control.events()]
        assert kinds == [EventKind.LISTENER_CLOSED, EventKind.LISTENER_OPENED]


async def test_a_reset_forgets_everything_but_the_numbers() -> None:
    async with calling() as (wats, http):
        await wats.control.set_rules([{"action": "hang_after_storing", "nth": 2}])
        await post(http)
        before = wats.server.memory.events.last
        await wats.control.reset()
        told = (await wats.control.deliveries(), await wats.control.requests(), await wats.control.rule_counts())
        assert told == ({}, [], {})
        assert wats.server.memory.deliveries.bytes_held == 0
        await post(http)
        assert (await wats.control.events())[0].seq > before


async def test_a_reset_cuts_who_hangs() -> None:
    async with calling() as (wats, http), asyncio.TaskGroup() as group:
        await wats.control.set_rules([{"action": "hang_after_body"}])
        sending = group.create_task(_outcome(http))
        await wats.control.wait_for(EventKind.RULE_FIRED)
        await wats.control.reset()
        assert await sending in CUT


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "named"),
    [
        ("PUT", "/rules", b"{", 400, "Invalid JSON"),
        ("PUT", "/rules", b"\xff", 400, "Invalid JSON"),
        ("PUT", "/rules", b"", 400, "Invalid JSON"),
        ("POST", "/rules", b'[{"action": "html", "probability": 2}]', 400, "0.probability"),
        ("POST", "/release", b'{"report": "x"}', 400, "report"),
        ("POST", "/release", b'{"report_id": "x"}', 400, "a UUID"),
        ("POST", "/listener", b"{}", 400, "on"),
        ("POST", "/listener", b'{"on": "maybe"}', 400, "on"),
        ("POST", "/listener", b'{"on": true, "connections": "some"}', 400, "connections"),
        ("PUT", "/settings", b'{"answer_shape": "poem"}', 400, "answer_shape"),
        ("PUT", "/settings", b'{"colour": "red"}', 400, "colour"),
        ("GET", "/events?after=x", b"", 400, "after"),
        ("GET", "/events?after=-1", b"", 400, "after"),
        ("GET", "/events?wait=1e9", b"", 400, "wait"),
        ("GET", "/events?kind=party", b"", 400, "party"),
        ("GET", "/events?since=1", b"", 400, "since"),
        ("GET", "/report/x", b"", 400, "a UUID"),
        ("GET", f"/report/{OTHER}", b"", 404, OTHER),
        ("GET", "/nonsense", b"", 404, "/_chaos/rules"),
        ("PATCH", "/rules", b"", 404, "PUT /_chaos/rules"),
    ],
)
async def test_bad_input_gets_one_clear_line(method: str, path: str, body: bytes, status: int, named: str) -> None:
    async with calling() as (wats, http):
        answer = await http.request(method, f"{wats.control.control_url}/_chaos{path}", content=body)
        told = answer.json()
        assert (answer.status_code, "\n" in told["error"], bool(told["advice"])) == (status, False, True)
        assert named in told["error"]


async def test_what_is_no_command_at_all_is_refused_and_the_port_lives_on() -> None:
    async with running_wats_server() as wats:
        reader, writer = await asyncio.open_connection("127.0.0.1", wats.server.control_port)
        writer.write(b"\x00\x01\r\n\r\n")
        assert b" 400 " in await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert (await wats.control.summary())["is_listening"]


async def test_a_path_outside_the_commands_is_not_one() -> None:
    async with calling() as (wats, http):
        answer = await http.get(f"{wats.control.control_url}/rules")
        assert answer.status_code == 404


async def test_the_data_port_takes_no_commands() -> None:
    async with calling() as (_, http):
        assert (await http.put("/_chaos/rules", content=b"[]")).status_code == 404


async def test_the_summary_lists_every_action() -> None:
    async with running_wats_server() as wats:
        assert (await wats.control.summary())["actions"] == list(Action)


async def test_a_secret_token_is_in_no_answer_and_no_repr() -> None:
    async with calling(ServerSettings(token="s3cret")) as (wats, http):
        root = f"{wats.control.control_url}/_chaos"
        told = [await http.get(f"{root}/"), await http.put(f"{root}/settings", content=b'{"token": "s3cret"}')]
        said = [answer.text for answer in told] + [repr(wats), repr(wats.server.memory.settings)]
        assert "s3cret" not in "".join(said)


async def test_a_client_without_a_server_says_so() -> None:
    async with WatsServer() as server:
        address = server.control_url
    async with WatsServerClient(address) as control:
        with pytest.raises(ServerGoneError, match="found ConnectError; see if it still runs"):
            await control.deliveries()
