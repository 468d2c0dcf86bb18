"""The converters that there are: how they come and go, are loaded, and look at their folders (C2.9).

* Each is loaded by itself; one that cannot be is ``failed``, shown with its reason, and tried again every half minute.
* Each looks at its folders by itself, one look at a time, in a thread with a limit: a network drive that hangs delays
  nobody else, and is shown. A look that takes long makes the next one later, so that looking never fills the time.
* A watched folder that is missing is not made: it may be a drive that is not there, and what is dropped must not be
  looked for in its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from pywats_reliability.config.nested import ConverterConfig
from pywats_reliability.converter_pool.filing import Filing
from pywats_reliability.converter_pool.kept import Kept
from pywats_reliability.converter_pool.looking import Looker
from pywats_reliability.converter_pool.runners import Runner
from pywats_reliability.converter_pool.settings import Places, PoolSettings, check_places, places_of
from pywats_reliability.converter_pool.threads import Threads
from pywats_reliability.converter_pool.watched import ConverterState, WatchedConverter, reason_of
from pywats_reliability.disk import Disk
from pywats_reliability.errors import ConverterLoadError, ConverterNotFoundError, ReliabilityError, described
from pywats_reliability.events import Event

LOAD_RETRY_S = 30.0
LOOK_TIMEOUT_S = 30.0
LOOK_SHARE = 10  # A look may take a tenth of the time at most; the next one waits for that.
STATE_FOLDER = "converters"
log = logging.getLogger(__name__)


class Roster:
    """The converters of a pool. ``changed`` tells that there may be something to do."""

    def __init__(
        self,
        *,
        data: Path,
        disk: Disk,
        filing: Filing,
        threads: Threads,
        looker: Looker,
        make_runner: Callable[[ConverterConfig], Runner],
    ) -> None:
        self.changed: Event[[]] = Event("changed")
        self._data, self._disk, self._filing = data, disk, filing
        self._threads, self._looker, self._make_runner = threads, looker, make_runner
        self._settings = PoolSettings()
        self._converters: dict[str, WatchedConverter] = {}
        self._leaving: list[WatchedConverter] = []

    def adopt(self, configs: Sequence[ConverterConfig], settings: PoolSettings) -> None:
        """Take these converters into force: what is unchanged goes on, what is gone ends, what is new begins."""
        before, self._converters = self._converters, {}
        is_same_station = settings.station == self._settings.station
        self._settings = settings
        for config in sorted(configs, key=lambda each: each.priority):
            found = before.get(config.name)
            if found is not None and found.config == config and is_same_station:
                self._converters[config.name] = before.pop(config.name)
            else:
                kept = Kept(config.name, self._data / STATE_FOLDER, self._disk)
                self._converters[config.name] = WatchedConverter(
                    config, runner=self._make_runner(config), kept=kept, station=settings.station
                )
        for converter in before.values():
            self._retire(converter)
            self._leaving.append(converter)
        self.changed.emit()

    def all(self) -> tuple[WatchedConverter, ...]:
        """Return the converters, the most urgent first."""
        return tuple(self._converters.values())

    def get(self, name: str) -> WatchedConverter:
        """Return a converter. Raises ``ConverterNotFoundError``."""
        if name not in self._converters:
            raise ConverterNotFoundError(name, tuple(self._converters))
        return self._converters[name]

    def start(self, name: str) -> None:
        """Let a converter work; one that could not be loaded is tried again at once."""
        converter = self.get(name)
        converter.is_wanted = True
        converter.next_load_at = 0.0
        self.changed.emit()

    def stop(self, name: str) -> None:
        """Let a converter end; what it is converting is converted to the end."""
        self._retire(self.get(name))
        self.changed.emit()

    def failed(self) -> tuple[str, ...]:
        """Return, for each converter that does not do all of its work, why."""
        troubles = [(converter.name, converter.trouble) for converter in self._converters.values()]
        return tuple(f"{name}: {trouble}" for name, trouble in troubles if trouble is not None)

    def left_behind(self) -> tuple[str, ...]:
        """Return the names of worker processes that do not end."""
        return tuple(name for each in self._everyone() for name in each.runner.left_behind())

    def begin(self) -> None:
        """Forget what was loaded: everything that is wanted is loaded anew."""
        for converter in self._everyone():
            converter.state = ConverterState.STOPPED
            converter.is_looking = converter.is_loading = False
            converter.next_load_at = converter.next_look_at = 0.0

    def work(self, tasks: asyncio.TaskGroup, now: float, *, is_looking: bool) -> None:
        """Start what is due: loading, looking (if ``is_looking``), ending."""
        for converter in self._converters.values():
            may_load = converter.state in (ConverterState.STOPPED, ConverterState.FAILED)
            if converter.is_wanted and may_load and not converter.is_loading and converter.next_load_at <= now:
                converter.state, converter.is_loading, converter.is_open = ConverterState.LOADING, True, True
                tasks.create_task(self._load(converter), name=f"load converter {converter.name}")
            is_due = is_looking and not converter.is_looking and converter.next_look_at <= now
            if converter.state is ConverterState.RUNNING and is_due:
                converter.is_looking = True
                tasks.create_task(self._look(converter), name=f"look for {converter.name}")
        for converter in self._everyone():
            is_over = not converter.is_wanted and not converter.is_loading and not converter.active
            if converter.is_open and is_over:
                converter.is_open = False
                tasks.create_task(converter.runner.close(), name=f"end converter {converter.name}")
        self._leaving = [converter for converter in self._leaving if converter.is_open]

    def next_at(self, *, is_looking: bool) -> float | None:
        """Return when the next load or look is due."""
        instants = [
            converter.next_load_at for converter in self._converters.values()
            if converter.state is ConverterState.FAILED and converter.is_wanted
        ] + [
            converter.next_look_at for converter in self._converters.values()
            if is_looking and converter.state is ConverterState.RUNNING and not converter.is_looking
        ]  # fmt: skip
        return min(instants, default=None)

    async def close(self) -> None:
        """End everything that was loaded; a converter whose end fails keeps no other from ending."""
        for converter in self._everyone():
            converter.is_open = False
            try:
                await converter.runner.close()
            except Exception:
                log.exception("converter %s did not end as it should; the others are ended", converter.name)
        self._leaving.clear()

    def _everyone(self) -> Iterable[WatchedConverter]:
        return (*self._converters.values(), *self._leaving)

    def _retire(self, converter: WatchedConverter) -> None:
        converter.is_wanted = False
        converter.state = ConverterState.STOPPED
        converter.load_error = converter.look_error = None

    async def _load(self, converter: WatchedConverter) -> None:
        error = None
        try:
            places = await self._threads.call(
                f"preparing {converter.name}", partial(self._prepare, converter), LOOK_TIMEOUT_S
            )
            converter.places = places
            await converter.runner.load()
        except ReliabilityError as flaw:
            error = reason_of(flaw)
        except Exception as bug:
            log.exception("converter %s met a bug while it was loaded", converter.name)
            error = described(bug)
        finally:
            converter.is_loading = False
        self.loaded(converter, error)

    def loaded(self, converter: WatchedConverter, error: str | None) -> None:
        """Take into account that a converter is loaded, or why it cannot be."""
        self.changed.emit()
        if not converter.is_wanted:
            return
        converter.state = ConverterState.RUNNING if error is None else ConverterState.FAILED
        converter.next_load_at = asyncio.get_running_loop().time() + LOAD_RETRY_S
        if error is not None and error != converter.load_error:
            log.error("converter %s does not work: %s", converter.name, error)
        elif error is None:
            log.info("converter %s watches %s", converter.name, converter.places.watch)
        converter.load_error = error

    def _prepare(self, converter: WatchedConverter) -> Places:
        """Return the converter's folders as they are. Blocks; raises ``ConverterLoadError`` or ``DiskError``."""
        config = converter.config
        if config.converter_type == "scheduled":
            expected = "converter_type file or folder, as only what stands in a folder can be converted safely"
            raise ConverterLoadError(config.name, expected, config.converter_type)
        places = places_of(config, self._data)
        every = [places_of(other.config, self._data) for other in self.all() if other.config.watch_folder]
        check_places(config.name, places, [places, *every])
        if not self._disk.exists(places.watch):
            raise ConverterLoadError(config.name, f"a folder to watch at {places.watch}", "none")
        if places.pending is not None:
            self._disk.make_folder(places.pending)
        for folder in places.watched:
            self._filing.clean(folder)
        converter.kept.load()
        return places

    async def _look(self, converter: WatchedConverter) -> None:
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        places, wanted = converter.places, converter.wanted
        job = partial(self._looker, self._disk, places.watched, wanted)
        try:
            sights = await self._threads.call(f"looking into {places.watch}", job, LOOK_TIMEOUT_S)
        except ReliabilityError as error:
            if converter.look_error is None:
                log.error("converter %s cannot look into its folder: %s", converter.name, error)  # noqa: TRY400 - foreseen
            converter.look_error = str(error)
        else:
            converter.look_error = None
            converter.saw(sights, began_at=began_at, now=loop.time())
        finally:
            converter.is_looking = False
            took_s = loop.time() - began_at
            converter.next_look_at = began_at + max(self._settings.look_interval_s, LOOK_SHARE * took_s)
        self.changed.emit()

    def __repr__(self) -> str:
        counts = [f"{sum(each.state is state for each in self.all())} {state}" for state in ConverterState]
        return f"Roster({', '.join(counts)})"
