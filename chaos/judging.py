"""Judges one run: what kept its story from the end, which faults stayed silent, and what each checker says.

* Pure, but for the story itself (``told``), which is played under its deadline on whatever event loop there is.
* Not exercised: a fault that the scenario names never fired. Unknown: the scenario did not come to its end, or a
  checker crashed; a checker that sees the promise broken is believed all the same. A subject that did not do in time
  what the scenario waited for (``OverdueError``) has broken the first property that the scenario is to prove.
* A checker that had nothing to judge says nothing where another one of the same property had, unless the scenario
  names it (``judged_by``): then it was to judge something, and is told as idle. One run need not come to everything:
  over a campaign, being idle in one run is made good by another of the same scenario (``outcome.by_property``).
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chaos.errors import NotAvailableError, OverdueError
from chaos.history import History
from chaos.protocols import Checker, Scenario, World, checker_name, fault_names
from chaos.verdict import Finding, Verdict

EMPTY = ("", "[]", "{}", "None")
LOOKED_BACK_MAX = 500
"""How many events back the moment of a violation is looked for: each costs one more judgement."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What kept a scenario from its end; ``overdue``: the subject did not do in time what was waited for."""

    words: str
    overdue: OverdueError | None = None
    at_ns: int | None = None


NO_FAILURE = Failure("")


async def told(scenario: Scenario, world: World, limit_s: float | None = None) -> Failure:
    """Play the scenario, for ``limit_s`` (its own limit if None) at most; return what kept it from its end."""
    limit_s = scenario.limit_s if limit_s is None else limit_s
    try:
        async with asyncio.timeout(limit_s):
            await scenario.play(world)
    except NotAvailableError:
        raise
    except TimeoutError as failure:
        return Failure(f"the scenario did not end within {limit_s:g} s: {_stood(failure)}")
    except OverdueError as failure:
        seen = world.history.observe("overdue", expected=failure.what, limit_s=failure.limit_s, seen=failure.seen)
        return Failure(str(failure), failure, seen.time_ns)
    except Exception as failure:  # noqa: BLE001 - whatever a subject does to a scenario is a result, not a crash
        return Failure(said(failure))
    return NO_FAILURE


def judge(
    scenario: Scenario,
    history: History,
    error: Failure,
    checkers: Mapping[str, Sequence[Checker]],
    *,
    is_whole: bool = True,
) -> list[Finding]:
    """Return a finding for each property of the scenario and each of its checkers.

    ``is_whole``: every fault must have fired in this very run. One run of many need not meet them all.
    """
    fired = fault_names(history.faults())
    silent = [name for name in scenario.faults if is_whole and not fired.get(name)]
    found = [
        _checked(property_id, check, history)
        for property_id in scenario.proves
        for check in checkers.get(property_id, ())
    ]
    findings = concerned(found, scenario.judged_by)
    return [_weakened(found, error, silent, is_main=found.property_id == scenario.proves[0]) for found in findings]


def concerned(findings: Sequence[Finding], named: Sequence[str]) -> list[Finding]:
    """Return the findings without those of idle checkers, where the property had another; ``named`` ones stay."""
    judged = {f.property_id for f in findings if not f.is_idle or f.checker in named}
    return [f for f in findings if not f.is_idle or f.checker in named or f.property_id not in judged]


def _checked(property_id: str, check: Checker, history: History) -> Finding:
    try:
        found = check(history)
    except Exception as failure:  # noqa: BLE001 - a crashing checker gives unknown, never held
        words = "a checker that comes to an end"
        return Finding(property_id, Verdict.UNKNOWN, words, said(failure), checker=checker_name(check))
    moment_ns = _moment_ns(check, history) if found.verdict is Verdict.BROKEN and found.at_ns is None else found.at_ns
    found = replace(found, property_id=property_id, at_ns=moment_ns, checker=checker_name(check))
    if found.verdict is not Verdict.NOT_EXERCISED:
        return found
    return replace(found, found=f"{found.checker}: {found.found}", is_idle=True)


def _moment_ns(check: Checker, history: History) -> int | None:
    """Return the time of the event from which on the checker sees the promise broken; None for an empty history."""
    first = len(history.events)
    while first > max(1, len(history.events) - LOOKED_BACK_MAX) and _sees_it_broken(check, history.prefix(first - 1)):
        first -= 1
    return history.events[first - 1].time_ns if history.events else None


def _sees_it_broken(check: Checker, history: History) -> bool:
    try:
        return check(history).verdict is Verdict.BROKEN
    except Exception:  # noqa: BLE001 - of a beginning without what the checker looks for, nothing can be said
        return False


def _weakened(found: Finding, error: Failure, silent: Sequence[str], *, is_main: bool) -> Finding:
    """Return the finding, but never as held when the run did not end or a fault did not fire."""
    if found.verdict is Verdict.BROKEN:
        return found
    found = replace(found, is_idle=found.is_idle and not error.words and not silent)
    if (late := error.overdue) is not None and is_main:
        expected, seen = f"{late.what} within {late.limit_s:g} s", "nothing" if late.seen in EMPTY else late.seen
        return replace(found, verdict=Verdict.BROKEN, expected=expected, found=seen, at_ns=error.at_ns)
    if error.words:
        return replace(found, verdict=Verdict.UNKNOWN, found=error.words)
    if silent:
        return replace(found, verdict=Verdict.NOT_EXERCISED, found=f"these faults never fired: {', '.join(silent)}")
    return found


def not_available(property_id: str, absent: NotAvailableError) -> Finding:
    """Return the finding of a property that this machine cannot put to the proof."""
    return Finding(property_id, Verdict.NOT_AVAILABLE, absent.need, f"{absent.reason}; {absent.advice}")


def _stood(failure: TimeoutError) -> str:
    """Return where the scenario was when its time was over: its own line, and the innermost one."""
    cut = failure.__cause__ or failure.__context__
    frames = [f for f in traceback.extract_tb(cut.__traceback__ if cut else None) if f.filename != __file__]
    if not frames:
        return said(failure)
    places = dict.fromkeys(f"{f.filename.rpartition('/')[2]}:{f.lineno} in {f.name}" for f in (frames[0], frames[-1]))
    return f"it stood at {', '.join(places)}"


def said(failure: BaseException) -> str:
    """Return the failure in one line, with the place it came from."""
    frames = traceback.extract_tb(failure.__traceback__)
    place = f" ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    words = str(failure) or "no words"
    return f"{type(failure).__name__}: {words}{place}"
