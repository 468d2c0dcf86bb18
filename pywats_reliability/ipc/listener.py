"""The listening socket of a service: opened race-free, handed over connection by connection, removed with what is ours.

* A live server is never pushed aside (H6.9): whoever wants the address holds its lock file while it looks and binds,
  and asks by connecting. Somebody listens: ``IPCServerRunningError``. Nobody does, but the socket file is there: its
  server was killed, and the file is replaced. The lock is held for that moment only; that a server is alive is proven
  by its socket, so that servers which know no lock file are respected too. The empty lock file stays: removing it
  would let two processes lock two files of one name.
* The socket is made 0600 before it listens; a folder made for it is 0700; one of another user's is refused (H6.7).
* ``close`` removes the file only if it is the one made here (same device and inode: the number cannot be used again
  while the socket is open), and before it stops listening, so that nobody can have taken the place meanwhile.
* Accepting is done here rather than by ``asyncio.Server``, which calls the loop's exception handler a hundred times a
  second while the process is out of file descriptors (H6.10), and whose closing differs from version to version.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
from contextlib import AbstractContextManager
from pathlib import Path

import filelock

from pywats_reliability.errors import DiskError, IPCAddressError, IPCServerRunningError, ListenError
from pywats_reliability.ipc.address import Address, TcpAddress, UnixAddress

BACKLOG = 1024
LOCK_TIMEOUT_S = 5.0
LOCK_POLL_S = 0.05
PROBE_TIMEOUT_S = 1.0
log = logging.getLogger(__name__)


class _ListeningSocket(socket.socket):
    """Keeps what it accepted until that is claimed: a cancellation in that very moment must not lose a client."""

    unclaimed: socket.socket | None = None

    def accept(self) -> tuple[socket.socket, object]:
        self.unclaimed, peer = super().accept()
        return self.unclaimed, peer


class Listener:
    """An address that is listened on. ``address`` is the real one, also where the system chose the port."""

    def __init__(self, listening: _ListeningSocket, address: Address) -> None:
        self._socket, self.address = listening, address
        self._file = _identity(address.path) if isinstance(address, UnixAddress) else None

    async def accept(self) -> socket.socket:
        """Return the next connection. Cancelling it loses none. Raises ``OSError`` when the system gives none."""
        if self._socket.unclaimed is None:
            accepted, _ = await asyncio.get_running_loop().sock_accept(self._socket)
        else:
            accepted = self._socket.unclaimed
        self._socket.unclaimed = None
        accepted.setblocking(False)
        return accepted

    async def wait_for_somebody(self) -> None:
        """Return when somebody waits to be accepted. Needs no descriptor, unlike ``accept``."""
        loop, come = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._socket, come.set)
        try:
            await come.wait()
        finally:
            loop.remove_reader(self._socket)

    def close(self) -> None:
        """Remove the socket file, if it is still ours, and stop listening. Nobody may be waiting in ``accept``."""
        if self._socket.fileno() < 0:
            return
        if isinstance(self.address, UnixAddress) and self._file == _identity(self.address.path):
            _remove_own(self.address.path)
        if self._socket.unclaimed is not None:
            self._socket.unclaimed.close()
        self._socket.close()

    def __repr__(self) -> str:
        return f"Listener({self.address}, {'closed' if self._socket.fileno() < 0 else 'listening'})"


async def listen(address: Address) -> Listener:
    """Listen on ``address``.

    Raises ``IPCServerRunningError`` when a live server has it, ``IPCAddressError`` when something else is there,
    ``DiskError`` or ``ListenError`` when the system refuses. Cancelled, it leaves nothing open.
    """
    if isinstance(address, TcpAddress):
        return _listen_on_port(address)
    with _translated("prepare the folder of", address.path):
        _prepare_folder(address.path)
    with await _locked(address.path):
        if await _is_live(address.path):
            raise IPCServerRunningError(str(address))
        with _translated("listen on", address.path):
            address.path.unlink(missing_ok=True)
            return _listen_on_path(address)


def _listen_on_path(address: UnixAddress) -> Listener:
    listening, is_bound = _ListeningSocket(socket.AF_UNIX, socket.SOCK_STREAM), False
    try:
        listening.setblocking(False)
        listening.bind(os.fspath(address.path))
        is_bound = True
        address.path.chmod(0o600)
        listening.listen(BACKLOG)
        return Listener(listening, address)
    except BaseException:
        if is_bound:  # Made just now, and its lock is held: nobody else can have put a file there.
            _remove_own(address.path)
        listening.close()
        raise


def _listen_on_port(address: TcpAddress) -> Listener:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = _ListeningSocket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # Elsewhere the option would let two servers listen at once.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind((address.host, address.port))
        listening.listen(BACKLOG)
        return Listener(listening, TcpAddress(listening.getsockname()[1], address.host))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise IPCServerRunningError(str(address)) from error
        raise ListenError("ipc_server", address.host, address.port, error) from error


async def _locked(path: Path) -> AbstractContextManager[object]:
    """Return the lock of the address, held; leaving the context releases it."""
    lock = filelock.FileLock(path.with_name(path.name + ".lock"))
    try:
        async with asyncio.timeout(LOCK_TIMEOUT_S):
            while True:
                try:
                    return lock.acquire(blocking=False)
                except filelock.Timeout:
                    await asyncio.sleep(LOCK_POLL_S)
    except TimeoutError as error:
        raise IPCServerRunningError(f"{path} (being taken by another process)") from error
    except OSError as error:
        raise DiskError("lock the address of", path, error) from error


async def _is_live(path: Path) -> bool:
    """Tell whether a server listens on the socket file; raises ``IPCAddressError`` for a file that is none."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise IPCAddressError(str(path), "a socket file or nothing", "a file of another kind, which stays")
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            _, writer = await asyncio.open_unix_connection(path)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except TimeoutError:
        return True  # Too busy to accept in time, so it is there.
    except OSError as error:
        raise IPCAddressError(str(path), "a socket of this user's", error.strerror or type(error).__name__) from error
    writer.transport.abort()
    return True


def _prepare_folder(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = path.parent.stat().st_uid
    if owner not in (0, os.geteuid()):  # Its owner could put another socket there, and be told our clients' token.
        raise IPCAddressError(str(path), "a folder of this user's", f"one of user {owner}")


class _translated(AbstractContextManager[None]):  # noqa: N801 - reads as a word in `with`
    """Turns the system's refusal into a ``DiskError`` that says what was being done."""

    def __init__(self, action: str, path: Path) -> None:
        self._action, self._path = action, path

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            raise DiskError(self._action, self._path, error) from error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None  # Gone, or out of reach: in neither case ours to remove.
    return found.st_dev, found.st_ino


def _remove_own(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:  # The stop goes on; the next start replaces the file.
        log.warning("could not remove the socket %s: %s", path, error.strerror)
