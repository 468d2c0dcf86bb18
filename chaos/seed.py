"""One seed, and named streams of random numbers drawn from it: dropping one stream shifts no other."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seed:
    """The number that a run is replayed from."""

    number: int

    def stream(self, name: str) -> random.Random:
        """Return the stream of that name, at its beginning; the same seed and name give the same numbers anywhere."""
        digest = hashlib.sha256(f"{self.number}/{name}".encode()).digest()
        return random.Random(int.from_bytes(digest[:16]))  # noqa: S311 - replayable on purpose

    def child(self, name: str) -> Seed:
        """Return a seed derived from this one, for a part of the run that draws its own streams."""
        digest = hashlib.sha256(f"{self.number}/{name}".encode()).digest()
        return Seed(int.from_bytes(digest[16:20]))
