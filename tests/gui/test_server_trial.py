"""The way to a server is tried with settings that are not in force: one request, and nothing changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pywats_reliability.client_service.server_trial import try_server
from pywats_reliability.config import ClientConfig
from pywats_reliability.errors import IPCRemoteError, SendError, SettingValueError
from tests.service.loopback_server import Exchange, serving
from tests.service.service_world import running

TOKEN = "c2VjcmV0OnNlY3JldA=="


async def answers(exchange: Exchange) -> None:
    await exchange.read_all()
    await exchange.answer(200, b'"2026.1"')


async def refuses(exchange: Exchange) -> None:
    await exchange.read_all()
    await exchange.answer(401, b'"no"')


@pytest.mark.asyncio
async def test_what_is_tried_reaches_the_server_and_is_not_in_force() -> None:
    config = ClientConfig(service_address="http://127.0.0.1:9", api_token="b2xkOm9sZA==")
    async with serving(answers) as server:
        found = await try_server(config, {"service_address": server.url, "api_token": TOKEN})
        assert found == {"service_address": server.url, "version": "2026.1"}
        assert f"Basic {TOKEN}".encode() in server.exchanges[0].head
    assert (config.service_address, config.api_token) == ("http://127.0.0.1:9", "b2xkOm9sZA==")


@pytest.mark.asyncio
async def test_a_server_that_refuses_the_token_is_an_error_without_the_token() -> None:
    async with serving(refuses) as server:
        with pytest.raises(SendError, match="401") as refusal:
            await try_server(ClientConfig(), {"service_address": server.url, "api_token": TOKEN})
    assert TOKEN not in str(refusal.value)


@pytest.mark.asyncio
async def test_settings_that_do_not_hold_are_not_tried() -> None:
    with pytest.raises(SettingValueError, match="service_address"):
        await try_server(ClientConfig(), {"service_address": "ftp://x"})


@pytest.mark.asyncio
async def test_it_is_a_command_of_the_service(tmp_path: Path) -> None:
    async with running(tmp_path) as world, serving(answers) as server, world.client() as client:
        found = await client.request("test_server", {"settings": {"service_address": server.url}})
        assert found == {"service_address": server.url, "version": "2026.1"}
        with pytest.raises(IPCRemoteError, match="expected an object of settings"):
            await client.request("test_server", {"settings": 7})
