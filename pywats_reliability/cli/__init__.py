"""The command ``pywats-service``."""

from __future__ import annotations

from pywats_reliability.cli.commands import main

__all__ = ["main"]
