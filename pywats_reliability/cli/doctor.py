"""``pywats-service doctor``: what stands in the way of a service, a line for each check; it changes nothing.

* Each check says what was expected, what was found and what to do; one that fails keeps no other from running.
* The lock is judged by what its holder has written beside it, and never taken: a service that starts meanwhile is not
  disturbed. The server is asked for its version, once; no report is sent to it.
* No secret is shown (H3.5): of credentials and secret files only how they are.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import psutil

from pywats_reliability.cli import process
from pywats_reliability.cli.connection import config_at, patiently, with_service
from pywats_reliability.cli.options import DEFAULT_DATA, FAILED, config_option, json_option, on_one_line, say_json
from pywats_reliability.client_service.settings import ipc_address, proxy_settings, secrets_of
from pywats_reliability.config import ClientConfig
from pywats_reliability.disk import Disk
from pywats_reliability.errors import (
    ConfigError,
    DiskError,
    IPCConnectionError,
    ReliabilityError,
    SendError,
)
from pywats_reliability.ipc import secret_path
from pywats_reliability.ports import SystemClock
from pywats_reliability.store.lock import HOLDER_BYTES_MAX, HOLDER_NAME
from pywats_reliability.wats_client import WatsClient

FOLDERS = ("pending", "sent", "failed", "quarantine")
SERVER_TIMEOUT_S = 10.0
_REFUSED = re.compile(r"the server answered (401|403)\b")
_SECRET = re.compile(rb"\s*[0-9a-fA-F]{64}\s*")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    ``expected`` and ``to_do`` are there when something is wrong, unless the words of an error in ``found`` say it all.
    """

    check: str
    is_ok: bool
    found: str
    expected: str = ""
    to_do: str = ""

    def line(self) -> str:
        """Return it for people."""
        if self.is_ok:
            return on_one_line(f"ok       {self.check}: {self.found}")
        words = f"expected {self.expected}, found {self.found}" if self.expected else self.found
        return on_one_line(f"problem  {self.check}: {words}" + (f"; {self.to_do}" if self.to_do else ""))


def _ok(check: str, found: str) -> Finding:
    return Finding(check, True, found)


def _problem(check: str, expected: str, found: str, to_do: str) -> Finding:
    return Finding(check, False, found, expected, to_do)


def _told(check: str, error: ReliabilityError, to_do: str = "") -> Finding:
    return Finding(check, False, str(error), "", to_do)


@click.command()
@config_option
@click.option("--data", type=click.Path(path_type=Path), default=DEFAULT_DATA, help="The folder for reports.")
@json_option
def doctor(config_path: Path, data: Path, *, as_json: bool) -> int:
    """Check configuration, folders, disk, lock, socket, server, credentials, limits and secrets."""
    findings = []
    for finding in examine(config_path, data):
        findings.append(finding)
        if not as_json:
            click.echo(finding.line())
    if as_json:
        say_json([asdict(finding) for finding in findings])
    return 0 if all(finding.is_ok for finding in findings) else FAILED


def examine(config_path: Path, data: Path) -> Iterator[Finding]:
    """Yield one finding after the other."""
    try:
        config = config_at(config_path)
        found = "valid" if config_path.exists() else "none yet, the defaults are in force"
        yield _ok("configuration", f"{config_path}: {found}")
    except ConfigError as error:
        config = ClientConfig()
        yield _told("configuration", error, "the other checks go by the defaults")
    yield from (check(config, config_path, data) for check in CHECKS)


def _folders(_: ClientConfig, __: Path, data: Path) -> Finding:
    missing = next((part for part in (data, *data.absolute().parents) if part.exists()), data)
    there = [folder for folder in (data, *(data / name for name in FOLDERS)) if folder.exists()] or [missing]
    for folder in there:
        words = _unwritable(folder)
        if words is not None:
            return _problem("folders", f"{folder} to be a folder that this user may write", words, "mend its rights")
    found = "writable" if data.exists() else "not there yet, the first start makes it"
    return _ok("folders", f"{data}: {found}")


def _unwritable(folder: Path) -> str | None:
    """Return why nothing can be written there, tried with a file that has no name where the system can do that."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            os.listdir(folder)
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def _free_disk(config: ClientConfig, _: Path, data: Path) -> Finding:
    place = next((part for part in (data, *data.absolute().parents) if part.exists()), Path("/"))
    try:
        free = Disk().free_bytes(place)
    except DiskError as error:
        return _told("disk", error)
    limit = config.min_free_disk_bytes
    if free < limit:
        return _problem("disk", f"at least {limit} bytes free (min_free_disk_bytes)", f"{free}", "free some space")
    return _ok("disk", f"{free} bytes free, limit {limit}")


def _lock(_: ClientConfig, __: Path, data: Path) -> Finding:
    try:
        holder = json.loads(Disk().read(data / HOLDER_NAME, bytes_max=HOLDER_BYTES_MAX))
        pid, host, since = int(holder["pid"]), str(holder["host"]), str(holder["since"])
        is_alive = psutil.pid_exists(pid)
    except DiskError as error:
        if isinstance(error.cause, FileNotFoundError | NotADirectoryError):
            return _ok("lock", "free")
        return _told("lock", error)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return _ok("lock", f"{HOLDER_NAME} says nothing that can be read; the next start writes another")
    if is_alive:
        return _ok("lock", f"held by process {pid} on {host} since {since}")
    return _ok("lock", f"free; process {pid} has ended without giving it back, which does no harm")


def _service(config: ClientConfig, _: Path, data: Path) -> Finding:
    try:
        address = ipc_address(config)
        answer = with_service(config, lambda client: patiently(client, "get_status", {}))
    except IPCConnectionError as error:
        if _lock(config, Path(), data).found.startswith("held"):
            to_do = "check ipc_socket and instance_id in --config, and the service's log"
            return _problem("service", "the holder of the lock to answer", error.found, to_do)
        return _ok("service", f"none runs at {error.address}")
    except ReliabilityError as error:
        return _told("service", error)
    reasons = "; ".join(answer["reasons"])
    if answer["status"] != "Running" or reasons:
        return _problem("service", "Running without a complaint", f"{answer['status']} ({reasons})", "mend that")
    return _ok("service", f"Running at {address}")


def _server(config: ClientConfig, _: Path, __: Path) -> Finding:
    async def version() -> str:
        client = WatsClient(
            config.service_address, config.api_token, clock=SystemClock(),
            timeout_s=min(SERVER_TIMEOUT_S, config.upload_timeout_seconds), proxy=proxy_settings(config),
        )  # fmt: skip
        try:
            return await client.version()
        finally:
            await client.aclose()

    try:
        answer = asyncio.run(version())
    except SendError as error:
        if refused := _REFUSED.search(str(error)):
            found = f"{refused[1]} from {config.service_address}"
            return _problem("credentials", "the server to accept api_token", found, "set api_token anew")
        to_do = "" if "service_address" in str(error) else "check service_address and the network"
        return _told("server", error, to_do)
    if not config.api_token:
        return _problem("credentials", "api_token to be set", "none", "`pywats-service config set api_token -`")
    return _ok("server", f"{config.service_address} answers, version {answer}; the token was not refused")


def _descriptors(config: ClientConfig, _: Path, __: Path) -> Finding:
    if process.resource is None:
        return _ok("descriptors", "no limit on this system")
    soft, hard = process.resource.getrlimit(process.resource.RLIMIT_NOFILE)
    needed = config.ipc_max_connections + config.max_concurrent_uploads + process.DESCRIPTORS_OF_OUR_OWN
    unlimited = (process.resource.RLIM_INFINITY, -1)
    if hard not in unlimited and hard < needed:
        expected = f"a hard limit of at least {needed} files (ipc_max_connections {config.ipc_max_connections})"
        return _problem("descriptors", expected, str(hard), "raise `ulimit -Hn`, or lower ipc_max_connections")
    if soft not in unlimited and soft < needed:
        return _ok("descriptors", f"soft limit {soft}; the service raises it to the {needed} that it may need")
    return _ok("descriptors", f"soft limit {soft}, {needed} may be needed")


def _secrets(config: ClientConfig, config_path: Path, _: Path) -> Finding:
    try:
        path = secret_path(config.instance_id)
        wanted = {path.parent: 0o700, path: 0o600}
        if config_path.exists() and secrets_of(config):
            wanted[config_path] = 0o600
        if os.name != "nt":
            for place, mode in wanted.items():
                if place.exists() and (rights := stat.S_IMODE(place.stat().st_mode)) & 0o077:
                    return _problem("secrets", f"{place} shut for others", f"{rights:04o}", f"chmod {mode:o} {place}")
        if path.exists() and not _SECRET.fullmatch(Disk().read(path, bytes_max=4096)):
            return _problem("secrets", f"64 hex digits in {path}", "something else", "remove it; a start makes another")
    except (OSError, ReliabilityError) as error:
        return _problem("secrets", "files that this user can read", str(error), "mend their rights")
    found = "shut for others" if path.exists() else "not there yet, the first start makes it"
    return _ok("secrets", f"{path}: {found}")


CHECKS: tuple[Callable[[ClientConfig, Path, Path], Finding], ...] = (
    _folders, _free_disk, _lock, _secrets, _service, _server, _descriptors,
)
