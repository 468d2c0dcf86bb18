"""The secret is made once, whole, for its owner only, and never shown (H6.7, H3.5)."""

from __future__ import annotations

import logging
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pywats_reliability.errors import DiskError, IPCAddressError, IPCSecretError
from pywats_reliability.ipc.secret import load_or_create_secret, load_secret, secret_path, tokens_match

SECRET = "0123456789abcdef" * 4


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_kept_where_clients_of_the_protocol_look_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert secret_path("default", platform="linux") == tmp_path / ".config/pywats/secrets/default.key"
    assert secret_path("default", platform="win32") == tmp_path / "local/pyWATS/secrets/default.key"


def test_an_id_that_would_leave_the_folder_is_refused() -> None:
    with pytest.raises(IPCAddressError):
        secret_path("../authorized_keys")


def test_the_first_start_makes_it_and_the_next_finds_it(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "a.key"
    first = load_or_create_secret(path)
    assert len(first) == 64
    assert (load_or_create_secret(path), load_secret(path)) == (first, first)


def test_it_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "a.key"
    before = os.umask(0)
    try:
        load_or_create_secret(path)
    finally:
        os.umask(before)
    assert (mode_of(path.parent), mode_of(path)) == (0o700, 0o600)


def test_two_instances_have_two_secrets(tmp_path: Path) -> None:
    assert load_or_create_secret(tmp_path / "a.key") != load_or_create_secret(tmp_path / "b.key")


def test_services_that_start_at_once_use_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(load_or_create_secret, [tmp_path / "a.key"] * 16))
    assert len(found) == 1


def test_a_secret_that_another_service_made_meanwhile_is_the_one_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, link = tmp_path / "a.key", os.link

    def link_too_late(aside: str, target: Path) -> None:
        path.write_text(SECRET)
        link(aside, target)

    monkeypatch.setattr(os, "link", link_too_late)
    assert (load_or_create_secret(path), path.read_text()) == (SECRET, SECRET)


def test_a_folder_that_others_could_enter_is_shut(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets").chmod(0o755)
    load_or_create_secret(tmp_path / "secrets" / "a.key")
    assert mode_of(tmp_path / "secrets") == 0o700


def test_making_it_leaves_nothing_else_behind(tmp_path: Path) -> None:
    load_or_create_secret(tmp_path / "a.key")
    assert [path.name for path in tmp_path.iterdir()] == ["a.key"]


def test_a_start_that_dies_before_the_link_leaves_no_file_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DiskError, match="could not make the secret"):
        load_or_create_secret(tmp_path / "a.key")
    assert list(tmp_path.iterdir()) == []


def test_blanks_and_line_ends_around_it_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "a.key").write_text(f"  {SECRET}\r\n")
    assert load_secret(tmp_path / "a.key") == SECRET


def test_no_file_is_no_secret(tmp_path: Path) -> None:
    assert load_secret(tmp_path / "a.key") is None


@pytest.mark.parametrize("contents", [b"", b"\n", b"hunter2", SECRET[:-1].encode(), b"\xff" * 64, SECRET.encode() * 99])
def test_a_file_with_something_else_is_refused_without_showing_it(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "a.key").write_bytes(contents)
    with pytest.raises(IPCSecretError, match="expected a secret of 64 hex digits") as caught:
        load_or_create_secret(tmp_path / "a.key")
    assert "hunter2" not in str(caught.value)


def test_a_file_that_others_could_read_is_shut_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.key"
    path.write_text(SECRET)
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        load_secret(path)
    assert mode_of(path) == 0o600
    assert "could be read by others" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("token", ["", SECRET[:-1], SECRET + "0", SECRET.upper(), "ä", "\ud800", "0" * 64])
def test_any_other_text_does_not_match(token: str) -> None:
    assert not tokens_match(token, SECRET)


def test_the_secret_itself_matches() -> None:
    assert tokens_match(SECRET, SECRET)


@pytest.mark.proves("H6.7")
def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda *pair: compared.append(pair))
    tokens_match("a", "b")
    assert compared == [(b"a", b"b")]
