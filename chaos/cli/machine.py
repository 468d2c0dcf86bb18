"""What this machine can do for each world, found out by trying it in the smallest way; nothing is changed.

* A check that fails keeps no other from running, and says what to install or to allow.
* Foreign programs are started with a deadline; Qt is loaded in a process of its own, since it may end the one it is in.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

TRY_LIMIT_S = 20.0
DESCRIPTORS_MIN = 1_024
LOADS_QT = "from PySide6.QtWidgets import QApplication; QApplication([]); import qasync; print('loaded')"


@dataclass(frozen=True, slots=True)
class Ability:
    """What a machine may be able to do; ``advice`` says what to do where it is not, ``lost`` what is missed."""

    name: str
    is_there: bool
    found: str
    advice: str = ""
    lost: str = ""
    is_needed: bool = False


def abilities() -> list[Ability]:
    """Return everything that was tried, the needed ones first."""
    checks: tuple[Callable[[], Ability], ...] = (
        _simulation,
        _live,
        _fuzzing,
        _pytest,
        _syscalls,
        _power_cuts,
        _gui,
        _faketime,
        _cluster,
    )
    return [check() for check in checks]


def _simulation() -> Ability:
    missing, there = _distributions("greenlet", "time-machine")
    is_cpython = platform.python_implementation() == "CPython"
    found = there if is_cpython else f"{there}, but {platform.python_implementation()}"
    advice = f"pip install {' '.join(missing)}" if missing else "run it with CPython"
    is_there = is_cpython and not missing
    return Ability("simulation", is_there, found, advice, "no schedule can be simulated", is_needed=True)


def _live() -> Ability:
    lost = "nothing can be run as a real process"
    try:
        with tempfile.TemporaryDirectory(prefix="pywats-chaos-doctor-") as folder:
            for family, address in ((socket.AF_UNIX, f"{folder}/socket"), (socket.AF_INET, ("127.0.0.1", 0))):
                with socket.socket(family, socket.SOCK_STREAM) as tried:
                    tried.bind(address)
    except (OSError, AttributeError) as error:
        return Ability(
            "live", False, str(error), "use Linux or macOS, and allow loopback sockets", lost, is_needed=True
        )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"signals, unix sockets, loopback, {hard:,} descriptors ({soft:,} without asking)"
    advice = f"ulimit -n {DESCRIPTORS_MIN} (or more)"
    return Ability("live", hard >= DESCRIPTORS_MIN, found, advice, lost, is_needed=True)


def _fuzzing() -> Ability:
    missing, there = _distributions("hypothesis")
    return Ability("fuzzing", not missing, there, "pip install hypothesis", "H4 is not exercised")


def _pytest() -> Ability:
    missing, there = _distributions("pytest", "pytest-asyncio")
    return Ability("pytest", not missing, there, f"pip install {' '.join(missing)}", "no fixtures for your own tests")


def _syscalls() -> Ability:
    lost = "EIO, ENOSPC and kills at a system call, and crash states of a real process"
    if (program := shutil.which("strace")) is None:
        return Ability("syscalls", False, "strace not found", "apt install strace", lost)
    code, said = _tried([program, "-f", "-e", "trace=none", "-o", os.devnull, sys.executable, "-c", "pass"])
    if code != 0:
        return Ability("syscalls", False, said or "strace cannot trace here", "allow ptrace (CAP_SYS_PTRACE)", lost)
    version = _tried([program, "--version"])[1].rpartition("version ")[2]
    return Ability("syscalls", True, f"strace {version}")


def _power_cuts() -> Ability:
    lost = "power cuts under a real file system (the crash states of the model stay)"
    programs = [name for name in ("losetup", "dmsetup", "mkfs.ext4") if shutil.which(name) is None]
    if programs:
        advice = "apt install util-linux dmsetup e2fsprogs"
        return Ability("power cuts", False, f"{', '.join(programs)} not found", advice, lost)
    for device in ("/dev/loop-control", "/dev/mapper/control"):
        if not os.access(device, os.R_OK | os.W_OK):
            advice = "run as root on a machine with loop devices and device-mapper"
            return Ability("power cuts", False, f"{device} cannot be opened", advice, lost)
    return Ability("power cuts", True, "loop devices, device-mapper")


def _gui() -> Ability:
    lost = "H2.1, H2.2, H2.5, H3.2"
    missing, there = _distributions("PySide6-Essentials", "qasync")
    if missing:
        return Ability("gui", False, there, "pip install 'pywats-reliability[gui]'", lost)
    code, said = _tried([sys.executable, "-c", LOADS_QT], {"QT_QPA_PLATFORM": "offscreen"})
    if code != 0 or "loaded" not in said:
        advice = "apt install libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1"
        return Ability("gui", False, f"Qt cannot load: {said}", advice, lost)
    return Ability("gui", True, f"{there}, offscreen")


def _faketime() -> Ability:
    lost = "jumps of the wall clock in a real process (the simulated ones stay)"
    libraries = [path for folder in ("/usr/lib", "/usr/local/lib") for path in Path(folder).glob("**/libfaketime.so.1")]
    if not libraries:
        return Ability("faketime", False, "libfaketime.so.1 not found", "apt install faketime", lost)
    return Ability("faketime", True, str(libraries[0]))


def _cluster() -> Ability:
    missing, there = _distributions("distributed")
    return Ability(
        "cluster", not missing, there, "pip install 'pywats-reliability[cluster]'", "campaigns on many machines"
    )


def _distributions(*names: str) -> tuple[list[str], str]:
    """Return which are missing, and in words which are there with their versions."""
    missing, there = [], []
    for name in names:
        try:
            there.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
            there.append(f"{name} not installed")
    return missing, ", ".join(there)


def _tried(command: list[str], environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Return the exit code and the last line of what a command said."""
    try:
        done = subprocess.run(  # noqa: S603 - commands of our own
            command,
            capture_output=True,
            text=True,
            timeout=TRY_LIMIT_S,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return -1, str(error)
    lines = (done.stdout if done.returncode == 0 else done.stderr or done.stdout).strip().splitlines()
    return done.returncode, (lines[0] if done.returncode == 0 else lines[-1]) if lines else ""
