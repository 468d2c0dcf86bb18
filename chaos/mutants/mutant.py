"""A mutant: one mistake that a real developer would make, planted in the reference service while it is loaded.

    @mutant("H1.1")
    def acknowledges_before_the_sync(service: Replacements) -> None:
        \"\"\"Wakes the producers as soon as the bytes are written, because "the sync will follow anyway".\"\"\"
        service.replace("pywats_reliability.disk:Disk.sync_file", lambda disk, aside: None)

* It exchanges a small part and nothing else; its sentence says the mistake, as its author would defend it.
* ``subtle`` says when alone it shows (only under power loss, only at the limit …); ``worlds`` where alone it shows,
  where that is not in each world that its property has scenarios for.
* The same mutant is planted in a simulated process, in an enumeration of crash states, and in a real child process.
"""

from __future__ import annotations

import difflib
import runpy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from chaos.errors import UsageError
from chaos.protocols import WorldKind
from chaos.replacements import Replacements

Plant = Callable[[Replacements], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted mistake. ``name`` is ``PROPERTY/what_it_does``; ``property_id`` is the property that must find it."""

    name: str
    property_id: str
    sentence: str
    subtle: str
    plant: Plant
    worlds: tuple[WorldKind, ...] = ()


def mutant(
    property_id: str, *, subtle: str = "", worlds: Sequence[WorldKind] = ()
) -> Callable[[Plant], Mutant]:
    """Make a mutant of a function that plants it; its docstring's first paragraph is the mistake in a sentence."""

    def make(plant: Plant) -> Mutant:
        name = plant.__name__
        assert plant.__doc__, f"{name} needs a sentence that says the mistake"
        sentence = " ".join(plant.__doc__.split("\n\n")[0].split())
        return Mutant(f"{property_id}/{name}", property_id, sentence, subtle, plant, tuple(worlds))

    return make


@contextmanager
def planted(found: Mutant | None) -> Iterator[None]:
    """Plant the mutant for the length of the block (None: leave the service honest)."""
    with Replacements() as service:
        if found is not None:
            found.plant(service)
        yield


def mutant_named(name: str, mutants: Sequence[Mutant]) -> Mutant:
    """Return the mutant of that name, or of that name without its property. Raises ``UsageError``."""
    for known in mutants:
        if name in (known.name, known.name.partition("/")[2]):
            return known
    near = difflib.get_close_matches(name, [known.name for known in mutants], n=1, cutoff=0.4)
    advice = f"did you mean {near[0]}?" if near else "see `pywats-chaos list` for the names"
    raise UsageError("the name of a mutant", repr(name), advice)


def mutant_in_file(place: str) -> Mutant:
    """Return the mutant at ``FILE.py:function``; its name is that place, so that every process can find it there.

    Raises ``UsageError``.
    """
    name, _, function = place.rpartition(":")
    path = Path(name).resolve()
    try:
        found = runpy.run_path(str(path)).get(function)
    except Exception as error:  # Whatever somebody's own file raises, the question was wrong.
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(f"a file of mutants at {path}", words, "mend it, or name another") from error
    if not isinstance(found, Mutant):
        raise UsageError(f"a function with @mutant at {place}", type(found).__name__, "give it the decorator")
    return replace(found, name=f"{path}:{function}")
