"""Faults for any program, drawn from the seed: its network, its disk, kills, losses of power, jumps of its wall clock.

* ``network``: connections within the program's host are delayed, lose packets, get slow, or are reset. ``disk``: calls
  below the simulated folder fail with ENOSPC or EIO, write less than they were asked to, or take their time; that ends.
* ``kill`` and ``power``: the program is ended at an instant and started again on what the disk has kept, so it must be
  one that can be started again. ``clock``: the wall clock jumps; the monotonic one never does.
* Swarm: each seed switches whole kinds on or off. Nobody knows how long a program runs, so the times are spread evenly
  over the powers of ten, from a millisecond to a minute.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chaos.errors import UsageError
from chaos.sim.clock import Clock
from chaos.sim.disk.faults import Effect, fail, shorten, slow
from chaos.sim.draw import Draw

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel
    from chaos.sim.process import SimProcess

MAIN = "main"
EACH_MAX = 3
DECADES = (-3.0, 1.8)  # From a millisecond to about a minute.
PAUSE_S_MAX, LASTS_S_MAX = 5.0, 5.0
JUMPS_S = (1.0, -1.0, 3600.0, -3600.0, 86_400.0, -86_400.0)
_NETWORK: Sequence[tuple[str, Mapping[str, float]]] = (
    ("delay", {"by_s": 0.2, "jitter_s": 1.0}),
    ("bandwidth", {"bytes_per_s": 1000}),
    ("loss", {"probability": 0.3}),
    ("refuse", {}),
    ("reset", {}),
)
_DISK: Sequence[Effect] = (slow(0.5), shorten(), fail(errno.ENOSPC), fail(errno.EIO))


class RandomFaults:
    """The faults of one world, and the lives of the program in it: ``start`` begins both. ``words`` say which kinds."""

    def __init__(self, kernel: SimKernel, main: Callable[[], Any], words: Sequence[str], folder: str) -> None:
        self._kernel, self._main, self._words, self._folder = kernel, main, words, folder
        self._draw = Draw(kernel.choices)
        self._is_ending = False
        self.process: SimProcess | None = None

    def __repr__(self) -> str:
        return f"RandomFaults({' '.join(self._words) or 'none'}, {self.process!r})"

    def start(self) -> None:
        """Start the program and plan the faults of this seed; the world stops when the program has ended by itself."""
        self._begin()
        for word in self._draw.some_of(self._words, stream="faults/swarm"):
            for _ in range(self._draw.count(1, EACH_MAX, stream=f"faults/{word}")):
                FAULTS[word](self, self._at_s())

    def _at_s(self) -> float:
        low, high = DECADES
        return 10 ** (low + (high - low) * self._draw.count(0, 1000, stream="faults/at") / 1000)

    def _begin(self) -> None:
        self.process = self._kernel.start(MAIN, self._main)
        self.process.on_end.append(self._ended)

    def _ended(self, _: SimProcess) -> None:
        if not self._is_ending:
            self._kernel.stop()
            return
        pause_s = self._draw.seconds(0, PAUSE_S_MAX, stream="faults/pause")
        self._kernel.at(self._kernel.now_ns + round(pause_s * 1e9), self._begin)

    def _end(self, *, power_lost: bool) -> None:
        if self.process is not None and self.process.is_alive:
            self._is_ending = True
            try:
                self.process.kill(power_lost=power_lost)
            finally:
                self._is_ending = False

    def _kill(self, at_s: float) -> None:
        self._kernel.at(round(at_s * 1e9), lambda: self._end(power_lost=False))

    def _power(self, at_s: float) -> None:
        self._kernel.at(round(at_s * 1e9), lambda: self._end(power_lost=True))

    def _network(self, at_s: float) -> None:
        network: Any = self._kernel.network
        network.place(MAIN, MAIN)
        name, more = self._draw.one_of(_NETWORK, stream="faults/what")
        lasts_s = self._draw.seconds(0, LASTS_S_MAX, stream="faults/lasts")
        getattr(network.faults, name)(MAIN, MAIN, **more).at(at_s, for_s=lasts_s)

    def _disk(self, at_s: float) -> None:
        disk: Any = self._kernel.disk
        effect = self._draw.one_of(_DISK, stream="faults/what")
        lasts_s = self._draw.seconds(0, LASTS_S_MAX, stream="faults/lasts")
        from_ns = round(at_s * 1e9)
        disk.fault(effect, paths=(f"{self._folder}/*",), from_ns=from_ns, until_ns=from_ns + round(lasts_s * 1e9))

    def _clock(self, at_s: float) -> None:
        clock = next(seam for seam in self._kernel.seams if isinstance(seam, Clock))
        jump_s = self._draw.one_of(JUMPS_S, stream="faults/what")
        self._kernel.at(round(at_s * 1e9), lambda: clock.wall.jump(jump_s))


FAULTS: Mapping[str, Callable[[RandomFaults, float], None]] = {
    "network": RandomFaults._network,  # noqa: SLF001 - its own
    "disk": RandomFaults._disk,  # noqa: SLF001 - its own
    "kill": RandomFaults._kill,  # noqa: SLF001 - its own
    "power": RandomFaults._power,  # noqa: SLF001 - its own
    "clock": RandomFaults._clock,  # noqa: SLF001 - its own
}


def fault_words(text: str) -> tuple[str, ...]:
    """Return the kinds that a text like ``"network disk kill"`` names. Raises ``UsageError`` for another word."""
    words = tuple(dict.fromkeys(text.split()))
    for word in words:
        if word not in FAULTS:
            raise UsageError(f"kinds of faults ({' '.join(FAULTS)})", repr(word), "name some of these")
    return words
