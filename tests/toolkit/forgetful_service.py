"""A sabotaged subject: the reference service, but whatever waits in pending/ is gone at each start."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from chaos.protocols import Site, StartLine
from chaos.subjects.reference import ReferenceSubject

ROOT = Path(__file__).parents[2]
OPTION = "tests.toolkit.forgetful_service:ForgetfulSubject"


class ForgetfulSubject(ReferenceSubject):
    """Starts this very module, which forgets and then becomes the service."""

    name = "forgetful"

    def start_line(self, site: Site) -> StartLine:
        line = super().start_line(site)
        return replace(
            line,
            module="tests.toolkit.forgetful_service",
            environment={**line.environment, "PYTHONPATH": str(ROOT)},
        )


def main() -> None:
    from pywats_reliability.__main__ import main as service

    data = Path(sys.argv[sys.argv.index("--data") + 1])
    for report in (data / "pending").glob("*.json"):
        report.unlink()
    service()


if __name__ == "__main__":
    main()
