"""The WATS server as a process: it says where it is, and it goes when it should."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from chaos.errors import ChaosError, UsageError
from chaos.live.wats_server import MODULE, Announcement, WatsServer
from chaos.wats_server.exchange import VERSION_PATH

LIMIT_S = 10


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Announcement]]:
    """Start a server whose standard input is a pipe held here, and wait for its announcement."""
    line = [sys.executable, "-m", MODULE, *arguments]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process, Announcement.from_line(process.stdout.readline())
        finally:
            process.kill()


def failed(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", MODULE, *arguments]
    return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def version_at(announcement: Announcement) -> int:
    return httpx.get(announcement.data_url + VERSION_PATH, trust_env=False).status_code


def hang_on(connection: socket.socket, announcement: Announcement) -> None:
    """Leave a request hanging on the server."""
    rules = [{"action": "hang_after_headers"}]
    httpx.put(f"{announcement.control_url}/_chaos/rules", json=rules, trust_env=False).raise_for_status()
    connection.connect(("127.0.0.1", announcement.data_port))
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    query = {"kind": "rule_fired", "wait": "5"}
    told = httpx.get(f"{announcement.control_url}/_chaos/events", params=query, timeout=LIMIT_S, trust_env=False).json()
    assert told["events"]


def test_it_announces_its_ports_once_it_listens() -> None:
    with started() as (process, announcement):
        assert announcement.pid == process.pid
        assert version_at(announcement) == 200


def test_it_announces_on_another_descriptor() -> None:
    reading, writing = os.pipe()
    line = [sys.executable, "-m", MODULE, "--exit-with-stdin", "--announce", str(writing)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, pass_fds=[writing]) as process:
        os.close(writing)
        with os.fdopen(reading) as announced:
            said = announced.readline()
        process.kill()
    assert json.loads(said)["pid"] == process.pid


def test_it_ends_with_its_standard_input_also_when_a_request_hangs() -> None:
    with started("--exit-with-stdin") as (process, announcement), socket.socket() as connection:
        hang_on(connection, announcement)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(LIMIT_S) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_on_a_signal_also_when_a_request_hangs(number: signal.Signals) -> None:
    with started() as (process, announcement), socket.socket() as connection:
        hang_on(connection, announcement)
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 0


def test_it_dies_with_a_parent_that_was_killed() -> None:
    program = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-m', '{MODULE}', '--exit-with-stdin'], stdin=subprocess.PIPE)\n"
        "child.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        Announcement.from_line(parent.stdout.readline())
        parent.kill()
        assert parent.stdout.read() == b"", "the end of the pipe says that the server, its last holder, is gone"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_an_address_that_is_not_loopback_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="expected a loopback address"):
        WatsServer(host)


def test_a_refused_address_is_one_line_and_exit_code_3() -> None:
    ended = failed("--host", "0.0.0.0")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (3, "", 1)


def test_a_port_that_is_taken_is_one_line_and_exit_code_3() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        ended = failed("--port", str(holder.getsockname()[1]))
    assert (ended.returncode, ended.stderr.count("\n")) == (3, 1)
    assert "choose another one" in ended.stderr


def test_a_control_port_that_is_taken_is_one_line_and_exit_code_3() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        ended = failed("--control-port", str(holder.getsockname()[1]))
    assert (ended.returncode, ended.stderr.count("\n")) == (3, 1)


@pytest.mark.parametrize("arguments", ["--port x", "--announce x", "--announce 99", "--exit-with-stdin"])
def test_a_bad_argument_is_one_line_and_exit_code_3(arguments: str) -> None:
    ended = failed(*arguments.split())
    assert (ended.returncode, ended.stderr.count("\n")) == (3, 1)


def test_a_person_is_told_where_it_is_and_how_to_make_it_misbehave() -> None:
    program = "from chaos.live.wats_server import serve_until_signal as s; raise SystemExit(s('127.0.0.1', 0, 0))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
    assert (said.count("http://127.0.0.1:"), "curl" in said) == (3, True)


def test_what_is_no_announcement_is_said_to_be_none() -> None:
    with pytest.raises(ChaosError, match="expected a WATS server's announcement, found b'Traceback'"):
        Announcement.from_line(b"Traceback")
