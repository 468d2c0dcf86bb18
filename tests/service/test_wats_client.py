"""The client above the transport: requests, answers, translation of errors, states (H1.3, H1.7, H1.13, H3.5)."""

from __future__ import annotations

import base64
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import pytest_asyncio
import respx

from pywats_reliability.answers import Decision, PauseForCredentials, Rejected, RetryLater, Sent
from pywats_reliability.errors import SendError
from pywats_reliability.ports import SystemClock
from pywats_reliability.retry import scrub
from pywats_reliability.wats_client import ANSWER_BYTES_MAX, ProxySettings, WatsClient
from pywats_reliability.wats_client.client import _read
from pywats_reliability.wats_client.line import make_line

pytestmark = pytest.mark.asyncio
OURS = "7f3a1c52-9b1e-4c55-8f0e-1d2c3b4a5968"
BODY = b'{"id":"7f3a1c52-9b1e-4c55-8f0e-1d2c3b4a5968","sn":"SN-0042-X"}'
RECEIPT = [{"ID": OURS}]
TOKEN = base64.b64encode(b"operator:correct horse").decode()
BASE = "https://wats.example"
NO_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SUBMIT = f"{BASE}/api/Report/WSJF"


def make_client(base_url: str = BASE, token: str = TOKEN, **more: Any) -> WatsClient:
    """Return a client that trusts nobody, which is quickly made: these tests shake no hands."""
    return WatsClient(base_url, token, clock=SystemClock(), **{"tls": NO_TRUST, **more})


@pytest_asyncio.fixture
async def client() -> AsyncIterator[WatsClient]:
    client = make_client()
    yield client
    await client.aclose()


async def decision_for(base_url: str = BASE, token: str = TOKEN, **more: Any) -> Decision:
    client = make_client(base_url, token, **more)
    try:
        return await client.send(OURS, BODY)
    finally:
        await client.aclose()


@respx.mock
async def test_the_request_is_the_one_a_wats_server_expects(client: WatsClient) -> None:
    route = respx.post(SUBMIT).respond(json=RECEIPT)
    assert await client.send(OURS, BODY) == Sent()
    request = route.calls.last.request
    assert request.content == BODY
    assert {name: request.headers[name] for name in ("authorization", "content-type", "accept", "content-length")} == {
        "authorization": f"Basic {TOKEN}", "content-type": "application/json", "accept": "application/json",
        "content-length": str(len(BODY)),
    }  # fmt: skip
    assert "transfer-encoding" not in request.headers


@respx.mock
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 300_000])
async def test_a_body_of_any_size_goes_out_byte_for_byte(client: WatsClient, size: int) -> None:
    route = respx.post(SUBMIT).respond(json=RECEIPT)
    body = bytes(n % 251 for n in range(size))
    await client.send(OURS, body)
    assert route.calls.last.request.content == body


@respx.mock
@pytest.mark.parametrize(
    "typed",
    [BASE, f"{BASE}/", f"{BASE}/api", f"{BASE}/api/", f" {BASE}/API/ ", f"{BASE}//", f"{BASE}?x=1#y",
     "https://someone:else@wats.example", "https://WATS.example"],
)  # fmt: skip
async def test_the_address_is_taken_as_people_type_it(typed: str) -> None:
    route = respx.post(SUBMIT).respond(json=RECEIPT)
    assert await decision_for(typed) == Sent()
    assert route.calls.last.request.headers["authorization"] == f"Basic {TOKEN}"


@respx.mock
async def test_a_path_in_front_of_the_api_is_kept() -> None:
    respx.post(f"{BASE}/factory/api/Report/WSJF").respond(json=RECEIPT)
    assert await decision_for(f"{BASE}/factory/api/") == Sent()


@pytest.mark.parametrize("typed", ["", "  ", "wats.example", "ftp://wats.example", "https://", "http://[::1", "https:///x"])
async def test_without_a_usable_address_nothing_is_tried_and_sending_pauses(typed: str) -> None:
    decision = await decision_for(typed, transport=httpx.MockTransport(_must_not_be_called))
    assert isinstance(decision, PauseForCredentials)
    assert "service_address" in decision.reason


@pytest.mark.parametrize("token", ["abc\ndef", "grün", "a b", "\x00"])
async def test_a_token_that_no_header_can_carry_pauses_and_is_not_shown(token: str) -> None:
    decision = await decision_for(token=token, transport=httpx.MockTransport(_must_not_be_called))
    assert isinstance(decision, PauseForCredentials)
    assert token not in decision.reason


@respx.mock
async def test_without_a_token_the_server_is_asked_without_one() -> None:
    route = respx.post(SUBMIT).respond(401)
    assert isinstance(await decision_for(token=""), PauseForCredentials)
    assert "authorization" not in route.calls.last.request.headers


@respx.mock
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, RECEIPT, Sent), (201, {"id": OURS}, Sent), (202, OURS, Sent),
        (200, {"error": "no"}, RetryLater), (200, [{"ID": "other"}], RetryLater),
        (301, "", RetryLater), (302, "", RetryLater), (303, "", RetryLater), (307, "", RetryLater),
        (400, {"message": "no"}, Rejected), (404, "", Rejected), (413, "", Rejected), (422, {"error": "no"}, Rejected),
        (409, {"message": "other"}, Rejected), (409, {"message": "Report already exists"}, Sent),
        (401, "", PauseForCredentials), (403, "", PauseForCredentials), (407, "", PauseForCredentials),
        (408, "", RetryLater), (418, "", RetryLater), (425, "", RetryLater), (429, "", RetryLater),
        (500, "", RetryLater), (502, "", RetryLater), (503, "", RetryLater), (504, "", RetryLater),
    ],
)  # fmt: skip
async def test_every_status_becomes_its_decision(client: WatsClient, status: int, body: object, kind: type) -> None:
    respx.post(SUBMIT).respond(status, json=body)
    assert isinstance(await client.send(OURS, BODY), kind)


@pytest.mark.proves("H1.13")
@respx.mock
async def test_a_login_page_is_no_receipt(client: WatsClient) -> None:
    respx.post(SUBMIT).respond(html="<html><title>Sign in</title></html>")
    assert isinstance(await client.send(OURS, BODY), RetryLater)


@respx.mock
async def test_a_retry_after_date_is_counted_from_the_answers_date(client: WatsClient) -> None:
    headers = {"Retry-After": "Sun, 06 Nov 1994 08:50:37 GMT", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}
    respx.post(SUBMIT).respond(503, headers=headers)
    decision = await client.send(OURS, BODY)
    assert isinstance(decision, RetryLater)
    assert decision.not_before_s == 60


@respx.mock
@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_that_keeps_method_and_origin_is_followed_once(client: WatsClient, status: int) -> None:
    respx.post(SUBMIT).respond(status, headers={"Location": "/wats/api/Report/WSJF"})
    second = respx.post(f"{BASE}/wats/api/Report/WSJF").respond(json=RECEIPT)
    assert await client.send(OURS, BODY) == Sent()
    assert second.calls.last.request.content == BODY


@respx.mock
async def test_a_second_redirect_is_not_followed(client: WatsClient) -> None:
    route = respx.post(SUBMIT).respond(307, headers={"Location": SUBMIT})
    assert isinstance(await client.send(OURS, BODY), RetryLater)
    assert route.call_count == 2


@pytest.mark.proves("H1.13")
@respx.mock
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "target",
    ["https://elsewhere.example/x", "http://wats.example/x", "https://wats.example:8443/x", "//elsewhere.example/x"],
)
async def test_no_redirect_leads_elsewhere(client: WatsClient, status: int, target: str) -> None:
    """The token and the report stay with the server that was configured; an answer from elsewhere proves nothing."""
    respx.post(SUBMIT).respond(status, headers={"Location": target})
    elsewhere = respx.route(path="/x").respond(json=RECEIPT)
    assert isinstance(await client.send(OURS, BODY), RetryLater)
    assert not elsewhere.called


@respx.mock
@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_redirect_that_would_become_a_get_is_not_followed(client: WatsClient, status: int) -> None:
    respx.post(SUBMIT).respond(status, headers={"Location": "/login"})
    login = respx.route(path="/login").respond(json=RECEIPT)
    decision = await client.send(OURS, BODY)
    assert isinstance(decision, RetryLater)
    assert "service_address" in decision.reason
    assert not login.called


@respx.mock
@pytest.mark.parametrize("location", ["http://[", "", "//", "\x00", "http://" + "a" * 70_000])
async def test_a_senseless_redirect_is_only_tried_again(client: WatsClient, location: str) -> None:
    respx.post(SUBMIT).respond(307, headers={"Location": location})
    assert isinstance(await client.send(OURS, BODY), RetryLater)


def _caused(error: Exception, cause: BaseException) -> Exception:
    """Return ``error`` with its cause where httpx hides it."""
    error.__cause__ = OSError("All connection attempts failed")
    error.__cause__.__cause__ = cause
    return error


def _refused() -> OSError:
    return OSError(errno.ECONNREFUSED, "Connection refused")


def _tls_error() -> ssl.SSLError:
    return ssl.SSLError(1, "bad record mac")


FAILURES: dict[str, tuple[Callable[[], Exception], str]] = {
    "refused": (lambda: _caused(httpx.ConnectError("x"), _refused()), "refused"),
    "all refused": (lambda: _caused(httpx.ConnectError("x"), ExceptionGroup("x", [_refused()])), "refused"),
    "no route": (lambda: _caused(httpx.ConnectError("x"), OSError(errno.EHOSTUNREACH, "No route")), "no route"),
    "no such host": (lambda: _caused(httpx.ConnectError("x"), socket.gaierror(-2, "Unknown")), "no such host name"),
    "TLS": (lambda: _caused(httpx.ConnectError("x"), _tls_error()), "TLS failure"),
    "a bare TLS error": (_tls_error, "TLS failure"),
    "reset": (lambda: _caused(httpx.ReadError("x"), ConnectionResetError(errno.ECONNRESET, "Reset")), "reset"),
    "no connection in time": (lambda: httpx.ConnectTimeout("x"), "no connection"),
    "silence": (lambda: httpx.ReadTimeout("x"), "silence"),
    "no data taken": (lambda: httpx.WriteTimeout("x"), "takes no more data"),
    "no connection free": (lambda: httpx.PoolTimeout("x"), "silence"),
    "no HTTP": (lambda: httpx.RemoteProtocolError("x"), "not HTTP"),
    "not to be sent": (lambda: httpx.LocalProtocolError(f"Illegal header value {TOKEN}"), "localprotocolerror"),
    "a proxy": (lambda: httpx.ProxyError("502 Bad Gateway"), "proxyerror"),
    "no descriptors left": (lambda: OSError(errno.EMFILE, "Too many open files"), "too many open files"),
    "a host name of senseless form": (lambda: UnicodeError("label too long"), "unicodeerror"),
}


@pytest.mark.proves("H1.3")
@pytest.mark.parametrize("case", FAILURES)
async def test_every_failure_of_the_network_is_tried_again_and_says_why(case: str) -> None:
    make_error, words = FAILURES[case]
    decision = await decision_for(transport=httpx.MockTransport(_raising(make_error())))
    assert isinstance(decision, RetryLater)
    assert words in decision.reason
    assert decision.reason.startswith("expected an answer of https://wats.example, found ")
    assert TOKEN not in decision.reason


async def test_a_bug_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        await decision_for(transport=httpx.MockTransport(_raising(ZeroDivisionError())))


async def test_a_proxy_that_wants_a_password_pauses() -> None:
    refusal = httpx.ProxyError("407 Proxy Authentication Required")
    assert isinstance(await decision_for(transport=httpx.MockTransport(_raising(refusal))), PauseForCredentials)


async def test_a_proxy_of_senseless_form_pauses() -> None:
    proxy = ProxySettings("manual", host="http://[", port=8080)
    decision = await decision_for(proxy=proxy)
    assert isinstance(decision, PauseForCredentials)
    assert "proxy" in decision.reason


@respx.mock
async def test_an_answer_over_the_limit_is_no_receipt(client: WatsClient) -> None:
    respx.post(SUBMIT).respond(content=b" " * ANSWER_BYTES_MAX + f'"{OURS}"'.encode())
    decision = await client.send(OURS, BODY)
    assert isinstance(decision, RetryLater)
    assert "breaks off" in decision.reason


async def test_no_more_of_an_answer_is_kept_than_the_limit() -> None:
    """Also when it comes in one piece that is larger than the limit."""
    received = bytearray()
    assert not await _read(httpx.Response(200, stream=httpx.ByteStream(b"x" * (3 * ANSWER_BYTES_MAX))), received)
    assert len(received) == ANSWER_BYTES_MAX


@respx.mock
@pytest.mark.parametrize(("body", "version"), [("2024.3", "2024.3"), ({"v": 3}, '{"v": 3}'), ("x" * 500, "x" * 100)])
async def test_the_ping_returns_the_servers_version(client: WatsClient, body: object, version: str) -> None:
    respx.get(f"{BASE}/api/App/Version").respond(json=body)
    assert await client.version() == version


@respx.mock
@pytest.mark.parametrize(
    ("status", "content"),
    [(200, b""), (200, b'""'), (200, b"{}"), (200, b"null"), (200, b"<html>"), (302, b""), (401, b"1"), (500, b"1")],
)
async def test_a_ping_without_a_version_says_why(client: WatsClient, status: int, content: bytes) -> None:
    respx.get(f"{BASE}/api/App/Version").respond(status, content=content)
    with pytest.raises(SendError, match="expected the version of a WATS server"):
        await client.version()


async def test_a_ping_without_a_server_says_why() -> None:
    client = make_client(transport=httpx.MockTransport(_raising(httpx.ConnectTimeout("x"))))
    with pytest.raises(SendError, match="no connection within the timeout"):
        await client.version()
    await client.aclose()


@respx.mock
async def test_the_status_of_the_api_follows_what_the_server_does_and_is_told_once(client: WatsClient) -> None:
    told: list[tuple[str, str]] = []
    client.api_status_changed.subscribe(lambda status, reason: told.append((status, reason)))
    replies: list[httpx.Response | Exception] = [
        httpx.Response(200, json=RECEIPT), httpx.Response(422), httpx.Response(503), httpx.Response(401),
        httpx.ConnectTimeout("x"), httpx.ReadTimeout("x"), httpx.Response(409),
    ]  # fmt: skip
    respx.post(SUBMIT).mock(side_effect=replies)
    for _ in replies:
        await client.send(OURS, BODY)
    assert [status for status, _ in told] == ["Online", "Error", "Offline", "Online"]


@respx.mock
async def test_a_new_configuration_counts_from_the_next_request(client: WatsClient) -> None:
    new = respx.post("https://new.example/api/Report/WSJF").respond(json=RECEIPT)
    client.update("https://new.example", "bmV3OnRva2Vu")
    assert await client.send(OURS, BODY) == Sent()
    assert new.calls.last.request.headers["authorization"] == "Basic bmV3OnRva2Vu"


@respx.mock
async def test_the_same_configuration_again_keeps_the_connections(client: WatsClient) -> None:
    respx.post(SUBMIT).respond(json=RECEIPT)
    await client.send(OURS, BODY)
    line = client._line
    client.update(f"{BASE}/", TOKEN)
    assert client._line is line
    client.update(BASE, TOKEN, timeout_s=7.0)
    assert client._line is not line


async def test_a_closed_client_sends_nothing_and_closes_again_without_harm(client: WatsClient) -> None:
    await client.aclose()
    assert isinstance(await client.send(OURS, BODY), PauseForCredentials)


@respx.mock
async def test_nothing_that_can_be_printed_shows_a_secret(client: WatsClient) -> None:
    respx.post(SUBMIT).respond(400, text=f"you sent Authorization: Basic {TOKEN} and SN-0042-X")
    decision = await client.send(OURS, BODY)
    proxy = ProxySettings("manual", "proxy.example", username="u", password="hunter2")
    shown = f"{client!r} {vars(client)!r} {decision!r} {proxy!r}"
    assert not [secret for secret in (TOKEN, "correct horse", "SN-0042-X", "hunter2") if secret in shown]


async def test_the_repr_says_where_how_and_how_much(client: WatsClient) -> None:
    assert repr(client) == "WatsClient(https://wats.example, Offline, 0 under way, 0 requests)"


@respx.mock
async def test_authorities_that_cannot_be_read_just_now_pause_until_they_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An update of the system may take them away for a moment; nobody should have to start the service again."""
    respx.post(SUBMIT).respond(json=RECEIPT)
    client = make_client(tls=None)
    with monkeypatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
        assert isinstance(await client.send(OURS, BODY), PauseForCredentials)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    assert await client.send(OURS, BODY) == Sent()
    await client.aclose()


async def test_certificates_are_verified() -> None:
    client = make_client(tls=None)
    async with client._in_use() as line:
        assert line.client is not None
        pool = line.client._transport._pool  # type: ignore[attr-defined]
        assert pool._ssl_context.verify_mode is ssl.CERT_REQUIRED
        assert pool._ssl_context.check_hostname
    await client.aclose()


def _raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    return handler


def _must_not_be_called(_: httpx.Request) -> httpx.Response:
    raise AssertionError("nothing was to be sent")


@pytest.mark.proves("H3.5")
@pytest.mark.parametrize(("mode", "shown"), [("system", "[withheld]"), ("none", "hunter3")])
async def test_a_password_of_the_environment_s_proxy_is_withheld_where_it_is_used(
    mode: Literal["system", "none"], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://station:hunter3@proxy.example:8080")
    line = make_line("http://wats.test", TOKEN, ProxySettings(mode), timeout_s=1, max_concurrent=1)
    assert scrub("it got hunter3", line.request()) == f"it got {shown}"
