"""Small worlds with a network: one program in one process, or several processes on hosts of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaos.seed import Seed
from chaos.sim.choices import UNCHANGED, Script
from chaos.sim.disk import add_disk
from chaos.sim.net import add_network
from chaos.sim.net.socket_files import FolderSocketFiles
from chaos.sim.ports import SocketFiles
from chaos.sim.process import SimProcess
from chaos.sim.simulate import Setting, open_kernel

Main = Callable[[], Awaitable[Any]]


class NetWorld:
    """A kernel and a network, entered; ``reports`` are the faults that were told of.

    ``folder`` is a real folder for socket files, or (``has_disk``) the one that a simulated disk mounts.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        policy: str = "fifo",
        folder: Path | None = None,
        has_disk: bool = False,
        script: Script = UNCHANGED,
    ) -> None:
        allowed = () if folder is None or has_disk else (str(folder),)
        self.kernel = open_kernel(Seed(seed), Setting(policy=policy, allowed=allowed, script=script))
        files: SocketFiles | None = None
        if folder is not None and has_disk:
            files = disk = add_disk(self.kernel)
            disk.mount(folder)
        elif folder is not None:
            files = FolderSocketFiles(folder)
        self.reports: list[tuple[str, bool, Mapping[str, Any]]] = []
        self.network = add_network(self.kernel, socket_files=files, report=lambda *told: self.reports.append(told))
        self.lines: list[tuple[int, int, str]] = []
        self.kernel.recorder = lambda *line: self.lines.append(line)
        self.faults = self.network.faults
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.kernel)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    @property
    def now_s(self) -> float:
        """The virtual time."""
        return self.kernel.now_ns / 1e9

    def start(self, name: str, main: Main, *, host: str | None = None) -> SimProcess:
        """Start a process, on a host of its own name if none is given."""
        self.network.place(name, host or name)
        return self.kernel.start(name, main)

    def run(self, main: Main, *, name: str = "client", host: str | None = None) -> Any:
        """Run a process to its end, the others with it, and return its result or raise its error."""
        process = self.start(name, main, host=host)
        process.on_end.append(lambda _: self.kernel.stop())
        self.kernel.run()
        if process.error is not None:
            raise process.error
        assert not process.is_alive, f"{process!r} never ended: {self.kernel.waiting()}"
        return process.result
