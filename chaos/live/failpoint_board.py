"""The board: a file in the run's folder, mapped by runner and child, on which failpoints are armed and counted.

* The child counts a passing, and that it will act, *before* it acts; the words are in shared memory, so they survive
  the child's SIGKILL at that very point, and they are exact.
* Whatever the runner writes (terms, a release) holds from the next passing on: there is no message that could be late.
  Terms are written between two steps of ``generation``; a reader that sees an odd one reads again.
* Waiting is by events, both ways through FIFOs beside the board: the child rings ``.bell`` after each count; the runner
  opens and closes ``.release``, which wakes every paused reader with a hang-up. Bells may be lost, counts never are.
* Everything is found by path: the child needs no inherited descriptor and may be started through other programs.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress

from chaos.errors import UsageError

MAGIC = b"chaosfp1"
HEADER_BYTES = 64
SLOT_BYTES = 2048
TARGET_AT, TERMS_AT = 64, 512
REACHED, FIRED, RELEASED, GENERATION, SEED, TARGET_LENGTH, TERMS_LENGTH = range(7)
READ_TRIES_MAX = 1000
_ADVICE = "start the child through Failpoints"
_os_write = os.write  # A failpoint may sit on ``os.write`` itself.


class Board:
    """The shared words and texts of a few failpoints, by their index. ``close()`` unmaps them."""

    def __init__(self, memory: mmap.mmap, path: str) -> None:
        self.path = path
        self._memory = memory
        self._words = memoryview(memory).cast("Q")

    def __repr__(self) -> str:
        return f"Board({self.path or 'in memory'}, {len(self)} failpoints)"

    def __len__(self) -> int:
        return self._words[1]

    @classmethod
    def create(cls, path: str, entries: Sequence[tuple[str, str, int]]) -> Board:
        """Make the file and its two FIFOs for failpoints given as target, terms and seed. Raises ``UsageError``."""
        with open(path, "xb") as file:
            file.truncate(HEADER_BYTES + SLOT_BYTES * len(entries))
        os.mkfifo(f"{path}.bell", 0o600)
        os.mkfifo(f"{path}.release", 0o600)
        board = cls(_map(path), path)
        board._fill(entries)
        return board

    @classmethod
    def open(cls, path: str) -> Board:
        """Map the board that a runner has made. Raises ``UsageError`` when there is none."""
        try:
            memory = _map(path)
        except (OSError, ValueError) as error:
            raise UsageError("a board of failpoints", f"{path}: {error}", _ADVICE) from error
        if memory[: len(MAGIC)] != MAGIC:
            raise UsageError("a board of failpoints", f"another file: {path}", _ADVICE)
        return cls(memory, path)

    @classmethod
    def in_memory(cls, entries: Sequence[tuple[str, str, int]]) -> Board:
        """Make a board that nobody else sees."""
        board = cls(mmap.mmap(-1, HEADER_BYTES + SLOT_BYTES * len(entries)), "")
        board._fill(entries)
        return board

    def close(self) -> None:
        """Unmap the board. Idempotent."""
        self._words.release()
        self._memory.close()

    def word(self, index: int, word: int) -> int:
        """Return one of the words of a failpoint, such as ``REACHED``."""
        return self._words[self._at(index) + word]

    def add(self, index: int, word: int) -> int:
        """Add one to a word and return it. Each word has one writing side, which must not be interrupted in this."""
        place = self._at(index) + word
        self._words[place] += 1
        return self._words[place]

    def target(self, index: int) -> str:
        """Return the target of a failpoint, which never changes."""
        return self._text(index, TARGET_AT, TARGET_LENGTH)

    def terms(self, index: int) -> tuple[int, str]:
        """Return the generation and the text of the terms that hold now."""
        for _ in range(READ_TRIES_MAX):
            before = self.word(index, GENERATION)
            text = self._text(index, TERMS_AT, TERMS_LENGTH)
            if before % 2 == 0 and before == self.word(index, GENERATION):
                return before, text
        # The runner died in the middle of writing: the watchdog is about to end this process.
        return before, "off"

    def write_terms(self, index: int, text: str) -> None:
        """Replace the terms of a failpoint. Raises ``UsageError`` when they are too long."""
        self._write(index, (TERMS_AT, SLOT_BYTES, TERMS_LENGTH), text, generation=True)

    def _fill(self, entries: Sequence[tuple[str, str, int]]) -> None:
        self._memory[: len(MAGIC)] = MAGIC
        self._words[1] = len(entries)
        for index, (target, terms, seed) in enumerate(entries):
            self._words[self._at(index) + SEED] = seed
            self._write(index, (TARGET_AT, TERMS_AT, TARGET_LENGTH), target, generation=False)
            self.write_terms(index, terms)

    def _at(self, index: int) -> int:
        return (HEADER_BYTES + SLOT_BYTES * index) // 8

    def _text(self, index: int, start: int, length: int) -> str:
        begin = self._at(index) * 8 + start
        return self._memory[begin : begin + self.word(index, length)].decode(errors="replace")

    def _write(self, index: int, field: tuple[int, int, int], text: str, *, generation: bool) -> None:
        start, end, length = field
        encoded = text.encode()
        if len(encoded) > end - start:
            raise UsageError(f"at most {end - start} bytes", f"{len(encoded)} in {text[:40]!r}…", "make it shorter")
        if generation:
            self.add(index, GENERATION)
        begin = self._at(index) * 8 + start
        self._memory[begin : begin + len(encoded)] = encoded
        self._words[self._at(index) + length] = len(encoded)
        if generation:
            self.add(index, GENERATION)


class Bell:
    """The child's end of a board's bell; it holds it open, so that the runner learns of the child's end too."""

    def __init__(self, board: Board) -> None:
        self._descriptor = _open_for_writing(f"{board.path}.bell") if board.path else -1

    def __repr__(self) -> str:
        return f"Bell({'silent' if self._descriptor < 0 else self._descriptor})"

    def ring(self) -> None:
        """Wake the runner, without ever waiting for it."""
        if self._descriptor >= 0:
            # A full pipe means that it rings already; a broken one that nobody listens any more.
            with suppress(BlockingIOError, BrokenPipeError):
                _os_write(self._descriptor, b"!")

    def close(self) -> None:
        """Let go of the bell. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def release(board: Board, index: int) -> None:
    """Let everything go on that is paused at the failpoint now."""
    board.add(index, RELEASED)
    descriptor = _open_for_writing(f"{board.path}.release")
    if descriptor >= 0:
        os.close(descriptor)


def _open_for_writing(fifo: str) -> int:
    """Return a descriptor of the FIFO, or -1 when nobody reads it: whoever comes later looks at the words first."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return -1


def _map(path: str) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR)
    try:
        return mmap.mmap(descriptor, 0)
    finally:
        os.close(descriptor)
