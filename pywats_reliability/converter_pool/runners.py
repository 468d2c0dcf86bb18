"""How converters run: built-in ones in a thread, everybody else's in a worker process (C1.4)."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from pywats_reliability.config.nested import ConverterConfig
from pywats_reliability.converter_pool.threads import Threads
from pywats_reliability.converters import Converter, ConverterContext, ConverterResult, ConverterSource
from pywats_reliability.converters.isolated import IsolatedConverter
from pywats_reliability.converters.loader import BUILT_IN, refer
from pywats_reliability.errors import ConversionError


class Runner(Protocol):
    """What runs a converter."""

    async def load(self) -> None:
        """Make it ready. Raises ``ConverterLoadError``."""
        ...

    async def convert(self, source: ConverterSource, context: ConverterContext, limit_s: float) -> ConverterResult:
        """Return what the converter makes of ``source`` within ``limit_s``.

        Raises ``ConversionError``, ``ConversionTimeoutError`` or ``ConverterLoadError``.
        """
        ...

    async def close(self) -> None:
        """End whatever ``load`` and ``convert`` have started; ``load`` may begin anew."""
        ...

    def left_behind(self) -> tuple[str, ...]:
        """Return the names of what did not end though it was told to."""
        ...


RunnerFactory = Callable[[ConverterConfig, Threads], Runner]
"""Makes what runs a converter; what runs in threads runs in these."""


class InThread:
    """Runs a converter of our own in the service's process."""

    def __init__(self, converter: Converter, threads: Threads) -> None:
        self._converter, self._threads = converter, threads

    async def load(self) -> None:
        """Do nothing: it was loaded with the service."""

    async def convert(self, source: ConverterSource, context: ConverterContext, limit_s: float) -> ConverterResult:
        """Call the converter in a thread; see ``Runner``."""
        job = partial(self._convert, source, context)
        return await self._threads.call(f"converting {source.name}", job, limit_s)

    async def close(self) -> None:
        """Do nothing: the threads belong to the pool."""

    def left_behind(self) -> tuple[str, ...]:
        """Return nothing: the threads tell of themselves."""
        return ()

    def _convert(self, source: ConverterSource, context: ConverterContext) -> ConverterResult:
        try:
            return self._converter.convert(source, context)
        except Exception as error:
            # A source that no converter was made for is an error of that source, as with everybody else's converter.
            found = type(error).__name__
            raise ConversionError("the converter to return a result", found, details=traceback.format_exc()) from error

    def __repr__(self) -> str:
        return f"InThread({type(self._converter).__name__})"


def is_built_in(config: ConverterConfig) -> bool:
    """Return whether the converter comes with the service."""
    return config.module_path in BUILT_IN


def make_runner(config: ConverterConfig, threads: Threads, *, folder: Path) -> Runner:
    """Return what runs the converter; a relative file of somebody's converter is in ``folder``."""
    if is_built_in(config):
        return InThread(BUILT_IN[config.module_path](), threads)
    return IsolatedConverter(refer(config.name, config.module_path, folder))
