"""What can go wrong while a dropped file is turned into reports."""

from __future__ import annotations

from collections.abc import Sequence

from pywats_reliability.errors.root import ReliabilityError


class ConverterLoadError(ReliabilityError):
    """A converter cannot do its work as it is configured; the others do theirs."""

    code = "converter_not_loaded"

    def __init__(self, converter: str, expected: str, found: str) -> None:
        self.converter, self.expected, self.found = converter, expected, found
        super().__init__(
            f"converter {converter}: expected {expected}, found {found}; mend its configuration or its module"
        )


class ConverterNotFoundError(ReliabilityError):
    """An action by hand named a converter that is not configured."""

    code = "converter_not_found"

    def __init__(self, converter: str, known: Sequence[str]) -> None:
        self.converter, self.known = converter, tuple(known)
        names = ", ".join(known) or "none"
        super().__init__(f"expected the name of a converter, found {converter!r}; the configuration has: {names}")


class ConversionError(ReliabilityError):
    """A source was not converted; it stays where it is, to be tried again or put aside.

    ``details`` (a traceback, say) may show contents of the source: it is for the reason file beside the source only.
    """

    code = "conversion_failed"

    def __init__(self, expected: str, found: str, *, details: str = "") -> None:
        self.expected, self.found, self.details = expected, found, details
        super().__init__(f"expected {expected}, found {found}; mend the file or the converter")


class ConversionTimeoutError(ReliabilityError):
    """A step of a conversion took longer than its limit; an isolated converter was killed for it."""

    code = "conversion_timeout"

    def __init__(self, step: str, limit_s: float) -> None:
        self.step, self.limit_s = step, limit_s
        super().__init__(
            f"{step}: expected it to end within {limit_s:g} s, found it still running;"
            " mend the converter, or raise conversion_timeout_seconds"
        )
