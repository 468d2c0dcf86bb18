"""Requests above 20 at once and 100 a minute are refused (H6.7)."""

from __future__ import annotations

from pywats_reliability.ipc.rate_limit import TokenBucket


def taken(bucket: TokenBucket, now: float, tries: int = 1000) -> int:
    return sum(bucket.take(now) for _ in range(tries))


def test_twenty_requests_at_once_are_within_the_rate() -> None:
    assert taken(TokenBucket(), now=0.0) == 20


def test_a_hundred_a_minute_are_added() -> None:
    bucket = TokenBucket()
    taken(bucket, now=0.0)
    assert sum(taken(bucket, now=float(second), tries=5) for second in range(1, 61)) == 100


def test_a_long_pause_gives_no_more_than_twenty() -> None:
    bucket = TokenBucket()
    taken(bucket, now=0.0)
    assert taken(bucket, now=1e6) == 20


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing() -> None:
    bucket = TokenBucket()
    assert taken(bucket, now=100.0, tries=15) == 15
    assert taken(bucket, now=50.0) == 5
