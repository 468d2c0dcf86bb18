"""What a live world's server says of deliveries."""

from __future__ import annotations

import pytest

from chaos.errors import OverdueError
from chaos.live.world import open_live_world
from chaos.seed import Seed
from chaos.subjects import find_subject


@pytest.mark.asyncio
async def test_a_report_that_was_delivered_once_was_not_delivered_twice() -> None:
    async with open_live_world(find_subject("reference"), Seed(1)) as world:
        service = await world.start()
        report_id = await service.submit()
        await world.server.received(report_id, times=1, effect=1)
        with pytest.raises(OverdueError, match="2 deliveries"):
            await world.server.received(report_id, times=2, limit_s=0.2)
        with pytest.raises(OverdueError, match="effect 2"):
            await world.server.received(report_id, times=1, effect=2, limit_s=0.2)
