"""Events to observers: callbacks that hear of something; one that fails is logged and keeps nobody from hearing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, ParamSpec

P = ParamSpec("P")
log = logging.getLogger(__name__)


class Event(Generic[P]):
    """Something that observers may subscribe to, such as ``operation_sent(report_id)``.

    Observers are plain functions, called at once, in the order of their subscription, in the emitter's task: they must
    not block. The list is theirs to end: keep what ``subscribe`` returns and call it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._observers: list[Callable[P, object]] = []

    def subscribe(self, observer: Callable[P, object]) -> Callable[[], None]:
        """Add ``observer`` and return the function that removes it again (harmless to call twice)."""
        self._observers.append(observer)

        def unsubscribe() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return unsubscribe

    def emit(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call every observer; an exception of one is logged with its traceback, and the next is called."""
        for observer in tuple(self._observers):
            try:
                observer(*args, **kwargs)
            except Exception:  # The emitter's work (a report!) must not depend on who listens.
                log.exception("observer of %s failed: %r", self.name, observer)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return as soon as ``is_so``, which is asked now and at every emission; another may undo it meanwhile."""
        emitted = asyncio.Event()
        unsubscribe = self.subscribe(lambda *_, **__: emitted.set())
        try:
            while not is_so():
                emitted.clear()
                await emitted.wait()
        finally:
            unsubscribe()

    def __repr__(self) -> str:
        return f"Event({self.name}, {len(self._observers)} observers)"
