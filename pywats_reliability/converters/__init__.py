"""Turning dropped files into reports: the interface of a converter, and two real ones.

What stands here is all that a converter of one's own imports; it loads nothing heavy.
"""

from __future__ import annotations

from pywats_reliability.converters.csv_log import CsvConverter
from pywats_reliability.converters.interface import (
    ConversionStatus,
    Converter,
    ConverterContext,
    ConverterResult,
    ConverterSource,
    PostAction,
    StationInfo,
)
from pywats_reliability.converters.wsjf import WsjfConverter

__all__ = [
    "ConversionStatus",
    "Converter",
    "ConverterContext",
    "ConverterResult",
    "ConverterSource",
    "CsvConverter",
    "PostAction",
    "StationInfo",
    "WsjfConverter",
]
