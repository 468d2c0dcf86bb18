"""``simulate(main, faults=…)``: faults for any program, drawn from the seed, with a line that draws them again."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from chaos.errors import UsageError
from chaos.sim import SimulationFailedError, simulate
from chaos.sim.random_faults import FAULTS, fault_words

FILE = Path("/sim/count")
SEEDS = 60


def kept() -> int:
    return int(FILE.read_bytes()) if FILE.exists() else 0


def keep(number: int) -> None:
    FILE.write_bytes(b"%d" % number)


async def counts_carefully() -> int:
    """Count to five, a step a second, each of them synced aside and renamed; go on where an earlier life ended."""
    number = kept()
    while number < 5:
        number += 1
        aside = FILE.with_suffix(".tmp")
        descriptor = os.open(aside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.write(descriptor, b"%d" % number)
        os.fsync(descriptor)
        os.close(descriptor)
        aside.rename(FILE)
        await asyncio.sleep(1)
    return number


async def counts_in_place() -> int:
    """Do the same without a sync and without a rename."""
    number = kept()
    while number < 5:
        number += 1
        keep(number)
        await asyncio.sleep(1)
    return number


async def echoes() -> bytes:
    """Talk to itself over TCP, again until it is answered."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await reader.readexactly(3))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 80):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", 80)
                writer.write(b"abc")
                said = await reader.readexactly(3)
                writer.close()
            except (ConnectionError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.5)
            else:
                return said


async def is_impatient() -> None:
    for _ in range(20):
        await asyncio.wait_for(echoes(), 0.1)
        await asyncio.sleep(1)


async def is_patient() -> bytes:
    for _ in range(20):
        await echoes()
        await asyncio.sleep(1)
    return await echoes()


async def trusts_the_wall_clock() -> None:
    began = time.time()
    for _ in range(30):
        await asyncio.sleep(1)
        assert 0 <= time.time() - began <= 60, "the wall clock went astray"


def test_a_program_that_keeps_what_it_has_survives_kills_and_losses_of_power() -> None:
    runs = simulate(counts_carefully, seeds=SEEDS, faults="kill power")
    assert {run.result for run in runs} == {5}
    assert len({round(run.virtual_s, 3) for run in runs}) > SEEDS // 4, "some runs were cut off, and began again"


def test_one_that_writes_in_place_is_found_and_its_line_finds_it_again() -> None:
    with pytest.raises(SimulationFailedError) as found:
        simulate(counts_in_place, seeds=500, faults="power")
    assert "faults='power'" in found.value.line
    with pytest.raises(SimulationFailedError) as again:
        eval(found.value.line, {"simulate": simulate, "counts_in_place": counts_in_place})
    assert str(again.value) == str(found.value)


@pytest.mark.parametrize(
    ("program", "faults"),
    [(counts_carefully, "disk"), (is_impatient, "network"), (trusts_the_wall_clock, "clock")],
)
def test_each_kind_meets_a_program_that_cannot_bear_it(program, faults: str) -> None:  # type: ignore[no-untyped-def]
    simulate(program, seeds=5)
    with pytest.raises(SimulationFailedError):
        simulate(program, seeds=300, faults=faults)


def test_a_program_that_tries_again_bears_the_network() -> None:
    assert {run.result for run in simulate(is_patient, seeds=SEEDS, faults="network")} == {b"abc"}


def test_runs_with_faults_are_the_same_again() -> None:
    def digests() -> list[int]:
        return [run.digest for run in simulate(counts_carefully, seeds=20, faults="network kill power clock")]

    first = digests()
    assert first == digests()
    assert max(Counter(first).values()) < len(first) // 2


def test_without_faults_nothing_is_drawn() -> None:
    assert [run.digest for run in simulate(echoes, seeds=5)] == [
        run.digest for run in simulate(echoes, seeds=5, faults="")
    ]


@pytest.mark.parametrize("text", ["gremlins", "network gremlins"])
def test_an_unknown_kind_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match="'gremlins'"):
        simulate(echoes, faults=text)
    assert fault_words("disk  kill disk") == ("disk", "kill")
    assert set(fault_words(" ".join(FAULTS))) == set(FAULTS)
