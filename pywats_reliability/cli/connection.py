"""How the command line reaches a running service: its address and token from the configuration, one client for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pywats_reliability.client_service.settings import ipc_address
from pywats_reliability.config import ClientConfig
from pywats_reliability.config_file import load_config
from pywats_reliability.errors import IPCRateLimitError
from pywats_reliability.ipc import AsyncIPCClient, load_secret, secret_path

T = TypeVar("T")
PATIENCE_S = 1.0
REQUEST_TIMEOUT_S = 65.0


def config_at(path: Path) -> ClientConfig:
    """Return the configuration in the file, or the defaults where there is none yet. Raises ``ConfigFileError``."""
    if not path.exists():
        return ClientConfig.from_environment(os.environ)
    return load_config(path, environment=os.environ)


def with_service(config: ClientConfig, work: Callable[[AsyncIPCClient], Awaitable[T]]) -> T:
    """Connect to the service of ``config``, do ``work`` with the client, and return what it returns.

    Raises ``IPCError``: there is no service, it does not answer, or it refuses.
    """

    async def connected() -> T:
        address = ipc_address(config)
        secret = load_secret(secret_path(config.instance_id))
        async with AsyncIPCClient(address, secret=secret, request_timeout_s=REQUEST_TIMEOUT_S) as client:
            return await work(client)

    return asyncio.run(connected())


async def patiently(client: AsyncIPCClient, command: str, arguments: Mapping[str, Any]) -> Any:
    """Request, and wait a little whenever the service says that there were too many requests in too short a time."""
    while True:
        try:
            return await client.request(command, arguments)
        except IPCRateLimitError:
            await asyncio.sleep(PATIENCE_S)
