"""Facts about how errors of the whole service reach the person who can act, and what they never carry (H3)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError, IPCRemoteError, IPCReportInvalidError, IPCUnknownCommandError
from pywats_reliability.logs import Secrets, configure_logging
from pywats_reliability.store import ReportStore
from pywats_reliability.wats_client import WatsClient
from tests.service.test_service_start_stop import (
    TOKEN,
    ScriptedServer,
    answer,
    client_of,
    names_in,
    report,
    running,
    until,
)

pytestmark = pytest.mark.asyncio
PASSWORD = "proxy-hunter22"
PLANTED = "SN-PLANTED-4711"
QUICK_RETRY: dict[str, Any] = {"retry_interval_seconds": 1, "retry_cap_seconds": 0.01}


def raising(error: Exception) -> Callable[[], Any]:
    async def fail() -> httpx.Response | None:
        raise error

    return fail


def answering(status: int, text: str = "planted words") -> Callable[[], Any]:
    async def reply() -> httpx.Response | None:
        return answer({"message": text}, status)

    return reply


FAILURES = {
    "refused": raising(httpx.ConnectError("connection refused")),
    "reset": raising(httpx.ReadError("connection reset")),
    "timed out": raising(httpx.ReadTimeout("silence")),
    "a bug": raising(ZeroDivisionError("planted")),
    "500": answering(500),
    "503": answering(503),
    "429": answering(429),
}


@pytest.mark.proves("H3.1")
@pytest.mark.parametrize("kind", FAILURES)
async def test_a_failed_send_is_logged_kept_with_the_record_told_and_retried(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    server, told = ScriptedServer(), list[tuple[str, str]]()
    server.misbehave = FAILURES[kind]
    async with running(tmp_path, server, retry_interval_seconds=3600, retry_cap_seconds=3600.0) as service:
        service.queue.operation_failed.subscribe(lambda report_id, error: told.append((report_id, error)))
        await service.queue.submit(report())
        await until(lambda: bool(told))
        ((report_id, error),) = told
        assert report_id == report()["id"]
        (kept,) = (tmp_path / "data" / "pending").glob("*.history.json")
        assert error in json.dumps(json.loads(kept.read_text()), ensure_ascii=False).replace('\\"', '"')
        assert any(error in record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
        server.misbehave = None
        await until(lambda: service.sync_now() == 1)
        await until(lambda: server.stored[report_id] == 1)


BAD_REQUESTS: dict[str, tuple[str, dict[str, Any], type[IPCRemoteError], str]] = {
    "unknown command": ("fly", {}, IPCUnknownCommandError, "unknown_command"),
    "no report": ("submit", {}, IPCReportInvalidError, "report_invalid"),
    "broken report": ("submit", {"report": "{"}, IPCReportInvalidError, "report_invalid"),
    "no such report": ("retry_failed", {"id": report()["id"]}, IPCRemoteError, "report_not_found"),
    "bad setting": ("set_config", {"settings": {"log_level": "LOUD"}}, IPCRemoteError, "config_invalid"),
}


@pytest.mark.proves("H3.3")
@pytest.mark.parametrize("case", BAD_REQUESTS)
async def test_over_ipc_an_error_is_a_typed_exception_with_code_words_and_request_id(tmp_path: Path, case: str) -> None:
    command, args, kind, code = BAD_REQUESTS[case]
    async with running(tmp_path) as service, client_of(service) as client:
        with pytest.raises(kind) as caught:
            await client.request(command, args)
        assert caught.value.remote_code == code
        assert str(caught.value)
        assert caught.value.request_id


def break_disk(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    async def fail(*_: object) -> None:
        raise DiskError("write", Path("pending/x"), OSError(28, "No space left on device"))

    monkeypatch.setattr(ReportStore, method, fail)


@pytest.mark.proves("H3.4")
@pytest.mark.parametrize(
    ("status", "method"), [(503, "record_attempt"), (400, "mark_failed"), (200, "mark_sent")], ids=str
)
async def test_a_send_whose_outcome_cannot_be_saved_is_critical_with_both_causes_and_shown(
    tmp_path: Path, status: int, method: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = ScriptedServer()
    server.misbehave = answering(status) if status != 200 else None
    break_disk(monkeypatch, method)
    async with running(tmp_path, server) as service:
        await service.queue.submit(report())
        await until(lambda: service.status == "Error")
        async with client_of(service) as client:
            told: Any = await client.request("get_status")
    cause = "the server has it" if status == 200 else str(status)
    (reason,) = (reason for reason in told["reasons"] if reason.startswith("critical: "))
    critical = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    assert len(critical) == 1, "it is logged once"
    for text in (reason, critical[0]):
        assert cause in text
        assert "No space left on device" in text
        assert report()["id"] in text
    assert len(names_in(tmp_path / "data" / "pending")) == 1


@pytest.mark.proves("H3.4")
async def test_the_status_is_well_again_when_the_outcome_was_saved_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        break_disk(broken, "mark_sent")
        async with running(tmp_path, **QUICK_RETRY) as service:
            await service.queue.submit(report())
            await until(lambda: service.status == "Error")
            broken.undo()
            await until(lambda: service.status == "Running")


def leaky(error_text: str) -> Exception:
    return ValueError(error_text)


LEAKS: dict[str, Callable[[ScriptedServer, pytest.MonkeyPatch], None]] = {
    "the server quotes token and report": lambda server, _: setattr(
        server, "misbehave", answering(400, f"bad {TOKEN} {PLANTED}")
    ),
    "the server quotes them and asks to wait": lambda server, _: setattr(
        server, "misbehave", answering(503, f"bad {TOKEN} {PLANTED}")
    ),
    "the network's error quotes them": lambda server, _: setattr(
        server, "misbehave", raising(httpx.ConnectError(f"no way for {TOKEN} via {PASSWORD}"))
    ),
    "a bug quotes them": lambda _, patch: patch.setattr(
        WatsClient, "send", raising_with_arguments(leaky(f"token {TOKEN} password {PASSWORD}"))
    ),
    "a task quotes them": lambda _, patch: patch.setattr(
        WatsClient, "version", raising_with_arguments(leaky(f"token {TOKEN} password {PASSWORD}"))
    ),
    "the disk quotes them": lambda _, patch: patch.setattr(
        Disk, "move", raise_now(OSError(5, f"token {TOKEN} password {PASSWORD}"))
    ),
}


def raising_with_arguments(error: Exception) -> Callable[..., Any]:
    async def fail(*_: object) -> None:
        raise error

    return fail


def raise_now(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.proves("H3.5")
@pytest.mark.parametrize("leak", LEAKS)
async def test_no_log_line_no_status_no_answer_and_no_event_carries_a_secret_or_a_report(
    tmp_path: Path, leak: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, secrets, told = ScriptedServer(), Secrets(), list[str]()
    LEAKS[leak](server, monkeypatch)
    file = tmp_path / "log"
    undo = configure_logging("DEBUG", file=file, secrets=secrets, logger="pywats_reliability")
    try:
        async with running(tmp_path, server, around={"secrets": secrets}, proxy_password=PASSWORD) as service:
            service.queue.operation_failed.subscribe(lambda _, error: told.append(error))
            await service.queue.submit(report() | {"sn": PLANTED})
            trouble = "task ping" if leak == "a task quotes them" else None
            await until(lambda: bool(told) or (trouble or "critical: ") in "; ".join(service.condition.reasons)
                        or (bool(server.stored) and leak == "the disk quotes them"))
            async with client_of(service) as client:
                requests: list[tuple[str, dict[str, Any]]] = [
                    ("get_status", {}), ("get_config", {}), ("get_queue", {"folder": "failed"}), ("get_queue", {}),
                    ("submit", {"report": json.dumps({"id": 5, "sn": PLANTED, "token": TOKEN})}),
                    ("set_config", {"settings": {"api_token": f"{TOKEN} with a blank"}}),
                    ("set_config", {"settings": {"proxy_password": f"{PASSWORD}\n"}}),
                ]  # fmt: skip
                for command, args in requests:
                    try:
                        told.append(json.dumps(await client.request(command, args)))
                    except IPCRemoteError as error:
                        told.append(str(error))
            told.append(json.dumps(service.health_snapshot().details, default=str))
            told += [service.metrics_text().decode(), repr(service), repr(service._parts)]
        told.append(str(await service.stop()))
    finally:
        undo()
    told.append(file.read_text())
    password = "correct horse"
    assert [(secret, text) for secret in (TOKEN, PASSWORD, PLANTED, password) for text in told if secret in text] == []
