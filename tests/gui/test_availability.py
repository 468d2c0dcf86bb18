"""Where Qt cannot be had, one line says what is missing and what to install; the rest works."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from chaos.errors import NotAvailableError
from chaos.scenarios.h2_pages import played
from chaos.seed import Seed
from pywats_reliability.errors import GuiUnavailableError
from pywats_reliability.gui.availability import SYSTEM_PACKAGES, require_fonts, require_qt

OFFSCREEN = {"QT_QPA_PLATFORM": "offscreen"}


def refused(environment: dict[str, str], **given: object) -> str:
    with pytest.raises(GuiUnavailableError) as refusal:
        require_qt(environment, **given)  # type: ignore[arg-type]
    return str(refusal.value)


def failing(error: ImportError, *, at: str) -> object:
    load = importlib.import_module

    def loads(name: str, package: str | None = None) -> ModuleType:
        if name == at:
            raise error
        return load(name, package)

    return loads


def test_qt_loads_here_or_the_message_names_the_system_packages() -> None:
    words = ""
    try:
        require_qt(OFFSCREEN)
    except GuiUnavailableError as error:
        words = str(error)
    assert not words or "pip install" in words or all(package in words for package in SYSTEM_PACKAGES)


def test_a_missing_library_is_told_with_the_packages_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = ImportError("libEGL.so.1: cannot open shared object file: No such file or directory")
    monkeypatch.setattr(importlib, "import_module", failing(missing, at="PySide6.QtWidgets"))
    words = refused(OFFSCREEN)
    assert "libEGL.so.1" in words
    assert all(package in words for package in SYSTEM_PACKAGES)


def test_a_missing_python_package_is_told_with_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib, "import_module", failing(ModuleNotFoundError("qasync"), at="qasync"))
    monkeypatch.setitem(sys.modules, "PySide6.QtWidgets", ModuleType("PySide6.QtWidgets"))
    assert "pip install 'pywats-reliability[gui]'" in refused(OFFSCREEN)


def test_a_missing_display_is_told_before_qt_ends_the_process() -> None:
    assert "set DISPLAY" in refused({}, platform="linux")


def test_a_pyside_that_aborts_this_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PySide6", "PySide6.QtWidgets", "qasync"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["PySide6"], "__version_info__", (6, 12, 0), raising=False)
    assert "PySide6-Essentials<6.12" in refused(OFFSCREEN, python=(3, 11))
    require_qt(OFFSCREEN, python=(3, 12))


def test_without_fonts_the_packages_are_named() -> None:
    with pytest.raises(GuiUnavailableError, match="fonts-dejavu-core"):
        require_fonts(0)
    require_fonts(1)


def test_the_command_says_it_in_one_line() -> None:
    clean = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "QT_QPA_PLATFORM")}
    clean.pop("WAYLAND_DISPLAY", None)
    command = [sys.executable, "-m", "pywats_reliability", "gui"]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=30, check=False)
    if sys.platform == "linux":
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert "expected a display" in done.stderr


def test_the_commands_beside_it_load_no_qt() -> None:
    program = "import sys, pywats_reliability.cli.commands; print('PySide6' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "False"


def test_the_documents_name_the_same_packages() -> None:
    root = Path(__file__).parents[2]
    assert f"apt-get install --no-install-recommends {' '.join(SYSTEM_PACKAGES)}\n" in (
        root / "docs" / "configurator.md"
    ).read_text(encoding="utf-8")


def test_a_story_without_qt_is_not_available_with_the_packages_to_install(tmp_path: Path) -> None:
    """A PySide6 stands in front of the real one that cannot load its libraries."""
    (tmp_path / "PySide6").mkdir()
    (tmp_path / "PySide6" / "__init__.py").write_text(
        "raise ImportError('libEGL.so.1: cannot open shared object file')"
    )
    command = [sys.executable, "-m", "chaos.subjects.configurator.probe", "cycles", "--folder", str(tmp_path)]
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": paths, **OFFSCREEN}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    absent = json.loads(done.stdout)["not_available"]
    assert "libEGL.so.1" in absent["reason"]
    assert all(package in absent["advice"] for package in SYSTEM_PACKAGES)


@pytest.mark.asyncio
async def test_a_scenario_without_qt_is_not_available() -> None:
    class World:
        seed = Seed(1)

        async def probe(self, _: str, **__: object) -> dict[str, object]:
            return {"not_available": {"need": "Qt", "reason": "no libEGL", "advice": "install it"}}

    with pytest.raises(NotAvailableError, match="no libEGL; install it"):
        await played(cast("Any", World()), "cycles")
