"""Signals of a simulated process: the table of ``signal.signal``, the loop's handlers, and the default effects."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chaos.sim.strands import Strand

if TYPE_CHECKING:
    from chaos.sim.process import SimProcess

IGNORED_BY_DEFAULT = (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT)


class ProcessSignals:
    """What a process does with its signals. A new one has the interpreter's: SIGINT raises, the others end it."""

    def __init__(self, process: SimProcess) -> None:
        self._process = process
        self._handlers: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGPIPE: signal.SIG_IGN}
        self._loop_handlers: dict[int, Callable[[], object]] = {}

    def handle(self, number: int, handler: Any) -> Any:
        """Do what ``signal.signal`` does and return the handler before."""
        if not callable(handler) and handler not in (signal.SIG_DFL, signal.SIG_IGN):
            raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object")
        if number in (signal.SIGKILL, signal.SIGSTOP):
            raise OSError(22, "Invalid argument")
        before = self.handler(number)
        self._handlers[number] = handler
        return before

    def handler(self, number: int) -> Any:
        """Return what ``signal.getsignal`` does."""
        return self._handlers.get(number, signal.SIG_DFL)

    def add_loop_handler(self, number: int, callback: Callable[[], object]) -> None:
        """Call ``callback`` for this signal, in place of any other handler."""
        self._loop_handlers[number] = callback

    def remove_loop_handler(self, number: int) -> bool:
        """Take the loop's handler away; the signal has its default effect again."""
        self._handlers.pop(number, None)
        if number == signal.SIGINT:
            self._handlers[number] = signal.default_int_handler
        return self._loop_handlers.pop(number, None) is not None

    def deliver(self, number: int) -> None:
        """Let the signal take effect."""
        process = self._process
        handler = self.handler(number)
        if not process.is_alive:
            return
        if number in self._loop_handlers:
            self._loop_handlers[number]()
        elif handler is signal.SIG_IGN or (handler is signal.SIG_DFL and number in IGNORED_BY_DEFAULT):
            return
        elif handler is signal.SIG_DFL or number == signal.SIGKILL:
            process.kill(exit_code=-number)
        else:
            self._interrupt(number, handler)

    def _interrupt(self, number: int, handler: Callable[[int, None], object]) -> None:
        """Run the handler on the main thread, between two of its instructions; what it raises is raised there."""
        process = self._process

        def run() -> None:
            try:
                handler(number, None)
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - raised again in the main thread
                process.kernel.raise_in_main(process, error)

        name = f"handler of {signal.Signals(number).name}"
        Strand(process, name, process.main_strand.ident, run, is_daemon=True, sees_loop=True).start()
