"""``pywats-chaos proxy``: fault proxies at a terminal, for Toxiproxy's clients and for ``curl``."""

from __future__ import annotations

from pathlib import Path

import click

from chaos.live.proxy import read_population, run_until_signal


@click.command("proxy")
@click.option("--control", default="127.0.0.1:8474", show_default=True, help="Where to be commanded, over HTTP.")
@click.option(
    "--config", "configs", type=click.Path(path_type=Path), multiple=True, help="A JSON list of proxies to begin with."
)
def proxy_command(*, control: str, configs: tuple[Path, ...]) -> int:
    """Lead TCP and unix sockets through faults, with Toxiproxy's toxics and HTTP API."""
    return run_until_signal(control, [read_population(path) for path in configs], announces=False)
