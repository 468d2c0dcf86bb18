"""What simulated processes say: logged or printed, it is kept with its time and process, and reaches nobody else."""

from __future__ import annotations

import asyncio
import logging
import sys

import pytest

from chaos.seed import Seed
from chaos.sim import run_log
from chaos.sim.kernel import SimKernel
from chaos.sim.output import Output
from chaos.sim.run_log import RunLog
from chaos.sim.simulate import Setting, open_machine


def world_with(log: RunLog) -> SimKernel:
    kernel = open_machine(Seed(0), Setting(policy="fifo"))
    kernel.seams += [log, Output(log)]
    return kernel


def lines(log: RunLog) -> list[tuple[float, str, str, str]]:
    return [(record.time_ns / 1e9, record.process, record.logger, record.text) for record in log.records]


async def talks() -> None:
    logging.getLogger("part").warning("too %s", "hot")
    await asyncio.sleep(60)
    try:
        int("no number")
    except ValueError:
        logging.getLogger("part").exception("went wrong")


def test_what_is_logged_has_its_virtual_time_its_process_and_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    log = RunLog()
    with world_with(log) as kernel:
        kernel.start("subject", talks)
        kernel.run()
    assert lines(log) == [(0, "subject", "part", "too hot"), (60, "subject", "part", "went wrong")]
    assert "ValueError: invalid literal" in log.text()
    assert log.text().startswith("    0.000000 subject WARNING part: too hot\n   60.000000 subject ERROR part:")
    assert [fact["text"] for fact in log.as_facts(logging.ERROR)] == ["went wrong"]
    assert caplog.records == [], "it must not reach whoever runs the simulation"


def test_the_root_logger_is_as_it_was_when_the_world_is_left() -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    with world_with(RunLog(logging.DEBUG)) as kernel:
        assert root.level == logging.DEBUG
        kernel.start("subject", talks)
        kernel.run()
    assert (root.handlers, root.level) == before


def test_what_is_below_its_level_is_not_kept() -> None:
    log = RunLog(logging.ERROR)
    with world_with(log) as kernel:
        kernel.start("subject", talks)
        kernel.run()
    assert [record.text for record in log.records] == ["went wrong"]


def test_a_log_without_end_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "RECORDS_MAX", 3)
    log = RunLog()

    def chats() -> None:
        for number in range(5):
            logging.getLogger().warning("line %d", number)

    with world_with(log) as kernel:
        kernel.start("subject", chats)
        kernel.run()
    assert [record.text for record in log.records] == ["line 0", "line 1", "line 2"]
    assert log.text().endswith("(2 more lines were dropped)")


def test_what_a_process_prints_is_kept_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog()

    async def prints() -> bool:
        sys.stdout.write("a beg")
        await asyncio.sleep(5)
        print("inning\nand", "more")  # noqa: T201 - what is tested
        sys.stderr.write("no end of line")
        sys.stderr.flush()
        return sys.stderr.isatty()

    async def another() -> None:
        await asyncio.sleep(1)
        sys.stdout.writelines(["of its ", "own\n"])

    with world_with(log) as kernel:
        subject = kernel.start("subject", prints)
        kernel.start("another", another)
        kernel.run()
    assert lines(log) == [
        (1, "another", "stdout", "of its own"),
        (5, "subject", "stdout", "a beginning"),
        (5, "subject", "stdout", "and more"),
        (5, "subject", "stderr", "no end of line"),
    ]
    assert subject.result is False
    assert capsys.readouterr() == ("", "")


def test_whoever_is_outside_writes_to_the_real_streams(capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog()
    with world_with(log) as kernel:
        kernel.at(1, lambda: print("the world's own"))  # noqa: T201 - what is tested
        kernel.run()
        sys.stderr.write("the runner's own\n")
    assert capsys.readouterr() == ("the world's own\n", "the runner's own\n")
    assert log.records == []


def test_a_dead_process_says_nothing_while_it_is_cleared_away(capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog()

    async def dies() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            print("cleaned up")  # noqa: T201 - what is tested

    with world_with(log) as kernel:
        process = kernel.start("subject", dies)
        kernel.at(10, process.kill)
        kernel.run()
    assert log.records == []
    assert capsys.readouterr() == ("", "")
