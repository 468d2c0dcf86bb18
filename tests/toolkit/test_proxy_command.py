"""The proxies as processes: the command at a terminal, and the one that a live world puts in front of its server."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.live.world import LiveWorld


def test_the_command_begins_with_the_proxies_of_a_file_and_ends_on_a_signal(tmp_path: Path) -> None:
    config = tmp_path / "proxies.json"
    config.write_text(json.dumps([{"name": "web", "listen": "127.0.0.1:0", "upstream": "localhost:9"}]))
    line = [sys.executable, "-m", "chaos", "proxy", "--control", "127.0.0.1:0", "--config", str(config)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["proxies"][0]["name"] == "web"
        address = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert list(json.load(answer)) == ["web"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--control", "8.8.8.8:80"], "not a loopback address"),
        (["--config", "/nowhere.json"], "expected a readable file /nowhere.json"),
    ],
)
def test_what_the_command_cannot_do_is_one_line_and_exit_code_3(arguments: list[str], words: str) -> None:
    line = [sys.executable, "-m", "chaos", "proxy", *arguments]
    found = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
    assert (found.returncode, found.stderr.count("\n")) == (3, 1)
    assert words in found.stderr


@pytest.mark.asyncio
async def test_the_proxy_of_a_world_is_between_service_and_server_and_goes_with_it(world: LiveWorld) -> None:
    proxy = await world.proxied()
    service = await world.start()
    cut = await proxy.add("http_cut", at="before_answer", path="/api/Report")
    report_id = await service.submit()
    await proxy.fired(cut)
    await proxy.remove(cut)
    await world.converge(20)
    assert world.history.last("deliveries").value["reports"][report_id]["deliveries"] == 2
    assert [fault.name for fault in world.history.faults()] == ["proxy.http_cut"]
    pid = proxy._process.pid
    await world.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_conversation_in_the_documents_works_as_it_stands(unused_tcp_port_factory: Callable[[], int]) -> None:
    """The command and each ``curl`` line, on ports that are free here; the last one waits for a fault that comes."""
    page = (Path(__file__).parents[2] / "docs" / "chaos.md").read_text(encoding="utf-8")
    block = page.partition("## A network that fails")[2].partition("```console\n")[2].partition("```")[0]
    for port in ("8474", "9000", "8080"):
        block = block.replace(port, str(unused_tcp_port_factory()))
    command, *calls = block.strip().splitlines()
    line = [sys.executable, "-m", "chaos", *shlex.split(command)[1:]]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        said = [called(shlex.split(call)[1:]) for call in calls[:-1]]
        (wait,) = shlex.split(calls[-1])[1:]
        told = called([wait.replace("wait=20", "wait=0.01")])
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    assert [answer["name"] for answer in [*said, told]] == ["web", "latency_downstream", "latency_downstream"]


def called(arguments: list[str]) -> dict[str, Any]:
    """Do what curl would do with ``-d`` and an address."""
    data = arguments[1].encode() if arguments[0] == "-d" else None
    with urllib.request.urlopen(arguments[-1], data=data, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found
