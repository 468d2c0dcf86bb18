"""H6, simulated: the limits that users get, to the second; a thousand hung clients; slow commands; late answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from chaos.errors import CommandRefusedError, CommandUnansweredError
from chaos.faults.hung_clients import Hang, frame, hung_clients
from chaos.faults.hung_crowd import told
from chaos.faults.raw_ipc import BAD_STREAMS, RawClient, raw_client, request
from chaos.protocols import SIMULATED, scenario
from chaos.sim.world import SimWorld

CONNECTION_S = READ_S = 30.0
WRITE_S, REQUEST_S, IDLE_S = 10.0, 60.0, 300.0
FORCE_S = 120.0
PATIENCE_S = 400.0
ASK_PAUSE_S, RARE_S = 2.0, 20.0
CALLS_EVERY = 12
EACH, PLACES = 200, 128
SMALL_RUBBISH = tuple((name, data) for name, data in BAD_STREAMS if len(data) < 10_000)
ODD_VALUES: tuple[object, ...] = (
    None,
    True,
    7,
    -1.5,
    "",
    "\ud800",
    "x" * 5000,
    [],
    [[]],
    {},
    {"": None},
    {"id": 1, "folder": []},
    "ping",
)
LIMITS = {Hang.SILENT: CONNECTION_S, Hang.NEVER_READING: WRITE_S}


@scenario(
    proves=["H6.1", "H6.2"],
    faults=[f"ipc.{kind}" for kind in Hang],
    worlds=SIMULATED,
    judged_by=[
        "hung_clients_are_cut_off",
        "halves_are_cut_off_on_time",
        "readers_that_never_read_are_cut_off",
        "blocked_writes_are_cut_off_on_time",
    ],
)
async def hung_clients_and_the_limits_as_delivered(world: SimWorld) -> None:
    """With nothing configured, silence ends after 30 s, half a message after 30 s, a blocked answer after 10 s."""
    service = await world.start()
    async with hung_clients(service.ipc_address, world.history) as crowd:
        for kind in Hang:
            await crowd.hang(kind)
        async with service.asked_all_the_time(ASK_PAUSE_S):
            cuts = await crowd.cut_off(limit_s=PATIENCE_S)
        for cut in cuts:
            _observe_cut(world, cut.hang, cut.closed_after_s, LIMITS.get(cut.hang, READ_S))


@scenario(
    proves=["H6.1"],
    faults=["ipc.slow_request"],
    marks=["fast enough", "too slow"],
    worlds=SIMULATED,
    judged_by=["halves_are_cut_off_on_time"],
)
async def requests_in_single_bytes(world: SimWorld) -> None:
    """A request comes in pieces, over a time just within or just beyond its 30 s: answered, or cut off at the limit."""
    service = await world.start()
    whole = request("ping", "1")
    for _ in range(3):
        takes_s = world.draw.one_of([29.9, 30.1, world.draw.seconds(1, 29), 29 * 3])
        is_single = takes_s < READ_S and world.draw.chance(0.5)
        count = len(whole) if is_single else world.draw.count(2, 4)
        async with raw_client(service.ipc_address) as client:
            began = asyncio.get_running_loop().time()
            await _send_slowly(client, _pieces(whole, count), takes_s / (count - 1))
            world.history.fault("ipc.slow_request", takes_s=takes_s)
            answer = await client.message(PATIENCE_S)
            took_s = asyncio.get_running_loop().time() - began
        world.mark("fast enough" if takes_s < READ_S else "too slow")
        world.history.observe("slow_request", takes_s=takes_s, limit_s=READ_S, answered=bool(answer), after_s=took_s)


@scenario(
    proves=["H6.3"],
    faults=["failpoint.sleep", "failpoint.hang"],
    marks=["59.9 s", "60.1 s", "for ever"],
    worlds=SIMULATED,
    judged_by=["slow_commands_end_at_the_limit"],
)
async def commands_that_take_too_long(world: SimWorld) -> None:
    """Commands of 59.9 s, of 60.1 s and without an end, in any order, over one connection that goes on working."""
    ways = {"59.9 s": "sleep(59.9)", "60.1 s": "sleep(60.1)", "for ever": "hang"}
    order = [world.draw.one_of(list(ways)) for _ in range(3)]
    service = await world.start(failpoints={"command:submit": "->".join(f"1*{ways[name]}" for name in order)})
    async with raw_client(service.ipc_address, token=service.ipc_token) as client:
        for number, (name, body) in enumerate(zip(order, world.sample_reports(3), strict=True)):
            world.mark(name)
            began = asyncio.get_running_loop().time()
            await client.send(request("submit", str(number), report=body.decode()))
            answer = await client.message(PATIENCE_S) or {}
            took_s = asyncio.get_running_loop().time() - began
            world.history.observe(
                "slow_command", kind=name, limit_s=REQUEST_S, took_s=took_s, code=answer.get("code"),
                success=answer.get("success"), request_id=answer.get("request_id"), asked=str(number),
                report_id=world.report_id(body),
            )  # fmt: skip
            again = await client.ask("ping", f"again-{number}")
            world.history.observe("goes_on", answered=bool(again and again["request_id"] == f"again-{number}"))
    await asyncio.sleep(PATIENCE_S)
    await world.observe()


@scenario(
    proves=["H6.4"],
    faults=["ipc.crowd"],
    limit_s=90,
    worlds=SIMULATED,
    judged_by=["a_crowd_is_gone_and_nobody_waits", "a_crowd_costs_a_good_client_nothing"],
)
async def a_thousand_hung_clients_as_delivered(world: SimWorld) -> None:
    """A thousand clients hang in five ways against the 128 places that there are: a good one waits for nobody."""
    service = await world.start(ipc_max_connections=PLACES)
    async with (
        hung_clients(service.ipc_address, world.history) as crowd,
        raw_client(service.ipc_address, token=service.ipc_token) as regular,
        service.asked_all_the_time(ASK_PAUSE_S),
    ):
        for number in range(EACH):
            for kind in Hang:
                with suppress(ConnectionError):  # Who gets no place hangs nowhere.
                    await crowd.hang(kind)
            if number % CALLS_EVERY == 0:
                answer = await regular.ask("get_status", str(number))
                world.history.observe("goes_on", answered=bool(answer and answer["success"]))
                await asyncio.sleep(world.draw.seconds(0, 1))
        world.history.fault("ipc.crowd", times=EACH * len(Hang))
        world.history.observe("resources", socket=service.open_sockets())
        cuts = await crowd.cut_off(limit_s=PATIENCE_S)
    world.history.observe("crowd", limit_s=CONNECTION_S, is_exact=True, **told(cuts))


@scenario(proves=["H6.5"], faults=["ipc.pipelined", "ipc.cut_into_pieces"], worlds=SIMULATED)
async def requests_ahead_in_pieces(world: SimWorld) -> None:
    """Requests are sent ahead, cut anywhere, and their answers read in fits and starts: one each, in order."""
    service = await world.start()
    count = world.draw.count(1, 18)
    ids = [f"{number}-" + "x" * world.draw.count(0, 400) for number in range(count)]
    commands = ["get_queue" if world.draw.chance(0.5) else "get_status" for _ in ids]
    stream = b"".join(request(command, i) for command, i in zip(commands, ids, strict=True))
    async with raw_client(service.ipc_address, token=service.ipc_token) as client:
        answers = []
        async with asyncio.TaskGroup() as group:
            group.create_task(_send_drawn(world, client, stream), name="sending ahead")
            for _ in ids:
                await asyncio.sleep(world.draw.seconds(0, 2))
                answers.append(await client.message(PATIENCE_S))
        world.history.fault("ipc.pipelined", times=count)
        await client.send(request("ping", "last"))
        last = await client.message()
        more = await client.rest(PATIENCE_S)
    answered = [answer["request_id"] if answer else None for answer in [*answers, last]]
    data = [sorted((answer or {}).get("data") or {}) for answer in answers]
    answered += [f"{len(more)} bytes nobody asked for"] if more else []
    world.history.observe("answers", asked=[*ids, "last"], answered=answered, data=data, commands=commands)


@scenario(proves=["H6.6"], faults=["ipc.bad_stream"], worlds=SIMULATED, judged_by=["streams_make_no_error"])
async def fuzzed_streams(world: SimWorld) -> None:
    """Streams drawn from the seed: known rubbish, good requests with bytes exchanged, cut or doubled, in any pieces."""
    service = await world.start()
    async with service.asked_all_the_time(RARE_S):
        for _ in range(world.draw.count(2, 6)):
            name, data = _drawn_stream(world)
            token = service.ipc_token if world.draw.chance(0.5, stream="proved") else None
            async with raw_client(service.ipc_address, token=token) as client:
                await _send_drawn(world, client, data)
                world.history.fault("ipc.bad_stream", kind=name)
                found = await _said(client)
            world.history.observe("stream", kind=name, found=found)
    await service.status()


@scenario(
    proves=["H6.8"],
    faults=["ipc.idle", "ipc.hung_at_stop"],
    marks=["a command hangs at the stop"],
    worlds=SIMULATED,
    judged_by=["idle_and_hung_clients_are_closed", "idle_clients_are_closed_on_time"],
)
async def idle_clients_as_delivered(world: SimWorld) -> None:
    """An idle client is closed after five minutes, one that asks is not; the stop ends idle, hung and busy ones."""
    service = await world.start(failpoints={"command:get_status": "hang"}, force_shutdown_seconds=FORCE_S)
    async with (
        raw_client(service.ipc_address) as idle,
        raw_client(service.ipc_address) as asking,
        asyncio.TaskGroup() as group,
    ):
        await idle.ask("ping", "1")
        resting = group.create_task(_closed_after_s(idle), name="the idle client")
        while not resting.done():
            answer = await asking.ask("ping", "1")
            world.history.observe("goes_on", answered=bool(answer))
            await asyncio.wait({resting}, timeout=world.draw.seconds(1, IDLE_S - 0.1))
        world.history.fault("ipc.idle")
        world.history.observe("idle", closed_after_s=resting.result(), limit_s=IDLE_S)
        world.history.observe("goes_on", answered=bool(await asking.ask("ping", "2")))
    async with (
        raw_client(service.ipc_address) as idle,
        raw_client(service.ipc_address) as half,
        raw_client(service.ipc_address, token=service.ipc_token) as busy,
    ):
        await half.send(request("ping", "1")[: world.draw.count(1, 40)])
        if world.draw.chance(0.5):
            world.mark("a command hangs at the stop")
            await busy.send(request("get_status", "1"))
            await service.failpoint("command:get_status").fired()
        world.history.fault("ipc.hung_at_stop", times=3)
        await service.stop()
        clients = {"idle": idle, "half": half, "busy": busy}
        left = [name for name, client in clients.items() if not await _is_closed(client)]
    world.history.observe("open_after_stop", clients=left)


@scenario(
    proves=["H6.9"],
    faults=["failpoint.sleep"],
    marks=["answered late"],
    worlds=SIMULATED,
    judged_by=["late_answers_are_nobodys"],
)
async def answers_that_come_late(world: SimWorld) -> None:
    """A client gives up on slow answers and asks for something else, while the old answer is still under way."""
    slow_s = world.draw.seconds(1, 50)
    service = await world.start(failpoints={"command:get_status": f"3*sleep({slow_s})"})
    client = service.another_client()
    try:
        for _ in range(3):
            limit_s = world.draw.seconds(0.1, 50)
            try:
                async with asyncio.timeout(limit_s):
                    taken = sorted(await client.request("get_status"))
                asked = "status"
            except TimeoutError:
                world.mark("answered late")
                asked = "records"
                try:
                    taken = sorted(await client.request("get_queue"))
                except (CommandRefusedError, CommandUnansweredError) as error:
                    taken = [str(error)]
            world.history.observe("late_answer", asked=asked, taken=taken)
    finally:
        await client.close()


def _observe_cut(world: SimWorld, hang: str, closed_after_s: float | None, limit_s: float) -> None:
    world.history.observe("cut", hang=hang, closed_after_s=closed_after_s, limit_s=limit_s, is_exact=True)


def _pieces(data: bytes, count: int) -> list[bytes]:
    """Return the data in so many pieces; the last is the last byte."""
    size = max(1, (len(data) - 1) // max(1, count - 1))
    cuts = [min(size * number, len(data) - 1) for number in range(count)]
    return [data[begin:end] for begin, end in zip(cuts, [*cuts[1:], len(data)], strict=True)]


async def _send_slowly(client: RawClient, pieces: Sequence[bytes], pause_s: float) -> None:
    for number, piece in enumerate(pieces):
        await client.send(piece)
        if number < len(pieces) - 1:
            await asyncio.sleep(pause_s)


async def _send_drawn(world: SimWorld, client: RawClient, data: bytes) -> None:
    """Send the data in pieces cut at drawn places, with drawn pauses, which together stay far below every limit."""
    count = world.draw.count(1, 8)
    cuts = sorted(world.draw.count(0, len(data), stream="cuts") for _ in range(count - 1))
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        await client.send(data[begin:end])
        await asyncio.sleep(world.draw.seconds(0, 1))
    world.history.fault("ipc.cut_into_pieces", times=count)


async def _said(client: RawClient) -> str:
    """Return how the server met what was sent: all its answers, until it closes (at its limit, at the latest)."""
    found = "closed"
    try:
        while (answer := await client.message(PATIENCE_S)) is not None:
            found = "an answer" if "success" in answer and "request_id" in answer else f"odd {sorted(answer)}"
    except TimeoutError:
        return "nothing"
    except ValueError as error:
        return str(error)
    return found


def _drawn_stream(world: SimWorld) -> tuple[str, bytes]:
    """Return rubbish of a known kind, or good requests with something wrong in them; with a word for it."""
    draw = world.draw
    kind = draw.one_of(["fields exchanged", "bytes exchanged", "known rubbish"], stream="fuzz")
    if kind == "known rubbish":
        return draw.one_of(SMALL_RUBBISH, stream="fuzz")
    fields: dict[str, object] = {"command": "get_queue", "request_id": "1", "args": {}, "protocol_version": "2.0"}
    for _ in range(draw.count(0, 2, stream="fuzz")):
        name = draw.one_of(["command", "request_id", "args", "protocol_version", "more"], stream="fuzz")
        fields[name] = draw.one_of(ODD_VALUES, stream="fuzz")
    data = bytearray(frame(fields)) * draw.count(1, 3, stream="fuzz")
    changes = draw.count(1, 3, stream="fuzz") if kind == "bytes exchanged" else 0
    for _ in range(changes):
        place = draw.count(0, len(data) - 1, stream="fuzz") % len(data)
        change = draw.one_of(["exchanged", "cut", "doubled"], stream="fuzz")
        if change == "exchanged":
            data[place] = draw.count(0, 255, stream="fuzz")
        elif change == "cut":
            del data[place + 1 :]
        else:
            data[place:place] = data[place : place + 9]
    return kind, bytes(data)


async def _closed_after_s(client: RawClient) -> float:
    began = asyncio.get_running_loop().time()
    with suppress(TimeoutError):  # Then it is not closed, and this is how long it was waited for.
        await client.rest(2 * PATIENCE_S)
    return asyncio.get_running_loop().time() - began


async def _is_closed(client: RawClient) -> bool:
    try:
        await client.rest(1)
    except TimeoutError:
        return False
    return True
