"""A run's folder is private, short, on the undo list before it exists, and gone at the end."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.errors import RefusedError, UsageError
from chaos.live.run_folder import RunFolder
from chaos.live.watchdog import Guard, Watchdog


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    with Watchdog.start() as started:
        yield started


def test_a_run_folder_is_for_its_owner_only_and_short(watchdog: Watchdog) -> None:
    with RunFolder.create(watchdog) as folder:
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        assert len(folder.path.name) < 40


def test_a_run_folder_is_guarded_before_it_exists(watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch) -> None:
    guard, existed = Watchdog.guard_folder, []

    def look_first(self: Watchdog, path: Path) -> Guard:
        existed.append(path.exists())
        return guard(self, path)

    monkeypatch.setattr(Watchdog, "guard_folder", look_first)
    with RunFolder.create(watchdog):
        assert existed == [False]


def test_leaving_removes_the_folder_with_what_is_in_it(watchdog: Watchdog) -> None:
    with RunFolder.create(watchdog) as folder:
        (folder.folder("data") / "report.json").write_text("{}")
    assert not folder.path.exists()
    assert watchdog.entries == ()


def test_removing_twice_is_removing_once(watchdog: Watchdog) -> None:
    folder = RunFolder.create(watchdog)
    folder.remove()
    folder.remove()
    assert not folder.path.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../escape", "/etc/passwd", "a/b", "nul\0"])
def test_a_name_that_leads_out_of_the_folder_is_refused(watchdog: Watchdog, name: str) -> None:
    with RunFolder.create(watchdog) as folder, pytest.raises(RefusedError, match="plain name"):
        folder.file(name)


def test_a_socket_path_that_is_too_long_is_refused_with_what_to_do(watchdog: Watchdog) -> None:
    with RunFolder.create(watchdog) as folder, pytest.raises(UsageError, match="set TMPDIR to a shorter folder"):
        folder.socket_path("s" * 100)
