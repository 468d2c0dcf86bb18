"""The seam to threads: ``threading``, ``queue`` and ``concurrent.futures`` of a process run on its simulated threads.

* The standard library's own classes run unmodified (``Thread``, ``Timer``, ``Event``, ``Condition``, ``Queue``,
  ``ThreadPoolExecutor``, …); what is replaced is what they are made of: locks, the start of a thread, its identity.
* Names that count (``Thread-1``) count from the beginning in every world.
* A lock that was made before the world was entered is a real one. Held by one simulated thread while another asks for
  it, it would stop everything: those that are globals of the program's modules are replaced meanwhile, and so are names
  bound by ``from threading import Lock``. One kept elsewhere (in a class, a default argument) is not found.
"""

from __future__ import annotations

import _thread
import _threading_local
import os
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as pool_module
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from chaos.sim.bound_names import BoundNames
from chaos.sim.locks import LockOfEach, SimLock, SimRLock, SimSimpleQueue
from chaos.sim.seams import PatchingSeam
from chaos.sim.strands import Strand
from chaos.sim.verdicts import NotSimulatedError

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel

LOCKS: dict[str, Callable[[Any], Any]] = {"a lock": SimLock, "a reentrant lock": SimRLock}
CPU_COUNT = 4  # Pools size themselves by it: it must not depend on the machine.


def _kind_of(value: Any) -> str | None:
    if value.__class__ in _REAL_LOCKS:
        return _REAL_LOCKS[value.__class__]
    return _REAL_MAKERS.get(id(value))


_REAL_LOCKS = {type(threading.Lock()): "a lock", type(threading.RLock()): "a reentrant lock"}
_REAL_MAKERS = {id(threading.Lock): "Lock", id(threading.RLock): "RLock", id(queue.SimpleQueue): "SimpleQueue"}
_bound = BoundNames(_kind_of, with_library=False)


class Threads(PatchingSeam):
    """Gives each process threads of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._strands: dict[int, Strand] = {}
        self._next_ident = count(1)

    def enter(self, kernel: SimKernel) -> None:
        """Come into force."""
        self._kernel = kernel
        super().enter(kernel)

    def patch(self, kernel: SimKernel) -> None:
        """Replace what the standard library's threads are made of."""
        self._patch_locks(kernel)
        self._patch_identity(kernel)
        self._patch_start(kernel)
        self.patches.set(pool_module, "_global_shutdown_lock", LockOfEach(kernel))
        self.patches.set(pool_module, "_threads_queues", WeakKeyDictionary())
        self.patches.set(ThreadPoolExecutor, "_counter", count().__next__)
        self.patches.set(threading, "_counter", count(1).__next__)
        self.patches.set(threading, "local", _threading_local.local)
        self.patches.wrap(threading, "excepthook", self._excepthook)
        for name in ("cpu_count", "process_cpu_count"):
            if hasattr(os, name):
                self.patches.wrap(os, name, lambda real: lambda: CPU_COUNT if kernel.is_inside() else real())

    def leave(self) -> None:
        """Put everything back, and forget the threads that never ended."""
        super().leave()
        known: Any = threading
        for ident in [ident for ident, strand in self._strands.items() if not strand.process.is_alive]:
            known._active.pop(ident, None)  # noqa: SLF001 - the only register of threads
            del self._strands[ident]
        _forget_unborn(known._limbo)  # noqa: SLF001 - as above
        locks: set[Any] = getattr(known, "_shutdown_locks", set())
        locks.difference_update([lock for lock in locks if isinstance(lock, SimLock)])

    def _patch_locks(self, kernel: SimKernel) -> None:
        def made_inside(simulated: Callable[[SimKernel], Any]) -> Callable[[Any], Any]:
            return lambda real: lambda *args: simulated(kernel) if kernel.is_inside() else real(*args)

        for owner, name in ((threading, "Lock"), (threading, "_allocate_lock"), (_thread, "allocate_lock")):
            self.patches.wrap(owner, name, made_inside(SimLock))
        for owner, name in ((threading, "_CRLock"), (threading, "RLock"), (_thread, "RLock")):
            self.patches.wrap(owner, name, made_inside(SimRLock))
        self.patches.wrap(queue, "SimpleQueue", made_inside(SimSimpleQueue))
        self._bound_before = 0
        self.bind()

    def bind(self) -> None:
        """Replace the locks that modules have made at their import, and what they make locks with."""
        serve = {"Lock": threading.Lock, "RLock": threading.RLock, "SimpleQueue": queue.SimpleQueue}
        found = _bound.found()
        for module, name, kind in found[self._bound_before :]:
            self.patches.set(module, name, serve[kind] if kind in serve else LOCKS[kind](self._kernel))
        self._bound_before = len(found)

    def _patch_identity(self, kernel: SimKernel) -> None:
        def identity(real: Callable[[], int]) -> Callable[[], int]:
            return lambda: kernel.strand.ident if kernel.strand is not None and kernel.is_inside() else real()

        for owner in (threading, _thread):
            self.patches.wrap(owner, "get_ident", identity)
        self.patches.wrap(threading, "get_native_id", identity)
        self.patches.wrap(threading, "main_thread", self._main_thread)
        self.patches.wrap(threading, "enumerate", self._enumerate)
        self.patches.wrap(threading, "active_count", lambda real: lambda: self._count(real))

    def _main_thread(self, real: Callable[[], threading.Thread]) -> Callable[[], threading.Thread]:
        known: Any = threading
        kernel = self._kernel
        return lambda: known._active[kernel.real_ident] if kernel.is_inside() else real()  # noqa: SLF001 - as above

    def _enumerate(self, real: Callable[[], list[threading.Thread]]) -> Callable[[], list[threading.Thread]]:
        def of_process() -> list[threading.Thread]:
            if not self._kernel.is_inside() or (process := self._kernel.current) is None:
                return real()
            idents = {strand.ident for strand in process.strands} | {self._kernel.real_ident}
            return [thread for thread in real() if thread.ident in idents]

        return of_process

    def _excepthook(self, real: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def report(args: Any) -> None:
            process = self._kernel.current if self._kernel.is_inside() else None
            if process is None:
                real(args)
            elif process.is_alive:  # One that is being cleared away has nothing to say.
                process.note_unhandled({"message": "Exception in thread", "exception": args.exc_value})

        return report

    def _count(self, real: Callable[[], int]) -> int:
        return len(threading.enumerate()) if self._kernel.is_inside() else real()

    def _patch_start(self, kernel: SimKernel) -> None:
        def started(real: Callable[..., Any]) -> Callable[..., Any]:
            def start_new_thread(function: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
                if not kernel.is_inside():
                    return real(function, args, kwargs or {})
                return self._start(lambda: function(*args, **(kwargs or {})), function).ident

            return start_new_thread

        self.patches.wrap(_thread, "start_new_thread", started)
        if hasattr(threading, "_start_new_thread"):  # Until 3.12.
            self.patches.wrap(threading, "_start_new_thread", started)
            self.patches.wrap(threading, "_set_sentinel", lambda real: lambda: self._sentinel(real))
            return
        self.patches.wrap(threading, "_ThreadHandle", lambda real: lambda: self._handle(real))
        self.patches.wrap(threading, "_start_joinable_thread", self._started_with_handle)

    def _start(self, run: Callable[[], Any], function: Any) -> Strand:
        process = self._kernel.current
        assert process is not None, "only code of a process starts threads here"
        thread = getattr(function, "__self__", None)
        name, is_daemon = getattr(thread, "name", "thread"), getattr(thread, "daemon", True)
        ident = (process.number << 20) + next(self._next_ident)
        strand = self._strands[ident] = Strand(process, str(name), ident, run, is_daemon=bool(is_daemon))
        strand.start()
        return strand

    # Until 3.12, a thread that ends releases its sentinel.

    def _sentinel(self, real: Callable[[], Any]) -> Any:
        strand = self._kernel.strand
        if strand is None or not self._kernel.is_inside():
            return real()
        lock = SimLock(self._kernel)
        strand.on_end.append(lambda: lock.release() if lock.locked() else None)
        return lock

    # Since 3.13, a thread has a handle.

    def _handle(self, real: Callable[[], Any]) -> Any:
        return SimThreadHandle(self._kernel) if self._kernel.is_inside() else real()

    def _started_with_handle(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def start_joinable_thread(function: Any, *, handle: Any = None, daemon: bool = True) -> Any:
            if not self._kernel.is_inside():
                return real(function, handle=handle, daemon=daemon)
            if handle is None:
                handle = SimThreadHandle(self._kernel)
            if not isinstance(handle, SimThreadHandle):
                raise NotSimulatedError("starting a Thread object from outside", "make it inside the process")
            strand = self._start(function, function)
            handle.started(strand)
            return handle

        return start_joinable_thread


def _forget_unborn(limbo: dict[Any, Any]) -> None:
    """Forget threads that were started, but never had a turn; their hashes were those of the world."""
    others = [thread for thread in limbo.values() if not isinstance(thread._started._cond._lock, SimLock)]  # noqa: SLF001
    limbo.clear()
    limbo.update((thread, thread) for thread in others)


class SimThreadHandle:
    """``_thread._ThreadHandle`` inside the simulation."""

    def __init__(self, kernel: SimKernel) -> None:
        self._ended = SimLock(kernel)
        self._ended.acquire(blocking=False)
        self._strand: Strand | None = None

    def started(self, strand: Strand) -> None:
        """Belong to this thread."""
        self._strand = strand
        strand.on_end.append(self._set_done)

    @property
    def ident(self) -> int:
        """Return the thread's identity."""
        return self._strand.ident if self._strand is not None else 0

    def is_done(self) -> bool:
        """Return whether the thread has ended."""
        return not self._ended.locked()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        if self._ended.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
            self._ended.release()

    def _set_done(self) -> None:
        if self._ended.locked():
            self._ended.release()
