"""Where Qt cannot load, nothing here is collected but what says so, and what to install."""

from __future__ import annotations

import os
from pathlib import Path

from pywats_reliability.errors import GuiUnavailableError
from pywats_reliability.gui.availability import require_qt

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
WITHOUT_QT = {"conftest.py", "test_availability.py", "test_server_trial.py", "test_log_buffer.py"}
try:
    require_qt(os.environ)
    collect_ignore: list[str] = []
except GuiUnavailableError:
    collect_ignore = [path.name for path in Path(__file__).parent.glob("*.py") if path.name not in WITHOUT_QT]
