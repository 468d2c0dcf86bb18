"""``pywats-service config``: what the settings are, and a way to change them that cannot make them invalid.

* A change passes the rules of every way in, all of it or nothing (H4.2, H4.3); the running service takes it into force
  and saves it, and where none runs the file is saved here, atomically, the old one kept as ``.bak`` (C1.10).
* Secrets are masked in whatever is shown, but for ``get --reveal`` (H3.5). A value given as ``-`` is read from stdin,
  so that a secret need not stand in the list of processes.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from pywats_reliability.cli.connection import patiently, with_service
from pywats_reliability.cli.options import (
    BAD_INPUT,
    FAILED,
    complain,
    config_option,
    json_option,
    on_one_line,
    say_json,
)
from pywats_reliability.config import ClientConfig
from pywats_reliability.config.document import decoded
from pywats_reliability.config.section import setting_named
from pywats_reliability.config.setting import Setting
from pywats_reliability.config.settings import Settings
from pywats_reliability.config_file import backup_path, load_config, save_config
from pywats_reliability.disk import Disk
from pywats_reliability.errors import ConfigError, ConfigFileError, IPCConnectionError, IPCRemoteError, SettingTypeError
from pywats_reliability.ipc import AsyncIPCClient

STDIN = "-"
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,100}")


def _number(text: str) -> Any:
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else float(text)


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


_READERS: dict[str, Callable[[str], Any]] = {"str": str, "bool": _truth, "int": _number, "float": _number}


@click.group("config")
def config_group() -> None:
    """Show, change or check the configuration."""


@config_group.command()
@config_option
@json_option
def show(config_path: Path, *, as_json: bool) -> int:
    """Show every setting, secrets masked, as the file and the environment give them."""
    values = _config(config_path).masked()
    if as_json:
        say_json(values)
        return 0
    for key, value in values.items():
        click.echo(f"{key} = {json.dumps(value)}")
    return 0


@config_group.command()
@config_option
@click.option("--reveal", is_flag=True, help="Show a secret in clear.")
@click.argument("key")
def get(config_path: Path, key: str, *, reveal: bool) -> int:
    """Print one setting: a text as it is, everything else as JSON."""
    setting_named(Settings, key)
    config = _config(config_path)
    value = config.settings.to_dict()[key] if reveal else config.masked()[key]
    click.echo(on_one_line(value) if isinstance(value, str) else json.dumps(value))
    return 0


@config_group.command("set", context_settings={"ignore_unknown_options": True})
@config_option
@click.argument("words", metavar="KEY VALUE [KEY VALUE]...", nargs=-1, required=True)
def set_settings(config_path: Path, words: tuple[str, ...]) -> int:
    """Change settings, all together or none; lists and objects as JSON, "-" reads the value from stdin.

    The running service takes the change into force and saves it; where none runs the file is saved.
    """
    if len(words) % 2:
        raise click.UsageError("expected a VALUE for each KEY, found an odd number of words; quote a value with blanks")
    pairs = zip(words[::2], words[1::2], strict=True)
    changes = {key: _value(setting_named(Settings, key), text) for key, text in pairs}
    old = _config(config_path)
    new = old.copy()
    new.update(changes)
    try:
        with_service(old, lambda client: _set(client, changes))
    except IPCConnectionError:
        disk = Disk()
        disk.make_folder(config_path.absolute().parent)
        save_config(config_path, new, disk=disk)
        click.echo(on_one_line(f"saved in {config_path}; no service runs"))
        return 0
    return _judge(config_path, changes)


async def _set(client: AsyncIPCClient, changes: dict[str, Any]) -> None:
    try:
        await patiently(client, "set_config", {"settings": changes})
    except IPCRemoteError as error:
        if error.remote_code == ConfigError.code:
            raise click.UsageError(error.message) from error
        raise


def _judge(config_path: Path, changes: dict[str, Any]) -> int:
    """Say that it is done, unless the service, which has taken it, keeps its configuration somewhere else."""
    saved = _config(config_path)
    wanted = saved.copy()
    wanted.update(changes)
    if wanted != saved:
        complain(f"{config_path}: expected the running service to save it there, found it unchanged; the service has"
                 " taken the change, but uses another file: name that with --config")  # fmt: skip
        return FAILED
    click.echo(on_one_line(f"in force, and saved in {config_path}"))
    return 0


@config_group.command()
@config_option
@click.argument("file", required=False, type=click.Path(path_type=Path))
def validate(config_path: Path, file: Path | None) -> int:
    """Print everything that is wrong with a configuration file, a line each."""
    path = file or config_path
    found = list(_problems(path))
    for problem in found:
        click.echo(on_one_line(f"{path}: {problem}"))
    if not found:
        click.echo(on_one_line(f"{path}: valid"))
    return BAD_INPUT if found else 0


def _problems(path: Path) -> Iterable[str]:
    try:
        load_config(path)
    except ConfigFileError as error:
        if error.__cause__ is None or isinstance(error.__cause__, OSError):
            return [f"expected {error.expected}, found {error.found}"]  # The file itself is the problem.
    else:
        return []
    try:
        return ClientConfig.problems(decoded(path.read_bytes()))
    except ConfigError as error:
        return [str(error)]


def _config(path: Path) -> ClientConfig:
    """Return what a service with this file would use: the file, or its ``.bak`` where it is missing, or the defaults.

    Raises ``ConfigError``.
    """
    for there in (path, backup_path(path)):
        if os.path.lexists(there):
            return load_config(there, environment=os.environ)
    return ClientConfig.from_environment(os.environ)


def _value(setting: Setting, text: str) -> Any:
    """Return what ``text`` means for the setting; a text that is no such value goes on, for the rule to refuse."""
    if text == STDIN:
        text = sys.stdin.readline().rstrip("\r\n")
    reader = _READERS.get(setting.type_text.split(" ")[0])
    if reader is not None:
        try:
            return reader(text)
        except (ValueError, KeyError):
            return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise SettingTypeError(setting.name, f"{setting.rule_text}, as JSON", "a text that is no JSON") from None


