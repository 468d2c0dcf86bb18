"""The proxies as a process: announced when its control port listens, gone on a signal, with all their connections."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from pydantic import ValidationError

from chaos.errors import UsageError
from chaos.live.proxy.control import encoded
from chaos.live.proxy.server import ProxyServer
from chaos.live.proxy.settings import MANY_PROXIES
from chaos.rules.wats_server import usage_error

MODULE = "chaos.live.proxy"


def run_until_signal(control: str, populate: Sequence[bytes], *, announces: bool) -> int:
    """Run the proxies until SIGINT or SIGTERM; return 0. Raises ``UsageError`` and ``RefusedError``.

    ``populate`` are bodies for ``/populate``. With ``announces`` one JSON line says where the control port is.
    """
    asyncio.run(_serve(ProxyServer(control), populate, announces=announces))
    return 0


async def _serve(server: ProxyServer, populate: Sequence[bytes], *, announces: bool) -> None:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with server:
        for body in populate:
            status, data = await server.proxies.obey("POST", "/populate", body)
            if status != 201:
                raise UsageError("proxies to begin with", data["error"], "mend the file")
            if not announces:
                sys.stdout.write(encoded(data).decode())
        if announces:
            sys.stdout.write(json.dumps({"control_port": server.port, "pid": os.getpid()}) + "\n")
        else:
            sys.stdout.write(f"proxies are commanded at http://127.0.0.1:{server.port}/proxies\n")
        sys.stdout.flush()
        await ended.wait()


def read_population(path: Path) -> bytes:
    """Return the contents of a file of proxies, as Toxiproxy's ``-config`` has them. Raises ``UsageError``."""
    try:
        body = path.read_bytes()
        MANY_PROXIES.validate_json(body)
    except OSError as error:
        raise UsageError(f"a readable file {path}", str(error.strerror), "name another") from error
    except ValidationError as error:
        raise usage_error(error, str(path)) from None
    return body


@click.command()
@click.option("--control", default="127.0.0.1:0", help="Where to be commanded.")
def command(*, control: str) -> int:
    """Run proxies for a runner, which reads the first line of stdout."""
    return run_until_signal(control, [], announces=True)
