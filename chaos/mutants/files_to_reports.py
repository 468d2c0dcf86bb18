"""Mistakes on the way from a file to a report, in converting and importing: only a crash on that way shows them."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path
from typing import Any

from chaos.mutants.mutant import mutant
from chaos.replacements import Replacements
from pywats_reliability.cli.import_command import Fate
from pywats_reliability.converters import PostAction

BETWEEN = "only a crash between the two shows it"
POWER = "only the power loss shows it"
CONVERSION = "pywats_reliability.converter_pool.conversion:Conversion"
IMPORT = "pywats_reliability.cli.import_command"


@mutant("C1.9", subtle=BETWEEN)
def source_filed_before_its_reports_are_accepted(service: Replacements) -> None:
    """Puts the source away as soon as it is converted: "else the next look finds it again"."""

    async def file_first(honest: Any, conversion: Any, reports: Any) -> None:
        await conversion._file(PostAction.MOVE)
        await honest(conversion, reports)

    service.wrap(f"{CONVERSION}._hand_over", file_first)


@mutant("C1.9", subtle=BETWEEN)
def reports_handed_over_in_the_background(service: Replacements) -> None:
    """Hands the reports over in a task of its own and files the source meanwhile: "the queue never fails"."""

    begun: list[asyncio.Future[None]] = []

    async def begin(honest: Any, conversion: Any, reports: Any) -> None:
        begun.append(asyncio.ensure_future(honest(conversion, reports)))  # noqa: TID251 - the mistake itself

    service.wrap(f"{CONVERSION}._hand_over", begin)


@mutant("C1.9", subtle=BETWEEN)
def report_id_drawn_anew_by_each_conversion(service: Replacements) -> None:
    """Gives each report a random id: "that is what UUIDs are for"."""
    service.replace("pywats_reliability.converters.identity:derived_id", lambda *_of, **_more: str(uuid.uuid4()))


@mutant("C1.9", subtle=POWER)
def source_copied_and_deleted(service: Replacements) -> None:
    """Moves by copying and deleting, without a sync, as over two file systems: "what is copied is copied"."""

    def copy_and_delete(_filing: Any, path: Path, place: Path, _is_same: Any) -> bool:
        place.write_bytes(path.read_bytes())
        os.unlink(path)
        return True

    service.replace("pywats_reliability.converter_pool.filing:Filing._relocate", copy_and_delete)


@mutant("H1.1", subtle=BETWEEN)
def import_moves_the_file_first(service: Replacements) -> None:
    """Moves an upstream file away before its report is kept: "then no second import can take it"."""

    async def take(errand: Any, file: Any, store: Any, known: Any) -> None:
        fate, found = errand._judged(file, known)
        errand._move(file)
        if fate is not Fate.THERE:
            await errand._keep(fate, found, store, known)

    service.replace(f"{IMPORT}:Import.take", take)


@mutant("H1.1", subtle=POWER)
def import_copies_the_report_into_the_queue(service: Replacements) -> None:
    """Writes the report into pending/ itself, without a sync: "the store finds it at the next start"."""

    async def keep(_errand: Any, _fate: Any, found: Any, store: Any, _known: Any) -> None:
        name = f"20260101T000000.000000Z_05_{found.report.id}_{len(found.report.body)}.json"
        (store.folder / "pending" / name).write_bytes(found.report.body)

    service.replace(f"{IMPORT}:Import._keep", keep)


@mutant("H1.5", subtle=BETWEEN)
def import_takes_again_what_it_has(service: Replacements) -> None:
    """Does not look whether a report was taken before: "a file that is still there was not taken"."""
    service.replace(f"{IMPORT}:Import._place", lambda _errand, _found, _known: None)


@mutant("H1.15")
def import_overwrites_what_an_earlier_one_moved(service: Replacements) -> None:
    """Moves an upstream file over another of its name: "the name tells which report it is"."""

    def move(errand: Any, file: Any) -> None:
        folder = errand.folder / "imported"
        errand.disk.make_folder((folder / file.name).parent)
        os.replace(errand.folder / file.name, folder / file.name)  # noqa: TID251 - the mistake itself

    service.replace(f"{IMPORT}:Import._move", move)
