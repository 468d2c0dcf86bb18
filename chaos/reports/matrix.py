"""The matrix of a campaign: property × world, each cell with its verdict and how strong that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.guarantees import Guarantee, Property, guarantees
from chaos.outcome import MutantResult, Outcome, PropertyResult, RunResult
from chaos.reports.strength import Strength, strength_of
from chaos.verdict import Verdict

WORLD_OF_ENGINE = {"S": "sim", "K": "crash", "L": "live", "P": "live", "G": "live"}
WORLD_TITLES = {"sim": "simulation", "crash": "crash states", "live": "live", "gui": "GUI"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One property in one world; ``verdict`` is None where no run spoke of it. ``possible``: an engine could."""

    world: str
    verdict: Verdict | None
    possible: bool
    strength: Strength
    run: RunResult | None


@dataclass(frozen=True, slots=True)
class Row:
    """One property with a cell for each world, and its mutants."""

    part: Property
    result: PropertyResult
    cells: tuple[Cell, ...]
    strength: Strength


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of one guarantee."""

    guarantee: Guarantee
    rows: tuple[Row, ...]

    @property
    def held(self) -> int:
        """Return how many of the rows held."""
        return sum(row.result.verdict is Verdict.HELD for row in self.rows)


def worlds_of(outcome: Outcome) -> tuple[str, ...]:
    """Return the columns: the worlds that ran or that the properties' engines name, in a fixed order."""
    shown = {result.property_id for result in outcome.properties}
    engines = {e for g in guarantees() for p in g.properties if p.id in shown for e in p.engines}
    there = {run.world for run in outcome.runs} | {WORLD_OF_ENGINE[engine] for engine in engines}
    return (*(w for w in WORLD_TITLES if w in there), *sorted(there - set(WORLD_TITLES)))


def matrix(outcome: Outcome) -> tuple[Block, ...]:
    """Return the guarantees that the outcome speaks of, with a row for each property."""
    worlds, results = worlds_of(outcome), {result.property_id: result for result in outcome.properties}
    blocks = []
    for guarantee in guarantees():
        parts = [part for part in guarantee.properties if part.id in results]
        if parts:
            rows = tuple(_row(part, results[part.id], worlds, outcome.mutants) for part in parts)
            blocks.append(Block(guarantee, rows))
    return tuple(blocks)


def _row(part: Property, result: PropertyResult, worlds: Sequence[str], mutants: Sequence[MutantResult]) -> Row:
    mine = [mutant for mutant in mutants if mutant.property_id == part.id]
    possible = {WORLD_OF_ENGINE[engine] for engine in part.engines}
    cells = tuple(_cell(result.within(world), world, possible=world in possible, mutants=mine) for world in worlds)
    return Row(part, result, cells, strength_of(result.runs, mine))


def _cell(result: PropertyResult, world: str, *, possible: bool, mutants: Sequence[MutantResult]) -> Cell:
    here = [mutant for mutant in mutants if mutant.world == world]
    verdict = result.verdict if result.findings else None
    run = result.worst[0] if result.worst else None
    return Cell(world, verdict, possible, strength_of(result.runs, here), run)
