# mypy: disable-error-code="func-returns-value"
"""What a simulated disk does that no real one does on demand: crashes, power losses, faults; and it stays inside."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chaos.seed import Seed
from chaos.sim import EscapeError, NotSimulatedError, Setting, SimKernel, open_kernel
from chaos.sim.disk import SimDisk, add_disk, fail, shorten, slow, syncfs, tear
from chaos.storage import POSIX, crash_states

DATA = Path("/data")


class Machine:
    """A world with one disk at ``/data``: runs programs on it, one after the other, and keeps what they returned."""

    def __init__(self, seed: int = 1, **more: Any) -> None:
        self.world: SimKernel = open_kernel(Seed(seed), Setting())
        self.disk: SimDisk = add_disk(self.world)
        self.volume = self.disk.mount(DATA, **more)
        self.crash_at = ""

    def run(self, *programs: Callable[[], Any]) -> list[Any]:
        said: list[Any] = []

        def returning(program: Callable[[], Any]) -> Callable[[], None]:
            return lambda: said.append(program())

        with self.world:
            processes = [self.world.start(f"program-{n}", returning(p)) for n, p in enumerate(programs, 1)]
            self.world.run()
        for process in processes:
            if process.error is not None:
                raise process.error
        return said

    def dies_at(self, call: str, *, power_lost: bool) -> None:
        """End the process with its next call of that name, before the call has an effect."""

        def die(process: Any, what: str) -> None:
            if what.startswith(call):
                self.world.before_pause = None
                process.kill(power_lost=power_lost)

        self.world.before_pause = die


def save() -> None:
    with open(DATA / "aside", "wb") as file:
        file.write(b"new")
        file.flush()
        os.fsync(file.fileno())
    Path(DATA / "aside").replace(DATA / "settings")
    (DATA / "marker").touch()


def test_a_kill_keeps_what_was_written_and_runs_no_flush() -> None:
    machine = Machine(persistence=POSIX)
    machine.dies_at("unlink", power_lost=False)

    def program() -> None:
        (DATA / "written").write_bytes(b"whole")
        unflushed = (DATA / "buffered").open("wb")
        unflushed.write(b"never flushed")
        try:
            (DATA / "written").unlink()
        finally:
            (DATA / "finally").touch()

    machine.run(program)
    assert machine.volume.contents() == {"buffered": b"", "written": b"whole"}


def test_a_power_loss_leaves_one_of_the_enumerated_states_and_different_seeds_leave_different_ones() -> None:
    left = set()
    for seed in range(40):
        machine = Machine(seed, start={"settings": b"old"}, persistence=POSIX)
        machine.dies_at("access", power_lost=True)
        logs: list[Any] = []
        machine.disk.on_call.append(lambda *_, m=machine, kept=logs: kept.append(list(m.volume.log)))
        machine.run(lambda: (save(), os.access(DATA, os.F_OK)))
        legal = [state.contents for state in crash_states(logs[-1], POSIX, start={"settings": b"old"})]
        assert machine.volume.contents() in legal
        left.add(machine.volume.contents().get("settings"))
    assert left == {b"old", b"new"}


def test_a_power_loss_at_the_friendliest_draw_loses_nothing() -> None:
    from chaos.sim.choices import Script

    world = open_kernel(Seed(1), Setting(script=Script(calmed=("disk",))))
    disk = add_disk(world)
    volume = disk.mount(DATA, persistence=POSIX)
    with world:
        process = world.start("program", lambda: ((DATA / "f").write_bytes(b"x"), process.kill(power_lost=True)))
        world.run()
    assert volume.contents() == {"f": b"x"}


def test_after_a_power_loss_the_next_process_finds_what_was_left() -> None:
    machine = Machine(persistence=POSIX)

    def first() -> None:
        (DATA / "f").write_bytes(b"x")
        os.sync()
        machine.world.current.kill(power_lost=True)  # type: ignore[union-attr]

    with machine.world:
        machine.world.start("first", first)
        machine.world.run()
        said: list[bytes] = []
        machine.world.start("second", lambda: said.append((DATA / "f").read_bytes()))
        machine.world.run()
    assert said == [b"x"]
    assert machine.volume.start.contents() == {"f": b"x"}, "the log begins anew with what was left"


def test_locks_and_descriptors_die_with_their_process() -> None:
    machine = Machine()

    def holder() -> None:
        fd = os.open(DATA / "lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(fd, fcntl.LOCK_EX)
        machine.world.current.kill()  # type: ignore[union-attr]

    with machine.world:
        machine.world.start("holder", holder)
        machine.world.run()
        taken: list[Any] = []

        def next_one() -> None:
            fd = os.open(DATA / "lock", os.O_RDWR)
            taken.append(fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB))

        machine.world.start("next", next_one)
        machine.world.run()
    assert taken == [None]
    assert machine.volume.inodes[1].opened == 0


def test_who_waits_for_a_lock_goes_on_when_it_is_free() -> None:
    machine = Machine()
    order: list[str] = []

    def program(name: str) -> Callable[[], None]:
        def run() -> None:
            import time

            fd = os.open(DATA / "lock", os.O_RDWR | os.O_CREAT)
            fcntl.flock(fd, fcntl.LOCK_EX)
            order.append(f"{name} begins")
            time.sleep(1)
            order.append(f"{name} ends")
            os.close(fd)

        return run

    machine.run(program("one"), program("two"))
    assert order in (
        ["one begins", "one ends", "two begins", "two ends"],
        ["two begins", "two ends", "one begins", "one ends"],
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename", "unlink", "mkdir"])
def test_every_call_fails_with_every_error_at_its_number_on_its_path_and_counts(call: str, number: int) -> None:
    machine = Machine()
    rule = machine.disk.fault(fail(number), calls=(call,), paths=("/data/*2",), numbers=(2,))

    def program() -> list[int | None]:
        return [_error_of(partial(_everything, DATA / name)) for _ in range(3) for name in ("1", "2")]

    assert machine.run(program) == [[None, None, None, number, None, None]]
    assert rule.fired == 1


def _everything(path: Path) -> None:
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        os.write(fd, b"x")
        os.fsync(fd)
    finally:
        os.close(fd)
    folder = path.with_name(f"folder{path.name}")
    folder.mkdir()
    folder.rmdir()
    path.rename(path)
    os.unlink(path)


def test_a_fault_ends_with_its_context_and_a_span_of_time_with_its_end() -> None:
    import time

    machine = Machine()
    machine.disk.fault(fail(errno.EIO), from_ns=10**9, until_ns=2 * 10**9)

    def program() -> list[int | None]:
        said = []
        with machine.disk.fault(fail(errno.ENOSPC)):
            said.append(_error_of((DATA / "f").touch))
        for _ in range(4):
            said.append(_error_of((DATA / "f").touch))
            time.sleep(0.75)
        return said

    assert machine.run(program) == [[errno.ENOSPC, None, None, errno.EIO, None]]


def _error_of(call: Callable[[], Any]) -> int | None:
    try:
        call()
    except OSError as error:
        return error.errno
    return None


def test_a_disk_that_gets_full_takes_a_part_and_refuses_the_next_byte() -> None:
    machine = Machine(capacity_bytes=10)

    def program() -> Any:
        fd = os.open(DATA / "f", os.O_CREAT | os.O_WRONLY)
        took = [os.write(fd, b"123456"), os.write(fd, b"7890ab")]
        full = _error_of(lambda: os.write(fd, b"c")), os.statvfs(DATA).f_bavail, _error_of((DATA / "g").touch)
        os.unlink(DATA / "f")
        still = _error_of(lambda: os.write(fd, b"c"))
        os.close(fd)
        return took, full, still, (DATA / "g").write_bytes(b"room again")

    assert machine.run(program) == [([6, 4], (errno.ENOSPC, 0, errno.ENOSPC), errno.ENOSPC, 10)]


def test_short_torn_and_slow_writes() -> None:
    machine = Machine()
    machine.disk.fault(shorten(), calls=("write",), paths=("*/short",), numbers=(1,))
    machine.disk.fault(tear(), calls=("write",), paths=("*/torn",))
    machine.disk.fault(slow(3), calls=("fsync",))

    def program() -> Any:
        (DATA / "short").write_bytes(b"123456")
        torn = _error_of(lambda: (DATA / "torn").write_bytes(b"123456"))
        before = machine.world.now_ns
        fd = os.open(DATA / "short", os.O_RDONLY)
        os.fsync(fd)
        return (DATA / "short").read_bytes(), torn, (DATA / "torn").read_bytes(), machine.world.now_ns - before

    assert machine.run(program) == [(b"123456", errno.EIO, b"123", 3 * 10**9)]


def test_a_sync_that_failed_once_succeeds_then_and_lies() -> None:
    machine = Machine(persistence=POSIX)
    machine.disk.fault(fail(errno.EIO), calls=("fsync",), numbers=(1,))

    def program() -> Any:
        fd = os.open(DATA / "f", os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"x")
        return _error_of(lambda: os.fsync(fd)), _error_of(lambda: os.fsync(fd)), _error_of(os.sync)

    assert machine.run(program) == [(errno.EIO, None, None)]
    assert b"" in {state.contents.get("f") for state in crash_states(machine.volume.log, POSIX)}
    assert all("f" in state.contents for state in crash_states(machine.volume.log, POSIX) if state.point > 5)


def test_a_table_of_descriptors_gets_full_and_gives_the_lowest_free_number() -> None:
    machine = Machine()
    machine.disk.descriptors_max = 3

    def program() -> Any:
        (DATA / "f").touch()
        first, second, third = (os.open(DATA / "f", os.O_RDONLY) for _ in range(3))
        full = _error_of(lambda: os.open(DATA / "f", os.O_RDONLY))
        os.close(second)
        return full, os.open(DATA / "f", os.O_RDONLY) - first, third - first

    assert machine.run(program) == [(errno.EMFILE, 1, 2)]


def test_the_order_of_a_listing_is_the_seeds_and_stays() -> None:
    orders = set()
    for seed in range(12):
        machine = Machine(seed, start=dict.fromkeys("abcdef", b""))
        first, second = machine.run(
            lambda: "".join(os.listdir(DATA)), lambda: "".join(e.name for e in os.scandir(DATA))
        )
        assert first == second
        orders.add(first)
    assert len(orders) > 6


def test_the_syncfs_that_is_given_to_a_program_syncs_everything_before_it() -> None:
    machine = Machine(persistence=POSIX)

    def program() -> None:
        (DATA / "f").write_bytes(b"x")
        fd = os.open(DATA, os.O_RDONLY)
        syncfs(fd)
        os.close(fd)
        machine.disk.seen("accepted")

    machine.run(program)
    accepted = [state for state in crash_states(machine.volume.log, POSIX) if state.visible]
    assert [state.contents for state in accepted] == [{"f": b"x"}]


def test_threads_take_turns_at_their_calls() -> None:
    import threading

    orders = set()
    for seed in range(20):
        machine = Machine(seed)
        order: list[str] = []

        def work(name: str, order: list[str] = order) -> None:
            for number in range(3):
                (DATA / name).write_text(str(number))
                order.append(name)

        def program() -> None:
            threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        machine.run(program)
        orders.add("".join(order))
    assert len(orders) > 3


@pytest.mark.parametrize(
    "escape",
    [
        lambda: Path("/tmp/somewhere").write_bytes(b"x"),
        lambda: os.stat("/etc/hostname"),
        lambda: os.listdir("/"),
        lambda: os.rename("/etc/a", "/data/b"),
        (DATA / ".." / "etc").exists,
    ],
)  # fmt: skip
def test_what_is_outside_the_mounted_folders_is_an_error_that_names_the_place(escape: Callable[[], Any]) -> None:
    with pytest.raises(EscapeError, match=r"test_disk\.py"):
        Machine().run(escape)


def test_calls_that_are_not_modelled_are_refused_by_name() -> None:
    with pytest.raises(NotSimulatedError, match=r"os\.mkfifo\(\) on a simulated file"):
        Machine().run(lambda: os.mkfifo(DATA / "fifo"))


def test_modules_can_be_imported_and_sources_read_inside() -> None:
    import linecache

    said = Machine().run(lambda: (__import__("colorsys").__name__, bool(linecache.getlines(linecache.__file__))))
    assert said == [("colorsys", True)]


def test_nothing_of_it_is_left_outside_or_seen_by_the_tools_own_code(tmp_path: Path) -> None:
    before = os.open, open, os.stat, tempfile.gettempdir(), len(os.supports_dir_fd)
    machine = Machine()
    with machine.world:
        machine.world.start("program", (DATA / "f").touch)
        machine.world.run()
        (tmp_path / "real").write_text("x")
        assert not DATA.exists()
        assert os.getcwd() != str(DATA)
    assert (os.open, open, os.stat, tempfile.gettempdir(), len(os.supports_dir_fd)) == before
    assert machine.volume.contents() == {"f": b""}


def test_a_handler_of_a_dead_process_writes_no_more() -> None:
    machine = Machine()
    handlers: list[logging.Handler] = []

    def program() -> None:
        handlers.append(logging.FileHandler(DATA / "log"))
        machine.world.current.kill()  # type: ignore[union-attr]

    with machine.world:
        machine.world.start("program", program)
        machine.world.run()
        handlers[0].handle(logging.makeLogRecord({"msg": "too late"}))
        handlers[0].close()
    assert machine.volume.contents() == {"log": b""}
