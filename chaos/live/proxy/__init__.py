"""The fault proxy: TCP and unix sockets led through faults, with Toxiproxy's vocabulary and API, seeded, counted."""

from __future__ import annotations

from chaos.live.proxy.client import ProxyClient, ProxyGoneError
from chaos.live.proxy.process import MODULE, read_population, run_until_signal
from chaos.live.proxy.server import ProxyServer
from chaos.live.proxy.toxics import TOXICS

__all__ = ["MODULE", "TOXICS", "ProxyClient", "ProxyGoneError", "ProxyServer", "read_population", "run_until_signal"]
