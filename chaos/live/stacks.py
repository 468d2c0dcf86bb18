"""The child's side of a hang report: on SIGUSR2 it writes where every thread and every task stands into a file.

* Threads come first, by ``faulthandler``: it works also while the interpreter is held. Tasks follow as soon as the main
  thread runs Python again: each with the chain of awaits it sits on, innermost last, and the thing it awaits.
* The last line is ``END``: whoever waits for the report knows that it is whole.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from typing import Any, TextIO

AWAITS_MAX = 40
END = "END"


def watch(path: str) -> None:
    """From now on answer SIGUSR2 with a report into ``path``."""
    file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - open as long as the process is
    signal.signal(signal.SIGUSR2, lambda *_: _write_tasks(file))
    faulthandler.register(signal.SIGUSR2, file=file, all_threads=True, chain=True)


def _write_tasks(file: TextIO) -> None:
    try:
        file.write("".join(f"{line}\n" for line in [*_task_lines(), END]))
        file.flush()
    except Exception as error:  # noqa: BLE001 - a report that fails must not become the program's failure
        os.write(file.fileno(), f"no tasks: {error!r}\n{END}\n".encode())


def _task_lines() -> list[str]:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return ["tasks: the program uses no asyncio"]
    try:
        loop = asyncio.get_running_loop()
        tasks = asyncio.all_tasks(loop)
    except RuntimeError:
        return ["tasks: no event loop runs in the main thread"]
    lines = [f"tasks: {len(tasks)}"]
    for task in sorted(tasks, key=lambda task: str(task.get_name())):
        lines.append(f"task {task.get_name()}{' (being cancelled)' if task.cancelling() else ''}")
        lines += [f"  {line}" for line in _awaits(task.get_coro())]
        lines += [f"  awaits {_awaited(task, loop)}"]
    return lines


def _awaited(task: Any, loop: Any) -> str:
    """Return what the innermost await of a task is on: a timer with the time that is left, a task by name, a future."""
    future = getattr(task, "_fut_waiter", None)
    if future is None:
        return "nothing: it is about to run"
    if hasattr(future, "get_name"):
        return f"the task {future.get_name()}"
    for timer in getattr(loop, "_scheduled", ()):
        if not timer.cancelled() and future in (getattr(timer, "_args", None) or ()):
            return f"a timer that is due in {timer.when() - loop.time():.3f} s"
    return str(future)[:200]


def _awaits(work: Any) -> list[str]:
    """Return the places a coroutine sits on, from its own to the innermost."""
    lines = []
    for _ in range(AWAITS_MAX):
        frame = getattr(work, "cr_frame", None) or getattr(work, "gi_frame", None) or getattr(work, "ag_frame", None)
        if frame is None:
            break
        code = frame.f_code
        lines.append(f"{os.path.basename(code.co_filename)}:{frame.f_lineno} in {code.co_qualname}")
        inner = getattr(work, "cr_await", None)
        work = inner if inner is not None else getattr(work, "gi_yieldfrom", None)
    return lines
