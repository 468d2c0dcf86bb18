"""The disk's calls: whole or not at all, never overwritten, never blocked."""

from __future__ import annotations

import errno
import os
import platform
import stat
from pathlib import Path
from typing import Any

import pytest

from pywats_reliability.disk import Disk, find_syncfs, no_syncfs
from pywats_reliability.errors import DiskError
from tests.service.store_world import failing, names, recorded


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_a_file_is_replaced_and_nothing_else_is_left(disk: Disk, tmp_path: Path) -> None:
    disk.write_atomically(tmp_path / "a", b"old")
    disk.write_atomically(tmp_path / "a", b"new")
    assert (names(tmp_path), (tmp_path / "a").read_bytes()) == (["a"], b"new")


def test_contents_are_synced_before_the_rename_and_the_folder_after_it(disk: Disk, tmp_path: Path) -> None:
    with recorded("write", "fsync", "rename") as calls:
        disk.write_atomically(tmp_path / "a", b"new")
    assert calls.order() == ["write", "fsync", "rename", "fsync"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
def test_a_failing_call_leaves_the_old_file_and_nothing_half_written(
    disk: Disk, tmp_path: Path, call: str, number: int
) -> None:
    disk.write_atomically(tmp_path / "a", b"old")
    with failing(call, number), pytest.raises(DiskError) as raised:
        disk.write_atomically(tmp_path / "a", b"new")
    assert raised.value.error_number == number
    assert (names(tmp_path), (tmp_path / "a").read_bytes()) == (["a"], b"old")


def test_a_disk_that_writes_in_parts_gets_all_of_them(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
    disk.write_atomically(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_what_a_failed_removal_left_is_no_obstacle(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / ".a.tmp").write_bytes(b"a leftover that is longer")
    disk.write_atomically(tmp_path / "a", b"new")
    assert (names(tmp_path), (tmp_path / "a").read_bytes()) == (["a"], b"new")


def test_publishing_does_not_overwrite(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    aside = disk.write_aside(tmp_path / "a", b"other")
    with pytest.raises(DiskError, match="name is taken"):
        disk.publish(aside)
    disk.discard(aside)
    assert (names(tmp_path), (tmp_path / "a").read_bytes()) == (["a"], b"mine")


def test_a_move_does_not_overwrite_even_a_dangling_link(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DiskError, match="name is taken"):
        disk.move(tmp_path / "a", tmp_path / "link")
    assert names(tmp_path) == ["a", "link"]


def test_removing_what_is_gone_is_no_error(disk: Disk, tmp_path: Path) -> None:
    assert not disk.remove(tmp_path / "nothing")


def make_folder(path: Path) -> None:
    path.mkdir()


def make_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def make_socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


def make_large(path: Path) -> None:
    path.write_bytes(b"12345")


@pytest.mark.parametrize("make", [make_folder, make_link, os.mkfifo, make_socket, make_large])
def test_nothing_but_a_small_regular_file_is_read(
    disk: Disk, make_thing: Path, tmp_path: Path
) -> None:
    with pytest.raises(DiskError):
        disk.read(make_thing, bytes_max=4)
    assert open_descriptors(tmp_path) == 0


@pytest.fixture
def make_thing(make: object, tmp_path: Path) -> Path:
    assert callable(make)
    make(tmp_path / "thing")
    return tmp_path / "thing"


def open_descriptors(under: Path) -> int:
    links = (Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd"))
    return sum(link.is_symlink() and os.readlink(link).startswith(str(under)) for link in links)


def test_a_listing_tells_kind_and_size_without_opening(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with recorded("open") as calls:
        found = dict(disk.list_kinds(tmp_path))
        assert (disk.look(tmp_path / "a").size, disk.look(tmp_path / "link").is_file) == (3, False)
    assert (found, calls.seen) == ({"a": True, "link": False}, [])


def test_folders_are_for_their_owner_only(disk: Disk, tmp_path: Path) -> None:
    disk.make_folder(tmp_path / "a" / "b")
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")] == [0o700, 0o700]


def test_the_name_of_a_new_folder_is_synced(disk: Disk, tmp_path: Path) -> None:
    with recorded("open", "fsync") as calls:
        disk.make_folder(tmp_path / "a" / "b")
    assert [path for name, path in calls.seen if name == "open"] == [str(tmp_path), str(tmp_path / "a")]


def test_a_refused_syncfs_says_no(tmp_path: Path) -> None:
    disk = Disk(syncfs=no_syncfs)
    assert (disk.can_sync_filesystem, disk.sync_filesystem(tmp_path)) == (False, False)


def test_a_failing_syncfs_says_no(tmp_path: Path) -> None:
    def fails(_: int) -> int:
        raise OSError(errno.EIO, "broken")

    disk = Disk(syncfs=fails)
    assert (disk.can_sync_filesystem, disk.sync_filesystem(tmp_path)) == (True, False)


@pytest.mark.skipif(platform.system() != "Linux", reason="syncfs is Linux's")
def test_syncfs_is_used_from_the_kernel_on_that_reports_its_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "release", lambda: "5.7.19-generic")
    assert find_syncfs() is no_syncfs
    monkeypatch.setattr(platform, "release", lambda: "5.8.0")
    assert Disk().sync_filesystem(tmp_path)


def test_an_error_names_action_path_and_cause(disk: Disk, tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=r"could not read .*nothing: No such file or directory; free or mend"):
        disk.read(tmp_path / "nothing")


def test_the_free_space_is_known(disk: Disk, tmp_path: Path) -> None:
    assert disk.free_bytes(tmp_path) > 0


def test_a_folder_whose_name_could_not_be_made_durable_is_not_there(disk: Disk, tmp_path: Path) -> None:
    """Else the next call would find it, sync nothing, and a power loss take it away with all that it holds."""
    with failing("fsync"), pytest.raises(DiskError):
        disk.make_folder(tmp_path / "a" / "b")
    assert names(tmp_path) == []
    with recorded("fsync") as calls:
        disk.make_folder(tmp_path / "a" / "b")
    assert calls.order() == ["fsync", "fsync"]


def test_a_folder_is_durable_although_the_one_in_it_cannot_be_made(disk: Disk, tmp_path: Path) -> None:
    """Else the next call would find the upper one, and a power loss take it away with all that it holds."""
    make = Path.mkdir

    def mkdir(path: Path, *args: Any, **named: Any) -> None:
        if path.name == "b":
            raise OSError(errno.EIO, "broken")
        make(path, *args, **named)

    with recorded("fsync") as calls, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "mkdir", mkdir)
        with pytest.raises(DiskError):
            disk.make_folder(tmp_path / "new" / "b")
    assert ((tmp_path / "new").is_dir(), calls.order()) == (True, ["fsync"])


def test_a_folder_that_is_there_is_made_durable_once_as_a_killed_process_may_not_have_come_to_it(
    disk: Disk, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    with recorded("open", "fsync") as calls:
        disk.make_folder(folder)
        disk.make_folder(folder)
    assert [path for name, path in calls.seen if name == "open"] == [str(tmp_path)]
    assert calls.count("fsync") == 1
