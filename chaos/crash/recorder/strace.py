"""The program under strace: the command line, the wait, and what an interruption does.

* The program keeps its streams, its terminal and its process group: it behaves as without the recording.
* SIGINT and SIGTERM to the recorder end the program, not the recording: they are handed on (a terminal has sent its
  Ctrl-C to the program itself by then); from the third on, the program is killed.
* Whatever ends the wait, no traced process is left behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import FrameType

import psutil

from chaos.crash.recorder.calls import POSITIONS, TRACED
from chaos.errors import DeadlineError, NotAvailableError

STRING_BYTES_MAX = 1 << 26  # More than any single write a program should make; a longer one is told as unmodelled.
PROBE_LIMIT_S = 10
KILL_LIMIT_S = 10
KILL_AGAIN_S = 0.05
PATIENCE = 2  # Interruptions that are handed on before the program is killed.


def strace_available() -> str:
    """Return the path of strace. Raises ``NotAvailableError`` when it is missing or may not trace here."""
    path = shutil.which("strace")
    need = "recording a program"
    if path is None:
        raise NotAvailableError(need, "strace was not found", "install it: apt install strace (or dnf, apk, pacman)")
    probe = [path, "-f", "-qq", "--seccomp-bpf", "-e", "trace=close", "-o", os.devnull, "true"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, timeout=PROBE_LIMIT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise NotAvailableError(need, f"strace did not end within {PROBE_LIMIT_S} s", "allow ptrace") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"strace ended with {done.returncode}"])[0]
        raise NotAvailableError(need, reason, "allow ptrace (kernel.yama.ptrace_scope, container --cap-add=SYS_PTRACE)")
    return path


def command_line(strace: str, trace: Path, command: Sequence[str]) -> list[str]:
    """Return how to run ``command`` so that ``trace`` tells every call that counts, with every byte."""
    return [
        *(strace, "-f", "-q", "--seccomp-bpf", "-y", "-xx", "-a", "0", "-s", str(STRING_BYTES_MAX)),
        "--absolute-timestamps=format:unix,precision:ns",
        *("-e", f"trace={','.join(f'?{name}' for name in TRACED)}", "-e", f"raw={','.join(POSITIONS)}"),
        *("-o", str(trace), "--", *command),
    ]


def run_traced(command: Sequence[str], trace: Path, folder: str | None = None) -> int:
    """Run a command under strace until it ends, and return the exit code of strace (that of the program, mostly).

    Interruptions end the program, and this returns as usual. Raises ``NotAvailableError``.
    """
    line = command_line(strace_available(), trace, command)
    with subprocess.Popen(line, cwd=folder) as process, _handing_on(process):  # noqa: S603 - what the person asked for
        try:
            return process.wait()
        finally:
            end_traced(process)


@contextmanager
def _handing_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Hand interruptions on to the program inside the context."""
    count = 0

    def hand_on(number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > PATIENCE:
            signal_traced(process, signal.SIGKILL)
        elif not (number == signal.SIGINT and _terminal_told()):
            signal_traced(process, signal.Signals(number))

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminal_told() -> bool:
    """Return whether this process group is in front of a terminal, which sends Ctrl-C to all of it."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def signal_traced(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the programs that this strace runs (SIGKILL: with all their children); strace then ends by itself.

    strace is never killed: what it has not yet written of the trace would be lost.
    """
    try:
        traced = psutil.Process(process.pid).children(recursive=number is signal.SIGKILL)
    except psutil.NoSuchProcess:
        return
    for child in traced:
        try:
            child.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def end_traced(process: subprocess.Popen[bytes]) -> None:
    """Kill the programs that this strace runs, also one that it is just starting, and wait for its end.

    Raises ``DeadlineError`` when it does not end.
    """
    limit = monotonic() + KILL_LIMIT_S
    while process.poll() is None:
        signal_traced(process, signal.SIGKILL)
        try:
            process.wait(KILL_AGAIN_S)
        except subprocess.TimeoutExpired as error:
            if monotonic() > limit:
                raise DeadlineError("the end of strace", KILL_LIMIT_S, f"process {process.pid} alive") from error
