"""The failures that were found before, a line each: they are played again before anything new is searched.

The file is plain text, to be kept with the project: the replay line of a failure, and behind ``#`` how it failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chaos.errors import UsageError
from chaos.trial import Trial, parse_trial

DEFAULT = Path("chaos-corpus.txt")


@dataclass(frozen=True, slots=True)
class Corpus:
    """The failures in ``path``, which need not exist."""

    path: Path

    def trials(self, scenario: str) -> list[Trial]:
        """Return the trials of a scenario that once failed. Raises ``UsageError`` for a line that is none."""
        return [trial for trial in map(parse_trial, self._lines()) if trial.scenario == scenario]

    def keep(self, trial: Trial, how: str) -> bool:
        """Add a failure; false when it is known already. Raises ``UsageError`` when the file cannot be written."""
        if str(trial) in self._lines():
            return False
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{trial}  # {' '.join(how.split())[:200]}\n")
        except OSError as error:
            raise UsageError(f"a file to write to at {self.path}", str(error.strerror), "name another") from error
        return True

    def _lines(self) -> list[str]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"a readable corpus at {self.path}", str(error), "mend it, or name another") from error
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        return [line for line in lines if line]
