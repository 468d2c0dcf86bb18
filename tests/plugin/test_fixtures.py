"""The fixtures as their users meet them: the page of examples, deadlines, seeds, needs, with other plugins or not."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_pytest(folder: Path, test: str, *options: str, limit_s: float = 100) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(textwrap.dedent(test))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *options]
    return subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=limit_s, check=False)


def test_every_example_of_the_page_passes(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "pytest-fixtures.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    count = sum(example.count("async def test_") for example in examples)
    found = run_pytest(tmp_path, "\n\n".join(examples), "-rs")
    skipped = found.stdout.count("is not available here")  # A machine without strace or libfaketime.
    assert f"{count - skipped} passed" in found.stdout, found.stdout


def test_every_fixture_has_an_example() -> None:
    text = (ROOT / "docs" / "pytest-fixtures.md").read_text(encoding="utf-8")
    source = (ROOT / "chaos" / "fixtures.py").read_text(encoding="utf-8")
    fixtures = re.findall(r"@pytest(?:_asyncio)?\.fixture\n(?:async )?def (\w+)", source)
    used = " ".join(re.findall(r"async def test_\w+\((.*?)\)", text))
    assert [name for name in fixtures if not re.search(rf"\b{name}\b", used)] == []


HANGING = """
    import asyncio, pytest
    @pytest.mark.deadline(6)
    @pytest.mark.asyncio
    async def test_it(world):
        service = await world.start(failpoints={"task:ping": "hang"})
        await service.failpoint("task:ping").fired()
        await asyncio.Event().wait()
    """


TOO_SLOW = {
    "with pytest-timeout": (6, ()),
    "without it": (6, ("-p", "no:timeout")),
    "ended by it": (50, ("--timeout", "12", "--timeout-method", "signal")),
    "under xdist": (6, ("-n", "1")),
}


@pytest.mark.parametrize("case", TOO_SLOW)
def test_a_test_that_is_too_slow_tells_where_the_service_stands(tmp_path: Path, case: str) -> None:
    """The report names the await that the hung task sits on, what is open, and the last fault."""
    deadline_s, options = TOO_SLOW[case]
    found = run_pytest(tmp_path, HANGING.replace("deadline(6)", f"deadline({deadline_s})"), *options)
    assert "1 failed" in found.stdout, found.stdout
    assert "where the service stood" in found.stdout
    assert re.search(r"task ping\n(?:  .*\n)*?  rhythms\.py:\d+ in Rhythms\.ping", found.stdout), found.stdout
    assert "last fault: failpoint.hang" in found.stdout
    assert "service.sock" in found.stdout


def test_each_test_with_a_world_runs_under_each_seed(tmp_path: Path) -> None:
    test = """
        import pytest
        @pytest.mark.asyncio
        async def test_it(world): print("seed", world.seed.number)
        def test_without(): pass
        """
    found = run_pytest(tmp_path, test, "--chaos-seed", "7", "--chaos-seeds", "2", "-s")
    assert "3 passed" in found.stdout
    assert re.findall(r"seed (\d+)", found.stdout) == ["7", "8"]


def test_an_unknown_world_and_an_unknown_need_are_refused(tmp_path: Path) -> None:
    test = "import pytest\n@pytest.mark.needs('magic')\ndef test_it(): pass\n"
    assert "expected a need (ptrace, faketime, linux), found 'magic'" in run_pytest(tmp_path, test).stdout
    found = run_pytest(tmp_path, test, "--chaos-world", "mars")
    assert found.returncode == pytest.ExitCode.USAGE_ERROR
    assert "expected one of live, found 'mars'" in found.stdout + found.stderr


def test_a_need_that_is_not_met_skips_with_what_to_install(tmp_path: Path) -> None:
    test = """
        import pytest
        from chaos.live import wall_clock
        wall_clock.PLACES = ("/nowhere/*.so",)
        @pytest.mark.needs("faketime")
        def test_it(): pass
        """
    found = run_pytest(tmp_path, test, "-rs")
    assert "1 skipped" in found.stdout
    assert "apt install faketime" in found.stdout


def test_a_leak_fails_the_test_and_names_the_line(tmp_path: Path) -> None:
    test = """
        import asyncio, pytest
        @pytest.mark.asyncio
        async def test_it(leak_check):
            asyncio.get_running_loop().create_task(asyncio.sleep(60), name="forgotten")
        """
    found = run_pytest(tmp_path, test)
    assert "1 passed, 1 error" in found.stdout
    assert re.search(r"task forgotten, .* made at test_it\.py:5 in test_it", found.stdout), found.stdout
