"""Mistakes that lose reports, or send them before they are safe."""

from __future__ import annotations

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements


@mutant("C1.6", subtle="only under power loss")
def writes_without_syncing(service: Replacements) -> None:
    """Leaves the sync of a new report to the operating system, which "writes it within seconds anyway"."""
    service.replace("pywats_reliability.disk:Disk.sync_aside", lambda self, aside: None)
    service.replace("pywats_reliability.disk:Disk.sync_filesystem", lambda self, folder: True)


@mutant("H1.13")
def takes_every_200_for_a_receipt(service: Replacements) -> None:
    """Counts every answer with a good status as received, since "that is what 200 means"."""
    service.replace("pywats_reliability.retry:_missing_proof", lambda answer, request: None)
