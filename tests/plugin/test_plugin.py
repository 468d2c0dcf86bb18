"""The pytest plugin as its users meet it: in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def run_pytest(folder: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(textwrap.dedent(test))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *options]
    return subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=60, check=False)


def test_a_mark_with_an_unknown_id_is_refused_in_one_line(tmp_path: Path) -> None:
    found = run_pytest(tmp_path, "import pytest\n@pytest.mark.proves('C1.66')\ndef test_it(): pass\n")
    assert found.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_it.py::test_it: expected a property id such as C1.6, found 'C1.66'" in found.stdout + found.stderr


def test_tests_are_chosen_by_what_they_prove(tmp_path: Path) -> None:
    test = """
        import pytest
        @pytest.mark.proves("C1.6")
        def test_one(): pass
        @pytest.mark.proves("H6.1")
        def test_other(): pass
        def test_third(): pass
        """
    found = run_pytest(tmp_path, test, "--proves", "h6.1")
    assert "1 passed, 2 deselected" in found.stdout


def test_the_fixtures_are_documented(tmp_path: Path) -> None:
    found = run_pytest(tmp_path, "def test_it(): pass\n", "--fixtures")
    for name in ("service_process", "wats_server", "world"):
        assert f"\n{name} " in found.stdout


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    heavy = "{'httpx', 'pydantic', 'hypothesis', 'rich', 'pywats_reliability', 'asyncio', 'chaos.live', 'click'}"
    code = f"""
import sys, pytest
before = set(sys.modules)
import chaos.pytest_plugin
print({heavy} & set(sys.modules) - before)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "set()"


def test_a_test_leaves_no_process_behind(tmp_path: Path) -> None:
    """A test that fails in the middle of a scenario still has its world undone."""
    test = f"""
        import pytest
        @pytest.mark.asyncio
        async def test_it(service_process, wats_server):
            service = await service_process.start()
            open({str(tmp_path / "pid")!r}, "w").write(str(service.process.pid))
            open({str(tmp_path / "folder")!r}, "w").write(str(service_process.site.folder))
            raise ZeroDivisionError
        """
    found = run_pytest(tmp_path, test)
    assert "ZeroDivisionError" in found.stdout
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()
    assert not Path((tmp_path / "folder").read_text()).exists()
