"""The secret that clients of an instance prove themselves with: one file, for its owner only (H6.7; wats.md, 1.5).

* It is made at the first start: 256 random bits in 64 hex digits, written aside, synced, and linked to its name, which
  fails if the name exists. So the file is whole or not there, whatever is killed when, and of two services that start
  at once both use the one that came first.
* The folder is 0700 and the file 0600; a file that others could read is shut again, with a warning to change it.
* Comparing takes the same time wherever two tokens differ. No message and no log line ever shows a secret.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import secrets
import sys
import tempfile
from pathlib import Path

from pywats_reliability.errors import DiskError, IPCSecretError
from pywats_reliability.ipc.address import logical_name

SECRET_BYTES = 32
FILE_BYTES_MAX = 4096
log = logging.getLogger(__name__)


def secret_path(instance_id: str, *, folder: Path | None = None, platform: str = sys.platform) -> Path:
    """Return where the secret of ``instance_id`` is kept; ``folder`` replaces the user's folder for secrets."""
    logical_name(instance_id)  # It refuses an id that would leave the folder.
    return (folder or _secrets_folder(platform)) / f"{instance_id}.key"


def load_or_create_secret(path: Path) -> str:
    """Return the secret in ``path``, made and made durable if there was none. It waits for the disk: use a thread.

    Raises ``IPCSecretError`` when the file holds something else, ``DiskError`` when the system refuses.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        if not path.exists():
            _create(path)
    except OSError as error:
        raise DiskError("make the secret", path, error) from error
    secret = load_secret(path)
    assert secret is not None, "the secret is there: it was found, or just made"
    return secret


def load_secret(path: Path) -> str | None:
    """Return the secret in ``path``, or ``None`` when there is no such file. Raises as ``load_or_create_secret``."""
    try:
        with path.open("rb") as file:
            _shut_for_others(file.fileno(), path)
            contents = file.read(FILE_BYTES_MAX).strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DiskError("read the secret", path, error) from error
    if not re.fullmatch(rb"[0-9a-fA-F]{64}", contents):
        raise IPCSecretError(path, "nothing" if not contents else f"{len(contents)} bytes of something else")
    return contents.decode("ascii")


def tokens_match(token: str, secret: str) -> bool:
    """Compare in a time that does not tell where the two differ; any text may be compared."""
    return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), secret.encode("utf-8"))


def _secrets_folder(platform: str) -> Path:
    if platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "pyWATS" / "secrets"
    return Path.home() / ".config" / "pywats" / "secrets"


def _create(path: Path) -> None:
    descriptor, aside = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)  # Made with mode 0600.
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(SECRET_BYTES).encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            log.info("secret %s: another service has just made it", path)
    finally:
        os.unlink(aside)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows opens no folders; NTFS journals the name.
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _shut_for_others(descriptor: int, path: Path) -> None:
    if os.name == "nt":  # There the folder below the user's profile keeps others out.
        return
    if os.fstat(descriptor).st_mode & 0o077:
        os.fchmod(descriptor, 0o600)
        log.warning("secret %s could be read by others and no longer can; remove it to have a new one made", path)
