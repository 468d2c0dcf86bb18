"""When the server is back after an outage, reports need not wait for the rest of their backoff."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from chaos.sample_reports import report_id, sample_report
from chaos.seed import Seed
from pywats_reliability.client_service import AsyncClientService, Surroundings
from pywats_reliability.client_service import service as module
from pywats_reliability.config import ClientConfig

BODY = sample_report(Seed(1).stream("outage"))


class Switched(httpx.AsyncBaseTransport):
    """A server that is away until it is switched on."""

    def __init__(self) -> None:
        self.is_on = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self.is_on:
            raise httpx.ConnectError("switched off", request=request)
        await request.aread()
        answer = '"26.1"' if request.method == "GET" else f'[{{"ID": "{report_id(BODY)}"}}]'
        headers = {"content-type": "application/json", "content-length": str(len(answer))}
        return httpx.Response(200, stream=httpx.ByteStream(answer.encode()), headers=headers)


@pytest.mark.proves("H1.3")
@pytest.mark.asyncio
@pytest.mark.parametrize(("outage_s", "is_sent"), [(0.0, True), (60.0, False)])
async def test_what_waits_is_sent_when_the_server_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outage_s: float, *, is_sent: bool
) -> None:
    """After an outage at once; after a moment's absence each report keeps its backoff."""
    monkeypatch.setattr(module, "OUTAGE_S", outage_s)
    config = ClientConfig(
        ipc_socket=str(tmp_path / "s"), health_port=0, min_free_disk_bytes=0, retry_interval_seconds=3600,
        service_address="http://127.0.0.1:9", api_token="YTpi",
    )  # fmt: skip
    transport, failed, sent = Switched(), asyncio.Event(), asyncio.Event()
    around = Surroundings(transport=transport, secrets_folder=tmp_path / "k")
    service = AsyncClientService(tmp_path / "d", config, around)
    service.queue.operation_failed.subscribe(lambda *_: failed.set())
    service.queue.operation_sent.subscribe(lambda *_: sent.set())
    await service.start()
    await service.queue.submit(BODY)
    await asyncio.wait_for(failed.wait(), 10)
    transport.is_on = True
    await service._parts.rhythms.ask_for_a_sign_of_life()
    if is_sent:
        await asyncio.wait_for(sent.wait(), 10)
    report = await service.stop()
    assert report.pending == (0 if is_sent else 1)
