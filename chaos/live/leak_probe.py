"""Plants one leak of each kind in a process of its own, and prints what the leak check says of each (H2.6).

python -m chaos.live.leak_probe FOLDER
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

from chaos.live.leak_check import LeakCheck, LeakError
from chaos.live.ledger import Kind

GROWTH_BYTES = 64 << 20


def plant_process(_: Path) -> Any:
    """Start a process and forget it."""
    return subprocess.Popen(["/bin/sleep", "60"])


def plant_thread(_: Path) -> Any:
    """Start a thread that waits."""
    done = threading.Event()
    threading.Thread(target=done.wait, name="planted thread", daemon=True).start()
    return done


def plant_task(_: Path) -> Any:
    """Start a task that waits."""
    return asyncio.get_running_loop().create_task(asyncio.sleep(60), name="planted task")


def plant_timer(folder: Path) -> Any:
    """Set a timer that nobody cancels."""
    return asyncio.get_running_loop().call_later(60, plant_file, folder)


def plant_descriptor(folder: Path) -> Any:
    """Open a file and never close it."""
    return (folder.parent / "planted-descriptor").open("w")


def plant_socket(_: Path) -> Any:
    """Listen and never close."""
    return socket.create_server(("127.0.0.1", 0))


def plant_file(folder: Path) -> Any:
    """Write a temporary file and leave it."""
    (folder / "planted-file").write_text("left")
    return None


def plant_shared_memory(_: Path) -> Any:
    """Map shared memory and keep it."""
    return shared_memory.SharedMemory(create=True, size=4096, name=f"pywats-chaos-{os.getpid()}")


PLANTS: Mapping[Kind, Callable[[Path], Any]] = {
    Kind.PROCESS: plant_process,
    Kind.THREAD: plant_thread,
    Kind.TASK: plant_task,
    Kind.TIMER: plant_timer,
    Kind.DESCRIPTOR: plant_descriptor,
    Kind.SOCKET: plant_socket,
    Kind.FILE: plant_file,
    Kind.SHARED_MEMORY: plant_shared_memory,
}


async def probe(folder: Path) -> dict[str, Any]:
    """Return for each kind what the check said when it was planted, and what it said of a clean block."""
    said: dict[str, Any] = {}
    for kind, plant in PLANTS.items():
        planted: list[Any] = []
        try:
            async with LeakCheck(folders=[folder]):
                planted.append(plant(folder))
            said[str(kind)] = ""
        except LeakError as error:
            said[str(kind)] = next((str(leak) for leak in error.leaks if leak.kind is kind), "")
        _remove(planted[0], folder)
        await asyncio.sleep(0)
    said["memory"] = await _grown()
    return {"said": said, "clean": await _clean(folder)}


async def _grown() -> str:
    try:
        async with LeakCheck(memory_bytes_max=GROWTH_BYTES // 4):
            kept = bytearray(os.urandom(1024)) * (GROWTH_BYTES // 1024)
    except LeakError as error:
        return str(error) if error.grown_bytes and kept else ""
    return ""


async def _clean(folder: Path) -> str:
    try:
        async with LeakCheck(folders=[folder]):
            await asyncio.sleep(0)
    except LeakError as error:
        return str(error)
    return ""


def _remove(planted: Any, folder: Path) -> None:
    if isinstance(planted, subprocess.Popen):
        planted.kill()
        planted.wait()
    elif isinstance(planted, threading.Event):
        planted.set()
    elif isinstance(planted, shared_memory.SharedMemory):
        planted.close()
        planted.unlink()
    elif isinstance(planted, asyncio.Task | asyncio.TimerHandle):
        planted.cancel()
    elif planted is not None:
        planted.close()
    (folder / "planted-file").unlink(missing_ok=True)


def main(arguments: Sequence[str]) -> None:
    """Probe in the folder that the command line names, and print what was said as one JSON line."""
    sys.stdout.write(json.dumps(asyncio.run(probe(Path(arguments[0])))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
