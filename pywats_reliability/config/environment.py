"""Settings that the environment gives at run time: the address and the token when the file has none, the health port.

They pass the same rules as everything else (H4.3) and are never saved. An empty variable counts as not set, as in
containers where it cannot be unset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pywats_reliability.config.settings import SETTINGS, Settings
from pywats_reliability.errors import SettingTypeError, SettingValueError

SERVER_URL = "PYWATS_SERVER_URL"
API_TOKEN = "PYWATS_API_TOKEN"  # noqa: S105 - the variable's name, no token
HEALTH_PORT = "PYWATS_HEALTH_PORT"

_WHEN_FILE_HAS_NONE = {"service_address": SERVER_URL, "api_token": API_TOKEN}
_INTEGER = re.compile(r"-?[0-9]{1,18}")


def overrides(environment: Mapping[str, str], saved: Settings) -> dict[str, Any]:
    """Return the settings that the environment gives, checked; the error for a bad one names setting and variable."""
    given: dict[str, tuple[str, object]] = {}
    for key, variable in _WHEN_FILE_HAS_NONE.items():
        if environment.get(variable) and not saved[key]:
            given[key] = variable, environment[variable]
    port = environment.get(HEALTH_PORT)
    if port:
        given["health_port"] = HEALTH_PORT, int(port) if _INTEGER.fullmatch(port) else port
    return {key: _checked(key, variable, value) for key, (variable, value) in given.items()}


def _checked(key: str, variable: str, value: object) -> Any:
    try:
        return SETTINGS[key].check(value)
    except (SettingTypeError, SettingValueError) as error:
        raise type(error)(f"{key} (from {variable})", error.expected, error.given) from None
