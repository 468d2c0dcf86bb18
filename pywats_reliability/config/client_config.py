"""The configuration of a service: a mapping that is valid at every instant.

* Every way in (``[]=``, ``set``, ``update``, attribute, constructor, ``from_dict``, and through them file, hot reload,
  IPC and environment) builds a new immutable ``Settings`` and puts it in the place of the old one in a single step: the
  same rules hold everywhere (H4.1, H4.3, H4.4), and what is refused changes nothing (H4.2).
* What is handed out is immutable or a fresh copy; what is taken in is copied. Nobody holds a part of it.
* What the environment gives is used at run time and never saved: ``config[...]`` shows what is in force, ``to_dict``
  what is saved. Assigning a setting ends the environment's say in it.
* The mapping that the users know stays (H4.7). There is no deletion: every setting always has a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NoReturn

from pywats_reliability.config import environment as env
from pywats_reliability.config import repair, texts
from pywats_reliability.config.section import build, changes_shown, replaced, setting_named
from pywats_reliability.config.settings import SETTINGS, Settings, settings_from
from pywats_reliability.errors import UnknownSettingAttributeError, UnknownSettingError


class ClientConfig(Mapping[str, Any]):
    """All settings of a service, each with a default.

    Every writing method raises ``UnknownSettingError`` (a ``KeyError``), ``SettingTypeError`` (a ``TypeError``) or
    ``SettingValueError`` (a ``ValueError``), and then nothing has changed. Lists come out as tuples, nested objects as
    immutable sections that are read like an object or a mapping; both are taken in as plain lists and dicts too.
    """

    CURRENT_SCHEMA_VERSION: ClassVar[str] = texts.CURRENT_SCHEMA_VERSION
    MIN_SCHEMA_VERSION: ClassVar[str] = texts.MIN_SCHEMA_VERSION

    __slots__ = ("_state",)
    __hash__ = None  # type: ignore[assignment]
    # What is saved, what the environment adds to it, and both together: one tuple, so that they change as one.
    _state: tuple[Settings, Mapping[str, Any], Settings]

    def __init__(self, /, **settings: Any) -> None:
        self._install(build(Settings, settings), {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClientConfig:
        """Return the configuration that ``to_dict`` or a file describes; missing settings get their defaults.

        Version 1.x is lifted to the present one. Keys of a newer minor version are kept, for ``to_dict``, when
        ``schema_version`` says that it is newer; a newer major version is refused.
        """
        return cls._of(settings_from(values), {})

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ClientConfig:
        """Return the default configuration under this environment."""
        return cls().with_environment(environment)

    @classmethod
    def repaired(cls, values: Mapping[str, Any]) -> tuple[ClientConfig, list[str]]:
        """Return what can be kept of plain values, bad ones reset to defaults, and one line for each of these.

        Raises ``SettingValueError`` for a newer major version and for a configuration too large for its file.
        """
        settings, notes = repair.repaired(values)
        return cls._of(settings, {}), notes

    @staticmethod
    def problems(values: object) -> list[str]:
        """Return one line for everything wrong with plain values; none when ``from_dict`` takes them."""
        return repair.problems(values)

    def with_environment(self, environment: Mapping[str, str]) -> ClientConfig:
        """Return a copy that uses PYWATS_SERVER_URL and PYWATS_API_TOKEN where it has none, and PYWATS_HEALTH_PORT."""
        saved = self._state[0]
        return self._of(saved, env.overrides(environment, saved))

    @property
    def settings(self) -> Settings:
        """What is in force at this instant, as a typed immutable snapshot."""
        return self._state[2]

    def __getitem__(self, key: str) -> Any:
        return self.settings[key]

    def __contains__(self, key: object) -> bool:
        return key in self.settings

    def __iter__(self) -> Iterator[str]:
        return iter(SETTINGS)

    def __len__(self) -> int:
        return len(SETTINGS)

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __getattr__(self, name: str) -> Any:
        if name not in SETTINGS:
            self._refuse_attribute(name)
        return self.settings[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in SETTINGS:
            self._refuse_attribute(name)
        self.update({name: value})

    def __dir__(self) -> Iterable[str]:
        return [*object.__dir__(self), *SETTINGS]

    def __eq__(self, other: object) -> bool:
        return self._state == other._state if isinstance(other, ClientConfig) else NotImplemented

    def __reduce__(self) -> tuple[Any, ...]:
        saved, overrides, _ = self._state
        return _restored, (saved, dict(overrides))

    def __repr__(self) -> str:
        changes = changes_shown(self.settings) or "all default"
        return f"ClientConfig({self.settings.instance_id!r}, {len(self)} settings: {changes})"

    def set(self, key: str, value: Any) -> None:
        """Do what ``config[key] = value`` does."""
        self.update({key: value})

    def update(self, changes: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **more: Any) -> None:
        """Make all changes or none; rules across settings are judged on the final state, whatever the order."""
        given = dict(changes, **more)
        saved, overrides, _ = self._state
        self._install(replaced(saved, given), {key: value for key, value in overrides.items() if key not in given})

    def copy(self) -> ClientConfig:
        """Return an independent configuration with the same settings."""
        saved, overrides, _ = self._state
        return self._of(saved, overrides)

    def adopt(self, other: ClientConfig) -> None:
        """Become equal to ``other`` in one step, for those who hold on to this object while the file changes."""
        object.__setattr__(self, "_state", other._state)

    def to_dict(self) -> dict[str, Any]:
        """Return what is to be saved: fresh plain values, secrets in clear, nothing that only the environment gave."""
        return self._state[0].to_dict()

    def masked(self) -> dict[str, Any]:
        """Return what is in force as plain values for the eyes of others: each secret that is set is ``***``."""
        return self.settings.masked()

    def validate(self) -> list[str]:
        """Return what is wrong with the configuration as it would be saved: nothing, unless this package has a bug."""
        return repair.problems(self.to_dict())

    def repair(self) -> list[str]:
        """Return what had to be reset: nothing, as it cannot become invalid. Plain values: see ``repaired``."""
        return []

    @classmethod
    def _of(cls, saved: Settings, overrides: Mapping[str, Any]) -> ClientConfig:
        config = cls.__new__(cls)
        config._install(saved, overrides)  # noqa: SLF001 - an instance of this class
        return config

    def _install(self, saved: Settings, overrides: Mapping[str, Any]) -> None:
        state = saved, overrides, replaced(saved, overrides) if overrides else saved
        object.__setattr__(self, "_state", state)

    @staticmethod
    def _refuse_attribute(name: str) -> NoReturn:
        try:
            setting_named(Settings, name)
        except UnknownSettingError as error:
            raise UnknownSettingAttributeError(error.key, error.suggestion) from None
        raise AssertionError("only a name that is no setting is refused")


def _restored(saved: Settings, overrides: Mapping[str, Any]) -> ClientConfig:
    return ClientConfig._of(saved, overrides)  # noqa: SLF001 - the same class, seen by pickle
