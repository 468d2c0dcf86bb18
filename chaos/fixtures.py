"""The fixtures of the pytest plugin. They need pytest-asyncio; each imports what it uses when a test asks for it.

* ``world``: a live world of the reference service, with ``start``, ``converge``, ``history`` (see ``World``).
* ``wats_server``: that world's WATS server: ``misbehave``, ``saw``, ``go_down``, ``come_up``, ``url``.
* ``service_process``: that world's way to start the service as a child process: ``await service_process.start(…)``.

The three of one test share one world; when the test ends, every process, socket and folder of it is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

if TYPE_CHECKING:  # Loading these takes longer than many a test: at run time the fixtures do it.
    from chaos.live.server import LiveServer
    from chaos.live.world import LiveWorld


@pytest_asyncio.fixture
async def world() -> AsyncIterator[LiveWorld]:
    """Give a live world with a WATS server, in which the reference service can be started."""
    from chaos.live.world import open_live_world
    from chaos.seed import Seed
    from chaos.subjects import find_subject

    async with open_live_world(find_subject("reference"), Seed(20261123)) as opened:
        yield opened


@pytest.fixture
def wats_server(world: LiveWorld) -> LiveServer:
    """Give the WATS server of this test's world."""
    return world.server


@pytest.fixture
def service_process(world: LiveWorld) -> LiveWorld:
    """Give what starts the service in this test's world."""
    return world
