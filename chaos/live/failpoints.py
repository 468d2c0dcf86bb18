"""The runner's side of failpoints: specifies them for one child, sees them reached, releases and changes them.

* One ``Failpoints`` belongs to one start of one child; nothing is global, so tests run side by side.
* ``reached`` and ``fired`` are read from shared memory (``failpoint_board``): exact, also after the child's SIGKILL.
* Waiting is woken by the child's bell; when the child has ended, whoever still waits hears so at once.
* ``chaos.rules.failpoint_terms`` has the grammar, ``chaos.live.bootstrap`` starts the child.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from chaos.errors import DeadlineError, ProcessEndedError, UsageError
from chaos.live.failpoint_board import FIRED, REACHED, Board, release
from chaos.rules.failpoint_terms import Target, parse_target, parse_terms

FAILPOINTS_MAX = 256
BOOTSTRAP = "chaos.live.bootstrap"


class Failpoint:
    """One place in the child's code, with what happens there."""

    def __init__(self, owner: Failpoints, board: Board, index: int, target: Target, terms: str) -> None:
        self.target, self.terms = target, terms
        self._owner, self._board, self._index = owner, board, index
        self._last = (0, 0)

    def __repr__(self) -> str:
        return f"Failpoint({self.specification}, reached {self.reached}, fired {self.fired})"

    @property
    def specification(self) -> str:
        """Return the failpoint as it is written: ``target=terms``."""
        return f"{self.target}={self.terms}"

    @property
    def reached(self) -> int:
        """Return how often the place was passed."""
        return self._counts()[0]

    @property
    def fired(self) -> int:
        """Return how often an action was carried out there; 0 means that nothing was exercised."""
        return self._counts()[1]

    async def wait_reached(self, times: int = 1, *, deadline_s: float) -> None:
        """Wait until the place was passed that often. Raises ``DeadlineError``, and ``ProcessEndedError`` at once."""
        await self._owner.until(lambda: self.reached >= times, f"{self.target} reached {times} times", deadline_s)

    async def wait_fired(self, times: int = 1, *, deadline_s: float) -> None:
        """Wait until it acted that often. Raises ``DeadlineError``, and ``ProcessEndedError`` at once."""
        await self._owner.until(lambda: self.fired >= times, f"{self.target} fired {times} times", deadline_s)

    def release(self) -> None:
        """Let everything go on that is paused here now; what comes later pauses again."""
        release(self._board, self._index)

    def arm(self, terms: str) -> None:
        """Replace the terms; they hold from the next passing on, with fresh counts. Raises ``UsageError``."""
        parse_terms(terms)
        self._board.write_terms(self._index, terms)
        self.terms = terms

    def disarm(self) -> None:
        """Let nothing happen here any more, and let go on what is paused here. Passings are still counted."""
        self.arm("off")
        self.release()

    def freeze(self) -> None:
        """Keep the last counts: the board is about to go."""
        self._last = self._counts()
        self._index = -1

    def _counts(self) -> tuple[int, int]:
        if self._index < 0:
            return self._last
        return self._board.word(self._index, REACHED), self._board.word(self._index, FIRED)


class Failpoints(Mapping[str, Failpoint]):
    """The failpoints of one child, by the text they were specified with. Make it where an event loop runs.

    Close it (or leave it as a context manager) after the child has ended; the counts stay readable.
    """

    def __init__(self, folder: Path, specifications: Mapping[str, str], *, name: str = "child", seed: int = 0) -> None:
        """Put the failpoints on a new board in ``folder``, which belongs to the run. Raises ``UsageError``.

        ``specifications`` maps targets to terms; ``name`` must be new in the folder; ``seed`` decides the chances.
        """
        if len(specifications) > FAILPOINTS_MAX:
            raise UsageError(f"at most {FAILPOINTS_MAX} failpoints", str(len(specifications)), "name fewer")
        targets = [parse_target(text) for text in specifications]
        for terms in specifications.values():
            parse_terms(terms)
        entries = [
            (str(target), terms, _seed_of(seed, target))
            for target, terms in zip(targets, specifications.values(), strict=True)
        ]
        self._loop = asyncio.get_running_loop()
        self._board = Board.create(str(folder / f"{name}.failpoints"), entries)
        self._failpoints = {
            text: Failpoint(self, self._board, index, target, terms)
            for index, (target, (text, terms)) in enumerate(zip(targets, specifications.items(), strict=True))
        }
        self._waiting: list[asyncio.Future[None]] = []
        self._ended = False
        self._bell = os.open(f"{self._board.path}.bell", os.O_RDONLY | os.O_NONBLOCK)
        self._loop.add_reader(self._bell, self._on_bell)

    def __repr__(self) -> str:
        fired = sum(failpoint.fired for failpoint in self.values())
        return f"Failpoints({len(self)} specified, {fired} actions, {'ended' if self._ended else 'open'})"

    def __getitem__(self, specified: str) -> Failpoint:
        return self._failpoints[specified]

    def __iter__(self) -> Iterator[str]:
        return iter(self._failpoints)

    def __len__(self) -> int:
        return len(self._failpoints)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def command(self, argv: Sequence[str], *options: str) -> list[str]:
        """Return the command line that runs ``… python -m MODULE …`` with these failpoints. Raises ``UsageError``.

        ``options`` are more of the bootstrap's. ``MODULE`` may also be ``package.module:function``. What stands before
        ``-m`` (wrappers, flags) stays.
        """
        return through_bootstrap(argv, "--board", self._board.path, *options)

    async def until(self, true: Callable[[], bool], what: str, deadline_s: float) -> None:
        """Wait until the counts make ``true`` so. Raises ``DeadlineError``, and ``ProcessEndedError`` at once."""
        try:
            async with asyncio.timeout(deadline_s):
                while not true():
                    if self._ended:
                        raise ProcessEndedError(what, self._seen())
                    await self._next_bell()
        except TimeoutError as error:
            raise DeadlineError(what, deadline_s, self._seen()) from error

    def close(self) -> None:
        """Let go of the board, whose files stay in the folder; the counts stay as they are. Idempotent."""
        self.hear_end()
        for failpoint in self.values():
            failpoint.freeze()
        self._board.close()

    def hear_end(self) -> None:
        """Take note that the child has ended: whoever waits hears so, once the counts do not satisfy him."""
        self._ended = True
        if self._bell >= 0:
            self._loop.remove_reader(self._bell)
            os.close(self._bell)
            self._bell = -1
        self._wake()

    async def _next_bell(self) -> None:
        heard = self._loop.create_future()
        self._waiting.append(heard)
        try:
            await heard
        finally:
            self._waiting.remove(heard)

    def _on_bell(self) -> None:
        with suppress(BlockingIOError):  # Read empty by an earlier call.
            if not os.read(self._bell, 65536):
                self.hear_end()
        self._wake()

    def _wake(self) -> None:
        for heard in self._waiting:
            if not heard.done():
                heard.set_result(None)

    def _seen(self) -> str:
        return "; ".join(f"{point.target} reached {point.reached}, fired {point.fired}" for point in self.values())


def through_bootstrap(argv: Sequence[str], *options: str) -> list[str]:
    """Return the command line that runs ``… python -m MODULE …`` through the bootstrap. Raises ``UsageError``."""
    arguments = list(argv)
    if "-m" not in arguments[:-1]:
        raise UsageError("a command with -m MODULE", repr(" ".join(arguments)), "start the program as a module")
    place = arguments.index("-m") + 1
    return [*arguments[:place], BOOTSTRAP, *options, "--", *arguments[place:]]


def _seed_of(seed: int, target: Target) -> int:
    """Return a seed of its own for each failpoint: adding one does not change what the others draw."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{target}".encode(), digest_size=8).digest())
