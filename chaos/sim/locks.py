"""Locks and queues for threads of the simulation: whoever has to wait lets the world go on.

* Like real ones they are not fair: a lock that was released goes to whoever asks first.
* A thread may lose its turn just before it takes a lock, by the seed; a loop's own thread does not.
* A lock that outlives its world (of a log handler, say) can still be taken while nobody holds it; waiting for it fails.
"""

from __future__ import annotations

import queue
from collections import deque
from typing import TYPE_CHECKING, Any

from chaos.sim.strands import Wait
from chaos.sim.verdicts import EscapeError

if TYPE_CHECKING:
    from chaos.sim.kernel import SimKernel

PREEMPTED_ONE_IN = 8


class Waiters:
    """Who waits for one thing, the longest first."""

    __slots__ = ("_kernel", "_waits")

    def __init__(self, kernel: SimKernel) -> None:
        self._kernel = kernel
        self._waits: deque[Wait] = deque()

    def wait(self, what: str, until_ns: int | None) -> bool:
        """Wait to be woken; false when that time has come first."""
        kernel = self._kernel
        process = kernel.current
        if process is None:
            raise EscapeError(
                f"waiting for a {what} of a simulated process", "code outside of any", "end the world first"
            )
        if until_ns is not None and until_ns <= kernel.now_ns:
            return False
        wait = Wait(kernel, process, what)
        timer = kernel.at(until_ns, wait.end) if until_ns is not None else None
        self._waits.append(wait)
        try:
            wait.here()
        finally:
            if timer is not None:
                timer.cancel()
            was_woken = wait not in self._waits
            if not was_woken:
                self._waits.remove(wait)
        return was_woken

    def wake_one(self) -> None:
        """Let the one that has waited longest go on."""
        while self._waits:
            wait = self._waits.popleft()
            if not wait.is_over and wait.process.is_alive:
                wait.end()
                return

    def wake_all(self) -> None:
        """Let all that wait go on, in the order in which they came."""
        while self._waits:
            self.wake_one()

    def deadline(self, timeout: float | None) -> int | None:
        """Return the virtual time at which a timeout in seconds ends; None or a negative one never does."""
        if timeout is None or timeout < 0:
            return None
        return self._kernel.now_ns + round(timeout * 1e9)

    def preempt(self, what: str) -> None:
        """Let others run first, by the seed, if the caller is a thread of its own."""
        kernel = self._kernel
        process = kernel.current
        if kernel.strand is None or process is None or not kernel.is_driving:
            return
        if not process.is_alive or kernel.draw_preemption(PREEMPTED_ONE_IN) == PREEMPTED_ONE_IN - 1:
            wait = Wait(kernel, process, what)
            wait.end()
            wait.here()


class SimLock:
    """``threading.Lock`` inside the simulation."""

    __slots__ = ("__weakref__", "_is_locked", "_waiters")

    def __init__(self, kernel: SimKernel) -> None:
        self._waiters = Waiters(kernel)
        self._is_locked = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, waiting for it unless told otherwise; return whether it was taken."""
        _check_timeout(blocking=blocking, timeout=timeout)
        if blocking:
            self._waiters.preempt("lock")
        if not self._is_locked:
            self._is_locked = True
            return True
        if not blocking:
            return False
        until_ns = self._waiters.deadline(timeout)
        while self.locked():
            if not self._waiters.wait("lock", until_ns) and self.locked():
                return False
        self._is_locked = True
        return True

    def release(self) -> None:
        """Give the lock back. Raises ``RuntimeError`` when nobody holds it."""
        if not self._is_locked:
            raise RuntimeError("release unlocked lock")
        self._is_locked = False
        self._waiters.wake_one()

    def locked(self) -> bool:
        """Return whether somebody holds it."""
        return self._is_locked

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._is_locked = False

    def __repr__(self) -> str:
        return f"SimLock({'locked' if self._is_locked else 'unlocked'})"


class LockOfEach:
    """A lock that a module keeps for the whole interpreter: each process has its own, which dies with it."""

    def __init__(self, kernel: SimKernel) -> None:
        self._kernel = kernel
        self._locks: dict[int, SimLock] = {}
        kernel.on_process_ended.append(lambda process: self._locks.pop(process.number, None))

    def _mine(self) -> SimLock:
        process = self._kernel.current
        number = -1 if process is None else process.number
        if number not in self._locks:
            self._locks[number] = SimLock(self._kernel)
        return self._locks[number]

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock of this process; false when it is not free in time."""
        return self._mine().acquire(blocking, timeout)

    def release(self) -> None:
        """Release the lock of this process. Raises ``RuntimeError`` when it is free."""
        self._mine().release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"LockOfEach({len(self._locks)} processes)"


class SimRLock:
    """``threading.RLock`` inside the simulation; its owner is a thread of a process."""

    __slots__ = ("__weakref__", "_count", "_kernel", "_lock", "_owner")

    def __init__(self, kernel: SimKernel) -> None:
        self._kernel = kernel
        self._lock = SimLock(kernel)
        self._owner: Any = None
        self._count = 0

    def _me(self) -> Any:
        process = self._kernel.current
        strand = self._kernel.strand
        return (process.number if process else 0, strand.ident if strand is not None else self._kernel.real_ident)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock once more, waiting for another thread's release unless told otherwise."""
        me = self._me()
        if self._owner == me:
            self._count += 1
            return True
        if taken := self._lock.acquire(blocking, timeout):
            self._owner, self._count = me, 1
        return taken

    def release(self) -> None:
        """Undo one ``acquire``. Raises ``RuntimeError`` when the caller does not hold it."""
        if self._owner != self._me():
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if not self._count:
            self._owner = None
            self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    # What threading.Condition asks of its lock.

    def _is_owned(self) -> bool:
        return bool(self._owner == self._me())

    def _release_save(self) -> tuple[int, Any]:
        saved = (self._count, self._owner)
        self._count, self._owner = 0, None
        self._lock.release()
        return saved

    def _acquire_restore(self, saved: tuple[int, Any]) -> None:
        self._lock.acquire()
        self._count, self._owner = saved

    def _recursion_count(self) -> int:
        return self._count if self._is_owned() else 0

    def _at_fork_reinit(self) -> None:
        self._lock = SimLock(self._kernel)
        self._owner, self._count = None, 0

    def __repr__(self) -> str:
        return f"SimRLock({self._count} times by {self._owner})"


class SimSimpleQueue:
    """``queue.SimpleQueue`` inside the simulation."""

    __slots__ = ("__weakref__", "_items", "_waiters")

    def __init__(self, kernel: SimKernel) -> None:
        self._waiters = Waiters(kernel)
        self._items: deque[Any] = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002
        """Append an item; never waits."""
        self._items.append(item)
        self._waiters.wake_one()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the first item, waiting for one unless told otherwise. Raises ``queue.Empty``."""
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        until_ns = self._waiters.deadline(timeout)
        while not self._items:
            if not block or (not self._waiters.wait("item in a queue", until_ns) and not self._items):
                raise queue.Empty
        return self._items.popleft()

    def put_nowait(self, item: Any) -> None:
        """Append an item."""
        self.put(item)

    def get_nowait(self) -> Any:
        """Return the first item. Raises ``queue.Empty``."""
        return self.get(block=False)

    def empty(self) -> bool:
        """Return whether there is no item."""
        return not self._items

    def qsize(self) -> int:
        """Return how many items there are."""
        return len(self._items)

    def __repr__(self) -> str:
        return f"SimSimpleQueue({len(self._items)} items)"


def _check_timeout(*, blocking: bool, timeout: float) -> None:
    if not blocking and timeout != -1:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0 and timeout != -1:
        raise ValueError("timeout value must be a non-negative number")
