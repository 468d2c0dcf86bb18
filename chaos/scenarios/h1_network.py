"""H1, live, through the fault proxy: the network fails in every way, lies, or hangs for some."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.live.fault_proxy import LiveProxy
from chaos.live.service import LiveService
from chaos.live.world import LiveWorld
from chaos.protocols import EVERYWHERE, KeptReport, scenario

CONVERGENCE_S = 40.0
PATH = "/api/Report/WSJF"
SLOTS = 5
OTHERS = 20
LARGE_BYTES = 400_000
FAILURES: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("http_cut", {"at": "request_headers", "path": PATH}),
    ("http_cut", {"at": "request_body", "path": PATH}),
    ("http_cut", {"at": "after_request", "path": PATH, "reset": True}),
    ("http_cut", {"at": "before_answer", "path": PATH}),
    ("http_fail", {"path": PATH, "status": 502, "body": "<html>Bad Gateway</html>"}),
    ("http_fail", {"path": PATH, "status": 503, "retry_after": "1"}),
    ("limit_data", {"stream": "upstream", "bytes": 3000}),
    ("reset_peer", {"stream": "upstream"}),
)
LIES: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("http_truncate", {"first": 0, "path": PATH}),
    ("http_cut", {"first": 0, "path": PATH, "at": "answer_headers"}),
    ("http_cut", {"first": 0, "path": PATH, "at": "answer_body"}),
    ("http_fail", {"first": 0, "path": PATH, "status": 200, "body": "<html>Please log in</html>"}),
    ("http_fail", {"first": 0, "path": PATH, "status": 200, "content_type": "application/json", "body": '[{"ID":'}),
)


async def _met(proxy: LiveProxy, service: LiveService, body: bytes, kind: str, given: Mapping[str, Any]) -> None:
    """Let one report meet a toxic."""
    toxic = await proxy.add(kind, **given)
    await service.submit(body)
    await proxy.fired(toxic)
    await proxy.remove(toxic)


@scenario(
    proves=["H1.3"],
    faults=["proxy.http_cut", "proxy.http_fail", "proxy.limit_data", "proxy.reset_peer"],
    judged_by=["failed_sends_are_retried"],
)
async def the_network_fails_in_every_way(world: LiveWorld) -> None:
    """Each report meets another failure of the network first (cut, refused, reset, limited); all are sent later."""
    proxy = await world.proxied()
    service = await world.start(retry_interval_seconds=1)
    for kind, given in FAILURES:
        await _met(proxy, service, world.sample_report_of(LARGE_BYTES), kind, given)
    await world.converge(CONVERGENCE_S)


@scenario(proves=["H1.13"], faults=["proxy.http_truncate", "proxy.http_cut", "proxy.http_fail"])
async def answers_that_are_cut_short_or_made_up(world: LiveWorld) -> None:
    """Truncated answers, cut heads, a gateway's login page and half a JSON, all under 200: none counts as sent."""
    proxy = await world.proxied()
    service = await world.start(retry_interval_seconds=1)
    toxic = ""
    for number, (kind, given) in enumerate(LIES, start=1):
        # The next lie is there before the last one goes: no answer in between may be a true one.
        earlier, toxic = toxic, await proxy.add(kind, name=f"lie-{number}", **given)
        if earlier:
            await proxy.remove(earlier)
        await service.submit()
        await proxy.fired(toxic, number)
        await world.until(lambda: world.kept("pending"), _all_tried(number), "a failed attempt of each report", 20)
    await world.observe()
    await proxy.remove(toxic)
    await world.converge(CONVERGENCE_S)


def _all_tried(count: int) -> Any:
    def all_tried(reports: Sequence[KeptReport]) -> bool:
        return len(reports) == count and all(report.attempts >= 1 for report in reports)

    return all_tried


@scenario(proves=["H1.14"], faults=["server.hang_after_body"], worlds=EVERYWHERE, judged_by=["others_flow"])
async def all_slots_but_one_hang(world: LiveWorld) -> None:
    """Four of five uploads hang: twenty more, handed over later, go through the one slot left, at their usual pace."""
    service = await world.start(max_concurrent_uploads=SLOTS)
    hung, others = world.sample_reports(SLOTS - 1), world.sample_reports(OTHERS)
    hung_ids, other_ids = [world.report_id(body) for body in hung], [world.report_id(body) for body in others]
    await world.server.misbehave(*({"action": "hang_after_body", "report_id": i} for i in hung_ids))
    for body, report_id in zip(hung, hung_ids, strict=True):
        await service.submit(body)
        await world.server.saw("body_read", report_id=report_id)
    began = asyncio.get_running_loop().time()
    for body in others:
        await service.submit(body)
    for report_id in other_ids:
        await world.server.saw("answered", report_id=report_id)
    took_s = asyncio.get_running_loop().time() - began
    status = await service.status()
    active = status["pending_queue"]["active_uploads"]
    world.history.observe("flow", hung=active, others=len(other_ids), took_s=took_s)
    await world.server.misbehave()
    await world.server.go_down()
    await world.server.come_up()
    await world.converge(CONVERGENCE_S)
