"""How fast crash states are enumerated, checked and recovered from: `python benchmarks/crash_states.py`.

Three figures, each with its target, in processor seconds of one core (the wall clock of a busy machine says little):

* enumerate and check the states of a log, in memory: what `chaos.storage` alone costs (4,000 states a second);
* explore a story of the reference service, restarting its store on every different state: states judged and
  recoveries a second (500 states a second);
* two reports under `posix`, crashes during recovery included, until nothing new appears (15 s).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chaos.crash.explorer import Bounds, Explored, Explorer
from chaos.storage import EXT4_ORDERED, POSIX, Persistence, crash_states
from chaos.storage.operations import ROOT, Close, Entry, MakeFile, Operation, Rename, Sync, Visible, Write
from chaos.subjects.reference_crash import crash_story

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


def main() -> None:
    careful = measured(lambda: enumerated(recorded_log(FILES), POSIX))
    careless = measured(lambda: enumerated(recorded_log(UNSYNCED + 3, every_sync_lost=UNSYNCED), EXT4_ORDERED))
    print(f"enumerate and check, {FILES} files: {careful.count:,} states, {careful.per_s:,.0f} /s (target 4,000)")
    print(f"enumerate and check, {UNSYNCED} not synced: {careless.count:,} states, {careless.per_s:,.0f} /s")
    explored("accept_one", POSIX)  # Modules are looked through once.
    for story, model in (("accept_two", POSIX), ("send_two", POSIX), ("retry_and_fail", EXT4_ORDERED)):
        found, took_s = explored(story, model)
        assert not found.bounds_hit, found.bounds_hit
        print(
            f"explore {story} under {model}: {found.states:,} states, {found.recoveries:,} recoveries, {took_s:.2f} s:"
            f" {found.states / took_s:,.0f} states/s (target 500), {found.recoveries / took_s:,.0f} recoveries/s"
        )
    found, took_s = explored("send_two", POSIX)
    print(f"two reports, accepted and sent, under posix to closure: {took_s:.2f} s (target 15), depth {found.depth}")


if __name__ == "__main__":
    main()
