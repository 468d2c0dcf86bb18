"""The work of an experiment: reports handed over to the subject, or a command of one's own."""

from __future__ import annotations

import asyncio
import os

import httpx

from chaos.errors import DeadlineError
from chaos.experiment.stage import Stage
from chaos.sample_reports import report_id, sample_report


async def hand_over(stage: Stage, count: int, stream_name: str) -> None:
    """Hand over that many reports, each as an operation ``submit``; cancelling leaves the last one unknown."""
    workload, stream = stage.experiment.workload, stage.seed.stream(stream_name)
    for number in range(count):
        if number and workload.every is not None:
            await asyncio.sleep(workload.every)
        body = sample_report(stream)
        if workload.into is not None:
            _put(stage, workload.into, body)
        elif workload.post is not None:
            await _post(stage, workload.post, body)


async def work(stage: Stage) -> None:
    """Do the whole workload. A command that fails or does not end is a trouble of the run."""
    workload = stage.experiment.workload
    if workload.run is None:
        await hand_over(stage, workload.reports, "workload")
        return
    try:
        status, said = await stage.command(workload.run, workload.within)
    except DeadlineError as error:
        stage.troubles.append(f"the workload did not end: {error}")
        return
    stage.history.observe("workload", exit=str(status), said=said)
    if status.code != 0:
        stage.troubles.append(f"the workload failed: {status}, said {said}")


def _put(stage: Stage, folder: str, body: bytes) -> None:
    """Put a report into a folder at one stroke: the subject sees all of it or nothing."""
    name = f"{report_id(body)}.json"
    operation = stage.history.invoke("submit", into=folder)
    aside = stage.aside(name)
    aside.write_bytes(body)
    os.rename(aside, stage.folder(folder) / name)  # noqa: TID251 - a hand, not the service
    stage.accept(report_id(body), body, operation)


async def _post(stage: Stage, url: str, body: bytes) -> None:
    operation = stage.history.invoke("submit", url=stage.filled(url))
    try:
        answer = await stage.http.post(stage.filled(url), content=body, headers={"content-type": "application/json"})
    except httpx.TransportError as error:
        operation.unknown(error=type(error).__name__)
        return
    if answer.is_success:
        stage.accept(report_id(body), body, operation)
    else:
        operation.failed(status=answer.status_code)
