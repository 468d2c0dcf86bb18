"""``pywats-service doctor``: each check tells right from wrong, changes nothing, and keeps no other from running."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pywats_reliability.cli import process
from pywats_reliability.disk import Disk
from pywats_reliability.ipc import load_or_create_secret, secret_path
from pywats_reliability.ports import SystemClock
from pywats_reliability.store.lock import FolderLock
from tests.service.cli_world import Station

TOKEN = "c2VjcmV0OnNlY3JldA=="
CHECKS = ["configuration", "folders", "disk", "lock", "secrets", "service", "server", "descriptors"]


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Station:
    return Station.make(tmp_path, monkeypatch, capsys)


@contextmanager
def server(status: int, body: bytes = b'"24.1"') -> Iterator[str]:
    """Answer everything on a port of loopback with that; yield the address."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}"
        finally:
            listening.shutdown()
            thread.join(10)


def examined(station: Station) -> dict[str, dict[str, Any]]:
    """Return what the doctor found, by check."""
    return {finding["check"]: finding for finding in json.loads(station.on("doctor", "--json").out)}


def test_a_sound_station_has_nothing_wrong(station: Station) -> None:
    with server(200) as address:
        station.configure(service_address=address, api_token=TOKEN, proxy_mode="none")
        found = station.on("doctor")
    assert (found.code, [line.split()[:2] for line in found.out.splitlines()]) == (
        0, [["ok", f"{check}:"] for check in CHECKS],
    )  # fmt: skip


def test_nothing_is_made_by_it(station: Station) -> None:
    before = sorted(station.folder.rglob("*"))
    station.on("doctor")
    assert sorted(station.folder.rglob("*")) == before


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_told_from_a_server_that_is_away(station: Station, status: int) -> None:
    with server(status) as address:
        station.configure(service_address=address, api_token=TOKEN, proxy_mode="none")
        found = station.on("doctor")
    assert found.code == 1
    assert f"problem  credentials: expected the server to accept api_token, found {status}" in found.out
    assert TOKEN not in found.out


@pytest.mark.parametrize("address", ["", "http://127.0.0.1:9"])
def test_a_server_that_cannot_be_reached_is_told(station: Station, address: str) -> None:
    station.configure(service_address=address, api_token=TOKEN, proxy_mode="none")
    found = examined(station)["server"]
    assert (found["is_ok"], "service_address" in f"{found['found']} {found['to_do']}") == (False, True)


def test_a_login_page_is_no_server(station: Station) -> None:
    with server(200, b"<html>") as address:
        station.configure(service_address=address, api_token=TOKEN, proxy_mode="none")
        assert not examined(station)["server"]["is_ok"]


def test_a_missing_token_is_told(station: Station) -> None:
    with server(200) as address:
        station.configure(service_address=address, proxy_mode="none")
        assert examined(station)["credentials"]["found"] == "none"


def test_a_bad_configuration_is_told_and_the_rest_examined(station: Station) -> None:
    station.config.write_text('{"sn_start": ')
    found = examined(station)
    assert (found["configuration"]["is_ok"], len(found)) == (False, len(CHECKS))


def test_a_file_in_the_place_of_a_folder_is_told(station: Station) -> None:
    station.data.mkdir()
    (station.data / "sent").write_text("x")
    assert "sent" in examined(station)["folders"]["expected"]


def test_a_data_folder_that_is_a_file_is_told(station: Station) -> None:
    station.data.write_text("x")
    found = station.on("doctor")
    assert (found.code, "problem  folders" in found.out) == (1, True)


def test_too_little_free_disk_is_told(station: Station) -> None:
    station.configure(min_free_disk_bytes=2**53 - 1)
    assert not examined(station)["disk"]["is_ok"]


def test_a_holder_of_the_lock_that_does_not_answer_is_told(station: Station) -> None:
    station.data.mkdir()
    lock = FolderLock(station.data, Disk(), SystemClock())
    lock.acquire()
    found = examined(station)
    lock.release()
    assert found["lock"]["found"].startswith(f"held by process {os.getpid()} on ")
    assert found["service"]["expected"] == "the holder of the lock to answer"


@pytest.mark.parametrize("holder", ['{"pid": 999999999, "host": "h", "since": "s"}', "{", "[]", '{"pid": 1e999}'])
def test_a_lock_that_nobody_holds_any_more_does_no_harm(station: Station, holder: str) -> None:
    station.data.mkdir()
    (station.data / ".lock.holder").write_text(holder)
    assert examined(station)["lock"]["is_ok"]


def test_a_running_service_answers_and_what_it_complains_of_is_told(station: Station) -> None:
    with station.service():
        found = examined(station)["service"]
    assert (found["is_ok"], "set service_address" in found["found"]) == (False, True)


def test_an_address_that_cannot_be_one_is_told(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    station.configure(ipc_socket="")
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"/tmp/{'long' * 30}")
    assert "107 bytes" in examined(station)["service"]["found"]


@pytest.mark.parametrize(("soft", "hard", "is_ok"), [(256, 1024, False), (1024, 4096, True), (4096, -1, True)])
def test_the_limit_of_descriptors_is_judged_by_what_is_needed(
    station: Station, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, *, is_ok: bool
) -> None:
    limits = SimpleNamespace(RLIMIT_NOFILE=7, RLIM_INFINITY=-1, getrlimit=lambda _: (soft, hard))
    monkeypatch.setattr(process, "resource", limits)
    assert examined(station)["descriptors"]["is_ok"] is is_ok


def test_a_secret_that_others_can_read_is_told(station: Station) -> None:
    path = secret_path("default")
    load_or_create_secret(path)
    path.chmod(0o644)
    found = examined(station)["secrets"]
    assert (found["found"], found["to_do"]) == ("0644", f"chmod 600 {path}")


def test_a_configuration_with_a_secret_that_others_can_read_is_told(station: Station) -> None:
    station.configure(api_token=TOKEN)
    station.config.chmod(0o640)
    assert str(station.config) in examined(station)["secrets"]["expected"]


def test_a_secret_that_is_none_is_told(station: Station) -> None:
    path = secret_path("default")
    load_or_create_secret(path)
    path.write_text("short")
    assert "64 hex digits" in examined(station)["secrets"]["expected"]
