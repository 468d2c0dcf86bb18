"""Sabotaged parts of the reference service: each must be found by the property that it breaks."""

from __future__ import annotations

from chaos.mutants import (
    c1_files,
    c1_shutdown,
    c2_background_tasks,
    c2_truth,
    disk_order,
    files_to_reports,
    folder_lock,
    h1_order_and_place,
    h1_save_before_send,
    h2_pages,
    h2_service,
    h3_errors,
    h3_pages,
    h4_configuration,
    h4_settings,
    h5_bounded_queue,
    h6_ipc,
    old_bugs,
    planted_bugs,
)
from chaos.mutants.mutant import Mutant, mutant, mutant_in_file, mutant_named, planted
from chaos.mutants.planted_bugs import TEN_PLANTED_BUGS
from chaos.replacements import Replacements

__all__ = [
    "TEN_PLANTED_BUGS", "Mutant", "all_mutants", "find_mutant", "mutant", "plant_here", "planted", "told_mutants",
]  # fmt: skip

_MODULES: tuple[object, ...] = (
    c1_files,
    c1_shutdown,
    c2_background_tasks,
    c2_truth,
    disk_order,
    files_to_reports,
    folder_lock,
    h1_order_and_place,
    h1_save_before_send,
    h2_pages,
    h2_service,
    h3_errors,
    h3_pages,
    h4_configuration,
    h4_settings,
    h5_bounded_queue,
    h6_ipc,
    old_bugs,
    planted_bugs,
)


def all_mutants() -> list[Mutant]:
    """Return every mutant, in the order of the guarantees and of their definition."""
    return [thing for module in _MODULES for thing in vars(module).values() if isinstance(thing, Mutant)]


def find_mutant(name: str) -> Mutant:
    """Return the mutant of that name, or somebody's own at ``FILE.py:function``. Raises ``UsageError``."""
    if ".py:" in name:
        return mutant_in_file(name)
    return mutant_named(name, all_mutants())


def told_mutants() -> list[tuple[str, str, str]]:
    """Return the property, the name and the sentence of every mutant, for those who only speak of them."""
    return [(known.property_id, known.name, known.sentence) for known in all_mutants()]


def plant_here(name: str) -> None:
    """Plant a mutant in this process for good, as the first thing that a child process does. Raises ``UsageError``."""
    find_mutant(name).plant(Replacements())
