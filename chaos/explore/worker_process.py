"""What runs in a worker process of a pool: it takes calls from its standard input, makes them, and answers.

* A frame is its length in eight bytes, and a pickle. What is played prints to standard error, never into an answer.
* Orders are read in a thread of their own: when they end, the parent is gone, and the worker ends in mid-play.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, BinaryIO

LENGTH = struct.Struct("!Q")
LOWEST_PRIORITY = 19
JUNK_BYTES_MAX = 3_000


@dataclass(frozen=True, slots=True)
class Settings:
    """How a worker begins. ``heap``: how many objects are made, and some dropped, before anything is played."""

    gives_way: bool = False
    heap: int = 0

    def as_text(self) -> str:
        """Return them as a text that needs no quoting in a command."""
        return json.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: str) -> Settings:
        """Return what ``as_text`` made."""
        return cls(**json.loads(text))


class Frames:
    """Whole frames through a pipe."""

    def __init__(self, pipe: BinaryIO | Any) -> None:
        self._pipe = pipe

    def write(self, frame: bytes) -> None:
        """Write one frame. Raises ``OSError`` when nobody reads any more."""
        self._pipe.write(LENGTH.pack(len(frame)) + frame)
        self._pipe.flush()

    def read(self) -> bytes:
        """Return the next frame. Raises ``EOFError`` when the pipe ends, also in the middle of one."""
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        return self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        found: bytes = self._pipe.read(size)
        if len(found) < size:
            raise EOFError
        return found


def dumped(value: object) -> bytes:
    """Return a value as a frame."""
    return pickle.dumps(value)


def loaded(frame: bytes) -> Any:
    """Return the value in a frame, which the other end of a pipe of ours has written."""
    return pickle.loads(frame)  # noqa: S301 - parent and worker are one program


def serve(settings: str) -> None:
    """Be a worker until the orders end."""
    answers, orders = _pipes()
    given = Settings.of_text(settings)
    if given.gives_way:
        os.nice(LOWEST_PRIORITY)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends the workers.
    sys.unraisablehook = _unraisable
    junk = [bytearray(Random(given.heap).randrange(JUNK_BYTES_MAX)) for _ in range(given.heap)]  # noqa: S311
    del junk[::3]
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(orders, calls), daemon=True, name="orders").start()
    while True:
        answers.write(_answered(calls.get()))


def _pipes() -> tuple[Frames, Frames]:
    """Return where answers go and orders come from; what is printed from now on goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return Frames(answers), Frames(sys.stdin.buffer)


def _read(orders: Frames, calls: queue.SimpleQueue[bytes]) -> None:
    while True:
        try:
            calls.put(orders.read())
        except (EOFError, OSError):
            os._exit(1)  # The parent is gone, or wants no more: whatever is being played, nobody waits for it.


def _answered(call: bytes) -> bytes:
    """Make a call and return its answer as a frame: whether it is a value, and the value or the error."""
    try:
        function: Callable[..., object]
        function, args, kwargs = loaded(call)
        return dumped((True, function(*args, **kwargs)))
    except Exception as error:  # noqa: BLE001 - here the calls end; it is raised where the answer is awaited
        return _told(error)
    except BaseException:  # noqa: BLE001 - what ends a process by design must not end the one that awaits the answer
        return dumped((False, RuntimeError(f"a worker was told to end:\n{traceback.format_exc()}")))


def _told(error: Exception) -> bytes:
    """Return the error as a frame, with the place it comes from; in words where it cannot travel."""
    error.add_note(f"in a worker process:\n{traceback.format_exc()}")
    try:
        frame = dumped((False, error))
        loaded(frame)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, its words can travel
        return dumped((False, RuntimeError(traceback.format_exc())))
    return frame


def _unraisable(told: sys.UnraisableHookArgs) -> None:
    """Pass by what coroutines of killed processes say when their remains are collected, long after their loop."""
    if str(told.exc_value) != "no running event loop":
        sys.__unraisablehook__(told)
