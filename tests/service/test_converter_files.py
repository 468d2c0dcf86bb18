"""What converting does with files, where the pool's tests cannot see it: looking, taking whole, filing away (C1.9)."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.converter_pool.filing import Filing
from pywats_reliability.converter_pool.items import Items, ItemState
from pywats_reliability.converter_pool.looking import Sight, Wanted, look, signature_of
from pywats_reliability.converter_pool.reading import Reader
from pywats_reliability.converter_pool.writers import is_open_for_writing, never_known
from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError
from tests.service.converter_world import QuickDisk

pytestmark = pytest.mark.proves("C1.9")
A = Path("in/a.csv")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")


def same(_: Path) -> bool:
    """Say that a source has not changed."""
    return True


def write(path: Path, content: bytes = b"contents") -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(content)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def reader(**more: Any) -> Reader:
    return Reader(Disk(), **{"bytes_max": 1000, "is_being_written": never_known, **more})


def signature(path: Path, *, is_folder: bool = False) -> str:
    found = signature_of(Disk(), path, is_folder=is_folder)
    assert found is not None
    return found


def test_a_source_counts_as_whole_after_two_looks_and_the_settling_time() -> None:
    items = Items()
    found = []
    for now in (0.0, 1.0, 2.0):
        items.saw({A: Sight("x")}, began_at=now, now=now + 0.1)
        found.append([item.path for item in items.ready(now + 0.1, 2.0)])
    assert found == [[], [], [A]]


def test_one_look_is_never_enough_however_long_ago() -> None:
    items = Items()
    items.saw({A: Sight("x")}, began_at=0, now=0)
    assert list(items.ready(1e6, 2.0)) == []


def test_a_look_that_began_before_something_happened_says_nothing_about_it() -> None:
    items = Items()
    item = items.add(A, "x", 0.0)
    item.wait(5.0, 60.0)
    items.saw({}, began_at=4.9, now=5.1)
    assert items.get(A) is item
    items.saw({}, began_at=5.1, now=5.2)
    assert items.get(A) is None


def test_what_is_being_converted_is_not_touched_by_looks() -> None:
    items = Items()
    item = items.add(A, "x", 0.0)
    item.state = ItemState.ACTIVE
    items.saw({}, began_at=1.0, now=1.0)
    items.saw({A: Sight("y")}, began_at=2.0, now=2.0)
    assert (items.get(A), item.signature, item.state) == (item, "x", ItemState.ACTIVE)


def test_a_change_forgets_what_was_counted_against_the_source() -> None:
    items = Items()
    item = items.add(A, "x", 0.0)
    item.attempts, item.accepted = 2, {"id": None}
    item.wait(0.0, 60.0)
    items.saw({A: Sight("y")}, began_at=1.0, now=1.0)
    assert (item.state, item.attempts, item.accepted) == (ItemState.SETTLING, 0, {})


def test_a_folder_that_vanishes_during_a_look_is_left_out(tmp_path: Path) -> None:
    class Vanishing(Disk):
        def look(self, path: Path | str) -> Any:
            os.unlink(path)
            return super().look(path)

    write(tmp_path / "a.csv")
    assert look(Vanishing(), [tmp_path], Wanted(("*",))) == {}


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="could not list"):
        look(Disk(), [tmp_path / "none"], Wanted(("*",)))


def test_an_explicit_pattern_takes_even_an_unfinished_name() -> None:
    assert Wanted(("*.tmp",)).wants("a.tmp")
    assert not Wanted(("*",)).wants("a.tmp")


def test_a_source_that_changes_while_it_is_read_is_not_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")

    class Slow(Disk):
        def read(self, path: Path | str, *, bytes_max: int | None = None) -> bytes:
            data = super().read(path, bytes_max=bytes_max)
            Path(path).write_bytes(b"other contents")
            return data

    slow = Reader(Slow(), bytes_max=100, is_being_written=never_known)
    assert slow.take(path, signature(path), is_folder=False, with_content=True) is None


def test_what_is_taken_carries_its_contents_only_for_those_who_need_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    taken = [reader().take(path, signature(path), is_folder=False, with_content=each) for each in (True, False)]
    assert [each.source.content if each else "" for each in taken] == [b"contents", None]
    assert len({each.digest for each in taken if each}) == 1


def test_the_digest_of_a_folder_tells_names_and_contents_apart(tmp_path: Path) -> None:
    digests = set()
    for number, files in enumerate([{"a": b"12", "b": b"3"}, {"a": b"1", "b": b"23"}, {"a": b"12", "c": b"3"}]):
        folder = tmp_path / str(number)
        for name, content in files.items():
            write(folder / name, content)
        mark = signature(folder, is_folder=True)
        taken = reader().take(folder, mark, is_folder=True, with_content=True)
        assert taken is not None
        digests.add(taken.digest)
    assert len(digests) == 3


def test_a_folder_too_large_as_a_whole_is_refused(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / "run" / name, b"x" * 400)
    with pytest.raises(DiskError) as refused:
        reader().take(
            tmp_path / "run", signature(tmp_path / "run", is_folder=True), is_folder=True, with_content=True
        )
    assert refused.value.error_number == errno.EFBIG


@pytest.mark.parametrize("modified_ns", [-(10**18), 2**62])
def test_a_file_of_an_impossible_time_is_taken(tmp_path: Path, modified_ns: int) -> None:
    path = write(tmp_path / "a.csv")
    try:
        os.utime(path, ns=(0, modified_ns))
    except OSError:
        pytest.skip("this filesystem has no such time")
    assert reader().take(path, signature(path), is_folder=False, with_content=True) is not None


@on_linux
def test_a_file_that_another_process_has_open_for_writing_is_known_to_be(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    code = f"import sys; file = open({str(path)!r}, 'a'); print('open', flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        writer.stdout.readline()
        before = is_open_for_writing(path)
        writer.stdin.close()
    assert (before, is_open_for_writing(path)) == (True, False)


@on_linux
def test_asking_whether_somebody_writes_keeps_nobody_from_writing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    for _ in range(100):
        assert not is_open_for_writing(path)
        with path.open("ab") as file:
            file.write(b"x")
    assert path.stat().st_size == 108


@pytest.mark.parametrize("make", [str, os.mkfifo, lambda path: path.symlink_to("x"), os.mkdir])
def test_whether_somebody_writes_to_what_is_no_file_is_not_known(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "a.csv")
    assert not is_open_for_writing(tmp_path / "a.csv")


def test_a_name_that_is_being_given_away_is_taken(tmp_path: Path) -> None:
    one, two, done = write(tmp_path / "1/a.csv", b"1"), write(tmp_path / "2/a.csv", b"2"), tmp_path / "done"

    class Racing(QuickDisk):
        """Lets the second move come between the first one's look and its rename."""

        def move(self, source: Path | str, target: Path | str) -> None:
            if source == one:
                filing.move(two, done, same)
            super().move(source, target)

    filing = Filing(Racing())
    filing.move(one, done, same)
    assert {path.name: path.read_bytes() for path in done.iterdir()} == {"a.csv": b"1", "a.2.csv": b"2"}


def test_a_move_that_fails_gives_its_name_back(tmp_path: Path) -> None:
    path = write(tmp_path / "in/a.csv")

    class Failing(QuickDisk):
        def move(self, source: Path | str, target: Path | str) -> None:
            raise DiskError(f"move to {target}", Path(source), OSError(errno.EIO, "planted"))

    filing = Filing(Failing())
    with pytest.raises(DiskError):
        filing.move(path, tmp_path / "done", same)
    assert (repr(filing), path.exists()) == ("Filing(0 under way)", True)


def test_putting_aside_that_fails_leaves_no_reason_alone(tmp_path: Path) -> None:
    with pytest.raises(DiskError):
        Filing(QuickDisk()).put_aside(tmp_path / "gone.csv", tmp_path / "error", {"why": "x"}, same)
    assert names(tmp_path / "error") == []


def test_a_very_long_name_can_be_put_aside_again_and_again(tmp_path: Path) -> None:
    name = "ä" * 125 + ".csv"
    for _ in range(3):
        Filing(QuickDisk()).put_aside(write(tmp_path / "in" / name), tmp_path / "error", {"why": "x"}, same)
    assert len(names(tmp_path / "error")) == 6


@pytest.mark.parametrize("name", [b"\xff\xfe.csv", b"log 1 (2).csv", b".csv"])
def test_any_name_can_be_archived_and_put_aside(tmp_path: Path, name: bytes) -> None:
    filing, path = Filing(QuickDisk()), tmp_path / "in" / os.fsdecode(name)
    filing.archive(write(path), tmp_path / "archive", same)
    filing.put_aside(write(path), tmp_path / "error", {"why": "x"}, same)
    (reason,) = [each for each in (tmp_path / "error").iterdir() if each.name.endswith(".reason.json")]
    assert (json.loads(reason.read_bytes())["why"], names(tmp_path / "in")) == ("x", [])


def test_a_file_from_before_1980_can_be_archived(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    os.utime(path, (0, 0))
    assert Filing(QuickDisk()).archive(path, tmp_path / "archive", same) is not None


def test_a_folder_on_another_filesystem_stays_and_is_told(tmp_path: Path) -> None:
    write(tmp_path / "in/run/1.csv")

    class Apart(QuickDisk):
        def move(self, source: Path | str, target: Path | str) -> None:
            raise DiskError(f"move to {target}", Path(source), OSError(errno.EXDEV, "Invalid cross-device link"))

    with pytest.raises(DiskError, match="cross-device"):
        Filing(Apart()).move(tmp_path / "in/run", tmp_path / "done", same)
    assert names(tmp_path / "in/run") == ["1.csv"]
