"""H4.6, live: the configuration file of a running service is replaced by what is no configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping

from chaos.live.world import LiveWorld
from chaos.protocols import EVERYWHERE, scenario

CHANGE_LIMIT_S = 20.0
HUGE_BYTES = 20_000_000


def _bad_files(good: str) -> Mapping[str, bytes]:
    values = json.loads(good)
    return {
        "torn": good.encode()[: len(good) // 2],
        "empty": b"",
        "binary": bytes(range(256)) * 16,
        "wrong type": json.dumps({**values, "max_queue_size": "many"}).encode(),
        "huge": b'{"station_name": "' + b"x" * HUGE_BYTES + b'"}',
    }


@scenario(
    proves=["H4.6"],
    faults=["config.bad_file"],
    limit_s=150,
    worlds=EVERYWHERE,
    judged_by=["a_bad_file_changes_nothing"],
)
async def bad_configuration_files_while_running(world: LiveWorld) -> None:
    """Torn, empty, binary, wrongly typed and huge files: each is refused by name, the last good one stays in force."""
    service = await world.start(max_queue_size=777)
    path, good = world.subject.config_path(world.site), world.config_text()
    told = ""
    for name, contents in _bad_files(good).items():
        world.replace_file(path, contents)
        world.history.fault("config.bad_file", kind=name)
        before = told
        status = await world.until(
            service.status,
            lambda said, before=before: _refusal(said) not in ("", before),  # type: ignore[misc]
            f"the {name} file refused",
            CHANGE_LIMIT_S,
        )
        told = _refusal(status)
        limit = status["pending_queue"]["max_queue_size"]
        untouched = path.read_bytes() == contents
        world.history.observe("bad_file", kind=name, told=told, max_queue_size=limit, untouched=untouched)
    world.replace_file(path, json.dumps({**json.loads(good), "max_queue_size": 888}).encode())
    status = await world.until(
        service.status,
        lambda said: said["pending_queue"]["max_queue_size"] == 888,
        "a good file in force",
        CHANGE_LIMIT_S,
    )
    world.history.observe("good_file", told=_refusal(status))


def _refusal(status: Mapping[str, object]) -> str:
    reasons = status["reasons"]
    assert isinstance(reasons, list), "reasons are a list"
    return next((str(reason) for reason in reasons if "configuration refused" in str(reason)), "")
