"""The worker process of an isolated converter: loads it once, converts what it is asked to, ends when it should.

* It leads a session of its own, so that it can be killed together with what it started.
* What the converter prints goes to standard error; the pipe for answers is kept out of its way.
* It ends when its standard input does, whatever the converter is doing: a thread watches for that, and kills the whole
  session. Code that never lets a thread run ends at its limit all the same: a timer of the interpreter's, which needs
  no turn, ends the process a little after the service should have.
* Whatever a converter raises is an answer. Words of foreign exceptions may show contents, so they go into ``details``.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import sys
import threading
import traceback
from typing import IO, Any

from pywats_reliability.converters import messages
from pywats_reliability.converters.interface import Converter
from pywats_reliability.converters.loader import Reference, load
from pywats_reliability.errors import ConversionError, ConverterLoadError

GRACE_S = 5.0


def main() -> int:
    """Serve until standard input ends; return 1 when the converter could not be loaded."""
    answers = _take_standard_output()
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True, name="requests").start()
    try:
        request = messages.decode(requests.get())
        _end_after(request["limit_s"])
        converter = load(Reference(**request["load"]))
    except ConverterLoadError as error:
        _answer(answers, messages.encode(messages.failure(error.expected, error.found, traceback.format_exc())))
        return 1
    _answer(answers, messages.encode({"loaded": True}))
    while True:
        faulthandler.cancel_dump_traceback_later()
        request = messages.decode(requests.get())
        _end_after(request["limit_s"])
        _answer(answers, _converted(converter, request))


def _converted(converter: Converter, request: dict[str, Any]) -> bytes:
    number = request["id"]
    try:
        source, context = messages.requested(request)
        result = messages.result_message(converter.convert(source, context))
        return messages.encode({"id": number, "result": result})
    except ConversionError as error:
        failure = messages.failure(error.expected, error.found, traceback.format_exc())
    except BaseException as error:  # noqa: BLE001 - also an attempt to exit is an answer; here the foreign code ends
        found = f"{type(error).__name__} at {_place(error)}"
        failure = messages.failure("the converter to return a result", found, traceback.format_exc())
    return messages.encode({"id": number, **failure})


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "an unknown place"


def _answer(answers: IO[bytes], line: bytes) -> None:
    answers.write(line)
    answers.flush()


def _take_standard_output() -> IO[bytes]:
    """Return the pipe for answers, and let everything that is printed go to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _read(requests: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(0)


def _end_after(limit_s: float) -> None:
    faulthandler.dump_traceback_later(limit_s + GRACE_S, exit=True, file=2)


if __name__ == "__main__":
    os._exit(main())  # The usual way out would wait for threads, of the converter's or reading.
