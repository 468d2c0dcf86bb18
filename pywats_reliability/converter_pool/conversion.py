"""One conversion, step by step, so that it may be cut off at any instant (C1.9).

1. The source is read, if it still is what the looks saw, and its contents are summed up.
2. The converter makes reports of it. If the source has changed meanwhile it was not whole: all of that is forgotten.
3. Every report gets an id that the same source always gives, and is accepted by the queue, durably, before
4. the source is filed away. Cut off before that, it stays, and is converted again, to reports of the same ids.

Several reports are one matter: the source is filed away when all are accepted, and what was accepted is not handed over
again while the service runs. Nothing here ever removes a source whose reports are not accepted, but for one that was
given up: it is put aside with the reason.
"""

from __future__ import annotations

import enum
import errno
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pywats_reliability.converter_pool.filing import Filing
from pywats_reliability.converter_pool.items import Item
from pywats_reliability.converter_pool.protocols import Submit
from pywats_reliability.converter_pool.reading import Reader, Taken, is_gone
from pywats_reliability.converter_pool.settings import Places, PoolSettings
from pywats_reliability.converter_pool.threads import Threads
from pywats_reliability.converter_pool.watched import WatchedConverter, reason_of
from pywats_reliability.converters import ConversionStatus, ConverterResult, PostAction
from pywats_reliability.converters.identity import identified
from pywats_reliability.errors import (
    ConversionError,
    ConversionTimeoutError,
    ConverterLoadError,
    DiskError,
    QueueFullError,
    ReliabilityError,
    ReportInvalidError,
    ServiceStoppingError,
)
from pywats_reliability.ports import WallClock
from pywats_reliability.report import Report

T = TypeVar("T")
DISK_RETRY_S = 30.0
log = logging.getLogger(__name__)


class Fate(enum.StrEnum):
    """What came of a conversion.

    ``filed`` and ``kept``: the reports are accepted, and the source is away, or stays. ``aside``: given up. ``gone``:
    somebody took the source away. ``changed``: it was not whole. ``waits``: it comes up again (``after_s``).
    ``unloaded``: the converter could not be loaded. ``full``: it waits for room. ``stopping``: the service takes
    nothing more; the source stays for the next start.
    """

    FILED = "filed"
    KEPT = "kept"
    ASIDE = "aside"
    GONE = "gone"
    CHANGED = "changed"
    SKIPPED = "skipped"
    WAITS = "waits"
    UNLOADED = "unloaded"
    FULL = "full"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a conversion, why, and for ``waits`` when to come back. ``moved_to``: it waits there."""

    fate: Fate
    reason: str = ""
    after_s: float = 0.0
    moved_to: Path | None = None
    is_error: bool = False


class _Ended(Exception):  # noqa: N818 - no error: a conversion that ends before its last step
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Tools:
    """What every conversion works with."""

    threads: Threads
    reader: Reader
    filing: Filing
    submit: Submit
    clock: WallClock
    settings: PoolSettings


class Conversion:
    """The conversion of one source by one converter."""

    def __init__(self, converter: WatchedConverter, item: Item, tools: Tools) -> None:
        self._converter, self._item, self._tools = converter, item, tools
        self._config = converter.config

    async def run(self) -> Outcome:
        """Return what came of it. What the world can do is an outcome; only a bug raises. Cancelling cuts it off."""
        try:
            if self._item.filing is None:
                self._item.filing = await self._convert()
            return await self._file(self._item.filing)
        except _Ended as ended:
            return ended.outcome

    async def _convert(self) -> PostAction:
        """Have every report of the source accepted; return what is to become of it."""
        item = self._item
        try:
            taken = await self._in_thread("reading", partial(
                self._tools.reader.take, item.path, item.signature,
                is_folder=self._is_folder, with_content=self._converter.is_built_in,
            ))  # fmt: skip
            if taken is None:
                raise _Ended(Outcome(Fate.CHANGED, "it is not whole"))
            limit_s = self._tools.settings.conversion_timeout_s
            result = await self._converter.runner.convert(taken.source, self._converter.context, limit_s)
            await self._judge(result)
            reports = await self._in_thread("identifying", partial(self._identify, taken, result))
        except ConverterLoadError as error:
            raise _Ended(Outcome(Fate.UNLOADED, reason_of(error), is_error=True)) from error
        except DiskError as error:
            if is_gone(error):
                raise _Ended(Outcome(Fate.GONE, "somebody took it away")) from error
            await self._fail(str(error), is_final=error.error_number == errno.EFBIG)
        except ConversionError as error:
            await self._fail(str(error), details=error.details)
        except (ConversionTimeoutError, ReportInvalidError) as error:
            await self._fail(str(error))
        if reports is None:
            raise _Ended(Outcome(Fate.CHANGED, "it has changed while it was being converted"))
        await self._hand_over(reports)
        return result.post_action or PostAction(self._config.post_action)

    async def _judge(self, result: ConverterResult) -> None:
        """Return for a success that is sure enough; end the conversion for everything else."""
        if result.confidence < self._config.alarm_threshold:
            log.warning("converter %s is not sure of %s: %.2f", self._config.name, self._name, result.confidence)
        match result.status:
            case ConversionStatus.SUCCESS if result.confidence >= self._config.reject_threshold:
                return
            case ConversionStatus.SUCCESS:
                least, found = self._config.reject_threshold, result.confidence
                await self._fail(f"expected a confidence of at least {least:g}, found {found:g}", is_final=True)
            case ConversionStatus.SKIPPED:
                raise _Ended(Outcome(Fate.SKIPPED, result.error))
            case ConversionStatus.SUSPENDED:
                await self._suspend(result)
            case ConversionStatus.REJECTED:
                await self._fail(result.error or "rejected without a reason", is_final=True)
            case ConversionStatus.FAILED:
                await self._fail(result.error or "failed without a reason", details=result.details)

    def _identify(self, taken: Taken, result: ConverterResult) -> list[Report] | None:
        """Return the reports with their ids, or None when the source has changed. Blocks."""
        item = self._item
        reports = identified(
            result.reports, converter=self._config.name, source=taken.source.name, digest=taken.digest
        )
        return reports if self._is_same(item.path) else None

    async def _hand_over(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if report.id in self._item.accepted:
                continue
            try:
                await self._tools.submit(report, priority=self._config.priority)
            except QueueFullError as error:
                raise _Ended(Outcome(Fate.FULL, str(error), DISK_RETRY_S)) from error
            except ServiceStoppingError as error:
                raise _Ended(Outcome(Fate.STOPPING, str(error), DISK_RETRY_S)) from error
            except DiskError as error:
                raise _Ended(Outcome(Fate.WAITS, str(error), DISK_RETRY_S, is_error=True)) from error
            except ReportInvalidError as error:
                done = f"; {len(self._item.accepted)} of its {len(reports)} reports are accepted"
                await self._fail(f"{error}{done}", is_final=True)
            self._item.accepted[report.id] = None

    async def _file(self, action: PostAction) -> Outcome:
        item, places = self._item, self._converter.places
        limit_s = self._tools.settings.conversion_timeout_s
        try:
            if action is PostAction.KEEP:
                await self._converter.kept.note(item.path, item.signature, self._tools.threads, limit_s)
                return Outcome(Fate.KEPT)
            is_filed = await self._in_thread("filing", partial(self._file_as, action, places))
        except DiskError as error:
            if is_gone(error):
                return Outcome(Fate.GONE, "its reports are accepted; somebody took it away")
            return self._not_filed(error)
        except ConversionTimeoutError as error:
            return self._not_filed(error)
        return Outcome(Fate.FILED) if is_filed else Outcome(Fate.CHANGED, "it was written to after its conversion")

    def _file_as(self, action: PostAction, places: Places) -> bool:
        """File the source away, unless it has got new contents since. Blocks."""
        path, filing = self._item.path, self._tools.filing
        if not self._is_same(path):
            return False
        if action is PostAction.MOVE:
            return filing.move(path, places.done, self._is_same) is not None
        if action is PostAction.ARCHIVE:
            return filing.archive(path, places.archive, self._is_same) is not None
        return filing.delete(path, self._is_same)

    def _is_same(self, path: Path) -> bool:
        """Return whether the source, perhaps in another place by now, still is what was converted. Blocks."""
        return self._tools.reader.is_settled(path, self._item.signature, is_folder=self._is_folder)

    def _not_filed(self, error: ReliabilityError) -> Outcome:
        self._item.trouble = f"the reports of {self._name} are accepted, but it could not be filed away: {error}"
        return Outcome(Fate.WAITS, self._item.trouble, DISK_RETRY_S, is_error=True)

    async def _suspend(self, result: ConverterResult) -> NoReturn:
        """Let the source wait, in the folder for that if there is one. It is no error, and costs no attempt."""
        item, pending = self._item, self._converter.places.pending
        moved_to = None
        if pending is not None and item.path.parent != pending:
            try:
                move = partial(self._tools.filing.move_if_free, item.path, pending)
                place = await self._in_thread("suspending", move)
                moved_to = place if place != item.path else None
            except (DiskError, ConversionTimeoutError) as error:
                log.warning("%s waits where it is: %s", self._name, error)
        raise _Ended(Outcome(Fate.WAITS, result.error, result.retry_after_s, moved_to))

    async def _fail(self, error: str, *, details: str = "", is_final: bool = False) -> NoReturn:
        """Let the source be tried again, or put it aside when it was the last time."""
        self._item.attempts += 1
        if not is_final and self._item.attempts <= self._config.max_retries:
            raise _Ended(Outcome(Fate.WAITS, error, self._config.retry_delay_seconds, is_error=True))
        reason = {
            "what": "this could not be converted; mend it and drop it again, or delete it",
            "why": error,
            "converter": self._config.name,
            "attempts": self._item.attempts,
            "when": self._tools.clock.now().isoformat(timespec="seconds"),
        } | ({"details": details.splitlines()} if details else {})
        try:
            is_aside = await self._in_thread("putting aside", partial(self._put_aside, reason))
        except (DiskError, ConversionTimeoutError) as trouble:
            self._item.trouble = f"{self._name} could not be put aside: {trouble}"
            raise _Ended(Outcome(Fate.WAITS, self._item.trouble, DISK_RETRY_S, is_error=True)) from trouble
        raise _Ended(Outcome(Fate.ASIDE if is_aside else Fate.CHANGED, error, is_error=True))

    def _put_aside(self, reason: Mapping[str, Any]) -> bool:
        """Put the source aside with the reason, unless it has got new contents since. Blocks."""
        path, filing = self._item.path, self._tools.filing
        if not self._is_same(path):
            return False
        return filing.put_aside(path, self._converter.places.error, reason, self._is_same) is not None

    async def _in_thread(self, step: str, job: Callable[[], T]) -> T:
        name = f"{step} {self._name}"
        return await self._tools.threads.call(name, job, self._tools.settings.conversion_timeout_s)

    @property
    def _name(self) -> str:
        return self._item.path.name

    @property
    def _is_folder(self) -> bool:
        return self._converter.is_folder

    def __repr__(self) -> str:
        item = self._item
        return f"Conversion({item.path.name}, {item.attempts} failures, {len(item.accepted)} reports accepted)"
