"""C1: stops and kills while reports are on their way."""

from __future__ import annotations

from chaos.protocols import EVERYWHERE, World, scenario

CONVERGENCE_S = 30.0
HANGS = ("hang_after_headers", "hang_in_body", "hang_after_body", "hang_in_answer")
LARGE_BYTES = 900_000


@scenario(proves=["C1.6"], faults=["process.kill", "server.hang_after_body"], worlds=EVERYWHERE)
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


@scenario(proves=["C1.6", "H1.5"], faults=["process.kill", "server.hang_after_storing"], worlds=EVERYWHERE)
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


@scenario(proves=["C1.6"], faults=["process.kill", "failpoint.kill"], worlds=EVERYWHERE)
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
    faults=[f"server.{hang}" for hang in HANGS],
    worlds=EVERYWHERE,
    judged_by=["what_outlives_the_window_is_kept", "the_window_is_used_and_kept"],
)
async def stop_with_uploads_that_hang(world: World) -> None:
    """SIGTERM while uploads hang at four places: the stop ends in time, every report stays, and is sent later."""
    service = await world.start(graceful_shutdown_seconds=1, force_shutdown_seconds=5)
    for hang in HANGS:
        await world.server.misbehave({"action": hang, "path": "/api/Report/WSJF"})
        await service.submit(world.sample_report_of(LARGE_BYTES))
        await world.server.saw("rule_fired")
    await service.stop()
    await world.observe()
    await world.server.misbehave()
    await world.start()
    await world.converge(CONVERGENCE_S)


@scenario(
    proves=["C1.2"],
    faults=["server.delay_answer"],
    worlds=EVERYWHERE,
    judged_by=["work_in_flight_ends_inside_the_window"],
)
async def stop_with_uploads_that_are_slow(world: World) -> None:
    """SIGTERM while uploads are slow but alive: they finish inside the window, and the stop ends with the last one."""
    service = await world.start(graceful_shutdown_seconds=20, force_shutdown_seconds=30)
    await world.server.misbehave({"action": "delay_answer", "delay_s": 1.5})
    ids = [await service.submit() for _ in range(3)]
    for report_id in ids:
        await world.server.saw("body_read", report_id=report_id)
    await service.stop()
    await world.observe()


@scenario(
    proves=["C1.7"],
    faults=["process.signal", "server.hang_after_body"],
    worlds=EVERYWHERE,
    judged_by=["a_second_signal_forces"],
)
async def a_second_signal_goes_straight_to_phase_two(world: World) -> None:
    """SIGTERM twice while an upload hangs and the window is long: forced at once, with the code that says so."""
    service = await world.start(graceful_shutdown_seconds=60, force_shutdown_seconds=120)
    await world.server.misbehave({"action": "hang_after_body"})
    report_id = await service.submit()
    await world.server.saw("body_read", report_id=report_id)
    await service.stop(signals=2)
    await world.observe()
