"""What time it is inside the simulation: a wall clock that may be wrong, and a monotonic one that may not.

* The wall clock (``time.time``, ``datetime.now``, …) is shown by time-machine, from a traveller that reads the world:
  it can jump, drift and stand still. Nobody may replace ``time.time`` by anything else: time-machine writes into the
  very slot of the C function.
* The monotonic clocks and ``time.sleep`` are replaced here. They are the world's time and never go back.
* ``from time import monotonic`` in a module binds the real one: modules that did so are found and served, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import time_machine

from chaos.sim.bound_names import BoundNames
from chaos.sim.seams import PatchingSeam

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel

EPOCH_NS = 1_767_225_600_000_000_000  # 2026-01-01 00:00 UTC
PARTS = 1_000_000

REAL = {
    name: getattr(time, name)
    for name in (
        *("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "process_time_ns"),
        *("thread_time", "thread_time_ns", "sleep", "clock_gettime", "clock_gettime_ns"),
    )
}
MONOTONIC_CLOCKS = tuple(
    getattr(time, name)
    for name in ("CLOCK_MONOTONIC", "CLOCK_MONOTONIC_RAW", "CLOCK_BOOTTIME", "CLOCK_UPTIME_RAW")
    if hasattr(time, name)
)


class WallClock:
    """A wall clock that starts at ``epoch_ns`` and runs with the world's time until somebody disturbs it."""

    def __init__(self, kernel: SimKernel, epoch_ns: int = EPOCH_NS) -> None:
        self._kernel = kernel
        self._shown_ns, self._since_ns = epoch_ns, kernel.now_ns
        self._drift_ppm, self._is_frozen = 0, False

    def now_ns(self) -> int:
        """Return what it shows, in nanoseconds since 1970."""
        if self._is_frozen:
            return self._shown_ns
        passed_ns = self._kernel.now_ns - self._since_ns
        return self._shown_ns + passed_ns + passed_ns * self._drift_ppm // PARTS

    def jump(self, seconds: float) -> None:
        """Set it forward, or back."""
        self._settle()
        self._shown_ns += round(seconds * 1e9)
        self._kernel.trace("wall clock jumps", seconds=seconds)

    def drift(self, parts_per_million: int) -> None:
        """Let it run too fast (or too slow) from now on; 0 is right."""
        self._settle()
        self._drift_ppm = parts_per_million
        self._kernel.trace("wall clock drifts", ppm=parts_per_million)

    def freeze(self) -> None:
        """Let it stand still until ``thaw``."""
        self._settle()
        self._is_frozen = True
        self._kernel.trace("wall clock stands still")

    def thaw(self) -> None:
        """Let it run again, from what it shows."""
        self._settle()
        self._is_frozen = False

    def _settle(self) -> None:
        self._shown_ns, self._since_ns = self.now_ns(), self._kernel.now_ns

    def __repr__(self) -> str:
        return f"WallClock({self.now_ns() / 1e9:.3f}, {self._drift_ppm} ppm{', frozen' if self._is_frozen else ''})"


class _WorldTraveller(time_machine.Traveller):
    """Asks the world each time, instead of being moved."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        super().__init__(now_ns(), None, tick=False)
        self._now_ns = now_ns

    def time_ns(self) -> int:
        return self._now_ns()


class Clock(PatchingSeam):
    """Shows the world's time; ``wall`` is the clock on the wall of every process that has none of its own."""

    def __init__(self, epoch_ns: int = EPOCH_NS) -> None:
        super().__init__()
        self._epoch_ns = epoch_ns
        self._travel: time_machine.travel | None = None
        self.walls: dict[str, WallClock] = {}
        self._wall: WallClock | None = None

    @property
    def wall(self) -> WallClock:
        """The common wall clock, once the world has been entered."""
        assert self._wall is not None, "the world has not been entered"
        return self._wall

    def enter(self, kernel: SimKernel) -> None:
        """Begin to show the world's time."""
        self._kernel = kernel
        if self._wall is None:
            self._wall = WallClock(kernel, self._epoch_ns)
        self._travel = time_machine.travel(self._epoch_ns // 1_000_000_000, tick=False)
        self._travel.start()
        time_machine.traveller_stack[-1] = _WorldTraveller(self._shown_ns)
        super().enter(kernel)

    def _shown_ns(self) -> int:
        process = self._kernel.current
        wall = self.walls.get(process.name) if process is not None and self.walls else None
        return (wall or self.wall).now_ns()

    def patch(self, kernel: SimKernel) -> None:
        """Replace the monotonic clocks and ``sleep``, wherever they were imported to."""
        self._replacements, self._bound_before = _replacements(kernel), 0
        for name, replacement in self._replacements.items():
            self.patches.set(time, name, replacement)
        self.bind()

    def bind(self) -> None:
        """Replace what was imported elsewhere."""
        found = _bound.found()
        for module, name, real in found[self._bound_before :]:
            if module is not time:
                self.patches.set(module, name, self._replacements[real])
        self._bound_before = len(found)

    def leave(self) -> None:
        """Show the real time again."""
        super().leave()
        if self._travel is not None:
            self._travel.stop()
            self._travel = None


def _replacements(kernel: SimKernel) -> dict[str, Callable[..., Any]]:
    is_inside = kernel.is_inside

    def seconds(name: str) -> Callable[[], float]:
        real = REAL[name]
        return lambda: kernel.now_ns / 1e9 if is_inside() else real()

    def nanoseconds(name: str) -> Callable[[], int]:
        real = REAL[name]
        return lambda: kernel.now_ns if is_inside() else real()

    def sleep(duration: float) -> None:
        if not is_inside():
            REAL["sleep"](duration)
            return
        if duration < 0:
            raise ValueError("sleep length must be non-negative")
        kernel.block(kernel.now_ns + round(duration * 1e9), f"time.sleep({duration:g})")

    def clock_gettime(clock: int) -> float:
        return kernel.now_ns / 1e9 if clock in MONOTONIC_CLOCKS and is_inside() else REAL["clock_gettime"](clock)

    def clock_gettime_ns(clock: int) -> int:
        return kernel.now_ns if clock in MONOTONIC_CLOCKS and is_inside() else REAL["clock_gettime_ns"](clock)

    replacements: dict[str, Callable[..., Any]] = {
        "sleep": sleep,
        "clock_gettime": clock_gettime,
        "clock_gettime_ns": clock_gettime_ns,
    }
    for name in REAL:
        if name not in replacements:
            replacements[name] = nanoseconds(name) if name.endswith("_ns") else seconds(name)
    return replacements


_NAMES = {id(function): name for name, function in REAL.items()}
_bound = BoundNames(lambda value: _NAMES.get(id(value)), with_library=True)
