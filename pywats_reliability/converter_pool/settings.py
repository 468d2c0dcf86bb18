"""The limits of converting, and the folders of a converter."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pywats_reliability.config.nested import ConverterConfig
from pywats_reliability.converters import StationInfo
from pywats_reliability.errors import ConverterLoadError

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How converting goes about it.

    A file counts as whole when two looks or more, and ``settle_s`` of the loop's time, have passed without a change.
    A step of a conversion that takes longer than ``conversion_timeout_s`` is cut off. A source of more than
    ``source_bytes_max`` is put aside. ``station`` is what converters may say of where they are.
    """

    max_concurrent: int = 4
    look_interval_s: float = 1.0
    settle_s: float = 2.0
    conversion_timeout_s: float = 300.0
    source_bytes_max: int = 256 * MIB
    station: StationInfo = field(default_factory=StationInfo)


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one converter, as real paths. ``pending`` is where suspended sources wait; None: in ``watch``."""

    watch: Path
    done: Path
    error: Path
    archive: Path
    pending: Path | None = None

    @property
    def watched(self) -> tuple[Path, ...]:
        """Where sources are looked for."""
        return (self.watch,) if self.pending is None else (self.watch, self.pending)

    @property
    def taken_away_to(self) -> tuple[Path, ...]:
        """Where sources go in the end."""
        return (self.done, self.error, self.archive)


def places_of(config: ConverterConfig, data: Path) -> Places:
    """Return a converter's folders; relative ones are in ``data``, unnamed ones in the watched folder. Blocks."""
    watch = _real(data, config.watch_folder)
    return Places(
        watch=watch,
        done=_real(data, config.done_folder) if config.done_folder else watch / "done",
        error=_real(data, config.error_folder) if config.error_folder else watch / "error",
        archive=_real(data, config.archive_folder) if config.archive_folder else watch / "archive",
        pending=_real(data, config.pending_folder) if config.pending_folder else None,
    )


def check_places(converter: str, places: Places, every: Iterable[Places]) -> None:
    """Refuse a converter that would find again what it, or another, has taken away. Raises ``ConverterLoadError``."""
    watched = [folder for other in every for folder in other.watched]
    for folder in places.taken_away_to:
        if folder in watched:
            expected = "done_folder, error_folder and archive_folder that no converter watches"
            raise ConverterLoadError(converter, expected, str(folder))
    if places.pending == places.watch:
        raise ConverterLoadError(converter, "a pending_folder other than the watch_folder", str(places.watch))


def _real(data: Path, text: str) -> Path:
    return Path(os.path.realpath(data / text))
