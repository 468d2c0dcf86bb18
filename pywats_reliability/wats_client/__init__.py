"""The way to the WATS server: a report's bytes go out, a decision about the report comes back."""

from __future__ import annotations

from pywats_reliability.wats_client.client import ANSWER_BYTES_MAX, REPORT_PATH, WatsClient
from pywats_reliability.wats_client.line import ProxySettings

__all__ = ["ANSWER_BYTES_MAX", "REPORT_PATH", "ProxySettings", "WatsClient"]
