"""H6, simulated: floods against the rate, and commands whose time is up while the disk is at them."""

from __future__ import annotations

import asyncio

from chaos.faults.raw_ipc import raw_client, request
from chaos.protocols import SIMULATED, scenario
from chaos.sim.disk.faults import SYNCS, slow
from chaos.sim.world import SimWorld

FLOOD = 60
TOKENS, PER_S = 20.0, 100 / 60
IN_DOUBT = 0.05
"""Of a token: what a rate in fractions may differ by from sums made at other instants."""
LATE_S = 200.0


@scenario(proves=["H6.7"], faults=["ipc.flood"], worlds=SIMULATED, judged_by=["a_flood_gets_its_rate"])
async def a_flood_and_its_rate(world: SimWorld) -> None:
    """Sixty requests at once, a drawn time of rest, sixty more: each flood gets what the rate has left, no more."""
    service, loop = await world.start(), asyncio.get_running_loop()
    async with raw_client(service.ipc_address, token=service.ipc_token) as client:
        least, most = TOKENS - 1, TOKENS  # The client has proved itself with a request, which may cost one.
        for _ in range(world.draw.count(2, 4)):
            began = loop.time()
            await client.send(b"".join(request("get_status", str(number)) for number in range(FLOOD)))
            codes = [(await client.message() or {}).get("code") for _ in range(FLOOD)]
            most += (loop.time() - began) * PER_S
            served = codes.count(None)
            world.history.fault("ipc.flood", times=FLOOD)
            world.history.observe(
                "rate", served=served, least=int(least - IN_DOUBT), most=int(most + IN_DOUBT), codes=codes
            )
            rest_s = world.draw.one_of([0.3, 3.0, 15.0, 120.0])
            await asyncio.sleep(rest_s)
            least = min(TOKENS, max(0.0, least - served) + rest_s * PER_S)
            most = min(TOKENS, max(0.0, most - served) + rest_s * PER_S)


@scenario(
    proves=["H6.3"],
    faults=["disk.fault"],
    marks=["before its name", "in time"],
    worlds=SIMULATED,
    judged_by=["a_write_that_is_cut_off_is_undone_or_said"],
)
async def the_time_is_up_while_the_disk_is_at_it(world: SimWorld) -> None:
    """A report is handed over to a disk that takes long to sync: what is answered as without effect has none later."""
    service = await world.start()
    await world.server.go_down()
    async with raw_client(service.ipc_address, token=service.ipc_token) as client:
        for number, body in enumerate(world.sample_reports(world.draw.count(2, 4))):
            takes_s = world.draw.one_of([20.0, 59.0, 61.0, 90.0, 200.0])
            world.mark("in time" if takes_s < 60 else "before its name")
            with world.stage.disk.fault(slow(takes_s), calls=SYNCS, paths=("*pending*",), numbers=(1,)):
                await client.send(request("submit", str(number), report=body.decode()))
                answer = await client.message(LATE_S) or {}
                await asyncio.sleep(LATE_S)
            world.history.observe(
                "cut_off_write", success=answer.get("success"), code=answer.get("code"), report_id=world.report_id(body)
            )
    await world.observe()
