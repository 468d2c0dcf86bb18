"""Somebody's converter in a process of its own: what it does wrong is an error of its file, and it is gone (C1.4)."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from pywats_reliability.converters import ConversionStatus, ConverterContext, ConverterResult, ConverterSource, messages
from pywats_reliability.converters import process as process_module
from pywats_reliability.converters import worker as worker_module
from pywats_reliability.converters.isolated import IsolatedConverter
from pywats_reliability.converters.loader import refer
from pywats_reliability.converters.process import worker_environment
from pywats_reliability.errors import ConversionError, ConversionTimeoutError, ConverterLoadError

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(sys.platform != "linux", reason="sessions and /proc as on Linux"),
]
DEADLINE_S = 10.0
HEAD = "from pywats_reliability.converters import ConverterResult\nimport os, sys, subprocess, time, signal\n"


@asynccontextmanager
async def isolated(folder: Path, body: str, *, head: str = "", load: bool = True) -> AsyncIterator[IsolatedConverter]:
    """Give a converter whose ``convert`` has this body, and see to it that no process of it is left."""
    code = HEAD + head + "class Theirs:\n    def convert(self, source, context):\n" + textwrap.indent(body, " " * 8)
    (folder / "theirs.py").write_text(code)
    (folder / "a.csv").write_bytes(b"contents")
    converter = IsolatedConverter(refer("c", "theirs.py", folder))
    try:
        async with asyncio.timeout(DEADLINE_S):
            if load:
                await converter.load()
            yield converter
    finally:
        await converter.close()
    assert converter.left_behind() == ()
    assert repr(converter) == f"IsolatedConverter({folder / 'theirs.py'}, 0 busy, none idle)"
    assert workers() == []


def workers() -> list[int]:
    """Return the processes that this one has started and that still run."""
    alive = [child for child in psutil.Process().children(recursive=True) if is_alive(child.pid)]
    return [child.pid for child in alive if "worker" in str(child.cmdline())]


def converting(converter: IsolatedConverter, folder: Path, limit_s: float = DEADLINE_S) -> Awaitable[ConverterResult]:
    return converter.convert(source_in(folder), ConverterContext("c", {"n": 1}), limit_s)


def source_in(folder: Path, name: str = "a.csv") -> ConverterSource:
    return ConverterSource(folder / name, datetime(2026, 11, 23, tzinfo=UTC))


async def until(is_so: Callable[[], bool]) -> None:
    """Return once ``is_so()``: of other processes, which tell nobody."""
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_converter_in_its_process_sees_source_and_arguments(tmp_path: Path) -> None:
    body = "return ConverterResult.success_result({'x': source.read_text(), 'n': context.get_argument('n')})\n"
    async with isolated(tmp_path, body) as converter:
        result = await converting(converter, tmp_path)
        (report,) = result.reports
        assert json.loads(report) == {"x": "contents", "n": 1}  # type: ignore[arg-type]


async def test_a_report_as_bytes_arrives_byte_for_byte(tmp_path: Path) -> None:
    async with isolated(tmp_path, "return ConverterResult.success_result(b'{ \"x\":1.10 }')\n") as converter:
        assert (await converting(converter, tmp_path)).reports == ('{ "x":1.10 }',)


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ("failed_result('why')", ConversionStatus.FAILED),
        ("suspended_result('why', 7)", ConversionStatus.SUSPENDED),
        ("skipped_result('why')", ConversionStatus.SKIPPED),
        ("rejected_result('why')", ConversionStatus.REJECTED),
    ],
)
async def test_every_other_result_arrives(tmp_path: Path, call: str, status: ConversionStatus) -> None:
    async with isolated(tmp_path, f"return ConverterResult.{call}\n") as converter:
        result = await converting(converter, tmp_path)
        assert (result.status, result.error) == (status, "why")
        assert result.retry_after_s == (7 if status is ConversionStatus.SUSPENDED else 60)


async def test_one_process_serves_many_files(tmp_path: Path) -> None:
    async with isolated(tmp_path, "return ConverterResult.success_result({'pid': os.getpid()})\n") as converter:
        assert len({(await converting(converter, tmp_path)).reports for _ in range(5)}) == 1


async def test_what_it_prints_does_no_harm(tmp_path: Path) -> None:
    body = "print('{}'); os.write(1, b'x' * 100_000); return ConverterResult.skipped_result('done')\n"
    async with isolated(tmp_path, body) as converter:
        assert (await converting(converter, tmp_path)).error == "done"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("raise ValueError('SECRET contents')", "found ValueError at theirs.py:6;"),
        ("sys.exit(0)", "found SystemExit at theirs.py:6;"),
        ("raise KeyboardInterrupt", "found KeyboardInterrupt at theirs.py:6;"),
        ("return None", "expected a ConverterResult from the converter, found NoneType;"),
        ("return ConverterResult.success_result({'x': float('nan')})", "expected reports that JSON can carry"),
        ("return ConverterResult.success_result({'x': object()})", "expected reports that JSON can carry"),
        ("return ConverterResult.success_result(b'\\xff')", "expected reports that JSON can carry"),
        ("return ConverterResult('no status')", "expected a result with a status"),
        ("return ConverterResult.suspended_result('x', float('nan'))", "found ValueError at"),
        ("os._exit(0)", "expected an answer from the worker process, found its end"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "expected an answer from the worker process, found its end"),
        ("os.closerange(0, 50)", "expected an answer from the worker process, found its end"),
    ],
)
async def test_what_it_does_wrong_is_an_error_of_the_file_and_the_next_file_is_well(
    tmp_path: Path, body: str, found: str
) -> None:
    whole = f"if source.path.name == 'a.csv':\n    {body}\nreturn ConverterResult.skipped_result('well')\n"
    async with isolated(tmp_path, whole) as converter:
        with pytest.raises(ConversionError) as raised:
            await converting(converter, tmp_path)
        assert (found in str(raised.value), "SECRET" in str(raised.value)) == (True, False)
        (tmp_path / "b.csv").touch()
        result = await converter.convert(source_in(tmp_path, "b.csv"), ConverterContext(), DEADLINE_S)
        assert result.error == "well"


async def test_the_traceback_goes_into_the_details(tmp_path: Path) -> None:
    async with isolated(tmp_path, "raise ValueError('SECRET')\n") as converter:
        with pytest.raises(ConversionError) as raised:
            await converting(converter, tmp_path)
        assert "ValueError: SECRET" in raised.value.details


RUBBISH = """
for fd in range(3, 20):
    try:
        if 'pipe' in os.readlink(f'/proc/self/fd/{fd}'):
            os.write(fd, RUBBISH)
    except OSError:
        pass
time.sleep(60)
"""


@pytest.mark.parametrize(
    "rubbish",
    [b"no JSON\n", b"[]\n", b'{"id": 99, "result": {}}\n', b'{"id": 1, "result": 5}\n', b"\xff" * 100 + b"\n"],
)
async def test_rubbish_in_place_of_an_answer_is_an_error_of_the_file(tmp_path: Path, rubbish: bytes) -> None:
    async with isolated(tmp_path, RUBBISH.replace("RUBBISH", repr(rubbish))) as converter:
        with pytest.raises(ConversionError):
            await converting(converter, tmp_path)


async def test_an_answer_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "ANSWER_BYTES_MAX", 100_000)
    body = "return ConverterResult.success_result({'x': 'x' * 1_000_000})\n"
    async with isolated(tmp_path, body) as converter:
        with pytest.raises(ConversionError, match="at most 100000 bytes"):
            await converting(converter, tmp_path)


@pytest.mark.parametrize("body", ["while True: pass", "signal.pthread_sigmask(0, range(1, 60)); time.sleep(60)"])
async def test_one_that_hangs_is_killed_at_its_limit(tmp_path: Path, body: str) -> None:
    async with isolated(tmp_path, body + "\n") as converter:
        began = time.monotonic()
        with pytest.raises(ConversionTimeoutError, match=r"converting a\.csv: expected it to end within 0\.1 s"):
            await converting(converter, tmp_path, 0.1)
        assert (time.monotonic() - began < 3, workers()) == (True, [])


FAMILY = """
children = [subprocess.Popen(['sleep', '60'], start_new_session=apart) for apart in (False, True)]
with open(source.path.parent / 'pids.new', 'w') as file:
    file.write(' '.join(str(child.pid) for child in children))
os.rename(source.path.parent / 'pids.new', source.path.parent / 'pids')
"""


@pytest.mark.parametrize("how", ["limit", "cancel", "close"])
async def test_what_it_has_started_is_killed_with_it(tmp_path: Path, how: str) -> None:
    async with isolated(tmp_path, FAMILY + "while True: pass\n") as converter, asyncio.TaskGroup() as tasks:
        limit_s = 1.0 if how == "limit" else DEADLINE_S
        with contextlib.suppress(ConversionTimeoutError, ConversionError):
            task = tasks.create_task(failing(converting(converter, tmp_path, limit_s)))
            await until((tmp_path / "pids").exists)
            pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
            assert all(map(is_alive, pids))
            if how == "cancel":
                task.cancel()
            elif how == "close":
                await converter.close()
            await asyncio.wait([task])
        await until(lambda: not any(map(is_alive, pids)))


async def failing(work: Awaitable[object]) -> None:
    with contextlib.suppress(ConversionTimeoutError, ConversionError):
        await work


async def test_code_that_lets_no_thread_run_ends_without_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The regular expression holds the interpreter's lock for ages; the worker's own timer must not need it.
    code = inspect.getsource(worker_module).replace("GRACE_S = 5.0", "GRACE_S = 0.0")
    (tmp_path / "impatient.py").write_text(code)
    monkeypatch.setattr(process_module, "_WORKER", "impatient")
    monkeypatch.setattr(process_module, "_PACKAGES", f"{process_module._PACKAGES}{os.pathsep}{tmp_path}")
    async with isolated(tmp_path, "import re; re.match('(a|a)*b', 'a' * 60)\n") as converter:
        worker = converter._idle
        assert worker is not None
        request = messages.convert_request(1, source_in(tmp_path), ConverterContext(), 0.2)
        with pytest.raises(ConversionError, match="found its end"):
            await worker.ask(request)


async def test_what_it_leaves_in_its_session_when_it_exits_is_killed(tmp_path: Path) -> None:
    async with isolated(tmp_path, FAMILY.replace("(False, True)", "(False,)") + "os._exit(0)\n") as converter:
        with pytest.raises(ConversionError):
            await converting(converter, tmp_path)
        pid = int((tmp_path / "pids").read_text())
        await until(lambda: not is_alive(pid))


async def test_it_dies_with_the_service_even_in_an_endless_loop(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        HEAD + "class Theirs:\n def convert(self, source, context):\n"
        + textwrap.indent(FAMILY.replace("(False, True)", "(False,)") + "while True: pass\n", "  ")
    )  # fmt: skip
    (tmp_path / "a.csv").touch()
    script = textwrap.dedent(f"""
        import asyncio
        from datetime import UTC, datetime
        from pathlib import Path
        from pywats_reliability.converters import ConverterContext, ConverterSource
        from pywats_reliability.converters.isolated import IsolatedConverter
        from pywats_reliability.converters.loader import refer
        folder = Path({str(tmp_path)!r})
        async def main():
            converter = IsolatedConverter(refer("c", "theirs.py", folder))
            await converter.load()
            print(converter._idle.pid, flush=True)
            await converter.convert(ConverterSource(folder / "a.csv", datetime.now(UTC)), ConverterContext(), 60)
        asyncio.run(main())
    """)
    pipe, environment = asyncio.subprocess.PIPE, worker_environment(os.environ)
    service = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=pipe, env=environment)
    assert service.stdout is not None
    worker = int(await service.stdout.readline())
    await until((tmp_path / "pids").exists)
    pids = [worker, int((tmp_path / "pids").read_text())]
    service.kill()
    await service.wait()
    await until(lambda: not any(map(is_alive, pids)))


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (None, "expected a Python file at"),
        ("syntax error here", "found SyntaxError at line 1"),
        ("import not_there", "found no module not_there"),
        ("\n\n1 / 0", "found ZeroDivisionError at line 3"),
        ("import sys; sys.exit(3)", "found SystemExit"),
        ("import os; os._exit(3)", "found its end"),
        ("x = 1", "expected one class with convert()"),
        ("class A:\n convert = 1", "found none"),
        ("class A:\n def convert(self): ...\nclass B(A): ...", "found A, B"),
        ("class A:\n def convert(self): ...\n def __init__(self): 1 / 0", "found ZeroDivisionError at line 3"),
    ],
)
async def test_what_cannot_be_loaded_says_why(tmp_path: Path, code: str | None, found: str) -> None:
    if code is not None:
        (tmp_path / "theirs.py").write_text(code)
    converter = IsolatedConverter(refer("c", "theirs.py", tmp_path))
    with pytest.raises(ConverterLoadError) as raised:
        await converter.load()
    await converter.close()
    assert (found in str(raised.value), workers()) == (True, [])


async def test_a_module_that_hangs_while_it_is_loaded_is_killed(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("while True: pass")
    converter = IsolatedConverter(refer("c", "theirs.py", tmp_path), load_timeout_s=0.3)
    with pytest.raises(ConverterLoadError, match=r"expected it to end within 0\.3 s"):
        await converter.load()
    assert workers() == []


async def test_one_of_several_classes_is_named_after_a_colon(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("class A:\n def convert(self): ...\nclass B(A): ...")
    converter = IsolatedConverter(refer("c", "theirs.py:B", tmp_path))
    await converter.load()
    await converter.close()


async def test_a_module_that_is_installed_is_found_by_its_name(tmp_path: Path) -> None:
    converter = IsolatedConverter(refer("c", "pywats_reliability.converters.csv_log", tmp_path))
    await converter.load()
    await converter.close()


async def test_the_sample_converter_works(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "examples" / "converters"
    (tmp_path / "a.csv").write_text("SN-0005 PASS")
    converter = IsolatedConverter(refer("c", "one_line.py", folder))
    try:
        await converter.load()
        (report,) = (await converting(converter, tmp_path)).reports
    finally:
        await converter.close()
    assert json.loads(report)["sn"] == "SN-0005"  # type: ignore[arg-type]


async def test_a_process_that_ended_while_idle_is_replaced(tmp_path: Path) -> None:
    async with isolated(tmp_path, "return ConverterResult.success_result({'pid': os.getpid()})\n") as converter:
        (first,) = (await converting(converter, tmp_path)).reports
        pid = json.loads(first)["pid"]  # type: ignore[arg-type]
        psutil.Process(pid).kill()
        idle = converter._idle
        await until(lambda: idle is not None and not idle.is_fit)
        assert (await converting(converter, tmp_path)).reports != (first,)


async def test_several_conversions_at_a_time_have_a_process_each(tmp_path: Path) -> None:
    body = "time.sleep(0.2); return ConverterResult.success_result({'pid': os.getpid()})\n"
    async with isolated(tmp_path, body) as converter:
        results = await asyncio.gather(*(converting(converter, tmp_path) for _ in range(3)))
        assert (len({result.reports for result in results}), len(workers())) == (3, 1)


async def test_the_worker_does_not_get_our_variables() -> None:
    environment = worker_environment({"PYWATS_API_TOKEN": "secret", "PATH": "/bin", "PYTHONPATH": "theirs"})
    assert sorted(environment) == ["PATH", "PYTHONPATH"]
    assert environment["PYTHONPATH"].endswith(f"{os.pathsep}theirs")


async def test_a_process_that_cannot_be_started_is_an_error_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with isolated(tmp_path, "return 1\n", load=False) as converter:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
        with pytest.raises(ConversionError, match="expected a worker process to start, found No such file"):
            await converting(converter, tmp_path)
