"""The parts of an HTTP/1.1 conversation, told apart without changing a byte of it: heads, bodies, ends.

* A head is given as a whole once its blank line has come; a body as it comes; an end when the message is complete.
* What makes no sense as HTTP (or has become another protocol) is given on as body without end: a proxy that breaks
  traffic on purpose must not break it by accident.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

HEAD_BYTES_MAX = 64 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)
_REQUEST = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r\n")
_ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
UNTIL_CLOSE = -1


class PartKind(Enum):
    """What a part is."""

    HEAD = "head"
    BODY = "body"
    END = "end"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message. ``length`` is the body's length where the head says it, else None."""

    kind: PartKind
    data: bytes = b""
    target: str = ""
    method: str = ""
    is_interim: bool = False
    length: int | None = None


class MessageReader:
    """Reads one direction of a connection. ``methods`` (of the requests) lets an answer to HEAD have no body."""

    def __init__(self, methods: list[str], *, is_answer: bool) -> None:
        self._methods, self._is_answer = methods, is_answer
        self._unread = b""
        self._body: _Sized | _Chunked | None = None
        self._is_raw = False

    def feed(self, data: bytes) -> Iterator[Part]:
        """Yield the parts that are complete with these bytes."""
        self._unread += data
        while self._unread:
            if self._is_raw:
                yield self._all_as_body()
                return
            if self._body is None:
                head = self._head()
                if head is None:
                    return
                yield head
            if self._body is None:
                continue
            try:
                taken = self._body.take(self._unread)
            except ValueError:  # A chunk without a size: whatever this is, it passes as it is.
                self._is_raw = True
                continue
            if taken:
                yield Part(PartKind.BODY, self._unread[:taken])
                self._unread = self._unread[taken:]
            if self._body.is_complete:
                self._body = None
                yield Part(PartKind.END)
            elif not taken:
                return

    def rest(self) -> bytes:
        """Return what has come of a head that will never be complete."""
        unread, self._unread = self._unread, b""
        return unread

    def _all_as_body(self) -> Part:
        return Part(PartKind.BODY, self.rest())

    def _head(self) -> Part | None:
        end = self._unread.find(b"\r\n\r\n")
        if end < 0:
            if len(self._unread) > HEAD_BYTES_MAX:
                self._is_raw = True
                return self._all_as_body()
            return None
        head = self._unread[: end + 4]
        part = self._answer_head(head) if self._is_answer else self._request_head(head)
        if part is None:
            self._is_raw = True
            return self._all_as_body()
        self._unread = self._unread[end + 4 :]
        return part

    def _request_head(self, head: bytes) -> Part | None:
        found = _REQUEST.match(head)
        if found is None:
            return None
        method, length = found[1].decode(), _length_in(head, otherwise=0)
        self._methods.append(method)
        self._body = _Chunked() if length is None else _Sized(length)
        return Part(PartKind.HEAD, head, found[2].decode(errors="replace"), method, length=length)

    def _answer_head(self, head: bytes) -> Part | None:
        found = _ANSWER.match(head)
        if found is None:
            return None
        status = int(found[1])
        if status == 101:
            self._is_raw = True
            return Part(PartKind.HEAD, head)
        if status < 200:
            return Part(PartKind.HEAD, head, is_interim=True)
        method = self._methods.pop(0) if self._methods else ""
        length = 0 if method == "HEAD" or status in (204, 304) else _length_in(head, otherwise=UNTIL_CLOSE)
        self._body = _Chunked() if length is None else _Sized(length)
        return Part(PartKind.HEAD, head, length=None if length == UNTIL_CLOSE else length)


class _Sized:
    """A body of a known length, or one that ends with the connection."""

    def __init__(self, length: int) -> None:
        self._left, self._has_no_end = length, length == UNTIL_CLOSE

    @property
    def is_complete(self) -> bool:
        return not self._has_no_end and self._left == 0

    def take(self, data: bytes) -> int:
        if self._has_no_end:
            return len(data)
        taken = min(len(data), self._left)
        self._left -= taken
        return taken


class _Chunked:
    """A body in chunks; it takes whole lines and as much of a chunk as there is."""

    def __init__(self) -> None:
        self._left, self._is_last, self.is_complete = 0, False, False

    def take(self, data: bytes) -> int:
        place = 0
        while place < len(data) and not self.is_complete:
            if self._left:
                taken = min(self._left, len(data) - place)
                self._left -= taken
                place += taken
                continue
            end = data.find(b"\r\n", place)
            if end < 0:
                break
            self._line(data[place:end])
            place = end + 2
        return place

    def _line(self, line: bytes) -> None:
        if self._is_last:  # A trailer, or the blank line behind the last of them.
            self.is_complete = not line
            return
        size = int(line.partition(b";")[0].strip() or b"0", 16)
        self._is_last = size == 0
        self._left = size + 2 if size else 0


def _length_in(head: bytes, *, otherwise: int) -> int | None:
    """Return the length of the body behind a head; None when it comes in chunks."""
    if _CHUNKED.search(head):
        return None
    found = _LENGTH.search(head)
    return int(found[1]) if found else otherwise
