"""An isolated converter: somebody's code in worker processes of its own, each killed for the first thing it does wrong.

* A source whose conversion crashes, hangs, exits or answers rubbish is an error of that source; the next one gets a new
  process, and the service notices nothing (C1.4, C1.9).
* Over its time, or cancelled, a conversion ends with the killing of its process and of all that this started.
* A process that did well is kept for the next source, one at most; ``close`` ends it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Any

from pywats_reliability.converters import messages
from pywats_reliability.converters.interface import ConverterContext, ConverterResult, ConverterSource
from pywats_reliability.converters.loader import Reference
from pywats_reliability.converters.process import WorkerProcess
from pywats_reliability.errors import ConversionError, ConversionTimeoutError, ConverterLoadError

LOAD_TIMEOUT_S = 30.0
log = logging.getLogger(__name__)


class IsolatedConverter:
    """Runs the converter that ``reference`` names. ``environment``: the process's own by default."""

    def __init__(
        self,
        reference: Reference,
        *,
        environment: Mapping[str, str] | None = None,
        load_timeout_s: float = LOAD_TIMEOUT_S,
    ) -> None:
        self._reference = reference
        self._environment = os.environ if environment is None else environment
        self._load_timeout_s = load_timeout_s
        self._idle: WorkerProcess | None = None
        self._busy: dict[WorkerProcess, None] = {}
        self._undead: dict[WorkerProcess, None] = {}
        self._is_open = False
        self._asked, self._told = 0, ""

    async def load(self) -> None:
        """Load the converter, in a process that is then ready. Raises ``ConverterLoadError``."""
        self._is_open = True
        try:
            worker = await self._ready_worker()
        except (ConversionError, ConversionTimeoutError) as error:
            expected, found = "it to be loaded by a worker process", str(error)
            raise ConverterLoadError(self._reference.converter, expected, found) from error
        await self._keep(worker)

    async def convert(self, source: ConverterSource, context: ConverterContext, limit_s: float) -> ConverterResult:
        """Return what the converter makes of ``source``, within ``limit_s``.

        Raises ``ConversionError``, ``ConversionTimeoutError`` or ``ConverterLoadError``. Cancelled, it kills first.
        """
        worker = await self._ready_worker()
        self._asked += 1
        number = self._asked
        request = messages.convert_request(number, source, context, limit_s)
        answer = await self._asked_of(worker, request, limit_s, f"converting {source.name}")
        if answer.get("id") != number:
            await self._end(worker)
            raise ConversionError("the answer to this question from the worker process", "another")
        await self._keep(worker)
        if (failure := messages.failure_in(answer)) is not None:
            raise failure
        return messages.received(answer.get("result"))

    async def close(self) -> None:
        """End every process that is left; those at work are killed, too."""
        self._is_open = False
        workers = [*self._busy, *([self._idle] if self._idle else [])]
        self._idle = None
        for worker in workers:
            await self._end(worker)

    def left_behind(self) -> tuple[str, ...]:
        """Return the names of processes that did not end though they were killed."""
        undead = [worker for worker in self._undead if not worker.has_ended]
        return tuple(f"process {worker.pid} of converter {self._reference.converter}" for worker in undead)

    async def _ready_worker(self) -> WorkerProcess:
        idle, self._idle = self._idle, None
        if idle is not None and idle.is_fit:
            self._busy[idle] = None
            return idle
        if idle is not None:
            await self._end(idle)
        return await self._loaded_worker()

    async def _loaded_worker(self) -> WorkerProcess:
        worker = await WorkerProcess.start(self._reference.converter, self._environment)
        self._busy[worker] = None
        request = messages.load_request(self._reference, self._load_timeout_s)
        answer = await self._asked_of(worker, request, self._load_timeout_s, f"loading {self._reference}")
        if (failure := messages.failure_in(answer)) is not None:
            await self._end(worker)
            if failure.details != self._told:  # It is tried again twice a minute; the same need not be said again.
                self._told = failure.details
                log.error("converter %s is not loaded: %s", self._reference.converter, failure.details)
            raise ConverterLoadError(self._reference.converter, failure.expected, failure.found)
        return worker

    async def _asked_of(
        self, worker: WorkerProcess, request: messages.Message, limit_s: float, step: str
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(limit_s):
                return await worker.ask(request)
        except TimeoutError:
            await self._end(worker)
            raise ConversionTimeoutError(step, limit_s) from None
        except BaseException:
            await self._end(worker)
            raise

    async def _keep(self, worker: WorkerProcess) -> None:
        """Keep a process that did well for the next source, unless there is one, or there is to be none."""
        if self._idle is None and self._is_open and worker.is_fit:
            self._busy.pop(worker, None)
            self._idle = worker
        else:
            await self._end(worker)

    async def _end(self, worker: WorkerProcess) -> None:
        worker.kill()
        self._busy.pop(worker, None)
        self._undead[worker] = None
        if await worker.wait_ended():
            self._undead.pop(worker, None)
        else:
            log.error("%r was killed and does not end; it is left behind", worker)

    def __repr__(self) -> str:
        return f"IsolatedConverter({self._reference}, {len(self._busy)} busy, {'one' if self._idle else 'none'} idle)"
