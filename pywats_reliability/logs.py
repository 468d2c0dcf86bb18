"""Log lines that a person and a program can read, with task and report id, and without a secret (H3.5, C2.1).

* A line is a line: what would break it (newlines, control characters, terminal escapes, lone surrogates) is escaped. A
  traceback follows its ``key=value`` line indented; in JSON it is one escaped field.
* Every text is masked last, so a secret is masked wherever it came from: message, arguments, traceback, ids. Also
  masked are its URL, JSON and ``repr`` forms, what a Basic token decodes to, and anything that looks like credentials.
* A message that cannot be made is said to be so, instead of being lost.
* ``configure_logging`` returns what undoes it: no handler, file or level of ours stays behind (H2.4).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO
from urllib.parse import quote, quote_plus

from pywats_reliability.errors import DiskError, described

MASK = "***"
SHORT_SECRET_LENGTH = 4  # Shorter ones are masked as whole words only: they occur within others by chance.
FILE_BYTES_MAX, FILES_KEPT = 10_000_000, 5
CREDENTIALS = re.compile(r"""(?ix) (authorization ['"]? \s* [:=,] \s* (?:b?['"])? (?:basic|bearer)? \s*) [^\s'"]+
    | (?<=://) [^/\s@]+ (?=@)""")
PLAIN = re.compile(r"[\w.:/+@%,;()*#<>-]+")  # A value of these needs no quotes.
_report_id: ContextVar[str | None] = ContextVar("report_id", default=None)


@contextmanager
def about_report(report_id: str) -> Iterator[None]:
    """Put ``report_id`` into every line that is logged within, also from threads started within."""
    token = _report_id.set(report_id)
    try:
        yield
    finally:
        _report_id.reset(token)


class Secrets:
    """The texts that must never be shown. Registering is for good: an old token may still be in an old message."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.register(secret)

    def register(self, secret: str) -> None:
        """Mask ``secret`` from now on, in every form in which it may turn up; an empty one is ignored."""
        for text in (secret, *_decoded_token(secret), *secret.splitlines()):  # A traceback may indent each line.
            self._forms |= {text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
            self._forms |= {quote(text, errors="replace"), quote(text, "", errors="replace")}
            self._forms.add(quote_plus(text, errors="replace"))
        self._forms -= {""}
        longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(_as_pattern, longest_first))) if longest_first else None

    def mask(self, text: str) -> str:
        """Return ``text`` with every secret replaced."""
        text = CREDENTIALS.sub(lambda found: (found[1] or "") + MASK, text)
        return self._pattern.sub(MASK, text) if self._pattern else text

    def __repr__(self) -> str:
        return f"Secrets({len(self._forms)} forms)"


class LineFormatter(logging.Formatter):
    """Formats records as ``key=value`` lines, or as JSON objects, one per line."""

    def __init__(self, secrets: Secrets, *, as_json: bool = False) -> None:
        super().__init__()
        self._secrets, self._as_json = secrets, as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line, masked; with a traceback as further, indented lines if not in JSON."""
        fields = {name: self._secrets.mask(text) for name, text in _fields(record).items()}
        trace = self._secrets.mask(_traceback(record))
        if self._as_json:
            line = json.dumps({**fields, "traceback": trace} if trace else fields)
        else:
            pairs = [f"{name}={_value(text)}" for name, text in fields.items()]
            line = "\n    ".join([" ".join(pairs), *map(_printable, trace.split("\n") if trace else [])])
        return self._secrets.mask(line)  # Once more: escaping, or a field's name, may have formed a secret's text.

    def __repr__(self) -> str:
        return f"LineFormatter({'JSON' if self._as_json else 'key=value'}, {self._secrets!r})"


def configure_logging(
    level: str, *, as_json: bool = False, file: Path | None = None, secrets: Secrets, logger: str = ""
) -> Callable[[], None]:
    """Log to standard error, and to ``file`` (rotated at 10 MB, five kept), from ``level`` on; return what undoes it.

    ``logger`` is the logger to configure, the root by default. Raises ``DiskError`` when the file cannot be opened;
    nothing is configured then.
    """
    formatter, target = LineFormatter(secrets, as_json=as_json), logging.getLogger(logger)
    handlers: list[logging.Handler] = [*([_file_handler(file)] if file else []), _StreamHandler()]
    level_before = target.level
    target.setLevel(level)
    for handler in handlers:
        handler.setFormatter(formatter)
        target.addHandler(handler)

    def undo() -> None:
        while handlers:
            handler = handlers.pop()
            target.removeHandler(handler)
            handler.close()
            target.setLevel(level_before)

    return undo


class _Discreet(logging.Handler):
    """A handler that says that a line could not be written, but not the line: that would show it unmasked."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Tell standard error why a line is missing, if there is one that takes it."""
        error = sys.exc_info()[1]
        if sys.stderr is not None and error is not None:
            with suppress(OSError, ValueError):  # A closed or full standard error leaves nobody to tell.
                sys.stderr.write(f"a log line of {record.name} could not be written: {described(error)}\n")


class _StreamHandler(_Discreet, logging.StreamHandler[TextIO]):
    pass


class _FileHandler(_Discreet, RotatingFileHandler):
    def close(self) -> None:
        """Close the file; that its last lines find no room must not change how a stop ends."""
        try:
            super().close()
        except OSError as error:
            with suppress(OSError, ValueError):
                sys.stderr.write(f"the log's last lines could not be written: {described(error)}\n")


def _file_handler(file: Path) -> logging.Handler:
    try:
        return _FileHandler(file, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8")
    except OSError as error:
        raise DiskError("open the log", file, error) from error


def _fields(record: logging.LogRecord) -> dict[str, str]:
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    fields = {"time": when, "level": record.levelname, "logger": record.name}
    if task := _task_name():
        fields["task"] = task
    if report_id := _report_id.get():
        fields["report"] = report_id
    return {**fields, "message": _message(record)}


def _task_name() -> str | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # No loop runs in this thread.
        return None
    return task.get_name() if task else None


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as flaw:  # noqa: BLE001 - an argument's own text may raise anything; the line must not be lost
        return f"{record.msg} (its arguments could not be shown: {type(flaw).__name__})"


def _traceback(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    trace = "".join(traceback.format_exception(error)) if error is not None else ""
    return "\n".join(part.rstrip("\n") for part in (trace, record.stack_info or "") if part)


def _value(text: str) -> str:
    return text if PLAIN.fullmatch(text) else _printable(json.dumps(text, ensure_ascii=False))


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _as_pattern(form: str) -> str:
    escaped = re.escape(form)
    return escaped if len(form) >= SHORT_SECRET_LENGTH else rf"(?<!\w){escaped}(?!\w)"


def _decoded_token(secret: str) -> tuple[str, ...]:
    """Return what a Basic token carries: the pair of user and password, and the password; nothing for other secrets."""
    try:
        pair = base64.b64decode(secret, validate=True).decode()
    except (binascii.Error, ValueError):
        return ()
    _, colon, password = pair.partition(":")
    return (pair, password) if colon else ()
