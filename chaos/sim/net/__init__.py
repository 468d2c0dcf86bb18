"""The simulated network: TCP, unix sockets, TLS and names in memory, and what can go wrong with them."""

from __future__ import annotations

from chaos.sim.net.network import SimulatedNetwork
from chaos.sim.net.seam import NetworkSeam

__all__ = ["NetworkSeam", "SimulatedNetwork"]
