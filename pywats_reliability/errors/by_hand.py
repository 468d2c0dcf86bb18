"""What can go wrong with an errand that somebody does by hand, on the command line."""

from __future__ import annotations

from pathlib import Path

from pywats_reliability.errors.root import ReliabilityError


class ExportTargetError(ReliabilityError):
    """A report was to be written under a name that is taken; what is there stays as it is."""

    code = "export_target"

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path}: expected no file of that name, found one, which stays; export to another folder")
