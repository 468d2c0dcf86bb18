"""A program that uses a bit of everything whose order could be an accident: what the determinism check runs."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from chaos.seed import Seed
from chaos.sim.simulate import Setting, open_machine, run_in

ITEMS = 12


async def main() -> list[object]:
    """Use tasks in sets, abandoned groups, threads, locks, files, sockets, clocks and randomness."""
    seen: list[object] = [uuid.uuid4(), os.urandom(4), secrets.token_hex(4), random.random(), random.Random().random()]
    seen += [time.time(), time.monotonic(), datetime.now().isoformat(), os.getpid(), uuid.uuid1()]
    seen.append(tempfile.mkdtemp())
    await tasks_in_sets(seen)
    await threads_and_files(seen)
    await sockets(seen)
    return seen


async def tasks_in_sets(seen: list[object]) -> None:
    async def wait(number: int) -> int:
        try:
            await asyncio.sleep(random.choice([1, 2, 100]))
        except asyncio.CancelledError:
            seen.append(f"cancelled {number}")
            raise
        return number

    loop = asyncio.get_running_loop()
    done, pending = await asyncio.wait([loop.create_task(wait(n)) for n in range(ITEMS)], timeout=5)
    seen += [task.result() for task in done] + [len(pending)]
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    futures = {loop.create_future() for _ in range(ITEMS)}
    for number, future in enumerate(futures):
        future.set_result(number)
    seen += [future.result() for future in (await asyncio.wait(futures))[0]]


async def threads_and_files(seen: list[object]) -> None:
    lock = threading.Lock()

    def write(number: int) -> None:
        with lock:
            path = Path(f"file-{number}")
            path.write_text(str(number))
            path.rename(f"done-{number}")
        time.sleep(0.01)
        seen.append(f"written {number}")

    await asyncio.gather(*(asyncio.to_thread(write, number) for number in range(5)))
    seen += os.listdir()


async def sockets(seen: list[object]) -> None:
    writers = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        seen.append(await reader.readline())

    server = await asyncio.start_server(serve, "127.0.0.1", 8080)
    clients = [await asyncio.open_connection("127.0.0.1", 8080) for _ in range(4)]
    for number, (_, writer) in enumerate(clients):
        writer.write(f"hello {number}\n".encode())
    await asyncio.sleep(1)
    seen += [writer.get_extra_info("peername") for writer in writers]
    for writer in [*writers, *(writer for _, writer in clients)]:
        writer.close()
    server.close()


def seed_and_steps(seed: int) -> tuple[int, list[str]]:
    """Run one seed; what the program saw is part of its digest."""
    steps: list[str] = []
    setting = Setting()
    kernel = open_machine(Seed(seed), setting)
    kernel.recorder = lambda _, now_ns, what: steps.append(f"{now_ns} {what}")
    ran = run_in(kernel, main, setting)
    seen = [str(thing) for thing in ran.result]
    return sum(map(ord, "".join(seen))) ^ ran.digest, [*steps, *seen]


class Plain:
    """An object that hashes by its address."""


async def leaky() -> None:
    """Let the order of a set of plain objects decide what is done: the escape that no seam can close."""
    for number in shuffled_by_address():
        await asyncio.sleep(number)


def shuffled_by_address() -> Iterator[int]:
    numbers = {Plain(): number for number in range(ITEMS)}
    return iter([numbers[thing] for thing in set(numbers)])
