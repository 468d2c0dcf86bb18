"""The explorer on programs so small that their crashes can be told by heart, right ones and wrong ones."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaos.crash.explorer import Bounds, Explored, Explorer
from chaos.crash.found import counterexample, node_at
from chaos.crash.leavings import Leavings
from chaos.crash.machine import Machine
from chaos.crash.story import FOLDER, CrashStory, End, Outside, Wrong
from chaos.errors import UsageError
from chaos.storage import EXT4_ORDERED, MODELS, POSIX, Limits
from chaos.verdict import Verdict


def write(name: str, data: bytes, *, is_synced: bool = True) -> None:
    fd = os.open(f"{FOLDER}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, data)
    if is_synced:
        os.fsync(fd)
    os.close(fd)


def sync_folder() -> None:
    fd = os.open(FOLDER, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def careful(outside: Outside) -> Callable[[], Any]:
    """Return a program that keeps one number, and goes on from the number it finds."""

    def main() -> str:
        before = found()
        if not outside.has_seen("kept", "1"):
            write("aside", b"1")
            os.rename(f"{FOLDER}/aside", f"{FOLDER}/number")  # noqa: TID251 - the program under test
            sync_folder()
            outside.say("kept", "1")
        return before

    return main


def careless(outside: Outside) -> Callable[[], Any]:
    """Return the same program without the sync of its folder."""

    def main() -> str:
        before = found()
        if not outside.has_seen("kept", "1"):
            write("aside", b"1")
            os.rename(f"{FOLDER}/aside", f"{FOLDER}/number")  # noqa: TID251 - the program under test
            outside.say("kept", "1")
        return before

    return main


def found() -> str:
    try:
        with open(f"{FOLDER}/number") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def judged(end: End) -> Wrong:
    if ("kept", "1") in end.outside.before and end.result != "1":
        return {"X.1": f"1 was kept, and the next start finds {end.result!r}"}
    return {} if end.result in ("", "1") else {"X.1": f"found {end.result!r}"}


STORY = CrashStory("number", ("X.1",), careful, judged)


def explore(story: CrashStory, bounds: Bounds | None = None) -> Explored:
    return Explorer(story, POSIX, bounds).explore()


def test_a_careful_program_holds_in_every_state_and_the_exploration_comes_to_its_end() -> None:
    explored = explore(STORY)
    assert explored.verdict("X.1") is Verdict.HELD
    assert explored.depth >= 2, "crashes of restarts were explored, too"
    assert explored.recoveries < explored.states


def test_a_careless_one_is_found_with_the_one_operation_that_was_lost() -> None:
    explored = explore(replace(STORY, program=careless))
    assert explored.verdict("X.1") is Verdict.BROKEN
    smallest = counterexample(STORY, explored)
    assert smallest is not None
    assert (smallest.lost, smallest.node.depth) == (1, 1)


def test_the_counterexample_is_the_smallest_of_all_states_not_of_the_first_that_were_met() -> None:
    """Dozens of folders without two of the others are met before the first in which ``a`` alone is not whole."""

    def four(outside: Outside) -> Callable[[], Any]:
        def main() -> dict[str, str]:
            if not outside.has_seen("kept", "1"):
                for name in "abcd":
                    write(name, b"whole", is_synced=False)
                sync_folder()
                outside.say("kept", "1")
            return {name: Path(FOLDER, name).read_bytes().decode() for name in os.listdir(FOLDER)}

        return main

    def a_and_two_others_are_whole(end: End) -> Wrong:
        torn = [name for name in "abcd" if end.result.get(name) != "whole"]
        is_wrong = ("kept", "1") in end.outside.before and ("a" in torn or len(torn) > 1)
        return {"X.1": f"{torn} are torn"} if is_wrong else {}

    story = CrashStory("four", ("X.1",), four, a_and_two_others_are_whole)
    smallest = counterexample(story, Explorer(story, EXT4_ORDERED).explore())
    assert smallest is not None
    assert smallest.wrong == {"X.1": "['a'] are torn"}
    assert smallest.lost == 1
    assert node_at(story, EXT4_ORDERED, smallest.way).wrong == smallest.wrong


def test_the_table_shows_what_survived_the_folders_and_what_is_wrong() -> None:
    story = replace(STORY, program=careless)
    smallest = counterexample(story, explore(story))
    assert smallest is not None
    lines = smallest.table.splitlines()
    assert "  LOST  rename aside to number" in lines
    assert "  sync  fsync aside" in lines
    assert "  seen  kept of=1" in lines
    assert "  - number 1 bytes '1'" in lines
    assert "  + aside 1 bytes '1'" in lines
    assert lines[-1] == "  X.1: 1 was kept, and the next start finds ''"


def test_a_way_leads_to_the_same_folder_again() -> None:
    story = replace(STORY, program=careless)
    smallest = counterexample(story, explore(story))
    assert smallest is not None
    again = node_at(story, POSIX, smallest.way)
    assert (again.node.contents, again.wrong) == (smallest.node.contents, smallest.wrong)


@pytest.mark.parametrize("way", ["x", "99999", "EIO:1", "1/x"])
def test_a_way_that_leads_nowhere_is_refused(way: str) -> None:
    with pytest.raises(UsageError):
        node_at(STORY, POSIX, way)


@pytest.mark.parametrize(
    "bounds", [Bounds(recoveries=2), Bounds(crashes=0), Bounds(limits=Limits(states_per_point=1)), Bounds(seconds=0)]
)
def test_an_exploration_that_met_a_bound_never_says_held(bounds: Bounds) -> None:
    explored = explore(STORY, bounds)
    assert explored.bounds_hit
    assert explored.verdict("X.1") is Verdict.UNKNOWN


def test_a_program_that_ends_by_an_error_or_stands_still_has_broken_its_promise() -> None:
    def falls(_outside: Outside) -> Callable[[], Any]:
        return lambda: open(f"{FOLDER}/nothing")

    def waits(_outside: Outside) -> Callable[[], Any]:
        import threading

        return lambda: threading.Lock().acquire() and threading.Event().wait()

    for program, words in ((falls, "FileNotFoundError"), (waits, "no end")):
        explored = explore(replace(STORY, program=program))
        assert words in explored.broken[0].wrong["X.1"]


def test_what_grows_without_end_needs_the_storys_abstraction() -> None:
    def growing(outside: Outside) -> Callable[[], Any]:
        def main() -> str:
            write(f"start-{len(os.listdir(FOLDER))}", b"")
            sync_folder()
            return careful(outside)()  # type: ignore[no-any-return]

        return main

    endless = replace(STORY, program=growing)
    explored = explore(endless, Bounds(crashes=6))
    assert explored.bounds_hit == ["stopped after 6 crashes in a row"]
    with_abstraction = replace(endless, abstract=lambda c: {p: leaf for p, leaf in c.items() if "start" not in p})
    assert explore(with_abstraction).verdict("X.1") is Verdict.HELD


def test_a_write_that_an_error_cut_short_is_found_only_when_calls_fail() -> None:
    """Crashes alone never make a program take the way on which it forgets to clean up."""

    def hasty(_outside: Outside) -> Callable[[], Any]:
        def main() -> str:
            before = found()
            try:
                write("number", b"")
                write("aside", b"1")
            except OSError:
                write("number", b"torn")
                return before
            os.rename(f"{FOLDER}/aside", f"{FOLDER}/number")  # noqa: TID251 - the program under test
            return before

        return main

    def not_torn(end: End) -> Wrong:
        return {"X.1": "torn"} if end.contents.get("number") == b"torn" else {}

    story = CrashStory("hasty", ("X.1",), hasty, not_torn)
    assert explore(story).verdict("X.1") is Verdict.HELD
    disturbed = explore(story, Bounds(is_disturbed=True))
    assert disturbed.verdict("X.1") is Verdict.BROKEN
    smallest = counterexample(story, disturbed)
    assert smallest is not None
    assert smallest.way.startswith("EIO@")
    assert "disturbed: EIO at change" in smallest.table


def test_two_explorations_are_the_same() -> None:
    first, second = explore(STORY), explore(STORY)
    assert (first.states, first.recoveries, first.depth) == (second.states, second.recoveries, second.depth)


def test_models_that_share_a_machine_run_each_folder_once() -> None:
    starts = 0

    def counted(outside: Outside) -> Callable[[], Any]:
        nonlocal starts
        starts += 1
        return careful(outside)

    story = replace(STORY, program=counted)
    leavings = Leavings(story)
    with Machine(story) as machine:
        shared = [Explorer(story, model, None, machine, leavings).explore() for model in MODELS.values()]
    assert starts < sum(found.recoveries for found in shared)
    alone = [Explorer(STORY, model).explore() for model in MODELS.values()]
    assert len({found.states for found in alone}) > 1, "the models differ"
    assert [(f.states, f.recoveries, f.depth) for f in shared] == [(f.states, f.recoveries, f.depth) for f in alone]


def test_a_run_that_would_be_told_the_same_is_judged_again_and_not_run_again() -> None:
    starts = 0

    def main() -> str:
        nonlocal starts
        starts += 1
        return found()

    def judged_by_what_was_seen(end: End) -> Wrong:
        return {"X.1": "kept, and not there"} if ("kept", "1") in end.outside.before and not end.result else {}

    with Machine(CrashStory("asks nothing", ("X.1",), lambda _outside: main, judged_by_what_was_seen)) as machine:
        nothing_seen, kept_seen = machine.run({}, frozenset()), machine.run({}, frozenset({("kept", "1")}))
        assert (machine.runs, starts) == (1, 1)
        machine.run({"number": b"1"}, frozenset())
    assert (nothing_seen.wrong, kept_seen.wrong) == ({}, {"X.1": "kept, and not there"})
    assert starts == 2, "another folder is another run"


@pytest.mark.parametrize(
    "asks",
    [
        lambda outside: outside.has_seen("kept", "1"),
        lambda outside: outside.all_seen("kept"),
        lambda outside: outside.before,
    ],
    ids=["one fact", "all of a kind", "everything"],
)
def test_a_run_that_would_be_told_something_else_is_another_run(asks: Callable[[Outside], Any]) -> None:
    def program(outside: Outside) -> Callable[[], Any]:
        return lambda: repr(asks(outside))

    with Machine(CrashStory("asks", ("X.1",), program, lambda _end: {})) as machine:
        told = [machine.run({}, seen).end.result for seen in (frozenset(), frozenset({("kept", "1")}))]
        assert machine.runs == 2
    assert told[0] != told[1]


def test_what_a_killed_process_leaves_to_the_one_beside_it_is_seen() -> None:
    """A power loss ends both, and the restart tidies up; only a kill leaves the second alone with a stale file."""

    def worker(_outside: Outside) -> Callable[[], Any]:
        def main() -> None:
            write("busy", b"")
            os.unlink(f"{FOLDER}/busy")

        return main

    def watcher(outside: Outside) -> Callable[[], Any]:
        def main() -> None:
            time.sleep(1)  # noqa: TID251 - virtual time, in which the other has ended by then
            if os.path.exists(f"{FOLDER}/busy"):
                outside.complaints["X.1"] = "busy, and nobody works"

        return main

    story = CrashStory("watched", ("X.1",), worker, lambda _end: {}, beside=watcher)
    explored = explore(story)
    assert explored.verdict("X.1") is Verdict.BROKEN
    smallest = counterexample(story, explored)
    assert smallest is not None
    assert smallest.way.startswith("kill@")
    assert node_at(story, POSIX, smallest.way).wrong == smallest.wrong
