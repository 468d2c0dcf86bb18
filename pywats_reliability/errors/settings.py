"""What can be wrong with a configuration: each is also the built-in error that a mapping promises."""

from __future__ import annotations

from pathlib import Path

from pywats_reliability.errors.root import ReliabilityError


class ConfigError(ReliabilityError):
    """The root of what can be wrong with a configuration; nothing was changed."""

    code = "config_invalid"


class UnknownSettingError(ConfigError, KeyError):
    """There is no setting of that name."""

    def __init__(self, key: str, suggestion: str | None = None) -> None:
        self.key, self.suggestion = key, suggestion
        hint = f"did you mean {suggestion!r}?" if suggestion else "see `pywats-service config show` for the names"
        super().__init__(f"{key!r}: expected the name of a setting, found none of that name; {hint}")


class UnknownSettingAttributeError(UnknownSettingError, AttributeError):
    """The same, asked for as an attribute: also an ``AttributeError``, so that ``hasattr`` and ``copy`` work."""


class SettingTypeError(ConfigError, TypeError):
    """A value has the wrong type for its setting. ``given`` is already masked for a secret."""

    def __init__(self, key: str, expected: str, given: str) -> None:
        self.key, self.expected, self.given = key, expected, given
        super().__init__(f"{key}: expected {expected}, given {given}; nothing was changed")


class SettingValueError(ConfigError, ValueError):
    """A value is out of its setting's range or enumeration, or breaks a rule across settings."""

    def __init__(self, key: str, expected: str, given: str) -> None:
        self.key, self.expected, self.given = key, expected, given
        super().__init__(f"{key}: expected {expected}, given {given}; nothing was changed")


class ConfigFileError(ConfigError):
    """A configuration file cannot be used; the last good configuration stays in force and the file is untouched."""

    def __init__(self, path: Path, expected: str, found: str) -> None:
        self.path, self.expected, self.found = path, expected, found
        super().__init__(f"{path}: expected {expected}, found {found}; mend the file, the last good settings stay")
