"""The proxies as processes: the command at a terminal, and the one that a live world puts in front of its server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

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
