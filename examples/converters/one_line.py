"""A converter of one's own: one line a file, ``SERIAL RESULT``, such as ``SN-0005 PASS``.

Configured with ``"module_path": "one_line.py"``, it runs in a worker process of its own.
"""

from __future__ import annotations

from pywats_reliability.converters import ConverterContext, ConverterResult, ConverterSource


class OneLineConverter:
    """Makes one report of one line."""

    def convert(self, source: ConverterSource, context: ConverterContext) -> ConverterResult:
        """Return the report; a line that is not whole yet is tried again later."""
        words = source.read_text().split()
        if len(words) != 2:
            return ConverterResult.failed_result(f"expected two words, found {len(words)}")
        serial, result = words
        report = {
            "type": "T",
            "pn": context.get_argument("pn", "UNKNOWN"),
            "sn": serial,
            "rev": context.get_argument("rev", "A"),
            "processCode": context.get_argument("process_code", 10),
            "machineName": context.station.name or "Station",
            "location": context.station.location or "Factory",
            "purpose": context.station.purpose or "Production",
            "result": "P" if result == "PASS" else "F",
            "start": source.modified_at.isoformat(),
        }
        return ConverterResult.success_result(report)
