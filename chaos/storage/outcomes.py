"""What a crash may make of the changes in a page cache: all outcomes of names and of each file, or one drawn by lot.

Names and contents are independent of each other but for two things, which a journal brings: it decides with the names
which truncations survive, and it may hold a rename back until data are written. So the outcomes are counted apart,
names first, then the contents of the files that have a name in the end, and multiplied only where they meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import TypeVar

from chaos.storage.operations import Node, Truncate, Write
from chaos.storage.page_cache import DataChange, NameChange, PageCache
from chaos.storage.persistence import SECTOR_BYTES, Persistence, Zeros
from chaos.storage.tree import Names, Symlink, Tree, changed, walk

T = TypeVar("T")
EVERYTHING = 1 << 62
OUTCOME_BYTES_MAX = 64 << 20
FEW = 16  # However large a file is: so many of its outcomes are looked at.


@dataclass(frozen=True, slots=True)
class Loss:
    """What became of the operation at ``index`` of the log, when it did not survive whole."""

    index: int
    how: str = "lost"

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it survived."""
        return self.how == "lost"


Losses = tuple[Loss, ...]


@dataclass(frozen=True, slots=True)
class NamesOutcome:
    """Names as a crash may leave them. Of what is journaled, only what stands before ``kept_below`` survived."""

    names: Names
    losses: Losses
    kept_below: int = EVERYTHING


FileOutcome = tuple[bytes, Losses]


def names_outcomes(cache: PageCache, outcomes_max: int) -> tuple[list[NamesOutcome], bool]:
    """Return every outcome of the names, and whether some are missing, there being over ``outcomes_max``."""
    if cache.model.is_journaled:
        return _journal_cuts(cache), False
    changes = cache.names
    places = list(dict.fromkeys(place for c in changes for place in (c.removed, c.added) if place))
    number = {place: position for position, place in enumerate(places)}
    start = tuple(cache.base.folders[folder].get(name) for folder, name in places)
    layer: dict[tuple[Node | None, ...], Losses] = {start: ()}
    for change in changes:
        after: dict[tuple[Node | None, ...], Losses] = {}
        for state, losses in layer.items():
            _keep_fewest(after, _moved(state, change, number), losses)
            if not change.is_durable:
                _keep_fewest(after, state, (*losses, Loss(change.index)))
        layer = after
        if len(layer) > outcomes_max:
            return _few_lost_names(cache, outcomes_max), True
    return [NamesOutcome(_overlaid(cache.base.folders, places, s), losses) for s, losses in layer.items()], False


def file_outcomes(
    cache: PageCache, node: Node, names: NamesOutcome, outcomes_max: int
) -> tuple[list[FileOutcome], bool]:
    """Return every outcome of one file's contents, the most complete first, and whether some are missing.

    Some are when there are more than ``outcomes_max``, or more than fit into ``OUTCOME_BYTES_MAX``: each write that was
    not synced multiplies them, and a program's own log is a file with hundreds.
    """
    most = min(outcomes_max, max(FEW, OUTCOME_BYTES_MAX // (len(cache.now.files.get(node, b"")) + 1)))
    flushed_below = _flushed_below(cache, node, names)
    layer: dict[bytes, Losses] = {cache.base.files[node]: ()}
    is_cut_off = False  # A truncation was lost: blocks that were allocated after it were logged after it.
    for change in cache.data.get(node, ()):
        is_sure = change.is_durable or (change.index < flushed_below and not change.is_adrift)
        after: dict[bytes, Losses] = {}
        for data, losses in layer.items():
            for outcome, how in _options(change, data, names, cache.model, is_sure=is_sure, is_cut_off=is_cut_off):
                _keep_fewest(after, outcome, (*losses, Loss(change.index, how)) if how else losses)
        layer = after
        if len(layer) > most:
            return _few_file_outcomes(cache, node, names, most), True
        is_cut_off = is_cut_off or (change.shrinks and _is_cut(change, names, cache.model))
    return list(layer.items()), False


def draw_outcome(cache: PageCache, below: Callable[[int], int]) -> tuple[Tree, Losses]:
    """Return one tree that a crash may leave, decided by ``below`` (count to a number below it; 0 keeps)."""
    names = _drawn_names(cache, below)
    tree = Tree(cache.base.files, names.names, cache.base.symlinks).copy()
    losses = names.losses
    for node in dict.fromkeys(node for _, node in sorted(walk(names.names)) if node in cache.data):
        tree.files[node], lost = _drawn_file(cache, node, names, below)
        losses += lost
    return tree, losses


def few_deviations(choices: Sequence[Sequence[T]], most: int) -> Iterator[tuple[T, ...]]:
    """Yield up to ``most`` combinations: nearest to all first choices, and to all last ones, the nearest first."""
    yielded = 0
    for count in range(len(choices) + 1):
        for end in (0, -1):
            usual = [options[end] for options in choices]
            for places in combinations(range(len(choices)), count):
                others = [[o for o in choices[place] if o is not usual[place]] for place in places]
                for picked in product(*others):
                    combined = list(usual)
                    for place, option in zip(places, picked, strict=True):
                        combined[place] = option
                    yield tuple(combined)
                    yielded += 1
                    if yielded >= most:
                        return


def _journal_cuts(cache: PageCache) -> list[NamesOutcome]:
    places = [place for c in cache.names for place in (c.removed, c.added) if place]
    folders = {folder for folder, _ in places}
    names = _own_copy(cache.base.folders, folders)
    outcomes = []
    for position, entry in enumerate(cache.journaled):
        losses = tuple(Loss(lost.index) for lost in cache.journaled[position:])
        outcomes.append(NamesOutcome(names, losses, entry.index))
        if isinstance(entry, NameChange):
            names = _own_copy(names, folders)
            entry.apply_to(names)
    return [NamesOutcome(names, ()), *reversed(outcomes)]


def _few_lost_names(cache: PageCache, most: int) -> list[NamesOutcome]:
    changes = cache.names
    folders = {place[0] for c in changes for place in (c.removed, c.added) if place}
    outcomes = []
    for kept in few_deviations([(True,) if c.is_durable else (True, False) for c in changes], most):
        names = _own_copy(cache.base.folders, folders)
        for change, is_kept in zip(changes, kept, strict=True):
            if is_kept:
                change.apply_to(names)
        losses = tuple(Loss(c.index) for c, is_kept in zip(changes, kept, strict=True) if not is_kept)
        outcomes.append(NamesOutcome(names, losses))
    return outcomes


def _few_file_outcomes(cache: PageCache, node: Node, names: NamesOutcome, most: int) -> list[FileOutcome]:
    counts = list[int]()

    def keep(count: int) -> int:
        counts.append(count)
        return 0

    _drawn_file(cache, node, names, keep)
    outcomes: dict[bytes, Losses] = {}
    for picked in few_deviations([range(count) for count in counts], most):
        data, losses = _drawn_file(cache, node, names, _as_scripted(iter(picked)))
        _keep_fewest(outcomes, data, losses)
    return list(outcomes.items())


def _as_scripted(turns: Iterator[int]) -> Callable[[int], int]:
    return lambda _count: next(turns)


def _drawn_names(cache: PageCache, below: Callable[[int], int]) -> NamesOutcome:
    if cache.model.is_journaled:
        cuts = _journal_cuts(cache)
        return cuts[below(len(cuts))] if len(cuts) > 1 else cuts[0]
    names = _own_copy(cache.base.folders, set(cache.base.folders))
    losses = []
    for change in cache.names:
        if change.is_durable or below(2) == 0:
            change.apply_to(names)
        else:
            losses.append(Loss(change.index))
    return NamesOutcome(names, tuple(losses))


def _drawn_file(cache: PageCache, node: Node, names: NamesOutcome, below: Callable[[int], int]) -> FileOutcome:
    """Return one outcome of a file, drawn change by change."""
    flushed_below = _flushed_below(cache, node, names)
    data, losses, is_cut_off = cache.base.files[node], [], False
    for change in cache.data[node]:
        is_sure = change.is_durable or (change.index < flushed_below and not change.is_adrift)
        options = _options(change, data, names, cache.model, is_sure=is_sure, is_cut_off=is_cut_off)
        data, how = options[below(len(options))] if len(options) > 1 else options[0]
        if how:
            losses.append(Loss(change.index, how))
        is_cut_off = is_cut_off or (change.shrinks and _is_cut(change, names, cache.model))
    return data, tuple(losses)


def _options(
    change: DataChange, data: bytes, names: NamesOutcome, model: Persistence, *, is_sure: bool, is_cut_off: bool
) -> list[tuple[bytes, str]]:
    """Return what may become of one change to ``data``: the bytes after it, and what was lost ('' for nothing)."""
    operation = change.operation
    if isinstance(operation, Truncate):
        if model.is_journaled:  # Its loss is told with the names.
            return [(data if _is_cut(change, names, model) else changed(data, operation), "")]
        kept = (changed(data, operation), "")
        return [kept] if is_sure else [kept, (data, "lost")]
    if is_sure:
        return [(changed(data, operation), "")]
    if is_cut_off:
        return [(data, "lost")]
    return [(changed(data, operation), ""), *_torn(operation, data, model), (data, "lost")]


def _torn(write: Write, data: bytes, model: Persistence) -> Iterator[tuple[bytes, str]]:
    """Yield what may be there of a write when it is neither whole nor lost."""
    size = len(write.data)
    middle = size // 2
    if middle > SECTOR_BYTES:
        middle -= middle % SECTOR_BYTES
    if middle:
        yield changed(data, Write(write.node, write.offset, write.data[:middle])), f"first {middle} of {size} bytes"
    if middle and size > SECTOR_BYTES:
        rest = Write(write.node, write.offset + middle, write.data[middle:])
        yield changed(data, rest), f"last {size - middle} of {size} bytes"
    if model.zeros is Zeros.ANYWHERE:
        yield changed(data, Write(write.node, write.offset, bytes(size))), "zeros"
    elif model.zeros is Zeros.BEHIND_THE_END:
        yield data.ljust(write.offset + size, b"\0"), "zeros"


def _is_cut(change: DataChange, names: NamesOutcome, model: Persistence) -> bool:
    return model.is_journaled and not change.is_durable and change.index >= names.kept_below


def _flushed_below(cache: PageCache, node: Node, names: NamesOutcome) -> int:
    """Return the index below which the file's writes are sure, because a rename that replaced another survived."""
    if not cache.model.replacing_orders_data:
        return 0
    renames = [c.index for c in cache.names if c.node == node and c.replaces and c.index < names.kept_below]
    return max(renames, default=0)


def _keep_fewest(layer: dict[T, Losses], state: T, losses: Losses) -> None:
    known = layer.get(state)
    if known is None or len(losses) < len(known):
        layer[state] = losses


def _moved(
    state: tuple[Node | None, ...], change: NameChange, number: dict[tuple[Node, str], int]
) -> tuple[Node | None, ...]:
    after = list(state)
    if change.removed and after[number[change.removed]] == change.node:
        after[number[change.removed]] = None
    if change.added:
        after[number[change.added]] = change.node
    return tuple(after)


def _overlaid(base: Names, places: Sequence[tuple[Node, str]], state: Sequence[Node | None]) -> Names:
    names = _own_copy(base, {folder for folder, _ in places})
    for (folder, name), node in zip(places, state, strict=True):
        if node is None:
            names[folder].pop(name, None)
        else:
            names[folder][name] = node
    return names


def _own_copy(names: Names, folders: set[Node]) -> Names:
    return {folder: dict(entries) if folder in folders else entries for folder, entries in names.items()}


def leaves(cache: PageCache, names: NamesOutcome) -> list[tuple[str, Node, bytes | Symlink | None]]:
    """Return every path with its node and what is durable there, in sorted order."""
    base = cache.base
    return [(path, node, base.leaf(node)) for path, node in sorted(walk(names.names))]
