"""H6, live: a thousand clients that hang, clients that lie, flood or send rubbish, and a server without descriptors."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

from chaos.errors import CommandRefusedError, CommandUnansweredError
from chaos.faults.lying_server import lying_server
from chaos.faults.raw_ipc import BAD_STREAMS, RawClient, raw_client, request
from chaos.live.service import LiveService
from chaos.live.world import LiveWorld
from chaos.protocols import EVERYWHERE, scenario

LIMIT_S = 2
EACH = 200
CROWD_LIMIT_S = 5
CONNECTIONS_MAX = 1100
PATIENCE_S = 40.0
PIPELINED = 15
FLOOD = 60
RECORDS = 120
SPARE_BYTES = 512 * 1024 * 1024
HELD_S, HELD_ASKS = 3.0, 3
NEWCOMER_S, NEWCOMER_ASK_S = 30.0, 3.0


@scenario(proves=["H6.4"], faults=["ipc.crowd"], limit_s=90, judged_by=["a_crowd_is_gone_and_nobody_waits"])
async def a_thousand_hung_clients(world: LiveWorld) -> None:
    """A thousand clients hang in five ways at once: a good one is answered as ever, and all the others are gone."""
    service = await world.start(
        ipc_connection_timeout=CROWD_LIMIT_S,
        ipc_read_timeout=CROWD_LIMIT_S,
        ipc_write_timeout=CROWD_LIMIT_S,
        ipc_max_connections=CONNECTIONS_MAX,
    )
    result = world.file("crowd.json")
    async with service.asked_all_the_time():
        crowd = await world.aside(
            "chaos.faults.hung_crowd", service.ipc_address, str(EACH), str(PATIENCE_S), str(result)
        )
        hanging = (await crowd.announced(PATIENCE_S))["hanging"]
        world.history.fault("ipc.crowd", times=hanging)
        service.faults.resources()
        await crowd.exited(PATIENCE_S)
    world.history.observe("crowd", limit_s=CROWD_LIMIT_S, **json.loads(result.read_text()))


@scenario(proves=["H6.5"], faults=["ipc.pipelined", "ipc.large_answer"], worlds=EVERYWHERE)
async def requests_that_are_sent_ahead(world: LiveWorld) -> None:
    """Fifteen requests in one write, and an answer larger than the buffers: one answer each, in order, nothing else."""
    service = await world.start()
    await world.server.go_down()
    for _ in range(RECORDS):
        await service.submit()
    ids = [f"request-{number}" for number in range(PIPELINED)]
    commands = ["get_status" if number % 2 else "get_queue" for number in range(PIPELINED)]
    async with raw_client(service.ipc_address, token=service.ipc_token) as client:
        await client.send(b"".join(request(command, i) for command, i in zip(commands, ids, strict=True)))
        world.history.fault("ipc.pipelined", times=PIPELINED)
        answers = [await client.message() for _ in ids]
        world.history.fault("ipc.large_answer", size=len(json.dumps(answers[0])))
        answered = [answer["request_id"] if answer else None for answer in answers]
        data = [sorted((answer or {}).get("data") or {}) for answer in answers]
        await client.send(request("ping", "last"))
        last = await client.message()
    after = (last or {}).get("request_id")
    world.history.observe("answers", asked=[*ids, "last"], answered=[*answered, after], data=data, commands=commands)


@scenario(
    proves=["H6.6"], faults=["ipc.bad_stream", "process.limit_as"], limit_s=90, judged_by=["rubbish_hurts_nobody"]
)
async def rubbish_of_every_kind(world: LiveWorld) -> None:
    """Impossible lengths, no UTF-8, no JSON, deep nesting, wrong types, other protocols: an error or a closed line.

    All with half a gigabyte of address space to spare: a length that is believed is an allocation that fails.
    """
    service = await world.start(ipc_read_timeout=1, ipc_connection_timeout=5)
    before = service.faults.resources()
    stream = world.seed.stream("rubbish")
    drawn = [(f"random bytes {n}", stream.randbytes(stream.randint(1, 3000))) for n in range(20)]
    async with service.faults.without_memory(SPARE_BYTES), service.asked_all_the_time():
        for name, data in (*BAD_STREAMS, *drawn):
            await _met_with(world, service, name, data)
    after = service.faults.resources()
    world.history.observe("growth", bytes=after["rss_bytes"] - before["rss_bytes"])


async def _met_with(world: LiveWorld, service: LiveService, name: str, data: bytes) -> None:
    async with raw_client(service.ipc_address) as client:
        await client.send(data)
        world.history.fault("ipc.bad_stream", kind=name)
        try:
            answer = await client.message()
            found = "closed" if answer is None else f"error {answer['code']}" if not answer["success"] else "success"
        except TimeoutError:
            found = "nothing"
        except ValueError as error:
            found = str(error)
    world.history.observe("rubbish", kind=name, found=found)


@scenario(
    proves=["H6.7"],
    faults=["ipc.wrong_token", "ipc.flood"],
    worlds=EVERYWHERE,
    judged_by=["only_those_who_may_are_answered"],
)
async def clients_without_the_right_to_ask(world: LiveWorld) -> None:
    """Wrong, empty, cut and other users' tokens, and a flood: only hello and refusals; the socket is its owner's."""
    service = await world.start()
    token = service.ipc_token
    for name, wrong in (
        ("wrong", "0" * 64),
        ("empty", ""),
        ("cut", token[:-1]),
        ("longer", token + "0"),
        ("none", None),
    ):
        async with raw_client(service.ipc_address) as client:
            said = await client.ask("auth", "a", token=wrong) if wrong is not None else await client.ask("ping", "a")
            found = await client.ask("get_status", "b")
        world.history.fault("ipc.wrong_token", kind=name)
        world.history.observe("token", kind=name, said=said, found=found)
    async with raw_client(service.ipc_address, token=token) as client:
        await client.send(b"".join(request("get_status", str(number)) for number in range(FLOOD)))
        codes = [(await client.message() or {}).get("code") for _ in range(FLOOD)]
    world.history.fault("ipc.flood", times=FLOOD)
    world.history.observe("flood", codes=codes)
    place = Path(service.ipc_address)
    modes = [oct(stat.S_IMODE(os.stat(path).st_mode)) for path in (place, place.parent)]
    world.history.observe("socket", socket=modes[0], folder=modes[1])


@scenario(
    proves=["H6.8"],
    faults=["ipc.idle", "ipc.hung_at_stop"],
    worlds=EVERYWHERE,
    judged_by=["idle_and_hung_clients_are_closed"],
)
async def idle_and_hung_clients_at_the_stop(world: LiveWorld) -> None:
    """An idle client is closed at the limit; a stop with idle, hung and busy ones closes them all within its bounds."""
    service = await world.start(ipc_idle_timeout=LIMIT_S, graceful_shutdown_seconds=2, force_shutdown_seconds=6)
    loop = asyncio.get_running_loop()
    async with raw_client(service.ipc_address) as client:
        await client.ask("ping", "1")
        began = loop.time()
        await client.rest(PATIENCE_S)
        world.history.fault("ipc.idle")
        world.history.observe("idle", closed_after_s=loop.time() - began, limit_s=LIMIT_S)
    async with raw_client(service.ipc_address) as idle, raw_client(service.ipc_address) as half:
        await idle.ask("ping", "1")
        await half.send(request("ping", "1")[:7])
        world.history.fault("ipc.hung_at_stop", times=2)
        await service.stop()
        left = [name for name, one in (("idle", idle), ("half", half)) if not await _is_closed(one)]
    world.history.observe("open_after_stop", clients=left)


async def _is_closed(client: object) -> bool:
    try:
        await client.rest(1)  # type: ignore[attr-defined]
    except TimeoutError:
        return False
    return True


@scenario(
    proves=["H6.9"],
    faults=["ipc.second_server", "ipc.stale_socket", "ipc.foreign_answer"],
    worlds=EVERYWHERE,
    judged_by=["nothing_of_others_is_taken"],
)
async def sockets_and_answers_of_others(world: LiveWorld) -> None:
    """A second server leaves a live socket alone, a stale one is replaced, and a foreign answer is nobody's."""
    service = await world.start()
    await world.start_another(reports_folder="elsewhere", health_port=0)
    world.history.fault("ipc.second_server")
    await service.status()
    await service.kill()
    world.history.observe("stale", is_there=os.path.exists(service.ipc_address))  # noqa: ASYNC240 - one look
    world.history.fault("ipc.stale_socket")
    service = await world.start()
    await service.status()
    await service.kill()
    os.unlink(service.ipc_address)
    async with lying_server(Path(service.ipc_address)) as liar:
        client = service.another_client()
        try:
            taken = str(await client.request("get_status"))
        except (CommandUnansweredError, CommandRefusedError) as error:
            taken = f"{type(error).__name__}: {error}"
        finally:
            await client.close()
        world.history.fault("ipc.foreign_answer", times=liar.answered)
    world.history.observe("foreign_answer", taken=taken)


async def _answers_a_newcomer(service: LiveService) -> bool:
    try:
        async with asyncio.timeout(NEWCOMER_ASK_S), raw_client(service.ipc_address, token=service.ipc_token) as client:
            return await _is_answered(client, "newcomer")
    except (TimeoutError, OSError):
        return False


async def _is_answered(client: RawClient, request_id: str) -> bool:
    try:
        answer = await client.ask("get_status", request_id)
    except (TimeoutError, OSError):
        return False
    return bool(answer and answer["success"])


@scenario(proves=["H6.10"], faults=["process.limit_nofile"])
async def no_descriptor_is_left(world: LiveWorld) -> None:
    """Without a free descriptor nobody new is served, and the service lives; with some again it serves as ever."""
    service = await world.start()
    async with raw_client(service.ipc_address, token=service.ipc_token) as client:
        async with service.faults.without_descriptors():
            async with asyncio.timeout(PATIENCE_S):
                crowd = [await asyncio.open_unix_connection(service.ipc_address) for _ in range(3)]
            await service.faults.says("IPC cannot accept clients")
            answers = []
            for number in range(HELD_ASKS):
                answers.append(await _is_answered(client, f"held-{number}"))
                await asyncio.sleep(HELD_S / HELD_ASKS)  # The fault itself: it lasts, and the server tries again.
            for _, writer in crowd:
                writer.transport.abort()
        world.history.observe("held", answered=all(answers))
    await world.until(lambda: _answers_a_newcomer(service), bool, "an answer to a newcomer", NEWCOMER_S)
    await world.until(service.status, lambda said: said["status"] == "Running", "status Running again", 20)
    await service.submit()
    await world.converge(PATIENCE_S)
