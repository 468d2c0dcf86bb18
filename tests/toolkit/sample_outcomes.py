"""Outcomes made by hand, with everything that engines may report: the same each time, so that bytes can be compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from chaos.history import History, Running
from chaos.outcome import DiskLook, Fact, Header, MutantResult, Outcome, RunResult, by_property
from chaos.verdict import Finding, Verdict

REPORT = "7f3a0c1e-0f4e-4e57-8a43-2a8f5a1f9c11"
SECOND_NS = 1_000_000_000
HEADER = Header(
    "0.4.0",
    "reference",
    "release",
    "3.12.1",
    "Linux 6.1",
    20261123,
    commit="abc123def456",
    began_at="2026-11-24T10:00:00+00:00",
    versions={"httpx": "0.28.1", "greenlet": "3.5"},
    limits={"runs at a time": 4.0},
)


class Clock:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> int:
        return int(self.now_s * SECOND_NS)


def lost_report() -> History:
    """Return the history of a report that is accepted, killed away and never delivered."""
    clock = Clock()
    history = History(clock)
    for at_s, step in _steps(history):
        clock.now_s = at_s
        step()
    return history


def _steps(history: History) -> list[tuple[float, Callable[[], object]]]:
    running: list[Running] = []
    copy = {"folder": "pending", "report_id": REPORT, "sha256": "bce38a6d" * 8, "attempts": 1}

    def begin(name: str, **value: object) -> Callable[[], object]:
        return lambda: running.append(history.invoke(name, **value))

    def end(**value: object) -> Callable[[], object]:
        return lambda: running.pop().ok(**value)

    return [
        (0.1, begin("start")),
        (1.2, end(pid=4711)),
        (1.5, begin("submit", report_id=REPORT, size=900)),
        (1.53, end(id=REPORT)),
        (1.6, lambda: history.fault("server.hang_after_body", report_id=REPORT)),
        (1.9, lambda: history.observe("folders", reports=[copy])),
        (2.0, lambda: history.fault("process.kill", pid=4711)),
        (2.2, begin("submit", report_id="second", lane="client B")),
        (62.0, lambda: running.pop().unknown(error="connection lost")),
        (62.1, begin("start")),
        (63.0, end(pid=4712)),
        (63.2, begin("submit", report_id="third")),
        (63.3, lambda: running.pop().failed(code="queue_full", error="10 of 10")),
        (64.0, lambda: history.observe("folders", reports=[])),
        (64.1, lambda: history.observe("deliveries", reports={})),
        (64.2, lambda: history.observe("log", text="<script>alert('log')</script>")),
    ]


def quiet(seed: int = 1) -> History:
    """Return the history of a start and a stop in which nothing goes wrong."""
    history = History(itertools.count(0, SECOND_NS // 4).__next__)
    history.invoke("start").ok(pid=seed)
    history.fault("network.cut", lane="connection 1", to="server")
    history.healed("network.cut", lane="connection 1")
    history.invoke("stop", signals=1).ok(outcome="clean")
    return history


def finding(property_id: str, verdict: Verdict = Verdict.HELD, **more: object) -> Finding:
    return Finding(property_id, verdict, "every report kept & <delivered>", "so in all of 5", **more)  # type: ignore[arg-type]


def simulated(property_id: str = "C1.6", schedules: int = 2_000) -> RunResult:
    """Return a result that stands for many schedules."""
    facts: dict[str, int | float | str] = {Fact.STEPS: schedules * 417, Fact.SIMULATED_S: schedules * 63.5}
    return RunResult(
        f"{property_id}/many_schedules",
        "sim",
        7,
        (finding(property_id),),
        {"process.kill": schedules, "network.cut": schedules * 2},
        12.5,
        quiet(),
        policy="portfolio",
        marks={"upload cut in its body": schedules // 3},
        met={"process.kill × submit": schedules // 2, "network.cut × upload": 30},
        tried={f"{property_id} × process.kill": schedules // 2, f"{property_id} × network.cut": 30},
        facts=facts,
        stands_for=schedules,
    )


def crashed() -> RunResult:
    """Return a broken result of a crash state, with its disk before and after."""
    looks = (
        DiskLook(0, "before", {"pending/1.json": "900 bytes"}),
        DiskLook(2 * SECOND_NS, "state 17", {"pending/1.json": "0 bytes", "pending/.2.tmp": "12 bytes"}),
        DiskLook(3 * SECOND_NS, "recovered", {}),
    )
    bad = Finding(
        "H1.1", Verdict.BROKEN, "the record whole", "0 bytes", "store.py:88 renames before it syncs", 500_000_000
    )
    return RunResult(
        "H1.1/every_crash_state",
        "crash",
        7,
        (bad,),
        {"power.loss": 212},
        3.0,
        quiet(),
        plan="power@12.031",
        shrunk_from=14,
        facts={Fact.CRASH_STATES: 212, Fact.RECOVERIES: 212},
        disk=looks,
        trace="step 1 task upload\nstep 2 <task> ping",
        nearest="--- held\n+++ broke\n@@ -1 +1 @@\n-fsync\n+rename",
        replay_line="pywats-chaos replay 'H1.1/every_crash_state state=17'",
    )


def lost(seed: int = 4117) -> RunResult:
    """Return a broken live result."""
    words = "report 7f3a0c1e was delivered 0 times; <b>not</b> markup"
    bad = Finding("C1.6", Verdict.BROKEN, "every report kept & <delivered>", words, at_ns=64 * SECOND_NS)
    fired = {"server.hang_after_body": 1, "process.kill": 1}
    return RunResult("C1.6/kill_mid_upload", "live", seed, (bad,), fired, 64.2, lost_report(), log="<script>1</script>")


def absent() -> RunResult:
    found = Finding("H2.1", Verdict.NOT_AVAILABLE, "real Qt", "Qt cannot load; apt install libegl1")
    return RunResult("H2.1/pages_close", "gui", 1, (found,), {}, 0.0, History(lambda: 0))


MUTANTS = (
    MutantResult(
        "renames_before_it_syncs", "H1.1", "crash", found=True, runs=3, took_s=0.4, sentence="The sync is late."
    ),
    MutantResult("sends_before_it_saves", "H1.2", "sim", found=True, runs=412, took_s=2.4),
)


def outcome_of(runs: Sequence[RunResult], *, mutants: tuple[MutantResult, ...] = (), **more: object) -> Outcome:
    ids = sorted({found.property_id for run in runs for found in run.findings} | {"H6.4"})
    asked = [property_id for property_id in ids if property_id not in ("H2.1", "H6.4")]
    return Outcome(HEADER, by_property(ids, asked, runs), tuple(runs), 74.25, mutants=mutants, **more)  # type: ignore[arg-type]


def green() -> Outcome:
    """Return a campaign in which all that was asked for held."""
    return outcome_of((simulated(), simulated("H1.2", 400), absent()), mutants=MUTANTS)


def red() -> Outcome:
    """Return a campaign with two broken properties, one of them in two worlds."""
    held = RunResult("C1.6/kill_mid_upload", "live", 9, (finding("C1.6"),), {"process.kill": 1}, 2.0, quiet())
    return outcome_of((simulated(), lost(), held, crashed(), absent()), mutants=MUTANTS)
