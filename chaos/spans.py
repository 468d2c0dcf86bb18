"""How long things lasted in a history: operations, requests at the server, faults in force. Pictures and tables use it.

Times are nanoseconds since the start of the run. An operation without an end, and a fault that nothing undid though it
can last, reach to the end of the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaos.history import Event, Kind

KILLS = ("process.kill", "process.power", "power.loss")
LASTING = (*KILLS, "server.down")
"""Faults that last until something ends them; any other lasts only where something says that it was healed."""


def when_ns(event: Event) -> int:
    """Return when an event happened: for what became known later, that is before it was written."""
    return int(event.value.get("at_ns", event.time_ns))


def end_of(events: Sequence[Event]) -> int:
    """Return the time of the last event (0 for none)."""
    return max((event.time_ns for event in events), default=0)


def operations(events: Sequence[Event]) -> Iterator[tuple[Event, Event | None]]:
    """Yield each invocation with the event that ended it, None where nothing did."""
    ends = {event.operation: event for event in events if event.operation is not None}
    return ((event, ends.get(event.index)) for event in events if event.kind is Kind.INVOKED)


def faults(events: Sequence[Event], last_ns: int) -> Iterator[tuple[Event, int, int]]:
    """Yield each fault that fired, with when it began and when it ended; an instant has both at once.

    A kill lasts until the next start has succeeded.
    """
    endings = [event for event in events if event.kind is Kind.HEALED or _is_start(event)]
    for event in events:
        if event.kind is Kind.FAULT:
            later = (ending for ending in endings if ending.index > event.index and _ends(event, ending))
            until = next((ending.time_ns for ending in later), None)
            can_last = event.name in LASTING or until is not None
            start_ns = when_ns(event)
            yield event, start_ns, (last_ns if until is None else until) if can_last else start_ns


def _is_start(event: Event) -> bool:
    return event.name == "start" and event.kind is Kind.OK


def _ends(fault: Event, later: Event) -> bool:
    if fault.name in KILLS:
        return _is_start(later)
    return later.kind is Kind.HEALED and later.name == fault.name
