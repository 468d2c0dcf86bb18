"""A block that must leave nothing behind: the ledger before and after it, with where each leak was made."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from chaos.errors import ChaosError
from chaos.live.ledger import Kind, Leak, Ledger, difference, take
from chaos.live.origins import Origins

SETTLE_LIMIT_S = 1.0
SETTLE_PAUSE_S = 0.01


class LeakError(ChaosError):
    """Something was left behind; ``leaks`` has each of it."""

    def __init__(self, leaks: Sequence[Leak], grown_bytes: int = 0) -> None:
        self.leaks, self.grown_bytes = tuple(leaks), grown_bytes
        words = [str(leak) for leak in leaks] + ([f"{grown_bytes:,} bytes of memory"] if grown_bytes else [])
        super().__init__(f"expected nothing left behind, found {'; '.join(words)}; close it where it is made")


class LeakCheck:
    """Use as an async context manager, in the loop whose tasks and timers count. Raises ``LeakError`` at its end.

    What only waits for the garbage collector, or for the loop to turn, is no leak: it is given a second to go.
    """

    def __init__(
        self, *, folders: Sequence[Path] = (), allowed: Iterable[Kind] = (), memory_bytes_max: int | None = None
    ) -> None:
        self.folders, self.allowed, self.memory_bytes_max = tuple(folders), set(allowed), memory_bytes_max
        self._origins = Origins()
        self._before: Ledger | None = None

    def __repr__(self) -> str:
        return f"LeakCheck({self._before or 'not begun'})"

    async def __aenter__(self) -> Self:
        self._origins.__enter__()
        gc.collect()
        self._before = take(folders=self.folders, origins=self._origins)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            leaks, grown = await self._settled()
        finally:
            self._origins.__exit__(None, None, None)
        if error is None and (leaks or grown):
            raise LeakError(leaks, grown)

    def leaks(self) -> list[Leak]:
        """Return what is there now and was not there at the beginning."""
        assert self._before is not None, "it has begun"
        now = take(folders=self.folders, origins=self._origins)
        return [leak for leak in difference(self._before, now) if leak.kind not in self.allowed]

    async def _settled(self) -> tuple[list[Leak], int]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_LIMIT_S
        while (leaks := self.leaks()) and loop.time() < deadline:
            gc.collect()
            await asyncio.sleep(SETTLE_PAUSE_S)
        return leaks, self._grown()

    def _grown(self) -> int:
        """Return by how much memory grew, if by more than allowed."""
        if self.memory_bytes_max is None:
            return 0
        assert self._before is not None, "it has begun"
        grown = take().rss_bytes - self._before.rss_bytes
        return grown if grown > self.memory_bytes_max else 0
