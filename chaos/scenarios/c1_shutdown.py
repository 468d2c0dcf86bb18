"""C1: stops and kills while reports are on their way."""

from __future__ import annotations

from chaos.protocols import World, scenario

CONVERGENCE_S = 30.0
LARGE_BYTES = 8_000_000


@scenario(proves=["C1.6"], faults=["process.kill", "server.hang_after_body"])
async def kill_when_the_request_was_read(world: World) -> None:
    """SIGKILL exactly when the server has read the upload and not answered; the next start delivers it, once."""
    service = await world.start()
    await world.server.misbehave({"action": "hang_after_body"})
    report_id = await service.submit()
    await world.server.saw("body_read", report_id=report_id)
    await service.kill()
    await world.observe()
    await world.server.misbehave()
    await world.start()
    await world.converge(CONVERGENCE_S)


@scenario(proves=["C1.6", "H1.5"], faults=["process.kill", "server.hang_after_storing"])
async def kill_when_the_report_was_stored(world: World) -> None:
    """SIGKILL when the server has stored the report and its answer is still due: sent again, the effect is one."""
    service = await world.start()
    await world.server.misbehave({"action": "hang_after_storing"})
    report_id = await service.submit()
    await world.server.saw("stored", report_id=report_id)
    await service.kill()
    await world.observe()
    await world.server.misbehave()
    await world.start()
    await world.converge(CONVERGENCE_S)


@scenario(proves=["C1.6"], faults=["process.kill", "failpoint.kill"])
async def kill_between_answer_and_move(world: World) -> None:
    """The process dies between the server's answer and the move out of pending/: delivered again, once in effect."""
    service = await world.start(failpoints={"before_mark_sent": "kill"})
    await service.submit()
    await service.died()
    await world.observe()
    await world.start()
    await world.converge(CONVERGENCE_S)


@scenario(
    proves=["C1.3"],
    faults=["server.hang_before_answer", "server.hang_in_answer", "server.hang_in_body", "server.hang_after_body"],
)
async def stop_with_uploads_that_hang(world: World) -> None:
    """SIGTERM while uploads hang at four places: the stop ends in time, every report stays, and is sent later."""
    service = await world.start(graceful_shutdown_seconds=1, force_shutdown_seconds=5)
    hangs = {
        "hang_before_answer": "body_read",
        "hang_in_answer": "stored",
        "hang_in_body": "headers_read",
        "hang_after_body": "body_read",
    }
    bodies = world.sample_reports(len(hangs) - 1)
    bodies.insert(2, world.sample_report_of(LARGE_BYTES))  # Larger than any buffer: the hang in the body must block it.
    ids = [world.report_id(body) for body in bodies]
    await world.server.misbehave(*({"action": a, "report_id": i} for a, i in zip(hangs, ids, strict=True)))
    for body in bodies:
        await service.submit(body)
    for report_id, event in zip(ids, hangs.values(), strict=True):
        await world.server.saw(event, report_id=report_id)
    await service.stop()
    await world.observe()
    await world.server.misbehave()
    await world.start()
    await world.converge(CONVERGENCE_S)


@scenario(proves=["C1.2"], faults=["server.delay_answer"])
async def stop_with_uploads_that_are_slow(world: World) -> None:
    """SIGTERM while uploads are slow but alive: they finish inside the window, and the stop ends with the last one."""
    service = await world.start(graceful_shutdown_seconds=20, force_shutdown_seconds=30)
    await world.server.misbehave({"action": "delay_answer", "delay_s": 1.5})
    ids = [await service.submit() for _ in range(3)]
    for report_id in ids:
        await world.server.saw("body_read", report_id=report_id)
    await service.stop()
    await world.observe()


@scenario(proves=["C1.7"], faults=["process.signal", "server.hang_after_body"])
async def a_second_signal_goes_straight_to_phase_two(world: World) -> None:
    """SIGTERM twice while an upload hangs and the window is long: forced at once, with the code that says so."""
    service = await world.start(graceful_shutdown_seconds=60, force_shutdown_seconds=120)
    await world.server.misbehave({"action": "hang_after_body"})
    report_id = await service.submit()
    await world.server.saw("body_read", report_id=report_id)
    await service.stop(signals=2)
    await world.observe()
