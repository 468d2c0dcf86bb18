"""H6: IPC clients that hang."""

from __future__ import annotations

from chaos.faults.hung_clients import Hang, descriptors, hung_clients
from chaos.protocols import World, scenario

LIMIT_S = 1
PATIENCE_S = 15.0
CROWD = {Hang.NEVER_READING: 50, Hang.DRIBBLE: 150, Hang.HALF_BODY: 300, Hang.HALF_HEADER: 300, Hang.SILENT: 300}
"""How many of each kind; those that wait for no hello first, so that all have had their turn when they are counted."""
CROWD_LIMIT_S = 5
CROWD_CONNECTIONS_MAX = 1000
DESCRIPTORS = 2000


@scenario(proves=["H6.1", "H6.2"], faults=[f"ipc.{kind}" for kind in Hang])
async def clients_that_hang(world: World) -> None:
    """Clients that hang at every place of the protocol are cut off at the limit, and a good one is always answered."""
    service = await world.start(
        ipc_connection_timeout=LIMIT_S, ipc_read_timeout=LIMIT_S, ipc_write_timeout=LIMIT_S
    )
    async with hung_clients(service.ipc_address, world.history) as crowd:
        for kind in Hang:
            await crowd.hang(kind)
        async with service.asked_all_the_time():
            cuts = await crowd.cut_off(limit_s=PATIENCE_S)
        for cut in cuts:
            world.history.observe("cut", hang=cut.hang, closed_after_s=cut.closed_after_s, limit_s=LIMIT_S)


@scenario(proves=["H6.4"], faults=[f"ipc.{kind}" for kind in Hang], limit_s=90)
async def a_thousand_hung_clients(world: World) -> None:
    """A crowd larger than all the places hangs in every way: a good client is answered at once, all the time."""
    with descriptors(DESCRIPTORS):
        service = await world.start(
            ipc_max_connections=CROWD_CONNECTIONS_MAX,
            ipc_connection_timeout=CROWD_LIMIT_S, ipc_read_timeout=CROWD_LIMIT_S, ipc_write_timeout=CROWD_LIMIT_S,
        )  # fmt: skip
        async with hung_clients(service.ipc_address, world.history) as crowd, service.asked_all_the_time():
            for kind, count in CROWD.items():
                for _ in range(count):
                    await crowd.hang(kind)
            connected, size = crowd.still_connected(), sum(CROWD.values())
            world.history.observe("crowd", size=size, connected=connected, connections_max=CROWD_CONNECTIONS_MAX)
            for cut in await crowd.cut_off(limit_s=PATIENCE_S):
                world.history.observe("cut", hang=cut.hang, closed_after_s=cut.closed_after_s, limit_s=CROWD_LIMIT_S)
