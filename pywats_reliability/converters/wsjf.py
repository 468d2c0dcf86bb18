"""The converter for files that are reports already: one WSJF object each, kept byte for byte."""

from __future__ import annotations

from pywats_reliability.converters.interface import ConverterContext, ConverterResult, ConverterSource


class WsjfConverter:
    """Hands a file on as it is; whether it is a report is judged where every report is.

    A file that is half written is no JSON: that is a failure, so it is tried again when it may be whole.
    """

    def convert(self, source: ConverterSource, _context: ConverterContext, /) -> ConverterResult:
        """Return the file's bytes as one report."""
        return ConverterResult.success_result(source.read_bytes())
