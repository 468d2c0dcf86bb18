"""The simulated network: TCP, unix sockets, TLS and names in memory, and what can go wrong with them.

``add_network(kernel)`` gives a world its network before the world is entered; ``Setting(prepare=(add_network,))`` does
so for every world that ``simulate`` makes. Faults come from ``network.faults``.
"""

from __future__ import annotations

from chaos.sim.kernel import SimKernel
from chaos.sim.net.faults import NetworkFault, NetworkFaults
from chaos.sim.net.network import Report, SimulatedNetwork
from chaos.sim.net.seam import NetworkSeam
from chaos.sim.ports import SocketFiles


def add_network(
    kernel: SimKernel, *, socket_files: SocketFiles | None = None, report: Report | None = None
) -> SimulatedNetwork:
    """Give ``kernel`` a network, which is returned; to be called before the world is entered."""
    network = SimulatedNetwork(kernel, socket_files=socket_files, report=report)
    kernel.network = network
    kernel.seams.append(NetworkSeam(network))
    return network


__all__ = ["NetworkFault", "NetworkFaults", "NetworkSeam", "SimulatedNetwork", "add_network"]
