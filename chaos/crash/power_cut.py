"""Real power cuts: a program on a small real file system, which is cut off in the middle, and what is left of it.

The second opinion on the models: what a cut leaves must be among the crash states of what the program had done. It
needs Linux, root, loop devices and ``unshare``; elsewhere it is *not available here*.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from chaos.crash.log_file import Recording
from chaos.crash.power_cut_inside import unpacked
from chaos.crash.recorder.recording import translate_file
from chaos.crash.recorder.scribe import Start
from chaos.crash.state_check import states_of
from chaos.crash.state_folder import PREFIX, fastest_place
from chaos.errors import DeadlineError, NotAvailableError
from chaos.storage.crash_states import Limits
from chaos.storage.operations import Visible
from chaos.storage.persistence import Persistence
from chaos.storage.tree import Contents, Tree, contents_key

NEED = "a real power cut"
ANSWER_LIMIT_S = 90
END_LIMIT_S = 10
COMMANDS = {"ext4": ("unshare", "mount", "mkfs.ext4"), "xfs": ("unshare", "mount", "mkfs.xfs")}
PACKAGES = {"unshare": "util-linux", "mount": "mount", "mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs"}


@dataclass(frozen=True, slots=True)
class Moment:
    """When to cut: ``delay_s`` after the program has printed ``after_lines`` lines.

    ``flush``: what the kernel's own writeback has done just before: ``nothing``, ``data`` or ``all``.
    """

    after_lines: int = 0
    delay_s: float = 0.0
    flush: str = "nothing"


@dataclass(frozen=True, slots=True)
class Cut:
    """What a cut left: the folder after the recovery, and what the program had said and done before.

    ``recording`` is what it had done (None when it was not traced), ``ended`` whether it was through by itself.
    """

    moment: Moment
    contents: Contents
    printed: str
    ended: bool
    recording: Recording | None

    @property
    def seen(self) -> list[Visible]:
        """Return what was visible before the cut."""
        return [Visible("printed", {"stream": "stdout", "text": self.printed})]


class PowerCuts:
    """Cuts the power of one small disk, again and again. Use as a context manager; nothing of it outlives this process.

    Raises ``NotAvailableError`` on entering when this machine cannot do it.
    """

    def __init__(self, filesystem: str = "ext4", options: str = "") -> None:
        self._filesystem, self._options = filesystem, options
        self._process: subprocess.Popen[str] | None = None
        self._place: tempfile.TemporaryDirectory[str] | None = None
        self.count = 0

    def __repr__(self) -> str:
        return f"PowerCuts({self._filesystem}, {self.count} cuts)"

    def __enter__(self) -> Self:
        _require(self._filesystem)
        self._place = tempfile.TemporaryDirectory(prefix=PREFIX, dir=fastest_place())
        try:
            self._process = self._started(self._place.name)
            answer = self._answer()
        except BaseException:
            self.__exit__()
            raise
        if "ready" not in answer:
            self.__exit__()
            reason = str(answer.get("error", "no answer"))
            raise NotAvailableError(NEED, reason, "allow mounts and loop devices (a container needs --privileged)")
        return self

    def __exit__(self, *_: object) -> None:
        """End the namespace: with its first process every other one in it is killed, and the mount goes."""
        if self._process is not None:
            with self._process as process:
                assert process.stdin is not None, "it was started with a pipe"
                process.stdin.close()
                try:
                    process.wait(END_LIMIT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
            self._process = None
        if self._place is not None:
            self._place.cleanup()
            self._place = None

    def _started(self, place: str) -> subprocess.Popen[str]:
        inside = ("-m", "chaos.crash.power_cut_inside", self._filesystem, place, self._options)
        line = [
            *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *(sys.executable, *inside),
        ]
        return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603

    def cut(self, command: Sequence[str], moment: Moment, *, traced: bool = True) -> Cut:
        """Run a command (``{dir}`` is its folder) and cut the power at a moment. Raises ``DeadlineError``.

        Raises ``NotAvailableError`` when the disk failed, or strace is missing.
        """
        assert self._place is not None, "cut only inside the context"
        trace = Path(self._place.name, f"trace-{self.count}")
        self.count += 1
        request: dict[str, Any] = {
            "command": list(command),
            "after_lines": moment.after_lines,
            "delay_s": moment.delay_s,
            "flush": moment.flush,
            **({"trace": str(trace)} if traced else {}),
        }
        self._ask(request)
        answer = self._answer()
        if "error" in answer:
            raise NotAvailableError(NEED, str(answer["error"]), "see the kernel's messages")
        contents, printed = unpacked(answer["contents"]), str(answer["printed"])
        recording = None
        if traced:
            start = Start(str(answer["folder"]), streams={"stdout": str(answer["stdout"])})
            trace.touch()  # A cut may come before strace has begun.
            recording = Recording(Tree(), translate_file(trace, start, Tree()).entries, start.folder, tuple(command))
            trace.unlink()
        return Cut(moment, contents, printed, bool(answer["ended"]), recording)

    def _ask(self, request: dict[str, Any]) -> None:
        assert self._process is not None, "cut only inside the context"
        assert self._process.stdin is not None, "it was started with a pipe"
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None, "cut only inside the context"
        stdout = self._process.stdout
        assert stdout is not None, "it was started with a pipe"
        if not select.select([stdout], [], [], ANSWER_LIMIT_S)[0]:
            raise DeadlineError("an answer from the small disk", ANSWER_LIMIT_S, "none")
        line = stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "its process ended without an answer"}
        return answer


def is_among_states(cut: Cut, model: Persistence, limits: Limits | None = None) -> bool | None:
    """Return whether what a cut left is a crash state of what was done; None when too many states were left out."""
    assert cut.recording is not None, "only of a traced cut is it known what was done"
    wanted, states = contents_key(cut.contents), states_of(cut.recording, model, limits)
    if any(state.key == wanted for state in states):
        return True
    return None if states.bounds_hit else False


def _require(filesystem: str) -> None:
    if os.name != "posix" or not sys.platform.startswith("linux"):
        raise NotAvailableError(NEED, f"this is {sys.platform}", "run it on Linux, as root")
    if os.geteuid() != 0:
        raise NotAvailableError(NEED, "it needs root", "run it as root, or in a virtual machine")
    if not Path("/dev/loop-control").exists():
        raise NotAvailableError(NEED, "there are no loop devices", "modprobe loop (a container needs --privileged)")
    for name in COMMANDS[filesystem]:
        if shutil.which(name) is None:
            raise NotAvailableError(NEED, f"{name} was not found", f"install it: apt install {PACKAGES[name]}")
