"""Whether Qt can be had here, and if not, what to install: said in one sentence, instead of a crash (H2, H3).

* Three things may be missing: the Python packages (extra ``gui``), the system's libraries they are linked to, and a
  display. Qt ends the process when it finds no display, so that is looked for before Qt is asked.
* Nothing is imported at the top that needs Qt: this module must load everywhere.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

from pywats_reliability.errors import GuiUnavailableError

SYSTEM_PACKAGES = (
    "libegl1", "libgl1", "libglib2.0-0", "libfontconfig1", "libxkbcommon0", "libdbus-1-3", "fonts-dejavu-core",
)  # fmt: skip
"""What Qt's widgets need of a Debian or Ubuntu that has no desktop; also for drawing without a display."""
INSTALL = f"apt-get install --no-install-recommends {' '.join(SYSTEM_PACKAGES)}"
_DISPLAYS = ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")
_IMMORTAL_QT, _IMMORTAL_PYTHON = (6, 12), (3, 12)
_NEEDED = ("PySide6.QtWidgets", "qasync")


def require_qt(
    environment: Mapping[str, str], *, platform: str = sys.platform, python: tuple[int, ...] = sys.version_info[:2]
) -> None:
    """Load Qt, or raise ``GuiUnavailableError`` with what is missing and how to get it."""
    if platform == "linux" and not any(environment.get(name) for name in _DISPLAYS):
        to_do = f"set DISPLAY, or QT_QPA_PLATFORM=offscreen for no display at all (system packages: {INSTALL})"
        raise GuiUnavailableError(f"a display in {' or '.join(_DISPLAYS[1:])}", "neither", to_do)
    for name in _NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise _explained(name, error) from error
    version: tuple[int, ...] = importlib.import_module("PySide6").__version_info__[:2]
    if (fault := _fault_of(version, python)) is not None:
        raise fault


def require_fonts(families: int) -> None:
    """Raise ``GuiUnavailableError`` when Qt knows no font: it would draw boxes instead of letters."""
    if families == 0:
        raise GuiUnavailableError("a font that Qt can draw with", "none", f"install the system packages: {INSTALL}")


def _fault_of(version: tuple[int, ...], python: tuple[int, ...]) -> GuiUnavailableError | None:
    """Return the refusal of a PySide6 that would bring the interpreter down after some hundreds of signals.

    From 6.12 on it counts references as if True, False and None were immortal, which they are from Python 3.12 on.
    """
    if version < _IMMORTAL_QT or python >= _IMMORTAL_PYTHON:
        return None
    found = f"PySide6 {version[0]}.{version[1]}, which aborts Python {python[0]}.{python[1]} after some hundred signals"
    to_do = "pip install 'PySide6-Essentials<6.12', or use Python 3.12 or newer"
    return GuiUnavailableError("a PySide6 that fits this Python", found, to_do)


def _explained(name: str, error: ImportError) -> GuiUnavailableError:
    if isinstance(error, ModuleNotFoundError):
        to_do = f"pip install 'pywats-reliability[gui]' (and the system packages: {INSTALL})"
        return GuiUnavailableError(f"the Python package of {name}", "none", to_do)
    return GuiUnavailableError(f"{name} to load", str(error), f"install the system packages: {INSTALL}")
