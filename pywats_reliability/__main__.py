"""``python -m pywats_reliability`` is ``pywats-service``."""

from __future__ import annotations

from pywats_reliability.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
