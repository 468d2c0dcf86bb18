"""What the fault proxy costs while it does no harm: throughput and round trips, against plain asyncio forwarders.

Run ``python benchmarks/proxy.py``. Sender, receiver and each forwarder are processes of their own; the candidates take
turns, and the medians count. Peers: the forwarder that everybody writes (streams: ``read``, ``write``, ``drain``), and
one of two protocols with flow control. Targets: at least 300 MB/s, under 150 µs added per round trip, and at least
as fast as the better peer, by the ratio of medians in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import threading
import time

from chaos.live.proxy.proxy import Proxy
from chaos.live.proxy.settings import ProxySettings, ToxicSettings

MEGABYTE = 1_000_000
CHUNK = b"x" * (256 * 1024)
LEAST_MB_S, MOST_ADDED_US, LEAST_RATIO = 300, 150, 1.0


async def forward_with_streams(upstream: int) -> int:
    """Forward as the tutorials do."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", upstream)
        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


class Half(asyncio.Protocol):
    """One side of a forwarder made of two protocols, with flow control."""

    def __init__(self, upstream: int | None, other: Half | None = None) -> None:
        self.upstream, self.other, self.transport = upstream, other, None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Connect to the server behind, before anything is read."""

        self.transport = transport
        if self.upstream is not None:
            transport.pause_reading()
            asyncio.get_running_loop().create_task(self._connect(transport))

    async def _connect(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        _, self.other = await loop.create_connection(lambda: Half(None, self), "127.0.0.1", self.upstream)
        transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Hand it on."""

        self.other.transport.write(data)

    def pause_writing(self) -> None:
        """Let the sender wait."""

        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Let the sender go on."""

        self.other.transport.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        """Close the other side, too."""

        if self.other is not None:
            self.other.transport.close()


async def forward_with_protocols(upstream: int) -> int:
    server = await asyncio.get_running_loop().create_server(lambda: Half(upstream), "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


async def fault_proxy(upstream: int) -> int:
    proxy = Proxy(ProxySettings("bench", f"127.0.0.1:{upstream}"))
    proxy.open()
    return proxy.listen.port


async def fault_proxy_with_toxicity_0(upstream: int) -> int:
    toxic = ToxicSettings("latency", toxicity=0.0, attributes={"latency": 1000})
    proxy = Proxy(ProxySettings("bench", f"127.0.0.1:{upstream}", toxics=(toxic,)))
    proxy.open()
    return proxy.listen.port


CANDIDATES = {
    "fault proxy": fault_proxy,
    "fault proxy, toxicity 0": fault_proxy_with_toxicity_0,
    "plain asyncio streams": forward_with_streams,
    "plain asyncio protocols": forward_with_protocols,
}


async def serve_candidate(name: str, upstream: int) -> None:
    print(await CANDIDATES[name](upstream), flush=True)
    await asyncio.Event().wait()


def serve_sink() -> None:
    """Echo what begins with ``e``; swallow what begins with ``s``, and say at its end that it came."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_serve_one, args=(connection,), daemon=True).start()


def _serve_one(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = bytearray(1 << 20)
    mode, total = connection.recv(1), 0
    while received := connection.recv_into(buffer):
        total += received
        if mode == b"e":
            connection.sendall(buffer[:received])
        elif buffer[received - 1] == ord("."):
            connection.sendall(total.to_bytes(8))


def throughput_mb_s(port: int, megabytes: int) -> float:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"s")
        began, left = time.perf_counter(), megabytes * MEGABYTE
        while left > 0:
            connection.sendall(CHUNK)
            left -= len(CHUNK)
        connection.sendall(b".")
        connection.recv(8, socket.MSG_WAITALL)
        return (megabytes * MEGABYTE - left) / MEGABYTE / (time.perf_counter() - began)


def round_trip_us(port: int, trips: int) -> float:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"e")
        took = []
        for _ in range(trips):
            began = time.perf_counter()
            connection.sendall(b"ping")
            connection.recv(4, socket.MSG_WAITALL)
            took.append(time.perf_counter() - began)
        return statistics.median(took) * 1e6


def start(*arguments: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def measure(rounds: int, megabytes: int, trips: int) -> dict[str, dict[str, float]]:
    sink, sink_port = start("--sink")
    running = {name: start("--candidate", name, "--upstream", str(sink_port)) for name in CANDIDATES}
    ports = {"directly": sink_port, **{name: port for name, (_, port) in running.items()}}
    try:
        found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ports}
        for _ in range(rounds):
            for name, port in ports.items():
                found[name][0].append(throughput_mb_s(port, megabytes))
                found[name][1].append(round_trip_us(port, trips))
    finally:
        for process, _ in [*running.values(), (sink, sink_port)]:
            process.kill()
            process.wait()
    return {
        name: {"mb_s": statistics.median(speeds), "round_trip_us": statistics.median(trips_us)}
        for name, (speeds, trips_us) in found.items()
    }


def verdicts(found: dict[str, dict[str, float]]) -> dict[str, float]:
    ours = found["fault proxy"]
    peers = [found[name] for name in CANDIDATES if name.startswith("plain")]
    return {
        "mb_s": ours["mb_s"],
        "added_us": ours["round_trip_us"] - found["directly"]["round_trip_us"],
        "ratio_to_streams": ours["mb_s"] / found["plain asyncio streams"]["mb_s"],
        "ratio_to_best_peer": ours["mb_s"] / max(peer["mb_s"] for peer in peers),
        "round_trip_to_best_peer": min(peer["round_trip_us"] for peer in peers) / ours["round_trip_us"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--trips", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sink", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--candidate", choices=CANDIDATES, help=argparse.SUPPRESS)
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.sink:
        serve_sink()
    elif asked.candidate:
        asyncio.run(serve_candidate(asked.candidate, asked.upstream))
    else:
        found = measure(asked.rounds, asked.megabytes, asked.trips)
        judged = verdicts(found)
        if asked.json:
            print(json.dumps({"measured": found, "verdicts": judged}, indent=2))
            return
        for name, row in found.items():
            print(f"{name:<26} {row['mb_s']:8.0f} MB/s   {row['round_trip_us']:8.1f} µs per round trip")
        print(f"added per round trip {judged['added_us']:.0f} µs (target under {MOST_ADDED_US})")
        print(f"throughput {judged['mb_s']:.0f} MB/s (target {LEAST_MB_S})")
        print(f"ratio to plain streams {judged['ratio_to_streams']:.2f}, to the best peer "
              f"{judged['ratio_to_best_peer']:.2f} (target {LEAST_RATIO})")  # fmt: skip
        print(f"round trips: best peer / ours {judged['round_trip_to_best_peer']:.2f}")


if __name__ == "__main__":
    main()
