"""What every task and thread of a process waits for, one line each: what a deadlock tells."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    from chaos.sim.process import SimProcess

OWN_FOLDER = str(Path(__file__).parent)
OUTER_PLACES = 3


def what_waits(process: SimProcess) -> list[str]:
    """Return a line for each unfinished task and each waiting thread."""
    tasks = [task for loop in process.loops for task in asyncio.all_tasks(loop) if not task.done()]
    tasks.sort(key=lambda task: getattr(task, "number", 0))
    lines = [f"{process.name}: task {task.get_name()} awaits {' < '.join(places_of(task))}" for task in tasks]
    for wait in process.waits:
        if wait.what != "event loop":
            thread = wait.strand.name if wait.strand is not None else "loop"
            lines.append(f"{process.name}: thread {thread} waits for {wait.what} in {_outside(wait.place)}")
    return lines


def places_of(task: asyncio.Task[Any]) -> list[str]:
    """Return where a task waits, innermost first: function (file:line)."""
    places: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = next((found for name in FRAMES if (found := getattr(awaited, name, None)) is not None), None)
        inner = next((found for name in AWAITED if (found := getattr(awaited, name, None)) is not None), None)
        if frame is not None:
            places.append(_place(frame))
        elif inner is None:
            places.append(_described(awaited))
        awaited = inner
    return list(reversed(places))[: OUTER_PLACES + 1]


FRAMES = ("cr_frame", "gi_frame", "ag_frame")
AWAITED = ("cr_await", "gi_yieldfrom", "ag_await")


def _described(awaited: Any) -> str:
    if isinstance(awaited, asyncio.Task):
        return f"task {awaited.get_name()}"
    kind = type(awaited).__name__
    return "a future" if kind in {"FutureIter", "SimFuture", "Future"} else kind


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_qualname} ({Path(code.co_filename).name}:{frame.f_lineno})"


def _outside(frame: FrameType | None) -> str:
    """Return the innermost place that is the program's own, neither ours nor a library's way to wait."""
    while frame is not None and (frame.f_code.co_filename.startswith(OWN_FOLDER) or _is_of_threading(frame)):
        frame = frame.f_back
    return _place(frame) if frame is not None else "an unknown place"


def _is_of_threading(frame: FrameType) -> bool:
    return Path(frame.f_code.co_filename).name in {"threading.py", "queue.py", "_base.py", "thread.py"}
