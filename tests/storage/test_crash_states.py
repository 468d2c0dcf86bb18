"""What a crash may leave of logs written by hand, under each model."""

from __future__ import annotations

import time

import pytest

from chaos.errors import OperationLogError
from chaos.storage import (
    EXT4_ORDERED,
    EXT4_WRITEBACK,
    MODELS,
    NTFS,
    POSIX,
    XFS,
    CrashStates,
    Limits,
    PageCache,
    Persistence,
    Tree,
    crash_states,
    draw_outcome,
)
from chaos.storage.operations import ROOT, Entry, MakeFile, MakeFolder, Rename, Sync, Unmodelled, Visible, Write
from tests.storage.hand_written import (
    ACCEPTED,
    BODY,
    DELETE_FIRST,
    FILE,
    IN_PLACE,
    RENAME_FIRST,
    RIGHT,
    WRONG_FILE,
    keeps_what_was_accepted,
    states_of,
    without,
)

JOURNALED = (EXT4_ORDERED, EXT4_WRITEBACK, XFS, NTFS)
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=str)


@every_model
def test_writing_aside_syncing_renaming_and_syncing_the_folder_keeps_what_was_accepted(model: Persistence) -> None:
    assert all(map(keeps_what_was_accepted(RIGHT), states_of(RIGHT, model)))


@every_model
def test_without_a_sync_of_the_file_an_accepted_report_may_be_empty_or_torn(model: Persistence) -> None:
    log = without(Sync(FILE))
    bad = [s for s in states_of(log, model) if not keeps_what_was_accepted(log)(s)]
    assert {b"", BODY[: len(BODY) // 2]} <= {s.contents.get("r") for s in bad}


@every_model
def test_without_a_sync_of_the_folder_an_accepted_report_may_have_no_name(model: Persistence) -> None:
    log = without(Sync(ROOT))
    bad = [s for s in states_of(log, model) if not keeps_what_was_accepted(log)(s)]
    assert "r" not in bad[0].contents
    assert [loss.index for loss in min((s.lost for s in bad), key=len)] == [4], "only the rename has to be lost"


@every_model
def test_a_rename_before_the_sync_leaves_a_torn_file_under_the_name_that_counts(model: Persistence) -> None:
    torn = [s for s in states_of(RENAME_FIRST, model) if s.contents.get("r", BODY) != BODY]
    assert torn
    assert not torn[0].seen([Entry(o) for o in RENAME_FIRST]), "long before it was accepted"


@every_model
def test_rewriting_in_place_may_lose_the_old_and_the_new_contents(model: Persistence) -> None:
    left = {s.contents["settings"] for s in states_of(IN_PLACE, model, {"settings": b"old settings"})}
    assert {b"old settings", b"new settings", b""} <= left


@every_model
def test_deleting_before_the_answer_is_seen_only_because_what_was_sent_is_a_point_of_crash(model: Persistence) -> None:
    log = [Entry(o) for o in DELETE_FIRST]
    lost = [s for s in crash_states(log, model) if not s.contents and ACCEPTED in s.seen(log)]
    assert any(Visible("answer") not in s.seen(log) for s in lost)


@every_model
def test_a_sync_of_another_file_makes_nothing_of_this_one_durable(model: Persistence) -> None:
    bad = [s for s in states_of(WRONG_FILE, model) if not keeps_what_was_accepted(WRONG_FILE)(s)]
    assert b"" in {s.contents.get("r") for s in bad}


def test_a_file_system_with_a_journal_loses_the_latest_names_only() -> None:
    log = [MakeFile(ROOT, name, node) for node, name in enumerate("abc", 1)]
    assert {"".join(s.contents) for s in states_of(log, XFS)} == {"", "a", "ab", "abc"}
    assert len(states_of(log, POSIX)) == 8


def test_replacing_by_rename_has_the_data_only_where_the_file_system_sees_to_it() -> None:
    log = (MakeFile(ROOT, "aside", 5), Write(5, 0, b"new"), Rename(ROOT, "aside", ROOT, "settings"))
    left = {m.name: {s.contents["settings"] for s in states_of(log, m, {"settings": b"old"})} for m in MODELS.values()}
    assert left["ext4-ordered"] == {b"old", b"new"}
    assert all(b"" in left[name] for name in left if name != "ext4-ordered")


def test_a_folder_whose_name_is_not_durable_yet_keeps_what_is_in_it() -> None:
    log = (MakeFolder(ROOT, "pending", 1), MakeFile(1, "r", 2), Sync(1), Sync(ROOT))
    assert [sorted(s.contents) for s in states_of(log, POSIX)] == [["pending", "pending/r"], ["pending"], []]
    assert {"pending", "pending/r"} in [set(s.contents) for s in states_of(log[:3], POSIX)]


def test_a_file_of_several_names_has_the_same_contents_under_all() -> None:
    log = (MakeFile(ROOT, "a", 1), Rename(ROOT, "a", ROOT, "b"), MakeFile(ROOT, "a", 2), Write(1, 0, b"x"))
    assert all(s.contents.get("b") in (None, b"x", b"", b"\0") for s in states_of(log, POSIX))


def test_a_sync_that_failed_leaves_its_data_adrift_whatever_later_syncs_say() -> None:
    from chaos.storage.operations import SyncFailed

    log = (MakeFile(ROOT, "r", 1), Write(1, 0, b"x"), SyncFailed(1), Sync(1), Sync(ROOT), ACCEPTED)
    assert b"" in {s.contents.get("r") for s in states_of(log, POSIX) if s.visible}


def test_a_write_that_came_after_a_sync_began_is_not_covered_by_it() -> None:
    log = (MakeFile(ROOT, "r", 1), Sync(ROOT), Write(1, 0, b"x"), Sync(1, began=2), ACCEPTED)
    assert {s.contents["r"] for s in states_of(log, POSIX) if s.visible} >= {b"", b"x"}


def test_the_reason_names_the_earliest_point_and_what_was_lost_there() -> None:
    state = next(s for s in states_of(RIGHT, POSIX) if s.contents == {".r.tmp": b""})
    assert (state.point, state.lost) == (1, ())


def test_a_bound_that_was_hit_is_told_and_the_result_is_not_exhaustive() -> None:
    log = [Entry(MakeFile(ROOT, f"f{n}", n)) for n in range(1, 12)]
    states = CrashStates(log, POSIX, limits=Limits(names_per_point=100))
    found = list(states)
    assert not states.is_exhaustive
    assert "more than 100 outcomes of names" in states.bounds_hit[0]
    kept = [len(s.contents) for s in found]
    assert {0, 1, 10, 11} <= set(kept), "what is nearest to everything and to nothing comes first"


def test_a_log_with_a_call_that_is_not_modelled_is_never_exhaustive() -> None:
    states = CrashStates([Entry(Unmodelled("mmap", "stores are invisible"))], POSIX)
    list(states)
    assert not states.is_exhaustive
    assert states.unmodelled[0].call == "mmap"


def test_a_log_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(OperationLogError, match="expected the name 'a' in folder 0, found no such name"):
        list(crash_states([Entry(Rename(ROOT, "a", ROOT, "b"))], POSIX))


@every_model
def test_what_is_drawn_by_lot_is_among_the_enumerated_and_zero_keeps_everything(model: Persistence) -> None:
    import random

    lots = random.Random(7)
    for log in (RIGHT, RENAME_FIRST, DELETE_FIRST, without(Sync(FILE), Sync(ROOT))):
        for end in range(len(log) + 1):
            cache = PageCache(model, Tree())
            for index, operation in enumerate(log[:end]):
                cache.note(index, operation)
            known = [s.contents for s in states_of(log[:end], model)]
            assert draw_outcome(cache, lambda _: 0)[0].contents() == cache.now.contents()
            assert all(draw_outcome(cache, lots.randrange)[0].contents() in known for _ in range(20))


def test_four_thousand_states_a_second_are_enumerated_and_checked() -> None:
    """The figure that is promised, with room for a busy machine; the benchmark measures it properly."""
    log = [Entry(MakeFile(ROOT, f"f{n}", n)) for n in range(1, 9)]
    log += [Entry(Write(n, 0, b"contents")) for n in range(1, 5)]
    began = time.process_time()
    checked = sum(len(s.contents) <= 8 for s in crash_states(log, POSIX))
    assert checked / (time.process_time() - began) > 4000
