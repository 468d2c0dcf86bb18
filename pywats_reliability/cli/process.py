"""The service as a process: signals, exit codes, and an exit that nothing can hold up (C1.4, C1.7).

* SIGTERM and SIGINT ask for the graceful stop; a second one cancels what is in flight. They are taken by handlers of
  the interpreter, not of the event loop: these run even while the loop is blocked by somebody's code.
* From the first signal, or the begin of a stop that was asked for otherwise, a guard thread counts: a process that is
  still there some seconds after the limit of its stop is ended from outside the event loop. What is pending is on the
  disk; nothing is lost by that.
* Tasks and threads that do not end cannot hold up the exit either: when work was left behind the process leaves without
  waiting for it, and the guard counts on until the event loop has closed, which waits for blocked threads.
* Every client costs a file descriptor: the soft limit is raised, as far as the hard one allows, to what the
  configuration may need; where that is not enough the log says so (H6.10).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, TypeAlias

from pywats_reliability.client_service import AsyncClientService, Surroundings
from pywats_reliability.client_service.settings import secrets_of
from pywats_reliability.config import ClientConfig
from pywats_reliability.config_file import load_or_create
from pywats_reliability.disk import Disk
from pywats_reliability.logs import Secrets, configure_logging
from pywats_reliability.shutdown import EXIT_FORCED, ShutdownReport

GUARD_MARGIN_S = 2.0
DESCRIPTORS_OF_OUR_OWN = 200
try:
    import resource as _resource
except ImportError:  # Windows has no such module, and no such limit.
    _resource = None  # type: ignore[assignment]
resource: ModuleType | None = _resource

Usual: TypeAlias = Callable[[int, FrameType | None], Any] | signal.Handlers
SIGNALS: dict[signal.Signals, Usual] = {
    signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler,
}  # fmt: skip
"""What asks for the stop, and what the interpreter does of itself when it comes."""
log = logging.getLogger(__name__)


def raise_descriptor_limit(config: ClientConfig) -> None:
    """Raise the soft limit of descriptors to what ``config`` may need, within the hard limit; log what is missing."""
    if resource is None:  # Not every system has such limits.
        return
    needed = config.ipc_max_connections + config.max_concurrent_uploads + DESCRIPTORS_OF_OUR_OWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = (resource.RLIM_INFINITY, -1)
    if soft in unlimited or soft >= needed:
        return
    possible = needed if hard in unlimited else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    if possible < needed:
        log.warning("expected %d file descriptors, found a hard limit of %d; raise it with ulimit -n", needed, hard)


class ExitGuard:
    """Ends the process when a stop that was asked for has not ended it by ``limit_s`` and a margin.

    ``limit_s`` is asked for when the stop is: the configuration may have changed by then.
    """

    def __init__(self, limit_s: Callable[[], float], leave: Callable[[int], object] = os._exit) -> None:
        self._limit_of, self._limit_s, self._leave = limit_s, 0.0, leave
        self._timer: threading.Timer | None = None

    def arm(self) -> None:
        """Begin to count; harmless to repeat."""
        if self._timer is None:
            self._limit_s = self._limit_of()
            self._timer = threading.Timer(self._limit_s + GUARD_MARGIN_S, self._end)
            self._timer.name, self._timer.daemon = "exit-guard", True
            self._timer.start()

    def disarm(self) -> None:
        """Stop counting: the process ends by itself, or goes on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hurry(self) -> None:
        """Count anew, and the margin only: the stop is over, and all that is left to do is to leave."""
        self.disarm()
        self._limit_of = lambda: 0.0
        self.arm()

    def _end(self) -> None:
        threads = ", ".join(thread.name for thread in threading.enumerate() if not thread.daemon)
        after = f"{self._limit_s:g} s after the stop was asked for" if self._limit_s else "though the stop is over"
        sys.stderr.write(f"pywats-service: still there {after}: ended; its threads: {threads}\n")
        sys.stderr.flush()
        self._leave(EXIT_FORCED)

    def __repr__(self) -> str:
        return f"ExitGuard({self._limit_s:g} s, {'armed' if self._timer else 'not armed'})"


def run_service(
    data: Path, config_path: Path, announce: Callable[[AsyncClientService], None], *, json_log: bool = False
) -> int:
    """Run the service until it is stopped, anew after every ``restart``, and return the exit code.

    ``announce`` is called when a start is through. Raises ``ConfigError``, ``DiskError`` and ``StartError``.
    """
    while True:
        service, report = _run_once(data, config_path, announce, json_log=json_log)
        if not service.restart_requested:
            return report.exit_code


def _run_once(
    data: Path, config_path: Path, announce: Callable[[AsyncClientService], None], *, json_log: bool
) -> tuple[AsyncClientService, ShutdownReport]:
    config = load_or_create(config_path, disk=Disk(), environment=os.environ)
    secrets = Secrets(secrets_of(config))
    file = _log_file(data, config)
    undo_logging = configure_logging(config.log_level, as_json=json_log, file=file, secrets=secrets)
    raise_descriptor_limit(config)
    around = Surroundings(
        config_path=config_path, environment=dict(os.environ), secrets=secrets, blocked_loop_thread=True
    )
    guard = ExitGuard(lambda: float(config.force_shutdown_seconds))
    try:
        service, report = asyncio.run(serve(data, config, around, announce, guard))
        if service.restart_requested:
            guard.disarm()  # Otherwise it stays armed: a thread that blocks would hold the interpreter's exit (C1.4).
        return service, report
    finally:
        undo_logging()


def _log_file(data: Path, config: ClientConfig) -> Path | None:
    """Return the log's file; a relative one is beside the reports, and an empty setting means none."""
    if not config.log_file:
        return None
    Disk().make_folder(data)
    return data / str(config.log_file)


async def serve(
    data: Path,
    config: ClientConfig,
    around: Surroundings,
    announce: Callable[[AsyncClientService], None],
    guard: ExitGuard,
) -> tuple[AsyncClientService, ShutdownReport]:
    """Run the service as the process's own task until it is stopped, with its signals taken and its exit guarded.

    Returns the service and what came of its stop; leaves the process at once when work was left behind. Raises
    ``StartError``.
    """
    service = AsyncClientService(data, config, around)
    loop = asyncio.get_running_loop()

    def asked(_: int, __: FrameType | None) -> None:
        guard.arm()
        service.restart_requested = False  # At once: the loop may have no turn left before somebody looks at it.
        loop.call_soon_threadsafe(service.request_shutdown)

    for number in SIGNALS:
        signal.signal(number, asked)
    service.on_started.subscribe(lambda: announce(service))
    service.shutdown.on_progress.subscribe(lambda _: guard.arm())
    try:
        report = await service.run()
        if report.left_behind:
            _leave_at_once(report)
        return service, report
    finally:
        guard.hurry()
        for number, usual in SIGNALS.items():
            # On its way out, another one must not change the exit code; between two starts, one must end the process.
            signal.signal(number, usual if service.restart_requested else signal.SIG_IGN)


def _leave_at_once(report: ShutdownReport) -> None:
    """Exit from within the event loop: closing it would wait for the very work that ignored its cancellation."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # A full or closed one must not change the exit code.
            stream.flush()
    os._exit(report.exit_code)
