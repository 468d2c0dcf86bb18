"""Runs a program to its end without blocking the window; cancelled, or out of time, it is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from PySide6.QtCore import QObject, QProcess

from pywats_reliability.errors import ProgramFailedError
from pywats_reliability.gui.holdings import disconnect, kill


async def output_of(owner: QObject, name: str, words: Sequence[str], *, exit_codes: Sequence[int] = (0,)) -> str:
    """Return what the program printed on its standard output.

    Raises ``ProgramFailedError`` when it cannot be started or ends with another code. Cancelling ends the program.
    """
    process = QProcess(owner)
    process.setObjectName(name)
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(*_: object) -> None:
        if not ended.done():
            ended.set_result(None)

    handles = [process.finished.connect(end), process.errorOccurred.connect(end)]
    try:
        process.start(words[0], list(words[1:]))
        await ended
        printed = bytes(process.readAllStandardOutput().data()).decode(errors="replace")
        if process.error() is QProcess.ProcessError.FailedToStart:
            raise ProgramFailedError(name, "it to start", process.errorString())
        if process.exitStatus() is not QProcess.ExitStatus.NormalExit or process.exitCode() not in exit_codes:
            said = bytes(process.readAllStandardError().data()).decode(errors="replace").strip()[-300:]
            raise ProgramFailedError(name, f"exit code {exit_codes[0]}", f"{process.exitCode()} ({said or 'silence'})")
        return printed
    finally:
        for handle in handles:
            disconnect(handle)
        kill(process)
