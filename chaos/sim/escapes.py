"""The guard against escapes: what code in the simulation asks of the real world is an error that names the place.

* It hears the interpreter's own audit events (files, sockets, subprocesses, threads, …), so that a call is caught even
  where no seam replaced it. Only code of a simulated process is guarded, not the world's own and not the tool's.
* Loading modules is allowed, and reading what belongs to the installation (sources for tracebacks, time zones, …).
* The error is raised at the place and kept in ``found`` as well: a program that swallows it is found out all the same.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from chaos.sim.verdicts import EscapeError

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel

FILE_EVENTS = {
    name: f"the real disk ({name})"
    for name in (
        *("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link"),
        *("os.symlink", "os.truncate", "os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr"),
        "sqlite3.connect",
    )
}
OTHER_EVENTS = {
    "socket.bind": "a real socket",
    "socket.connect": "a real socket",
    "socket.sendto": "a real socket",
    "socket.sendmsg": "a real socket",
    "socket.getaddrinfo": "the real name service",
    "socket.gethostbyname": "the real name service",
    "socket.gethostbyaddr": "the real name service",
    "socket.getnameinfo": "the real name service",
    "subprocess.Popen": "a real process",
    "os.system": "a real process",
    "os.exec": "a real process",
    "os.fork": "a real process",
    "os.forkpty": "a real process",
    "os.posix_spawn": "a real process",
    "os.startfile": "a real process",
    "os.kill": "a real process",
    "os.killpg": "a real process",
    "signal.pthread_kill": "a real thread",
    "_thread.start_new_thread": "a real thread",
    "_thread.start_joinable_thread": "a real thread",
    "mmap.__new__": "real memory mapped to a file",
}
ADVICE = {
    "the real disk": "use a folder that the world mounts",
    "a real socket": "open the world with a network",
    "the real name service": "open the world with a network",
    "a real process": "start it in the world instead",
    "a real thread": "make locks and threads inside the process",
    "real memory": "this cannot be simulated: test it with a real process",
}
PATHS = sysconfig.get_paths()
INSTALLATION = tuple({str(Path(PATHS[name]).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
READABLE = (*INSTALLATION, sys.prefix, sys.base_prefix, "/usr/share/zoneinfo", "/etc/localtime", os.devnull)
IMPORTING = ("<frozen importlib", f"{PATHS['stdlib']}/importlib/")  # Its metadata of what is installed, too.
NO_FILES = ("<unknown>", "<string>", "<stdin>")
"""Names of code without a file. To show the line of a syntax error, the interpreter tries to read them all the same."""
LIBRARY = (PATHS["stdlib"], PATHS["platstdlib"], str(Path(__file__).parent), "<frozen")


class Escapes:
    """A seam that guards while its world is entered; ``found`` keeps what was tried."""

    def __init__(self, *, allowed: tuple[str, ...] = ()) -> None:
        self.allowed = tuple(str(folder) for folder in allowed)
        self.found: list[EscapeError] = []
        self._kernel: SimKernel | None = None

    def enter(self, kernel: SimKernel) -> None:
        """Begin to guard."""
        self._kernel = kernel
        _listen()
        _guards.append(self)

    def leave(self) -> None:
        """Guard no longer."""
        _guards.remove(self)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Judge an audit event; raise ``EscapeError`` when it is an escape."""
        kernel = self._kernel
        if kernel is None or not kernel.is_inside():
            return
        what = OTHER_EVENTS.get(event)
        if what is None:
            if self._may_touch(arguments):
                return
            what = FILE_EVENTS[event]
            what = f"{what}: {arguments[0]!r}"
        place = _place(sys._getframe(2))  # noqa: SLF001 - documented, and the only way to name the place
        advice = next(text for start, text in ADVICE.items() if what.startswith(start))
        error = EscapeError(what, place, advice)
        if kernel.current is not None and kernel.current.is_alive:
            self.found.append(error)
        raise error

    def _may_touch(self, arguments: tuple[Any, ...]) -> bool:
        target = arguments[0] if arguments else None
        if target is None or isinstance(target, int):
            return isinstance(target, int)  # A descriptor was judged when it was opened.
        path = os.path.abspath(os.fsdecode(os.fspath(target)))
        if path.startswith(self.allowed) and self.allowed:
            return True
        flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else os.O_RDONLY
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and path != os.devnull:
            return False
        if target in NO_FILES:
            return True
        return path.startswith(READABLE) or path.endswith((".py", ".pyc")) or _is_importing()


_guards: list[Escapes] = []
_is_listening = False


def _listen() -> None:
    """Add the audit hook with the first guard; the interpreter has no way to take one away again."""
    global _is_listening  # noqa: PLW0603 - once for the interpreter, as the hook itself
    if not _is_listening:
        _is_listening = True
        sys.addaudithook(_heard)


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if _guards and (event in OTHER_EVENTS or event in FILE_EVENTS):
        _guards[-1].hear(event, arguments)


def _is_importing() -> bool:
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - documented
    while frame is not None:
        if frame.f_code.co_filename.startswith(IMPORTING):
            return True
        frame = frame.f_back
    return False


def _place(frame: FrameType | None) -> str:
    """Return the innermost place that is neither Python's library nor ours."""
    innermost = frame
    while frame is not None and frame.f_code.co_filename.startswith(LIBRARY):
        frame = frame.f_back
    frame = frame or innermost
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_qualname})" if frame else "an unknown place"
