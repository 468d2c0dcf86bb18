"""What the WATS server answers when it is told to answer something else than the truth."""

from __future__ import annotations

import json
import ssl
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from chaos.live.wats_server import RunningWatsServer, WatsServer, running_wats_server
from chaos.wats_server.exchange import REPORT_PATH, VERSION_PATH

pytestmark = pytest.mark.asyncio
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # No TLS here: loading roots would take most of the time.
ID = "8362baa8-6f02-4d29-8e7f-8b7b2f30f03d"
OTHER = "83ac0b8e-b575-4004-94de-f905774c3ed8"
REPORT = json.dumps({"id": ID, "pn": "x" * 1000}).encode()
MEBIBYTE = 1024 * 1024


async def replied(rule: dict[str, Any], wats: RunningWatsServer | None = None) -> httpx.Response:
    """Return what a report is answered under a rule."""
    if wats is None:
        async with running_wats_server() as own:
            return await replied(rule, own)
    await wats.control.set_rules([rule])
    async with httpx.AsyncClient(base_url=wats.url, trust_env=False, verify=PLAIN) as http:
        return await http.post(REPORT_PATH, content=REPORT, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408, 401, 403, 400, 404, 409, 413, 422, 507, 599])
async def test_a_status_is_answered_with_a_wats_error_and_stores_nothing(status: int) -> None:
    async with running_wats_server() as wats:
        answer = await replied({"action": "status", "status": status}, wats)
        assert (answer.status_code, list(answer.json())) == (status, ["message"])
        assert (await wats.control.deliveries())[ID].stored == 0


@pytest.mark.parametrize("key", ["message", "Message", "error"])
async def test_the_words_of_an_error_stand_under_each_key_that_wats_uses(key: str) -> None:
    answer = await replied({"action": "status", "status": 422, "message_key": key, "message": "No such part"})
    assert answer.json() == {key: "No such part"}


async def test_the_words_of_an_error_may_be_plain_text() -> None:
    answer = await replied({"action": "status", "status": 500, "message_key": "text", "message": "Oops"})
    assert (answer.text, answer.headers["content-type"]) == ("Oops", "text/plain; charset=utf-8")


async def test_a_status_without_a_body_has_none() -> None:
    assert (await replied({"action": "status", "status": 204})).content == b""


@pytest.mark.parametrize("wish", [7, "7", "soon"])
async def test_retry_after_is_sent_as_given(wish: int | str) -> None:
    answer = await replied({"action": "status", "status": 429, "retry_after": wish})
    assert answer.headers["retry-after"] == str(wish)


async def test_retry_after_may_be_a_date() -> None:
    async with WatsServer() as server:
        server.memory.wall_time_s = lambda: 1_700_000_000.0
        rule = [{"action": "status", "status": 503, "retry_after_date_s": 60}]
        async with httpx.AsyncClient(trust_env=False, verify=PLAIN) as http:
            await http.put(f"{server.control_url}/_chaos/rules", json=rule)
            answer = await http.get(server.data_url + VERSION_PATH)
        assert parsedate_to_datetime(answer.headers["retry-after"]).timestamp() == 1_700_000_060


async def test_a_duplicate_is_said_to_be_one_and_is_there() -> None:
    async with running_wats_server() as wats:
        answer = await replied({"action": "status", "status": 409, "duplicate": True}, wats)
        assert "already exists" in answer.json()["message"]
        assert await wats.control.body(ID) == REPORT


@pytest.mark.parametrize("action", ["html", "not_json"])
async def test_an_answer_under_200_that_is_no_json_stores_nothing(action: str) -> None:
    async with running_wats_server() as wats:
        answer = await replied({"action": action}, wats)
        assert (answer.status_code, (await wats.control.deliveries())[ID].stored) == (200, 0)
        with pytest.raises(json.JSONDecodeError):
            answer.json()


async def test_a_login_page_is_html() -> None:
    answer = await replied({"action": "html"})
    assert (answer.headers["content-type"], "<form" in answer.text) == ("text/html; charset=utf-8", True)


async def test_an_error_object_comes_under_200() -> None:
    answer = await replied({"action": "error_object", "message": "Locked", "message_key": "Message"})
    assert (answer.status_code, answer.json()) == (200, {"Message": "Locked"})


@pytest.mark.parametrize("stored", [True, False])
async def test_an_answer_may_lie_about_a_report_that_was_stored(stored: bool) -> None:
    async with running_wats_server() as wats:
        await replied({"action": "status", "status": 500, "stored": stored}, wats)
        assert (await wats.control.deliveries())[ID].stored == stored


async def test_a_redirect_points_where_it_is_told() -> None:
    answer = await replied({"action": "redirect", "status": 307, "location": "http://127.0.0.1:9/elsewhere"})
    assert (answer.status_code, answer.headers["location"]) == (307, "http://127.0.0.1:9/elsewhere")


async def test_another_id_is_a_uuid_and_not_ours() -> None:
    answer = (await replied({"action": "other_id"})).json()[0]["ID"]
    assert (len(answer), answer == ID) == (36, False)


async def test_a_long_answer_is_valid_and_as_long_as_said() -> None:
    answer = await replied({"action": "long_answer", "padding_bytes": 3 * MEBIBYTE + 1})
    assert len(answer.content) > 3 * MEBIBYTE
    assert answer.json() == [{"ID": ID}]


async def test_rules_are_for_the_report_or_path_they_name() -> None:
    async with running_wats_server() as wats:
        assert (await replied({"action": "status", "report_id": OTHER}, wats)).status_code == 200
        assert (await replied({"action": "status", "path": VERSION_PATH}, wats)).status_code == 200
        assert (await replied({"action": "status", "report_id": ID, "path": REPORT_PATH}, wats)).status_code == 500
