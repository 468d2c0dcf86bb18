"""A section: an immutable group of settings that is valid by construction, and how one is built from what was given.

* A section checks itself whenever one comes into being (constructor, mapping, changed copy, unpickling), so there is no
  way to hold an invalid one (H4.3); what is refused never existed, so nothing has to be undone (H4.2).
* It is read like an object or like a mapping, and is never written: a change is a new section in the place of the old.
* Keys that a newer version wrote are kept beside the settings, at every depth, and written again (H4.5).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

from pywats_reliability.config.given import MASK, is_list, kind_of
from pywats_reliability.config.json_object import JsonObject, frozen_object, thawed
from pywats_reliability.config.rules import Rule
from pywats_reliability.config.setting import Setting, list_type_error, scalar_setting
from pywats_reliability.errors import SettingTypeError, SettingValueError, UnknownSettingError

KEY_CHARACTERS_SHOWN_MAX = 80
_UNKNOWN = "unknown_keys"
_SECRET_NAME = re.compile(r"passw|secret|token|credential|api_?key|auth", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Section(Mapping[str, Any]):
    """The root of all sections; ``unknown_keys`` are those of a newer version, ``rules`` tie the settings together."""

    rules: ClassVar[tuple[Rule, ...]] = ()

    unknown_keys: JsonObject = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for setting in settings_of(type(self)).values():
            object.__setattr__(self, setting.name, read(setting, getattr(self, setting.name)))
        object.__setattr__(self, _UNKNOWN, frozen_object(self.unknown_keys, "unknown keys"))
        for key in self.unknown_keys:
            if key in self:
                raise SettingValueError(key, "a value under its own name", "it among the unknown keys")
        for rule in self.rules:
            rule.check(self)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, setting_named(type(self), key).name)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in settings_of(type(self))

    def __iter__(self) -> Iterator[str]:
        return iter(settings_of(type(self)))

    def __len__(self) -> int:
        return len(settings_of(type(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.to_dict())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({changes_shown(self)})"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as fresh dicts, lists and scalars, secrets in clear, with the keys of a newer version."""
        unknown: dict[str, Any] = thawed(self.unknown_keys)
        return {key: _plain(value) for key, value in self.items()} | unknown

    def masked(self) -> dict[str, Any]:
        """Return what ``to_dict`` returns, with every secret that is set, and all that could be one, as ``***``."""
        settings = settings_of(type(self))
        shown = {key: MASK if settings[key].secret and value else _masked(value) for key, value in self.items()}
        return shown | dict.fromkeys(self.unknown_keys, MASK)


S = TypeVar("S", bound=Section)


def build(section: type[S], given: object, *, keep_unknown: bool = False) -> S:
    """Return the section that a mapping (or a section of that type) describes; what is missing gets its default.

    Raises ``UnknownSettingError`` (unless ``keep_unknown``), ``SettingTypeError`` or ``SettingValueError``, whose key
    is the path to the fault, such as ``converters[2].arguments.limit``.
    """
    if isinstance(given, section) and type(given) is section:
        return given
    if not issubclass(type(given), Mapping):
        raise SettingTypeError("", "an object", kind_of(given))
    settings, known, unknown = settings_of(section), {}, {}
    for key, value in dict(given).items():  # type: ignore[call-overload]
        if keep_unknown and key not in settings:
            unknown[key] = value
        else:
            setting = setting_named(section, key)
            # A scalar is checked by the section itself; only for what is nested does it matter whose keys are kept.
            known[key] = read(setting, value, keep_unknown=keep_unknown) if setting.section else value
    for setting in settings.values():
        if setting.is_required and setting.name not in known:
            raise SettingTypeError(setting.name, setting.rule_text, "nothing")
    return section(**known, unknown_keys=unknown)


def replaced(section: S, changes: Mapping[str, Any]) -> S:
    """Return a section with the changes made, all of them, judged as a whole; raises as ``build`` does."""
    for key in changes:
        setting_named(type(section), key)
    return type(section)(**{**section, **changes}, unknown_keys=section.unknown_keys)


@cache
def settings_of(section: type[Section]) -> Mapping[str, Setting]:
    """Return the settings of a section by name, in the order of their declaration."""
    hints = get_type_hints(section, include_extras=True)
    declared = [entry for entry in fields(section) if entry.name != _UNKNOWN]
    return MappingProxyType({entry.name: _setting(entry, hints[entry.name]) for entry in declared})


def setting_named(section: type[Section], key: object) -> Setting:
    """Return the setting of that name, or raise ``UnknownSettingError`` with the nearest name as a hint."""
    settings = settings_of(section)
    if isinstance(key, str) and key in settings:
        return settings[key]
    text = key[:KEY_CHARACTERS_SHOWN_MAX] if isinstance(key, str) else kind_of(key)
    raise UnknownSettingError(text, next(iter(difflib.get_close_matches(text, settings, 1)), None))


@contextmanager
def under(place: str) -> Iterator[None]:
    """Put ``place`` in front of the key of an error about a setting that is raised inside."""
    try:
        yield
    except UnknownSettingError as error:
        raise UnknownSettingError(_joined(place, error.key), error.suggestion) from None
    except (SettingTypeError, SettingValueError) as error:
        raise type(error)(_joined(place, error.key), error.expected, error.given) from None


def changes_shown(section: Section) -> str:
    """Return the settings that differ from their defaults on one line: secrets masked, lists of objects as counts."""
    settings, masked = settings_of(type(section)), section.masked()
    changed = {key: masked[key] for key, value in section.items() if value != settings[key].default}
    counted = {key: f"{len(changed[key])} items" for key in changed if settings[key].is_list}
    return ", ".join(f"{key}={value!r}" for key, value in (changed | counted).items())


def _joined(place: str, key: str) -> str:
    return f"{place}.{key}" if key else place


def _restored(section: type[S], values: Mapping[str, Any]) -> S:
    return build(section, values, keep_unknown=True)


def read(setting: Setting, value: object, *, keep_unknown: bool = False) -> Any:
    """Return ``value`` as the setting keeps it: a checked scalar, a nested section, or a tuple of them."""
    if setting.section is None:
        return setting.check(value)
    if not setting.is_list:
        with under(setting.name):
            return build(setting.section, value, keep_unknown=keep_unknown)
    if not is_list(value):
        raise list_type_error(setting, value)
    elements: Any = value
    items = []
    for index, item in enumerate(elements):
        with under(f"{setting.name}[{index}]"):
            items.append(build(setting.section, item, keep_unknown=keep_unknown))
    return tuple(items)


def _setting(entry: Field[Any], annotation: Any) -> Setting:
    is_many = get_origin(annotation) is tuple
    kind = get_args(annotation)[0] if is_many else annotation
    is_required = entry.default is MISSING and entry.default_factory is MISSING
    factory_default = None if entry.default_factory is MISSING else entry.default_factory()
    default = factory_default if entry.default is MISSING else entry.default
    if not (isinstance(kind, type) and issubclass(kind, Section)):
        return scalar_setting(entry.name, annotation, default, is_required=is_required)
    type_text = f"list[{kind.__name__}]" if is_many else kind.__name__
    rule_text = f"a list of {kind.__name__} objects" if is_many else f"a {kind.__name__} object"
    return Setting(entry.name, type_text, default, rule_text, is_list=is_many, fields=settings_of(kind), section=kind)


def _plain(value: object) -> Any:
    if isinstance(value, Section):
        return value.to_dict()
    return [_plain(item) for item in value] if isinstance(value, tuple) else thawed(value)


def _masked(value: object) -> Any:
    if isinstance(value, Section):
        return value.masked()
    if isinstance(value, Mapping):
        return {key: MASK if _SECRET_NAME.search(key) else _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, tuple) else value
