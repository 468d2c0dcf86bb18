"""Anybody's checker as a command: it gets a folder and what had become visible, and answers by its exit code.

* ``{dir}`` is the folder after the crash; ``{seen}`` a file with the visible events before it, as JSON lines;
  ``{stdout}`` a file with what the program had printed by then. The same stand in ``PYWATS_CHAOS_DIR``,
  ``PYWATS_CHAOS_SEEN`` and ``PYWATS_CHAOS_STDOUT``. It runs in the current folder, not in that of the state.
* Exit code 0: the folder is right. Any other, or death by a signal: it is broken, and the last line it wrote says why.
  No end within its limit: unknown.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.crash.state_check import CheckUnansweredError
from chaos.errors import UsageError
from chaos.storage.operations import Visible

WORDS_MAX = 200


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """Runs ``words`` on a state; ``limit_s`` seconds at most. Call it as a ``Check``."""

    words: tuple[str, ...]
    limit_s: float = 60.0

    @classmethod
    def parsed(cls, line: str, limit_s: float = 60.0) -> CommandCheck:
        """Return the check of a command line. Raises ``UsageError`` when it cannot be run."""
        try:
            words = tuple(shlex.split(line))
        except ValueError as error:
            raise UsageError("a command line for --check", f"{line!r} ({error})", "mend its quotes") from error
        if not words:
            raise UsageError("a command line for --check", "nothing", "write --check 'COMMAND {dir}'")
        if shutil.which(words[0]) is None:
            raise UsageError("a program for --check", words[0], "give its full path, or begin with sh -c or python3")
        return cls(words, limit_s)

    def __call__(self, folder: Path, seen: Sequence[Visible]) -> str:
        """Return what is wrong, or nothing. Raises ``CheckUnansweredError``."""
        told = _Told.written_beside(folder, seen)
        try:
            return self._run(folder, told)
        finally:
            told.remove()

    def _run(self, folder: Path, told: _Told) -> str:
        words = [told.filled(word, folder) for word in self.words]
        try:
            done = subprocess.run(  # noqa: S603 - what the person asked for
                words,
                env={**os.environ, **told.environment(folder)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self.limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CheckUnansweredError(f"no end within {self.limit_s:g} s") from error
        if done.returncode == 0:
            return ""
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        how = f"exit code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        return f"{lines[-1][:WORDS_MAX]} ({how})" if lines else how


@dataclass(frozen=True, slots=True)
class _Told:
    seen: Path
    stdout: Path

    @classmethod
    def written_beside(cls, folder: Path, seen: Sequence[Visible]) -> _Told:
        told = cls(folder.with_name(folder.name + ".seen"), folder.with_name(folder.name + ".stdout"))
        lines = (json.dumps({"name": event.name, **event.value}) + "\n" for event in seen)
        told.seen.write_text("".join(lines), encoding="ascii")
        told.stdout.write_bytes(printed(seen))
        return told

    def filled(self, word: str, folder: Path) -> str:
        """Fill in the three names; other braces stand as they are, as in JSON or shell code."""
        for name, path in (("{dir}", folder), ("{seen}", self.seen), ("{stdout}", self.stdout)):
            word = word.replace(name, str(path))
        return word

    def environment(self, folder: Path) -> dict[str, str]:
        paths = {"DIR": folder, "SEEN": self.seen, "STDOUT": self.stdout}
        return {f"PYWATS_CHAOS_{name}": str(path) for name, path in paths.items()}

    def remove(self) -> None:
        self.seen.unlink()
        self.stdout.unlink()


def printed(seen: Sequence[Visible], stream: str = "stdout") -> bytes:
    """Return what a program had printed on a stream."""
    return b"".join(
        os.fsencode(str(event.value["text"]))
        for event in seen
        if event.name == "printed" and event.value["stream"] == stream
    )
