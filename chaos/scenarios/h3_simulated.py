"""H3, simulated: failures of sending, with and without a disk that saves them, and secrets planted everywhere."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Mapping
from typing import Any

from chaos.errors import CommandRefusedError
from chaos.protocols import SIMULATED, scenario
from chaos.sim.disk.faults import SYNCS, WRITES, fail
from chaos.sim.world import SimWorld

TELL_LIMIT_S = 120.0
PATIENCE_S = 8000.0
PATH = "/api/Report/WSJF"
FAILURES: Mapping[str, Mapping[str, Any] | None] = {
    "status 500": {"action": "status", "status": 500},
    "status 503": {"action": "status", "status": 503},
    "an HTML page": {"action": "html"},
    "an error object": {"action": "error_object", "message": "no room"},
    "no JSON": {"action": "not_json"},
    "a cut connection": {"action": "drop_after_body"},
    "silence": {"action": "hang_after_body"},
    "nobody there": None,
    "a bug": None,
}
CALLS = (("open",), WRITES, SYNCS, ("rename", "replace", "link"))
SECRET_TOKEN = "c3RhdGlvbjpQTEFOVEVELVRPS0VO"  # noqa: S105 - base64 of station:PLANTED-TOKEN
NOBODY = "http://127.0.0.1:9"
SECRET_PAIR = "cGxhbnRlZDpQTEFOVEVELVBBU1NXT1JE"  # noqa: S105 - base64 of planted:PLANTED-PASSWORD
SECRETS = (SECRET_TOKEN, "PLANTED-TOKEN", "PLANTED-PASSWORD", "PLANTED-CONTENTS-OF-A-REPORT", SECRET_PAIR)
SENT = (*SECRETS, f"http://planted:{SECRETS[2]}@proxy:8080/", f"Proxy-Authorization: Basic {SECRET_PAIR}")
"""What the server was sent, and so can give back."""


@scenario(proves=["H3.1"], faults=["failpoint.raise", "server.down"], marks=list(FAILURES), worlds=SIMULATED)
async def every_failure_reaches_the_queue(world: SimWorld) -> None:
    """A report fails to be sent in a drawn way: logged, told, kept with the report, tried again, delivered."""
    kind = world.draw.one_of(list(FAILURES))
    world.mark(kind)
    bug = {"sending": "1*raise(ValueError)"} if kind == "a bug" else {}
    service = await world.start(failpoints={"failed_is_told": "off", **bug})
    rule = FAILURES[kind]
    if rule is not None:
        await world.server.misbehave({**rule, "path": PATH})
    elif kind == "nobody there":
        await world.server.go_down()
    report_id = await service.submit()
    told = service.failpoint("failed_is_told")

    async def times_told() -> int:
        return told.reached

    await world.until(times_told, lambda count: count > 0, "the failure told", TELL_LIMIT_S)
    client = service.another_client()
    try:
        place = (await client.request("show_report", {"id": report_id}))["places"][0]
    finally:
        await client.close()
    status = await service.status()
    world.history.observe(
        "failure", kind=kind, report_id=report_id, attempts=place["attempts"], last_error=place["last_error"],
        errors=status["errors"],
    )  # fmt: skip
    await world.server.misbehave()
    if kind == "nobody there":
        await world.server.come_up()
    await world.converge(PATIENCE_S)


@scenario(proves=["H3.4"], faults=["disk.fault"], marks=["sending failed", "sent, and not moved"], worlds=SIMULATED)
async def neither_sent_nor_saved(world: SimWorld) -> None:
    """Sending fails, or works, and the disk refuses to keep that: critical with both causes, and well afterwards."""
    is_sent = world.draw.chance(0.3)
    service = await world.start()
    action = {"action": "delay_answer", "delay_s": 5.0} if is_sent else {"action": "hang_after_body"}
    await world.server.misbehave({**action, "path": PATH})
    report_id = await service.submit()
    await world.server.saw("body_read", report_id=report_id)  # Only now nothing but the outcome is left to be saved.
    calls = CALLS[-1] if is_sent else world.draw.one_of(CALLS)
    number = world.draw.one_of([errno.ENOSPC, errno.EIO, errno.EROFS])
    with world.stage.disk.fault(fail(number), calls=calls, paths=(f"{world.site.data}/*",)):
        await asyncio.sleep(4.5 if is_sent else 29.5)  # Nothing fails before that.
        await world.until(
            service.status,
            lambda said: any(report_id in reason for reason in said["reasons"]),
            "both causes in the status",
            TELL_LIMIT_S,
        )
        world.mark("sent, and not moved" if is_sent else "sending failed")
    reasons = [reason for reason in (await service.status())["reasons"] if report_id in reason]
    world.history.observe("critical", report_id=report_id, reasons=reasons, was_sent=is_sent)
    await world.server.misbehave()
    await world.converge(PATIENCE_S)


@scenario(proves=["H3.5"], faults=["server.status", "ipc.bad_request"], worlds=SIMULATED)
async def secrets_planted_in_every_field(world: SimWorld) -> None:
    """Token, password and contents stand where errors come from; a server gives them back; nobody ever reads them."""
    service = await world.start(api_token=SECRET_TOKEN, proxy_username="planted", proxy_password=SECRETS[2])
    message = " ".join(SENT) if world.draw.chance(0.5) else f"bad: {world.draw.one_of(SENT)}"
    status = world.draw.one_of([500, 400, 401, 409])
    await world.server.misbehave({"action": "status", "status": status, "message": message, "path": PATH})
    told: list[str] = []
    body = json.loads(world.sample_reports(1)[0])
    body["root"]["reportText"] = SECRETS[3]
    report_id = await service.submit(json.dumps(body).encode())
    await world.server.saw("answered", report_id=report_id)
    await world.until(service.status, lambda said: said["errors"] > 0 or said["reasons"], "an error", TELL_LIMIT_S)
    client = service.another_client()
    try:
        for command, arguments in _requests(report_id):
            world.history.fault("ipc.bad_request", command=command)
            try:
                told.append(str(await client.request(command, arguments)))
            except CommandRefusedError as error:
                told.append(str(error.message))
    finally:
        await client.close()
    told.append(str(dict(await service.status())))
    await service.health()
    log = "\n".join(record.text + record.failure for record in world.stage.log.records)
    world.history.observe("texts", secrets=list(SECRETS), told=told, log=log)


def _requests(report_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Return requests of which each must be answered without a secret, be it good or bad."""
    contents = SECRETS[3]
    return [
        ("show_report", {"id": report_id}),
        ("get_config", {}),
        ("set_config", {"settings": {"api_token": [SECRETS[0]]}}),
        ("set_config", {"settings": {"proxy_password": {"is": SECRETS[2]}}}),
        ("submit", {"report": '{"id": "' + contents}),
        ("submit", {"report": {"id": contents}}),
        ("submit", {"report": json.dumps([contents])}),
        ("test_server", {"settings": {"api_token": SECRETS[0], "service_address": NOBODY}}),
    ]
