"""How fast crash states are enumerated, checked and recovered from: `python benchmarks/crash_states.py`.

Three figures, each with its target, in processor seconds of one core (the wall clock of a busy machine says little):

* enumerate and check the states of a log, in memory: what `chaos.storage` alone costs (4,000 states a second);
* explore the stories of the reference service, each as `verify` does: under all its models, crashes of recoveries and
  disturbed runs included, until nothing new appears (500 states a second with recovery);
* two reports under `posix`, crashes during recovery included, until nothing new appears (15 s).

What is counted for a story:

* *states*: crash states enumerated. Each is judged, most of them by being the same as one that was judged before.
* *recoveries*: different ones of them, by folder and by what the outside has seen: the program's end on each is judged.
  These a second are *states a second with recovery*.
* *runs*: programs really run for that. A run under one model serves the others, and every past of which the program
  would be told the same.

For the first model alone, which shares nothing with another, the figure is lower: it is in the last column.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chaos.crash.explorer import Bounds, Explored, Explorer
from chaos.crash.leavings import Leavings
from chaos.crash.machine import Machine
from chaos.crash.story import CrashStory
from chaos.storage import EXT4_ORDERED, POSIX, Persistence, crash_states, model_named
from chaos.storage.operations import ROOT, Close, Entry, MakeFile, Operation, Rename, Sync, Visible, Write
from chaos.subjects.reference_crash import STORIES, crash_story

FILES = 300
UNSYNCED = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """What was counted, and the processor seconds that it took."""

    count: int
    took_s: float

    @property
    def per_s(self) -> float:
        """Return how many a second."""
        return self.count / self.took_s


def measured(work: Callable[[], int]) -> Measured:
    began = time.process_time()
    count = work()
    return Measured(count, time.process_time() - began)


def recorded_log(files: int, *, every_sync_lost: int = 0) -> list[Entry]:
    """Return what a program does that writes so many files aside and renames them; the last ones without a sync."""
    operations: list[Operation] = []
    for number in range(1, files + 1):
        operations += [MakeFile(ROOT, f".{number}.tmp", number), Write(number, 0, b"contents of a report " * 20)]
        if number <= files - every_sync_lost:
            operations.append(Sync(number))
        operations += [Close(number), Rename(ROOT, f".{number}.tmp", ROOT, str(number))]
        if number <= files - every_sync_lost:
            operations.append(Sync(ROOT))
        operations.append(Visible("accepted"))
    return [Entry(operation) for operation in operations]


def enumerated(log: list[Entry], model: Persistence) -> int:
    """Enumerate and look at every file of every state."""
    count = 0
    for state in crash_states(log, model):
        count += 1
        assert all(leaf is not None for leaf in state.contents.values()), "there are files only"
    return count


def explored(story: str, model: Persistence) -> tuple[Explored, float]:
    began = time.process_time()
    found = Explorer(crash_story(story), model, Bounds()).explore()
    return found, time.process_time() - began


def as_verified(story: CrashStory) -> tuple[list[Explored], list[float]]:
    """Explore a story under all its models, and return what was found and the processor seconds of each."""
    bounds = Bounds(is_disturbed=story.is_disturbed)
    leavings, found, took_s = Leavings(story), [], []
    with Machine(story) as machine:
        for name in story.models:
            began = time.process_time()
            found.append(Explorer(story, model_named(name), bounds, machine, leavings).explore())
            took_s.append(time.process_time() - began)
    return found, took_s


def table_of_stories() -> None:
    print(f"{'story, under all its models':<28}{'states':>9}{'recoveries':>12}{'runs':>7}{'s':>7}", end="")
    print(f"{'states/s':>10}{'recoveries/s':>14}{'first model':>13}")
    recoveries, seconds = 0, 0.0
    for story in STORIES.values():
        found, took_s = as_verified(story)
        assert not any(explored.bounds_hit or explored.broken_count for explored in found), "exhaustive, and held"
        states, count, runs = (sum(getattr(f, name) for f in found) for name in ("states", "recoveries", "runs"))
        recoveries, seconds = recoveries + count, seconds + sum(took_s)
        print(f"{story.name:<28}{states:>9,}{count:>12,}{runs:>7,}{sum(took_s):>7.2f}", end="")
        print(f"{states / sum(took_s):>10,.0f}{count / sum(took_s):>14,.0f}{found[0].recoveries / took_s[0]:>13,.0f}")
    print(f"all stories: {recoveries:,} recoveries in {seconds:.1f} s: {recoveries / seconds:,.0f} /s (target 500)")


def main() -> None:
    careful = measured(lambda: enumerated(recorded_log(FILES), POSIX))
    careless = measured(lambda: enumerated(recorded_log(UNSYNCED + 3, every_sync_lost=UNSYNCED), EXT4_ORDERED))
    print(f"enumerate and check, {FILES} files: {careful.count:,} states, {careful.per_s:,.0f} /s (target 4,000)")
    print(f"enumerate and check, {UNSYNCED} not synced: {careless.count:,} states, {careless.per_s:,.0f} /s")
    explored("accept_one", POSIX)  # Modules are looked through once.
    table_of_stories()
    found, took_s = explored("send_two", POSIX)
    print(f"two reports, accepted and sent, under posix to closure: {took_s:.2f} s (target 15), depth {found.depth}")


if __name__ == "__main__":
    main()
