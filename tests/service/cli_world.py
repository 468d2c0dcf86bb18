"""A station for tests of the command line: its folders, its command, and a service in a thread of its own."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pywats_reliability.cli import main
from pywats_reliability.client_service import AsyncClientService, Surroundings
from pywats_reliability.config import ClientConfig
from pywats_reliability.config_file import load_config, save_config
from pywats_reliability.disk import Disk
from pywats_reliability.store import ReportStore
from tests.service.store_world import SetClock, make_report

DEADLINE_S = 20.0


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def only_line(self) -> str:
        """Return the single line on stderr of a command that said nothing else."""
        (line,) = self.err.splitlines()
        assert not self.out
        return line


@dataclass
class Station:
    """A configuration, a data folder and the command that works with them."""

    folder: Path
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    @classmethod
    def make(cls, folder: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> Station:
        """Return a station whose home is ``folder``; its service would listen in there, too."""
        patch.setenv("HOME", str(folder))
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        for name in ("PYWATS_SERVER_URL", "PYWATS_API_TOKEN", "PYWATS_HEALTH_PORT"):
            patch.delenv(name, raising=False)
        station = cls(folder, patch, capture)
        station.configure()
        return station

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "c.json"

    @property
    def data(self) -> Path:
        """The folder for reports."""
        return self.folder / "data"

    def configure(self, **settings: object) -> None:
        """Save a configuration with these settings."""
        own = {"ipc_socket": str(self.folder / "s"), "health_port": 0, "min_free_disk_bytes": 0, "log_file": ""}
        save_config(self.config, ClientConfig(**{**own, **settings}), disk=Disk())

    def run(self, *words: object, stdin: str = "") -> Outcome:
        """Run ``pywats-service`` with these words."""
        self.patch.setattr("sys.stdin", io.StringIO(stdin))
        self.capture.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        said = self.capture.readouterr()
        assert "Traceback" not in said.err
        return Outcome(int(left.value.code or 0), said.out, said.err)

    def on(self, command: str, *words: object, stdin: str = "") -> Outcome:
        """Run a command, such as ``queue list``, with this station's configuration and data folder."""
        return self.run(*command.split(), "--config", self.config, "--data", self.data, *words, stdin=stdin)

    def with_config(self, command: str, *words: object, stdin: str = "") -> Outcome:
        """Run a command with this station's configuration."""
        return self.run(*command.split(), "--config", self.config, *words, stdin=stdin)

    def names(self, folder: str) -> list[str]:
        """Return the names of the records in one of the folders."""
        return sorted(path.name for path in (self.data / folder).glob("*Z_*.json") if ".history." not in path.name)

    def ids(self, folder: str) -> list[str]:
        """Return the ids of the records in one of the folders, in order of arrival."""
        return [name.split("_")[2] for name in self.names(folder)]

    @contextmanager
    def service(self) -> Iterator[AsyncClientService]:
        """Run a service for as long as the block lasts; without an address it sends nothing."""
        started, services = threading.Event(), list[tuple[AsyncClientService, asyncio.AbstractEventLoop]]()

        async def serve() -> None:
            service = AsyncClientService(self.data, load_config(self.config), Surroundings(config_path=self.config))
            services.append((service, asyncio.get_running_loop()))
            service.on_started.subscribe(started.set)
            await service.run()

        thread = threading.Thread(target=asyncio.run, args=(serve(),), name="service", daemon=True)
        thread.start()
        assert started.wait(DEADLINE_S)
        service, loop = services[0]
        try:
            yield service
        finally:
            loop.call_soon_threadsafe(service.request_shutdown)
            thread.join(DEADLINE_S)
            assert not thread.is_alive()


@dataclass(frozen=True)
class Kept:
    """The ids of the reports that ``fill`` puts into the folders."""

    pending: str
    failed: str
    sent: str


async def fill(data: Path) -> Kept:
    """Put one report into each folder, and a file that is none into quarantine/."""
    (data / "pending").mkdir(parents=True)
    (data / "pending" / "torn.json").write_text('{"pn": ')
    store = ReportStore(data, disk=Disk(), clock=SetClock())
    await store.open()
    try:
        failed, sent, pending = [await store.accept(make_report(sn=name)) for name in ("failed", "sent", "pending")]
        await store.record_attempt(failed, "the server answered 503")
        await store.mark_failed(failed, "refused: no such part")
        await store.mark_sent(sent)
    finally:
        await store.close()
    return Kept(pending.report_id, failed.report_id, sent.report_id)
