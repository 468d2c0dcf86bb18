"""A check of the recorder and the models on a program that nobody here wrote: sqlite3."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.crash.log_file import Recording
from chaos.crash.state_check import Options, check_states
from chaos.storage.crash_states import Limits
from chaos.storage.persistence import POSIX
from chaos.verdict import Verdict
from tests.crash.recorder.recorded_programs import PYTHON, recorded
from tests.crash.recorder.sqlite_promises import DATABASE, WRITER, committed_rows_are_there


def recorded_sqlite(folder: Path, journal_mode: str, synchronous: str) -> Recording:
    """The index of the write-ahead log is a shared mapping; it is made anew from the log after a crash."""
    arguments = (folder / DATABASE, journal_mode, synchronous, "1")
    recording = recorded(folder, *PYTHON, WRITER, *arguments, ignored=("*-shm",))
    assert recording.doubts == []
    return recording


@pytest.mark.parametrize(("journal_mode", "synchronous"), [("delete", "extra"), ("truncate", "full"), ("wal", "full")])
def test_sqlite_keeps_what_it_committed(tmp_path: Path, journal_mode: str, synchronous: str) -> None:
    recording = recorded_sqlite(tmp_path / "db", journal_mode, synchronous)
    judgement = check_states(recording, POSIX, committed_rows_are_there)
    assert (judgement.verdict, judgement.broken) == (Verdict.HELD, 0)


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_sqlite_without_syncs_is_found_to_lose_commits(tmp_path: Path, journal_mode: str) -> None:
    recording = recorded_sqlite(tmp_path / "db", journal_mode, "off")
    judgement = check_states(recording, POSIX, committed_rows_are_there, Options(Limits(100, 100)))
    assert judgement.verdict is Verdict.BROKEN
    losses = {"committed rows are lost", "the database is lost", "the database is damaged"}
    assert {judged.wrong for judged in judgement.counterexamples} <= losses


def test_sqlite_with_its_default_may_lose_the_last_commit_of_a_deleted_journal(tmp_path: Path) -> None:
    """Its documentation says so of FULL against EXTRA: the folder is not synced after the journal was removed."""
    judgement = check_states(recorded_sqlite(tmp_path / "db", "delete", "full"), POSIX, committed_rows_are_there)
    assert {judged.wrong for judged in judgement.counterexamples} == {"committed rows are lost"}
    assert judgement.smallest is not None
    assert len(judgement.smallest.state.lost) == 1


def test_a_mapping_that_counts_makes_the_verdict_unknown(tmp_path: Path) -> None:
    """Without leaving out the index of the write-ahead log, nothing follows from the recording."""
    folder = tmp_path / "db"
    recording = recorded(folder, *PYTHON, WRITER, folder / DATABASE, "wal", "full", "1")
    judgement = check_states(recording, POSIX, committed_rows_are_there, Options(Limits(states=5)))
    assert judgement.verdict is Verdict.UNKNOWN
    assert any("stores into a shared mapping" in doubt for doubt in judgement.doubts)
