"""``python -m chaos`` is ``pywats-chaos``."""

from __future__ import annotations

from chaos.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
