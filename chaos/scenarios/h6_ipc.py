"""H6: IPC clients that hang."""

from __future__ import annotations

from chaos.faults.hung_clients import Hang, hung_clients
from chaos.protocols import EVERYWHERE, World, scenario

LIMIT_S = 1
PATIENCE_S = 15.0


@scenario(
    proves=["H6.1", "H6.2"],
    faults=[f"ipc.{kind}" for kind in Hang],
    worlds=EVERYWHERE,
    judged_by=["hung_clients_are_cut_off", "readers_that_never_read_are_cut_off"],
)
async def clients_that_hang(world: World) -> None:
    """Clients that hang at every place of the protocol are cut off at the limit, and a good one is always answered."""
    service = await world.start(ipc_connection_timeout=LIMIT_S, ipc_read_timeout=LIMIT_S, ipc_write_timeout=LIMIT_S)
    async with hung_clients(service.ipc_address, world.history) as crowd:
        for kind in Hang:
            await crowd.hang(kind)
        async with service.asked_all_the_time():
            cuts = await crowd.cut_off(limit_s=PATIENCE_S)
        for cut in cuts:
            world.history.observe("cut", hang=cut.hang, closed_after_s=cut.closed_after_s, limit_s=LIMIT_S)
