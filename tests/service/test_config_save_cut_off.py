"""A save of the configuration, cut off at every storage call: the old file or the new one, whole (C1.10)."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pywats_reliability.config import ClientConfig
from pywats_reliability.config_file import backup_path, load_config, save_config
from pywats_reliability.disk import Disk
from pywats_reliability.errors import DiskError

pytestmark = pytest.mark.proves("C1.10")
CALLS = ("open", "write", "fsync", "close", "rename", "unlink")
OLDER, OLD, NEW = 1, 2, 3
KILLED = """
import json, os, signal, sys
from pathlib import Path
from pywats_reliability.config import ClientConfig
from pywats_reliability.config_file import save_config
from pywats_reliability.disk import Disk

CALLS, place, folder = json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3])

def save_and_die_at(path, at):
    made = 0
    def dying(name, real):
        def call(*args, **more):
            nonlocal made
            made += 1
            if made == at and place == "midst" and name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            result = real(*args, **more) if made == at and place == "after" else None
            if made == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **more)
        return call
    for name in CALLS:
        setattr(os, name, dying(name, getattr(os, name)))
    save_config(path, ClientConfig(sn_start=3), disk=Disk())

for at in range(1, 1000):
    path = folder / str(at) / "config.json"
    path.parent.mkdir()
    for start in (1, 2):
        save_config(path, ClientConfig(sn_start=start), disk=Disk())
    child = os.fork()
    if not child:
        save_and_die_at(path, at)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
    print(at)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("place", ["before", "midst", "after"])
def test_killed_at_every_call_it_leaves_the_old_file_or_the_new_one(tmp_path: Path, place: str) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), json.dumps(CALLS), place, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    killed_at = done.stdout.split()
    assert len(killed_at) > 10
    found = []
    for at in killed_at:
        path = tmp_path / at / "config.json"
        found.append(load_config(path).sn_start)
        assert load_config(backup_path(path)).sn_start in (OLDER, OLD)
        save_config(path, ClientConfig(sn_start=4), disk=Disk())
        assert sorted(each.name for each in path.parent.iterdir()) == ["config.json", "config.json.bak"]
    assert set(found) == {OLD, NEW}
    assert found == sorted(found), "once the new one is there, it stays"


@contextmanager
def failing_at(at: int, number: int, made: list[str]) -> Iterator[None]:
    """Let the call of that number fail; a write that fails writes half of its bytes before, as a full disk does."""

    def failing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            made.append(name)
            if len(made) == at:
                if name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                if name == "close":
                    real(*args)  # The descriptor is gone even when its close reports an error.
                raise OSError(number, os.strerror(number))
            return real(*args, **more)

        return call

    with ExitStack() as patches:
        for name in CALLS:
            patches.enter_context(mock.patch.object(os, name, failing(name, getattr(os, name))))
        yield


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_an_error_of_the_disk_at_every_call_is_told_and_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, number: int
) -> None:
    path = tmp_path / "config.json"
    outcomes = []
    for at in range(1, 1000):
        for start in (OLDER, OLD):
            save_config(path, ClientConfig(sn_start=start), disk=Disk())
        made: list[str] = []
        try:
            with failing_at(at, number, made):
                save_config(path, ClientConfig(sn_start=NEW), disk=Disk())
        except DiskError:
            outcomes.append(load_config(path).sn_start)
        if len(made) < at:
            break
        assert load_config(path).sn_start in (OLD, NEW)
        assert load_config(backup_path(path)).sn_start in (OLDER, OLD)
    assert len(outcomes) > 8
    assert sorted(each.name for each in tmp_path.iterdir()) == ["config.json", "config.json.bak"]


def test_the_kill_was_one(tmp_path: Path) -> None:
    """What is a kill in these tests ends a process without another line of Python."""
    code = "import os, signal\ntry: os.kill(os.getpid(), signal.SIGKILL)\nfinally: open('x', 'w')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False, timeout=20)
    assert (done.returncode, list(tmp_path.iterdir())) == (-signal.SIGKILL, [])
