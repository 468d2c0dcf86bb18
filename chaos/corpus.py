"""The failures that were found before, a line each: they are played again before anything new is searched.

The file is plain text: the replay line of a failure, and behind ``#`` how it failed. It is kept with the evidence;
earlier versions kept it in the folder they ran in, and what is there is still played.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chaos.errors import UsageError
from chaos.trial import Trial, parse_trial

DEFAULT = Path("chaos-evidence") / "corpus.txt"
EARLIER = Path("chaos-corpus.txt")


@dataclass(frozen=True, slots=True)
class Corpus:
    """The failures in ``path``, which need not exist, nor its folder; and those in ``earlier``, which is only read."""

    path: Path
    earlier: Path | None = None

    @classmethod
    def at(cls, path: Path) -> Corpus:
        """Return the corpus at ``path``; the one by default has the failures that earlier versions kept, too."""
        return cls(path, EARLIER if path == DEFAULT else None)

    def trials(self, scenario: str) -> list[Trial]:
        """Return the trials of a scenario that once failed. Raises ``UsageError`` for a line that is none."""
        return [trial for trial in map(parse_trial, self._lines()) if trial.scenario == scenario]

    def keep(self, trial: Trial, how: str) -> bool:
        """Add a failure; false when it is known already. Raises ``UsageError`` when the file cannot be written."""
        if str(trial) in self._lines():
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{trial}  # {' '.join(how.split())[:200]}\n")
        except OSError as error:
            words = str(error.strerror or error)
            raise UsageError(f"a file to write to at {self.path}", words, "name another with --corpus") from error
        return True

    def _lines(self) -> list[str]:
        """Return the lines of both files, each once."""
        paths = (self.earlier, self.path) if self.earlier is not None else (self.path,)
        return list(dict.fromkeys(line for path in paths for line in _lines_of(path)))


def _lines_of(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"a readable corpus at {path}", str(error), "mend it, or name another") from error
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]
