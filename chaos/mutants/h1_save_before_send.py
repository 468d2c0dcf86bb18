"""Mistakes that lose reports, or send them before they are safe."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.store.names import sequence_at


@mutant("C1.6", subtle="only under power loss")
def writes_without_syncing(service: Replacements) -> None:
    """Leaves the sync of a new report to the operating system, which "writes it within seconds anyway"."""
    service.replace("pywats_reliability.disk:Disk.sync_aside", lambda self, aside: None)
    service.replace("pywats_reliability.disk:Disk.sync_filesystem", lambda self, folder: True)


@mutant("H1.13")
def takes_every_200_for_a_receipt(service: Replacements) -> None:
    """Counts every answer with a good status as received, since "that is what 200 means"."""
    service.replace("pywats_reliability.retry:_missing_proof", lambda answer, request: None)


PENDING = "pywats_reliability.pending_queue"
RETRY = "pywats_reliability.retry"
STORE = "pywats_reliability.store"


@mutant("H1.3")
def waits_without_jitter(service: Replacements) -> None:
    """Waits exactly as long as the schedule says: "what is random cannot be tested"."""

    def exactly(backoff: Any, attempt: int, _randomness: Any, not_before_s: float | None = None) -> float:
        return float((not_before_s or 0.0) + backoff.limit_s(attempt))

    service.replace(f"{RETRY}:Backoff.delay_s", exactly)


@mutant("H1.3", subtle="only after several failures")
def waits_without_a_cap(service: Replacements) -> None:
    """Doubles the wait without end: "a server that is away so long does not need us"."""
    service.replace(f"{RETRY}:Backoff.limit_s", lambda backoff, attempt: backoff.interval_s * 2.0 ** (attempt - 1))


@mutant("H1.3", subtle="only after a restart")
def attempts_are_kept_in_memory(service: Replacements) -> None:
    """Counts attempts in a dictionary: "the disk has better things to do"."""
    counted: dict[str, int] = {}

    async def count(_store: Any, record: Any, _error: str) -> int:
        counted[record.name] = counted.get(record.name, 0) + 1
        return counted[record.name]

    service.replace(f"{STORE}.report_store:ReportStore.record_attempt", count)


@mutant("H1.3", subtle="only when the wish is a date")
def reads_no_retry_after_date(service: Replacements) -> None:
    """Understands Retry-After in seconds only: "nobody sends dates"."""
    service.replace(f"{RETRY}:_instant", lambda _text: None)


@mutant("H1.3", subtle="only when the server was away, or in error, for a while")
def back_means_back_for_all(service: Replacements) -> None:
    """Tries everything at once when the server answers again, also what it had put off itself."""
    service.replace(f"{PENDING}.waiting:Waiting.pop_unasked", lambda waiting, _now: waiting.pop_all())


@mutant("H1.4", subtle="only at the limit")
def one_attempt_too_many(service: Replacements) -> None:
    """Gives up when the attempts are *more* than the limit: "ten retries, the first is none"."""

    def one_more(honest: Any, history: Any, *given: Any) -> Any:
        return replace(honest(history, *given), attempts=history.attempts + (1 if history.events else 0))

    service.wrap(f"{STORE}.history:History.with_attempt", one_more)


@mutant("H1.4", subtle="only the story tells")
def given_up_without_its_story(service: Replacements) -> None:
    """Starts the story in failed/ anew, with the last reason alone: "who reads more than that?"."""

    def only_last(honest: Any, history: Any, now: Any, reason: str) -> Any:
        return honest(type(history)(), now, reason)

    service.wrap(f"{STORE}.history:History.with_failure", only_last)


@mutant("H1.4", subtle="only when it is retried by hand")
def retried_by_hand_keeps_its_attempts(service: Replacements) -> None:
    """Answers a retry by hand with the count, and leaves the record where it is: "the scan will find it"."""

    async def count_only(store: Any, report_id: str) -> int:
        return len(await store._find_failed(report_id))

    service.replace(f"{STORE}.report_store:ReportStore.retry_failed", count_only)


@mutant("H1.4", subtle="only after a discard by hand")
def discarded_by_moving_aside(service: Replacements) -> None:
    """Discards the story and keeps the report, in case somebody has second thoughts."""
    service.replace(f"{STORE}.folders:remove_records", lambda _disk, _folder, records: len(records))


@mutant("H1.7", subtle="only after 404")
def not_found_may_be_found_later(service: Replacements) -> None:
    """Tries a 404 again: "the address may have been mistyped at the server"."""
    service.replace(f"{RETRY}:_REFUSED_FOR_GOOD", (400, 413, 422))


@mutant("H1.7")
def credentials_cost_an_attempt(service: Replacements) -> None:
    """Treats 401 and 403 as any failure: "it heals or it does not"."""
    service.replace(f"{RETRY}:_CREDENTIALS", ())


@mutant("H1.7", subtle="only a 409 about something else")
def every_conflict_is_a_duplicate(service: Replacements) -> None:
    """Takes each 409 for a duplicate of the report, since that is what a conflict means."""
    service.replace(f"{RETRY}:_is_duplicate", lambda _words, _report_id: True)


@mutant("H1.7", subtle="only a 409 about the report")
def a_duplicate_is_a_refusal(service: Replacements) -> None:
    """Takes each 409 for a refusal: "4xx is 4xx"."""
    service.replace(f"{RETRY}:_is_duplicate", lambda _words, _report_id: False)


@mutant("H1.7", subtle="only the words tell")
def the_server_s_words_are_lost(service: Replacements) -> None:
    """Keeps the status of a refusal and not its words: "they are in the server's log"."""
    service.replace(f"{RETRY}:server_said", lambda answer, _request: f"the server answered {answer.status}")


@mutant("H1.12", subtle="only when the clock jumps")
def waits_by_the_wall_clock(service: Replacements) -> None:
    """Keeps the time of the next attempt as a date, so that it can be shown."""

    def add(honest: Any, waiting: Any, due: float, item: Any, *more: float) -> None:
        honest(waiting, due - asyncio.get_running_loop().time() + time.time(), item, *more)

    service.wrap(f"{PENDING}.waiting:Waiting.add", add)
    service.wrap(f"{PENDING}.waiting:Waiting.pop_due", lambda honest, waiting, _now: honest(waiting, time.time()))
    service.replace(f"{PENDING}.waiting:Waiting.next_due", property(_next_by_the_wall))


@mutant("H1.12", subtle="only when the clock is wrong and the wish is a date")
def counts_the_date_from_its_own_clock(service: Replacements) -> None:
    """Subtracts the computer's own time from the date in Retry-After, for what is the answer's Date good for?"""

    def without_date(honest: Any, headers: Any, now: Any) -> Any:
        return honest({name: value for name, value in headers.items() if name != "date"}, now)

    service.wrap(f"{RETRY}:retry_after_s", without_date)


@mutant("H1.12", subtle="only when the clock jumps back between two reports")
def orders_by_the_wall_clock(service: Replacements) -> None:
    """Names reports by the time of day alone: "two never come in the same microsecond"."""
    service.replace(f"{STORE}.names:Sequence.next", lambda _sequence, now: sequence_at(now))


def _next_by_the_wall(waiting: Any) -> float | None:
    if not waiting._heap:
        return None
    return float(asyncio.get_running_loop().time() + max(0.0, waiting._heap[0][0] - time.time()))
