"""The decisions of a simulated world: named streams of numbers from one seed; 0 is always the harmless choice.

* A stream is opened at its first draw; what one stream draws never shifts another.
* For shrinking and replay a stream can be *calmed* (it gives 0 for ever; ``all`` calms each), and single draws can be
  replaced.
* Probabilities are cut into ``GRAINS`` steps, so that every decision is a whole number and can be written down.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from chaos.seed import Seed
from chaos.trial import EVERY_STREAM

GRAINS = 1 << 24

Draw = Callable[[int], int]
"""Gives a whole number from 0 to below its argument."""


@dataclass(frozen=True, slots=True)
class Script:
    """What is changed in the decisions of a seed: streams that give 0 for ever, and single draws by their number."""

    calmed: Collection[str] = ()
    replaced: Mapping[tuple[str, int], int] = field(default_factory=dict)


UNCHANGED = Script()


class SeededChoices:
    """Choices drawn from a seed, with the changes of a script. Keeps what was drawn if it ``records``."""

    def __init__(self, seed: Seed, script: Script = UNCHANGED, *, records: bool = False) -> None:
        self.seed, self.script, self._records = seed, script, records
        self._streams: dict[str, Draw] = {}
        self.drawn: dict[str, list[int]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the streams that were drawn from, in the order of their first draws."""
        return tuple(self._streams)

    def below(self, stream: str, count: int) -> int:
        """Return a whole number from 0 to ``count`` - 1."""
        return (self._streams.get(stream) or self.stream(stream))(count)

    def chance(self, stream: str, probability: float) -> bool:
        """Return true with that probability (0 to 1)."""
        return self.below(stream, GRAINS) >= GRAINS - probability * GRAINS

    def between(self, stream: str, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``, both included; the harmless one is ``low``."""
        assert low <= high, f"expected a range from low to high, found {low} to {high}"
        return low + self.below(stream, high - low + 1)

    def stream(self, name: str) -> Draw:
        """Return what draws from the stream of that name; for those who draw often."""
        if name not in self._streams:
            self._streams[name] = self._opened(name)
        return self._streams[name]

    def _opened(self, name: str) -> Draw:
        if any(calm in (name, EVERY_STREAM) or name.startswith(calm + "/") for calm in self.script.calmed):
            return _harmless
        draw = _seeded(self.seed, name)
        replaced = {number: value for (stream, number), value in self.script.replaced.items() if stream == name}
        if replaced:
            draw = _with_replaced(draw, replaced)
        if self._records:
            draw = _recorded(draw, self.drawn.setdefault(name, []))
        return draw

    def __repr__(self) -> str:
        return f"SeededChoices({self.seed.number}, {len(self._streams)} streams, {len(self.script.calmed)} calmed)"


def _harmless(_count: int) -> int:
    return 0


def _seeded(seed: Seed, name: str) -> Draw:
    uniform = seed.stream(name).random

    def draw(count: int) -> int:
        return int(uniform() * count)

    return draw


def _with_replaced(draw: Draw, replaced: Mapping[int, int]) -> Draw:
    number = -1

    def draw_or_replace(count: int) -> int:
        nonlocal number
        number += 1
        drawn = draw(count)  # Drawn in any case: the later draws stay what they were.
        return min(replaced.get(number, drawn), count - 1)

    return draw_or_replace


def _recorded(draw: Draw, drawn: list[int]) -> Draw:
    def draw_and_keep(count: int) -> int:
        value = draw(count)
        drawn.append(value)
        return value

    return draw_and_keep
