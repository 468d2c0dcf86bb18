"""The real ``pywats-service`` under the recorder: after power loss at any instant, every accepted report is kept."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from chaos.crash.log_file import Recording, load
from chaos.crash.recorder.strace import strace_available
from chaos.crash.state_check import Options, check_states
from chaos.errors import NotAvailableError
from chaos.live.wats_server import MODULE, Announcement
from chaos.protocols import Site
from chaos.sample_reports import report_id, sample_report
from chaos.storage.crash_states import Limits
from chaos.storage.operations import Node, Operation, Rename, Sync, SyncAll, Visible, Write
from chaos.storage.persistence import MODELS, Persistence
from chaos.subjects.reference import ReferenceSubject
from chaos.verdict import Verdict

LIMIT_S = 40
REPORTS = 2
SUBJECT = ReferenceSubject()


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with server() as url:
        yield url


@contextmanager
def server() -> Iterator[str]:
    """Run a WATS server, and yield its address."""
    line = [sys.executable, "-m", MODULE, "--announce", "-"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Announcement(**json.loads(process.stdout.readline())).data_url
        process.terminate()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded(tmp_path_factory: pytest.TempPathFactory, server_url: str) -> tuple[Recording, list[bytes]]:
    """Let the service accept, send and move reports under the recorder, as a person would record it."""
    try:
        strace_available()
    except NotAvailableError as error:
        pytest.skip(str(error))
    site = Site(tmp_path_factory.mktemp("site"), server_url, {})
    site.data.mkdir()
    log, bodies = site.folder / "log.jsonl", [sample_report(random.Random(seed)) for seed in range(REPORTS)]
    with recording_service(site, log) as process:
        try:
            await submitted_and_sent(site, bodies)
            process.send_signal(signal.SIGTERM)
            _, told = await asyncio.to_thread(process.communicate, timeout=LIMIT_S)
        except BaseException:
            process.kill()
            raise
    assert b"their replay is equal to the folder" in told, told.decode()
    return load(log), bodies


def recording_service(site: Site, log: Path) -> subprocess.Popen[bytes]:
    """Start the service under the recorder. Its own log promises nothing after a crash, and is left out."""
    start = SUBJECT.start_line(site)
    words = ["record", "-o", str(log), "--dir", str(site.data), "--ignore", "client.log", "--"]
    return subprocess.Popen(
        [sys.executable, "-m", "chaos", *words, sys.executable, "-m", start.module, *start.arguments],
        env={**start.environment, "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


async def submitted_and_sent(site: Site, bodies: Sequence[bytes]) -> None:
    """Submit the reports through the service's own client, and wait until they have moved to ``sent/``."""
    await until(lambda: os.path.exists(SUBJECT.ipc_address(site)))
    client = SUBJECT.client(site)
    for body in bodies:
        assert await client.submit(body) == report_id(body)
    await until(lambda: len(SUBJECT.kept_reports(site, "sent")) == len(bodies))
    await client.close()


async def until(is_so: Callable[[], bool]) -> None:
    """Look every 50 ms: nobody rings for what another process does in a folder. Raises ``TimeoutError``."""
    async with asyncio.timeout(LIMIT_S):
        while not is_so():  # noqa: ASYNC110 - as said above
            await asyncio.sleep(0.05)


IDS = {report_id(sample_report(random.Random(seed))) for seed in range(REPORTS)}


def accepted(seen: Sequence[Visible]) -> set[str]:
    """Return the reports that the service has answered for: their ids in what it sent to an IPC client."""
    sent = (event.value for event in seen if event.name == "sent")
    return IDS & set("".join(str(value["text"]) for value in sent if value["to"] == "a client").split('"'))


def kept(folder: Path) -> set[bytes]:
    """Return the bodies in ``pending/`` and ``sent/``."""
    files = [path for name in ("pending", "sent") for path in (folder / name).glob("[!.]*.json")]
    return {path.read_bytes() for path in files}


@pytest.mark.parametrize("model", MODELS.values(), ids=str)
def test_every_accepted_report_is_kept_in_every_state(
    recorded: tuple[Recording, list[bytes]], model: Persistence
) -> None:
    recording, bodies = recorded
    by_id = {report_id(body): body for body in bodies}
    most = 0

    def check(folder: Path, seen: Sequence[Visible]) -> str:
        nonlocal most
        obliged = accepted(seen)
        most = max(most, len(obliged))
        lost = [name for name in obliged if by_id[name] not in kept(folder)]
        return f"{lost} are lost" if lost else ""

    judgement = check_states(recording, model, check)
    assert (judgement.verdict, judgement.broken, judgement.bounds_hit) == (Verdict.HELD, 0, [])
    assert most == REPORTS


def test_the_log_has_the_way_of_a_report(recorded: tuple[Recording, list[bytes]]) -> None:
    """Written aside, synced, published, folder synced, and only then answered; sent, and only then moved."""
    recording, bodies = recorded
    name = report_id(bodies[0])
    node = next(op.node for op in operations_of(recording) if isinstance(op, Write) and op.data == bodies[0])
    steps = list(dict.fromkeys(filter(None, (step_of(op, node, name) for op in operations_of(recording)))))
    on_disk = ["write", "sync", "rename to pending"]
    assert [step for step in steps if step != "uploaded"] == [*on_disk, "answered", "rename to sent"]
    assert steps.index("uploaded") < steps.index("rename to sent")


def operations_of(recording: Recording) -> list[Operation]:
    return [entry.operation for entry in recording.entries]


def step_of(operation: Operation, node: Node, name: str) -> str:
    """Return what an operation is on the way of one report, or nothing."""
    match operation:
        case Write(node=written) if written == node:
            return "write"
        case Sync() | SyncAll() if isinstance(operation, SyncAll) or operation.node == node:
            return "sync"
        case Rename(name=old, to_name=new) if name in new:
            return "rename to pending" if old.startswith(".") else "rename to sent"
        case Visible("sent", value) if value["to"] == "a client" and name in str(value["text"]):
            return "answered"
        case Visible("sent", value) if name in str(value["text"]):
            return "uploaded"
    return ""


def test_an_answer_before_the_sync_would_be_found(recorded: tuple[Recording, list[bytes]]) -> None:
    """The same log without its syncs is broken: the check sees what it has to see."""
    recording, bodies = recorded
    unsynced = [entry for entry in recording.entries if not isinstance(entry.operation, Sync | SyncAll)]
    early = Recording(recording.start, unsynced)
    by_id = {report_id(body): body for body in bodies}

    def check(folder: Path, seen: Sequence[Visible]) -> str:
        return "" if all(by_id[name] in kept(folder) for name in accepted(seen)) else "lost"

    limits = Options(Limits(100, 100, 2000))
    assert check_states(early, MODELS["posix"], check, limits).verdict is Verdict.BROKEN
