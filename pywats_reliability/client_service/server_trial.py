"""Tries the way to a server once, with settings that need not be in force: what a person asks for before saving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pywats_reliability.client_service.settings import proxy_settings
from pywats_reliability.config import ClientConfig
from pywats_reliability.ports import SystemClock
from pywats_reliability.wats_client import WatsClient

TRIAL_TIMEOUT_S = 10.0


async def try_server(config: ClientConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the server for its version and return it with the address; nothing is changed, no report is sent.

    Raises ``ConfigError`` for changes that do not hold, ``SendError`` with what stands in the way.
    """
    tried = config.copy()
    tried.update(changes)
    timeout_s = min(TRIAL_TIMEOUT_S, tried.upload_timeout_seconds)
    client = WatsClient(
        tried.service_address, tried.api_token, clock=SystemClock(), timeout_s=timeout_s, proxy=proxy_settings(tried)
    )
    try:
        return {"service_address": tried.service_address, "version": await client.version()}
    finally:
        await client.aclose()
