"""What somebody might do by hand in the subject's folders, the same in every world: look, take away, bring back."""

from __future__ import annotations

import os
from pathlib import Path

from chaos.protocols import Site, Subject


class Hands:
    """Hands of a person at the station; for a world that has a ``site`` and a ``subject``."""

    site: Site
    subject: Subject

    def folder(self, name: str) -> Path:
        """Return one of the subject's folders."""
        return self.subject.folder(self.site, name)

    def config_text(self) -> str:
        """Return what is in the subject's configuration file now."""
        return self.subject.config_path(self.site).read_text(encoding="utf-8", errors="replace")

    def replace_file(self, path: Path, contents: bytes) -> None:
        """Put a file in the place of another one at one stroke: nobody sees half of it."""
        aside = self._aside(path.with_name(f"aside-{path.name}"))
        aside.write_bytes(contents)
        os.rename(aside, path)  # noqa: TID251 - a hand, not the service

    def keep_aside(self, path: Path) -> None:
        """Take a file out of the subject's folders, as somebody might by hand."""
        os.rename(path, self._aside(path))  # noqa: TID251 - a hand, not the service

    def bring_back(self, path: Path) -> None:
        """Put back a file that was kept aside."""
        os.rename(self._aside(path), path)  # noqa: TID251 - as above

    def _aside(self, path: Path) -> Path:
        return self.site.folder / path.name
