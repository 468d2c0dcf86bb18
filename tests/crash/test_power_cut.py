"""A handful of real power cuts: what they leave is among the enumerated states. The benchmark makes hundreds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.crash.power_cut import Moment, PowerCuts, is_among_states
from chaos.errors import NotAvailableError
from chaos.storage.operations import Entry, SyncAll
from chaos.storage.persistence import EXT4_ORDERED, POSIX
from tests.crash.recorder.recorded_programs import PYTHON, WRITER
from tests.crash.recorder.spool_writer import content

MOMENTS = (Moment(2, 0.0005), Moment(3, 0.001, "data"), Moment(2, 0.001, "all"))
SAFE, UNSAFE = ((*PYTHON, str(WRITER), "{dir}", fault, "30") for fault in ("none", "no file sync"))


@pytest.fixture(scope="module")
def cuts() -> Iterator[PowerCuts | NotAvailableError]:
    """Give the small disk, or why there is none."""
    try:
        with PowerCuts() as disk:
            yield disk
    except NotAvailableError as error:
        yield error


def told(reason: NotAvailableError) -> None:
    """Where no power can be cut, the reason and what to do are told; nothing counts as held."""
    assert reason.need == "a real power cut"
    assert reason.reason
    assert reason.advice


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_cut_leaves_is_among_the_states(cuts: PowerCuts | NotAvailableError, moment: Moment) -> None:
    if isinstance(cuts, NotAvailableError):
        return told(cuts)
    cut = cuts.cut(SAFE, moment)
    assert not cut.ended
    assert (is_among_states(cut, EXT4_ORDERED), is_among_states(cut, POSIX)) == (True, True)
    return None


def test_a_folder_that_no_state_has_is_noticed(cuts: PowerCuts | NotAvailableError) -> None:
    """Had every operation been synced, the cut would have left more: so much the comparison can tell."""
    if isinstance(cuts, NotAvailableError):
        return told(cuts)
    cut = cuts.cut(UNSAFE, Moment(4, 0.0))
    assert cut.recording is not None
    synced = [each for entry in cut.recording.entries for each in (entry, Entry(SyncAll()))]
    claimed = dataclasses.replace(cut, recording=dataclasses.replace(cut.recording, entries=synced))
    assert (is_among_states(cut, POSIX), is_among_states(claimed, POSIX)) == (True, False)
    return None


def test_what_was_said_to_be_saved_survives_a_cut(cuts: PowerCuts | NotAvailableError) -> None:
    if isinstance(cuts, NotAvailableError):
        return told(cuts)
    cut = cuts.cut(SAFE, Moment(4, 0.002), traced=False)
    said = [int(line.split()[1]) for line in cut.printed.splitlines()[1:]]
    assert len(said) >= 3
    assert all(cut.contents[f"item-{number}"] == content(number) for number in said)
    return None


def test_a_cut_takes_what_was_not_synced(cuts: PowerCuts | NotAvailableError) -> None:
    """Otherwise the cut would be none."""
    if isinstance(cuts, NotAvailableError):
        return told(cuts)
    cut = cuts.cut(UNSAFE, Moment(4, 0.0), traced=False)
    said = [int(line.split()[1]) for line in cut.printed.splitlines()[1:]]
    assert not all(cut.contents.get(f"item-{number}") == content(number) for number in said)
    return None


def test_nothing_is_left_behind(cuts: PowerCuts | NotAvailableError) -> None:
    """The mount is in a namespace of its own: this process does not even see it."""
    if isinstance(cuts, NotAvailableError):
        return told(cuts)
    assert cuts.count
    assert "pywats-chaos" not in Path("/proc/self/mounts").read_text()
    return None


def test_a_disk_that_cannot_be_mounted_is_not_available(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(NotAvailableError, match="a real power cut is not available here"):
        PowerCuts("ext4", "no_such_option").__enter__()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotAvailableError):
        PowerCuts().__enter__()
