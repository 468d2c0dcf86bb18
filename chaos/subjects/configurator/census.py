"""The census of a Qt process: every live thing a page could forget, its name and where it was made (H2.6).

* Kinds: object (a QObject, also one whose Python half alone is kept), timer (a QTimer that runs, or one of the loop),
  connection (of a signal that outlives pages), observer (of an event of the service), handler (of a logger), and what
  the ledger knows: task, thread, descriptor, socket.
* It does not ask the configurator what it holds: it looks at the interpreter, at Qt and at the system. Where a thing
  was made is told by ``tracemalloc``, which must be on before it is made.
* What is more than before is a leak; the garbage collector has run, so what only waits for it is none.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shiboken6
from PySide6.QtCore import SIGNAL, QMetaMethod, QObject, QTimer

from chaos.live.ledger import take
from pywats_reliability.events import Event
from pywats_reliability.gui.event_loop import JoinedLoop

FRAMES = 6
_OF_LEDGER = ("task", "thread", "descriptor", "socket")
_OWNERS = ("holdings.py", "scope.py")  # They make things for others: the place of interest is their caller's.
_LIBRARY = str(Path(logging.__file__).parent.parent)


@dataclass(frozen=True, slots=True)
class Thing:
    """One kind of thing made at one place; how many there are is the census's to count."""

    kind: str
    name: str
    made: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f", made at {self.made}" if self.made else "")


Census = Counter[Thing]


def take_census(loop: JoinedLoop, senders: Sequence[QObject] = ()) -> Census:
    """Return what there is now. ``senders`` are objects that outlive pages: their signals' receivers are counted."""
    gc.collect()
    known = _interesting(gc.get_objects())
    found: Census = Counter(_objects(known))
    found.update(_observers(known))
    found.update(_timers(known, loop))
    found.update(_handlers())
    for sender in senders:
        found.update(_connections(sender))
    for entry in take().entries:
        if entry.kind in _OF_LEDGER and not _is_own(entry.name):
            created = "" if entry.kind in ("socket", "descriptor") else entry.created
            found[Thing(str(entry.kind), _without_number(entry.kind, entry.name), created)] += 1
    return found


def more(before: Census, after: Census) -> list[str]:
    """Return in words what there is more of."""
    return [f"{thing}{f' ×{count}' if count > 1 else ''}" for thing, count in (after - before).items()]


class Connected:
    """Mixed into a sender: remembers where each of its signals was connected last."""

    places: dict[str, str]

    def connectNotify(self, signal: QMetaMethod) -> None:  # noqa: N802 - Qt's name
        """Hear of a connection."""
        stack = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_stack()[:-1]]
        if not hasattr(self, "places"):
            self.places = {}
        self.places[bytes(signal.name().data()).decode()] = _place(stack)


def _interesting(known: Sequence[Any]) -> list[Any]:
    """Return the QObjects and events among all objects; asked by class, as asking each one takes a second."""
    classes: dict[type, bool] = {}
    found = []
    for item in known:
        kind = type(item)
        if (is_ours := classes.get(kind)) is None:
            is_ours = classes[kind] = issubclass(kind, QObject | Event)
        if is_ours:
            found.append(item)
    return found


def _objects(known: Sequence[Any]) -> Iterator[Thing]:
    for item in known:
        if isinstance(item, QObject):
            is_alive = shiboken6.isValid(item)
            name = type(item).__name__ + (f" {item.objectName()!r}" if is_alive and item.objectName() else "")
            yield Thing("object", name if is_alive else f"{name} (its Qt half is gone)", _made(item))


def _timers(known: Sequence[Any], loop: JoinedLoop) -> Iterator[Thing]:
    for item in known:
        if isinstance(item, QTimer) and shiboken6.isValid(item) and item.isActive():
            yield Thing("timer", item.objectName() or "without a name", _made(item))
    for handle in loop.pending_timers:
        if isinstance(handle, asyncio.TimerHandle):
            yield Thing("timer", f"of the loop for {getattr(handle, '_callback', None)!r:.60}", "")


def _observers(known: Sequence[Any]) -> Iterator[Thing]:
    for item in known:
        if isinstance(item, Event):
            for observer in item._observers:  # noqa: SLF001 - the census looks inside on purpose
                yield Thing("observer", item.name, _code_place(observer))


def _handlers() -> Iterator[Thing]:
    loggers = [logging.getLogger(), *map(logging.getLogger, sorted(logging.root.manager.loggerDict))]
    for logger in loggers:
        for handler in logger.handlers:
            place = _made(handler) or _made(handler.lock)  # Of plain objects Python 3.11 does not tell the place.
            yield Thing("handler", f"{type(handler).__name__} on logger {logger.name}", place)


def _connections(sender: QObject) -> Iterator[Thing]:
    whole = sender.metaObject()
    for number in range(QObject().metaObject().methodCount(), whole.methodCount()):
        method = whole.method(number)
        if method.methodType() is QMetaMethod.MethodType.Signal:
            name = bytes(method.name().data()).decode()
            signature = bytes(method.methodSignature().data()).decode()
            place = getattr(sender, "places", {}).get(name, "")
            for _ in range(sender.receivers(SIGNAL(signature))):
                yield Thing("connection", f"{type(sender).__name__}.{name}", place)


def _made(item: object) -> str:
    trace = tracemalloc.get_object_traceback(item)
    return _place([(frame.filename, frame.lineno) for frame in trace]) if trace is not None else ""


def _place(stack: Sequence[tuple[str, int]]) -> str:
    """Return the innermost place that is nobody's helper; the stack's last frame is the innermost."""
    telling = [(file, line) for file, line in stack if Path(file).name not in _OWNERS and not _is_library(file)]
    file, line = (telling or list(stack))[-1]
    return f"{Path(file).name}:{line}"


def _is_library(file: str) -> bool:
    return file.startswith((_LIBRARY, "<")) or "site-packages" in file


def _code_place(function: object) -> str:
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}" if code is not None else repr(function)[:80]


def _is_own(name: str) -> bool:
    """Tell whether an entry is the census's own: the task that takes it."""
    return name.startswith("census")


def _without_number(kind: str, name: str) -> str:
    """Return the name without the number of its descriptor, which the next one gets."""
    return name.partition(" ")[2] if kind in ("descriptor", "socket") else name
