"""The client on real sockets: answers that break off, drip, hang or are reset; TLS, proxies, pooling (H1.13, H1.14)."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.answers import Decision, PauseForCredentials, Rejected, RetryLater, Sent
from pywats_reliability.ports import SystemClock
from pywats_reliability.wats_client import ProxySettings, WatsClient
from tests.service.loopback_server import Behaviour, Exchange, LoopbackServer, serving

pytestmark = pytest.mark.asyncio
OURS = "7f3a1c52-9b1e-4c55-8f0e-1d2c3b4a5968"
BODY = b'{"id":"7f3a1c52-9b1e-4c55-8f0e-1d2c3b4a5968"}'
RECEIPT = b'[{"ID":"7f3a1c52-9b1e-4c55-8f0e-1d2c3b4a5968"}]'
DEADLINE_S = 10.0
SILENCE_S, UPLOAD_S = 0.15, 0.4
IMPATIENT: dict[str, Any] = {"timeout_s": SILENCE_S, "upload_limit_s": UPLOAD_S}


@asynccontextmanager
async def connected(url: str, **more: Any) -> AsyncIterator[WatsClient]:
    client = WatsClient(url, "dG9rZW46dG9rZW4=", clock=SystemClock(), **{"timeout_s": DEADLINE_S / 2, **more})
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield client
    finally:
        await client.aclose()


async def decision_of(behaviour: Behaviour, body: bytes = BODY, **more: Any) -> Decision:
    async with serving(behaviour) as server, connected(server.url, **more) as client:
        return await client.send(OURS, body)


def answering(raw: bytes, *, then_close: bool = True) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.write(raw)
        if then_close:
            exchange.writer.close()

    return behave


async def receipt(exchange: Exchange) -> None:
    await exchange.read_all()
    await exchange.answer(200, RECEIPT)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WITH_LENGTH = HEAD + b"Content-Length: %d\r\n\r\n" % len(RECEIPT)
CHUNK = b"%x\r\n" % len(RECEIPT) + RECEIPT
BROKEN = {
    "nothing at all": b"",
    "half a status line": b"HTTP/1.1 20",
    "half of the headers": HEAD,
    "headers, and no body": HEAD + b"\r\n",
    "less than the length says": HEAD + b"Content-Length: 100\r\n\r\n" + RECEIPT,
    "a chunk that breaks off": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK,
    "no last chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"\r\n",
    "no chunk at all": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a header without end": HEAD + b"X: " + b"x" * 300_000,
    "two different lengths": HEAD + b"Content-Length: 3\r\n" + WITH_LENGTH[len(HEAD) :] + RECEIPT,
    "a compressed answer": HEAD + b"Content-Encoding: gzip\r\n\r\n" + RECEIPT,
    "more than the limit": HEAD + b"Content-Length: 2000000\r\n\r\n" + b" " * 2_000_000,
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
}  # fmt: skip


@pytest.mark.proves("H1.13")
@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_answer_proves_nothing(case: str) -> None:
    assert isinstance(await decision_of(answering(BROKEN[case])), RetryLater)


WHOLE = {
    "with its length": WITH_LENGTH + RECEIPT,
    "in chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"\r\n0\r\n\r\n",
    "up to the end of the connection": HEAD + b"\r\n" + RECEIPT,
    "empty, with its length": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "empty, in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "after a word that the answer will come": b"HTTP/1.1 102 Processing\r\n\r\n" + HEAD + b"\r\n" + RECEIPT,
}  # fmt: skip


@pytest.mark.parametrize("case", WHOLE)
async def test_a_whole_answer_proves_receipt_however_it_is_framed(case: str) -> None:
    assert await decision_of(answering(WHOLE[case])) == Sent()


async def hang_at_once(exchange: Exchange) -> None:
    await exchange.hang()


async def hang_without_reading(exchange: Exchange) -> None:
    await exchange.read_head()
    exchange.reader._transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.Event().wait()


async def hang_before_the_headers(exchange: Exchange) -> None:
    await exchange.read_all()
    await exchange.hang()


async def hang_after_the_headers(exchange: Exchange) -> None:
    await exchange.read_all()
    await exchange.write(WITH_LENGTH)
    await exchange.hang()


async def hang_in_the_body(exchange: Exchange) -> None:
    await exchange.read_all()
    await exchange.write(WITH_LENGTH + RECEIPT[:-1])
    await exchange.hang()


@pytest.mark.proves("H1.14")
@pytest.mark.parametrize(
    "behaviour", [hang_at_once, hang_before_the_headers, hang_after_the_headers, hang_in_the_body]
)
async def test_a_server_that_hangs_costs_the_timeout_and_the_connection(behaviour: Behaviour) -> None:
    started = asyncio.get_running_loop().time()
    async with serving(behaviour) as server, connected(server.url, **IMPATIENT) as client:
        assert isinstance(await client.send(OURS, BODY), RetryLater)
        assert asyncio.get_running_loop().time() - started < 2
        await server.gone.wait()


async def test_a_server_that_stops_reading_costs_the_timeout() -> None:
    async with serving(hang_without_reading) as server, connected(server.url, timeout_s=SILENCE_S) as client:
        decision = await client.send(OURS, b"x" * 20_000_000)
    assert isinstance(decision, RetryLater)
    assert "takes no more data" in decision.reason


@pytest.mark.parametrize("raw", [RECEIPT, b"\r\nX-A: 1" * 1000])
async def test_a_server_that_drips_costs_the_limit_of_the_upload_and_no_more(raw: bytes) -> None:
    """Every byte comes within the timeout for silence, so only the limit for the whole can end it."""

    async def drip(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.write(HEAD[:-2] if raw != RECEIPT else WITH_LENGTH)
        for byte in raw:
            await exchange.write(bytes([byte]))
            await asyncio.sleep(SILENCE_S / 5)

    started = asyncio.get_running_loop().time()
    assert isinstance(await decision_of(drip, **IMPATIENT), RetryLater)
    assert UPLOAD_S <= asyncio.get_running_loop().time() - started < UPLOAD_S + 2


async def test_an_upload_may_take_longer_than_the_silence_while_bytes_flow() -> None:
    async def answer_in_pieces(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.write(WITH_LENGTH)
        for start in range(0, len(RECEIPT), 10):
            await asyncio.sleep(SILENCE_S)
            await exchange.write(RECEIPT[start : start + 10])

    assert await decision_of(answer_in_pieces, timeout_s=2 * SILENCE_S, upload_limit_s=DEADLINE_S) == Sent()


async def test_a_large_report_gets_the_time_that_a_slow_line_needs() -> None:
    """The limit grows with the body; otherwise a large report on a slow line could never arrive."""

    async with serving(receipt) as server, connected(server.url, upload_limit_s=0.0) as client:
        assert isinstance(await client.send(OURS, b""), RetryLater)
        assert await client.send(OURS, b"x" * 1_000_000) == Sent()


@pytest.mark.proves("H1.3")
@pytest.mark.parametrize("after", ["connecting", "the head", "the body", "half of the answer"])
async def test_a_reset_at_any_point_is_tried_again(after: str) -> None:
    async def reset(exchange: Exchange) -> None:
        if after != "connecting":
            await exchange.read_head()
        if after in ("the body", "half of the answer"):
            await exchange.reader.readexactly(len(BODY))
        if after == "half of the answer":
            await exchange.write(WITH_LENGTH + RECEIPT[:20])
        exchange.reset()

    assert isinstance(await decision_of(reset), RetryLater)


async def test_an_answer_before_the_whole_body_was_read_counts() -> None:
    """A proxy refuses what is too large without reading it, and closes."""

    async def refuse_early(exchange: Exchange) -> None:
        await exchange.read_head()
        await exchange.answer(413, b'{"message":"too large"}', "Connection: close")
        await exchange.hang()

    decision = await decision_of(refuse_early, b"x" * 3_000_000)
    assert isinstance(decision, Rejected)
    assert decision.reason.endswith("too large")


async def test_a_refused_connection_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with connected(url) as client:
        decision = await client.send(OURS, BODY)
    assert isinstance(decision, RetryLater)
    assert f"expected an answer of {url}, found an error of the connection: connection refused" in decision.reason


async def test_a_host_name_that_cannot_exist_is_tried_again() -> None:
    async with connected(f"http://{'a' * 70}.example") as client:
        assert isinstance(await client.send(OURS, BODY), RetryLater | PauseForCredentials)


async def test_a_cancelled_send_drops_its_connection_at_once() -> None:
    async with serving(hang_before_the_headers) as server, connected(server.url) as client:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(client.send(OURS, BODY))
            await server.arrived.wait()
            sending.cancel()
        await server.gone.wait()
        assert sending.cancelled()
        assert " 0 under way" in repr(client)


@pytest.mark.proves("H1.14")
async def test_hung_uploads_do_not_keep_the_others_waiting() -> None:
    """The pool has a connection for each slot and one more for the ping (H1.14)."""

    hanging = asyncio.Semaphore(0)

    async def hang_or_answer(exchange: Exchange) -> None:
        if b"hang" in await exchange.read_all():
            hanging.release()
            await exchange.hang()
        await exchange.answer(200, RECEIPT)

    async with (
        serving(hang_or_answer) as server,
        connected(server.url, max_concurrent=4) as client,
        asyncio.TaskGroup() as tasks,
    ):
        hung = [tasks.create_task(client.send(OURS, b"hang")) for _ in range(3)]
        for _ in hung:
            await hanging.acquire()
        assert [await client.send(OURS, BODY) for _ in range(5)] == [Sent()] * 5
        assert await client.version() == RECEIPT.decode().replace(":", ": ")
        for task in hung:
            task.cancel()


async def test_a_hundred_uploads_at_once_share_the_connections() -> None:
    async with serving(receipt) as server, connected(server.url, max_concurrent=10) as client:
        decisions = await asyncio.gather(*(client.send(OURS, BODY) for _ in range(100)))
        assert decisions == [Sent()] * 100
        assert server.connections <= 12


async def test_an_upload_under_way_ends_on_its_old_configuration() -> None:
    may_answer = asyncio.Event()

    async def answer_late(exchange: Exchange) -> None:
        await exchange.read_all()
        await may_answer.wait()
        await exchange.answer(200, RECEIPT)

    async with serving(answer_late) as old, serving(receipt) as new, connected(old.url) as client:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(client.send(OURS, BODY))
            await old.arrived.wait()
            client.update(new.url, "dG9rZW46dG9rZW4=")
            assert await client.send(OURS, BODY) == Sent()
            may_answer.set()
        assert sending.result() == Sent()
        await old.gone.wait()
        assert (len(old.bodies[0]), len(new.bodies[0])) == (len(BODY), len(BODY))


async def heads_seen(server: LoopbackServer, url: str, proxy: ProxySettings) -> list[bytes]:
    async with connected(url, proxy=proxy) as client:
        await client.send(OURS, BODY)
    return [exchange.head for exchange in server.exchanges if exchange.head]


@pytest.mark.proves("H3.5")
async def test_a_proxy_that_quotes_its_password_is_not_quoted() -> None:
    async def quote(exchange: Exchange) -> None:
        await exchange.read_all()
        line = next(line for line in exchange.head.split(b"\r\n") if line.lower().startswith(b"proxy-authorization"))
        await exchange.answer(502, json.dumps({"message": f"{line.decode()} of user:hunter2 is no good"}).encode())

    async with serving(quote) as server:
        proxy = ProxySettings("manual", "127.0.0.1", server.port, "user", "hunter2")
        async with connected("http://wats.example", proxy=proxy) as client:
            decision = await client.send(OURS, BODY)
    assert isinstance(decision, RetryLater)
    assert "is no good" in decision.reason
    assert not any(secret in decision.reason for secret in ("hunter2", proxy.token))


async def test_a_manual_proxy_gets_the_request_and_its_own_password() -> None:
    async with serving(receipt) as server:
        proxy = ProxySettings("manual", "127.0.0.1", server.port, "user", "hunter2")
        head, = await heads_seen(server, "http://wats.example", proxy)
    assert head.startswith(b"POST http://wats.example/api/Report/WSJF HTTP/1.1\r\n")
    assert b"proxy-authorization: basic dxnlcjpodw50zxiy" in head.lower()


@pytest.mark.parametrize("bypass", ["127.0.0.1", "other.example, 127.0.0.1", "other.example;127.0.0.1"])
async def test_a_bypassed_host_is_reached_directly(bypass: str) -> None:
    async with serving(receipt) as server:
        head, = await heads_seen(server, server.url, ProxySettings("manual", "127.0.0.1", 9, bypass=bypass))
    assert head.startswith(b"POST /api/Report/WSJF HTTP/1.1\r\n")


@pytest.mark.parametrize(("mode", "line"), [("none", b"POST /api/"), ("system", b"POST http://127.0.0.1")])
async def test_the_environments_proxy_counts_only_when_the_system_is_asked(
    mode: Any, line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(receipt) as server:
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        head, = await heads_seen(server, server.url, ProxySettings(mode))
    assert head.startswith(line)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_a_password_pauses(scheme: str) -> None:
    """For https the refusal answers the CONNECT; httpx makes an exception of it."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.read_all()
        await exchange.answer(407)

    async with serving(refuse) as server:
        proxy = ProxySettings("manual", "127.0.0.1", server.port)
        async with connected(f"{scheme}://wats.example", proxy=proxy) as client:
            assert isinstance(await client.send(OURS, BODY), PauseForCredentials)


CERTIFICATE = Path(__file__).with_name("loopback_certificate.pem")
"""A key and a certificate for 127.0.0.1, signed by itself; made for these tests, used for nothing else."""


@pytest.fixture
def self_signed() -> ssl.SSLContext:
    """A server's side of TLS that nobody vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def test_a_certificate_that_nobody_vouches_for_gets_no_report(self_signed: ssl.SSLContext) -> None:
    async with serving(receipt, tls=self_signed) as server:
        async with connected(f"https://127.0.0.1:{server.port}") as client:
            decision = await client.send(OURS, BODY)
        assert isinstance(decision, RetryLater)
        assert "TLS failure: self" in decision.reason
        assert not server.exchanges


async def test_a_certificate_that_was_given_trust_gets_the_report(self_signed: ssl.SSLContext) -> None:
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    async with (
        serving(receipt, tls=self_signed) as server,
        connected(f"https://127.0.0.1:{server.port}", tls=trust) as client,
    ):
        assert await client.send(OURS, BODY) == Sent()


async def test_a_server_without_tls_where_tls_is_expected_is_tried_again() -> None:
    async def answer_plainly(exchange: Exchange) -> None:
        await exchange.reader.read(1)
        await exchange.answer(400)

    async with (
        serving(answer_plainly) as server,
        connected(f"https://127.0.0.1:{server.port}") as client,
    ):
        decision = await client.send(OURS, BODY)
    assert isinstance(decision, RetryLater)
    assert "TLS failure" in decision.reason

