"""H3: errors on their way to the person who can act."""

from __future__ import annotations

from chaos.protocols import EVERYWHERE, World, scenario

WRONG = "0" * 64


@scenario(proves=["H3.3"], faults=["ipc.bad_request"], worlds=EVERYWHERE)
async def commands_that_fail(world: World) -> None:
    """Each way to ask wrongly over IPC gives a typed exception with code, message and request id, never data."""
    service = await world.start()
    await service.must_fail("no_such_command", {}, code="unknown_command")
    await service.must_fail("submit", {"report": {"pn": "only"}}, code="report_invalid")
    await service.must_fail("submit", {"report": "{"}, code="report_invalid")
    await service.must_fail("submit", {}, code="report_invalid")
    await service.must_fail("get_status", {}, code="authentication", token=WRONG)
    await service.status()
