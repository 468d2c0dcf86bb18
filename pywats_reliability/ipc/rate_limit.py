"""The rate of requests, decided purely: a bucket of 20 tokens, refilled at 100 a minute (H6.7; wats.md, 1.5).

Time is handed in, in seconds of any clock that only goes forward; a step back gives no tokens and takes none.
"""

from __future__ import annotations

CAPACITY = 20
PER_MINUTE = 100


class TokenBucket:
    """Says of each request whether it is within the rate."""

    def __init__(self, *, capacity: float = CAPACITY, per_minute: float = PER_MINUTE) -> None:
        self.capacity, self.per_minute = capacity, per_minute
        self._tokens = float(capacity)
        self._refilled_at: float | None = None

    def take(self, now: float) -> bool:
        """Take a token at the instant ``now`` and return true; or return false when there is none."""
        elapsed_s = 0.0 if self._refilled_at is None else max(0.0, now - self._refilled_at)
        self._refilled_at = now
        self._tokens = min(self.capacity, self._tokens + elapsed_s * self.per_minute / 60)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def __repr__(self) -> str:
        return f"TokenBucket({self._tokens:.2f} of {self.capacity:g} tokens, {self.per_minute:g} a minute)"
