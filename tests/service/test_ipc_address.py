"""An instance's address is the one that clients of the protocol expect, and one the system can bind (H6.7)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pywats_reliability.errors import IPCAddressError
from pywats_reliability.ipc.address import TcpAddress, UnixAddress, default_address, logical_name


def test_the_default_instance_has_the_port_of_the_protocol_on_windows() -> None:
    assert default_address("default", platform="win32") == TcpAddress(52759, "127.0.0.1")


def test_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    address = default_address("line 7", platform="linux")
    assert isinstance(address, UnixAddress)
    assert address.path.name == "pyWATS_Service_line 7.sock"
    assert address.path.parent != Path("/tmp")


def test_the_folder_can_be_chosen(tmp_path: Path) -> None:
    address = default_address("default", folder=tmp_path, platform="linux")
    assert address == UnixAddress(tmp_path / "pyWATS_Service_default.sock")


@pytest.mark.parametrize("instance_id", ["", "../x", "a/b", "a\\b", "a\0b"])
def test_an_id_that_would_leave_its_folder_is_refused(instance_id: str) -> None:
    with pytest.raises(IPCAddressError, match="expected an instance id"):
        logical_name(instance_id)


def test_a_path_that_fits_is_taken_and_a_longer_one_is_refused_by_its_bytes() -> None:
    assert str(UnixAddress(Path("/" + "x" * 102))) == "/" + "x" * 102
    with pytest.raises(IPCAddressError, match=r"expected a socket path of at most \d+ bytes, found 109 bytes"):
        UnixAddress(Path("/" + "ü" * 54))


def test_an_address_of_another_computer_is_refused() -> None:
    with pytest.raises(IPCAddressError, match=r"expected a loopback address, found host 0\.0\.0\.0"):
        TcpAddress(50000, "0.0.0.0")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no runtime folders there")
def test_without_a_runtime_folder_of_the_system_nothing_is_said_on_stderr(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    code = "from pywats_reliability.ipc.address import default_address; print(default_address('x'))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, timeout=20, check=True)
    assert (done.stderr, done.stdout.endswith(b"/pyWATS_Service_x.sock\n")) == (b"", True)
