"""One configured converter at work: what it watches, its sources, how it is, and what it has done so far."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pywats_reliability.config.json_object import thawed
from pywats_reliability.config.nested import ConverterConfig
from pywats_reliability.converter_pool.items import Item, Items, ItemState
from pywats_reliability.converter_pool.kept import Kept
from pywats_reliability.converter_pool.looking import Sights, Wanted
from pywats_reliability.converter_pool.runners import Runner, is_built_in
from pywats_reliability.converter_pool.settings import Places
from pywats_reliability.converters import ConverterContext, StationInfo
from pywats_reliability.errors import ConverterLoadError, ReliabilityError


class ConverterState(enum.StrEnum):
    """How a converter is. ``stopped``: by hand, or disabled. ``failed``: it cannot be loaded; that is tried again."""

    STOPPED = "stopped"
    LOADING = "loading"
    RUNNING = "running"
    FAILED = "failed"


class WatchedConverter:
    """A converter and its sources. ``places`` are as configured until ``load`` has found the real ones."""

    def __init__(self, config: ConverterConfig, *, runner: Runner, kept: Kept, station: StationInfo) -> None:
        self.config, self.runner, self.kept = config, runner, kept
        self.context = ConverterContext(config.name, thawed(config.arguments), station)
        self.is_built_in = is_built_in(config)
        self.is_wanted = config.enabled
        self.state = ConverterState.STOPPED
        self.is_open = False
        self.items = Items()
        self.successful = self.errors = self.active = 0
        self.load_error: str | None = None
        self.look_error: str | None = None
        self.last_error: str | None = None
        self.is_looking = self.is_loading = False
        self.next_look_at = self.next_load_at = 0.0
        self._places: Places | None = None
        self._wanted = Wanted(())

    @property
    def name(self) -> str:
        """Its configured name."""
        return self.config.name

    @property
    def is_folder(self) -> bool:
        """Whether its sources are folders."""
        return self.config.converter_type == "folder"

    @property
    def places(self) -> Places:
        """Its folders; known once it is loaded."""
        assert self._places is not None, "a converter is loaded before it works"
        return self._places

    @places.setter
    def places(self, places: Places) -> None:
        config = self.config
        self._places, self._wanted = places, Wanted(tuple(config.file_patterns))
        if self.is_folder:
            self._wanted = Wanted(
                tuple(config.folder_patterns), is_folders=True, marker=config.readiness_marker,
                min_files=config.min_file_count or 0, apart=(*places.taken_away_to, *places.watched),
            )  # fmt: skip

    @property
    def wanted(self) -> Wanted:
        """What its sources are."""
        return self._wanted

    @property
    def trouble(self) -> str | None:
        """Why it does not do its work, or not all of it; None when nothing is wrong."""
        return self.load_error or self.look_error or self.items.trouble()

    def saw(self, sights: Sights, *, began_at: float, now: float) -> None:
        """Take what a look saw; what was left in place earlier rests."""
        self.items.saw(sights, began_at=began_at, now=now)
        for path, sight in sights.items():
            item = self.items.get(path)
            if item is not None and item.state is ItemState.SETTLING and self.kept.knows(path, sight.signature):
                item.rest(ItemState.KEPT, now)

    def claims(self, path: Path, *, is_folder: bool) -> bool:
        """Return whether a source is this converter's before it is anybody's after it, loaded or not.

        Otherwise the one would convert, after a crash, what the other has converted before it (C1.9).
        """
        if not self.is_wanted:
            return False
        if self._places is None:
            return self.state is ConverterState.LOADING  # Whose it is will be known in a moment.
        is_mine = path.parent in self.places.watched and is_folder == self.is_folder and self.wanted.wants(path.name)
        item = self.items.get(path)
        return is_mine and (item is None or item.state is not ItemState.SKIPPED)

    def ready(self, now: float, settle_s: float) -> Iterator[Item]:
        """Yield the sources that may be converted now."""
        return self.items.ready(now, settle_s) if self.state is ConverterState.RUNNING else iter(())

    def described(self) -> dict[str, Any]:
        """Return how it is, as plain JSON values."""
        config = self.config
        return {
            "name": config.name, "state": str(self.state), "enabled": config.enabled, "priority": config.priority,
            "converter_type": config.converter_type, "module_path": config.module_path,
            "watch_folder": config.watch_folder, "isolated": not self.is_built_in, "trouble": self.trouble,
            "last_error": self.last_error, "processed": self.successful + self.errors, "successful": self.successful,
            "errors": self.errors, "active": self.active, "waiting": self.waiting,
        }  # fmt: skip

    @property
    def waiting(self) -> int:
        """How many sources are to be converted and are not being converted."""
        return self.items.count(ItemState.SETTLING, ItemState.WAITING)

    def __repr__(self) -> str:
        return f"WatchedConverter({self.name}, {self.state}, {self.successful} successful, {self.items!r})"


def reason_of(error: ReliabilityError) -> str:
    """Return what is wrong with a converter, without its name: that is told beside it."""
    if isinstance(error, ConverterLoadError):
        return f"expected {error.expected}, found {error.found}; mend its configuration or its module"
    return str(error)
