"""Converting: turns what is dropped into watched folders into accepted reports (C1.9)."""

from __future__ import annotations

from pywats_reliability.converter_pool.pool import AsyncConverterPool, ConverterStats
from pywats_reliability.converter_pool.protocols import ReportQueue, Submit
from pywats_reliability.converter_pool.settings import PoolSettings
from pywats_reliability.converter_pool.writers import never_known

__all__ = ["AsyncConverterPool", "ConverterStats", "PoolSettings", "ReportQueue", "Submit", "never_known"]
