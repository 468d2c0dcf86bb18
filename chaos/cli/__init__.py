"""The command ``pywats-chaos``."""

from __future__ import annotations

from chaos.cli.commands import main

__all__ = ["main"]
