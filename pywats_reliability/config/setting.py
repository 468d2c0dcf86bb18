"""A setting: its name, its type, its default, its rule in words and in numbers, and the check that enforces it.

* One description serves every way in (H4.3), every message (H4.1) and every tool that wants to try bad values.
* pydantic checks; its errors are translated here and nowhere else, without the value they carry (H3.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from pywats_reliability.config.given import is_list, kind_of, plain_scalar, shown
from pywats_reliability.config.json_object import JsonObject, frozen_object
from pywats_reliability.errors import SettingTypeError, SettingValueError

_STRICT = ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)
_PLAIN_TYPES = frozenset({NoneType, bool, int, float, str, tuple})


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. ``minimum`` and ``maximum`` are inclusive, and of a text's length they are in ``rule_text`` only.

    ``fields`` are the settings inside a nested object, or inside each element when ``is_list``. ``default`` is ``None``
    for one that ``is_required``.
    """

    name: str
    type_text: str
    default: object
    rule_text: str
    secret: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    is_required: bool = False
    is_list: bool = False
    fields: Mapping[str, Setting] = field(default_factory=dict)
    section: type[Any] | None = field(default=None, repr=False)
    adapter: TypeAdapter[Any] | None = field(default=None, repr=False, compare=False)

    def check(self, value: object) -> Any:
        """Return ``value`` as it may be kept: valid, of a built-in type, shared with nobody.

        Raises ``SettingTypeError`` or ``SettingValueError``. Nested objects are for ``section`` to check.
        """
        if self.adapter is None:
            return frozen_object(value, self.name)
        items: Any = value
        given = tuple(plain_scalar(item) for item in items) if is_list(value) else plain_scalar(value)
        if type(given) not in _PLAIN_TYPES:
            raise SettingTypeError(self.name, self.rule_text, shown(given, is_secret=self.secret))
        try:
            return self.adapter.validate_python(given)
        except ValidationError as error:
            refusal = self._refusal(error)
        raise refusal

    def _refusal(self, error: ValidationError) -> SettingTypeError | SettingValueError:
        first = error.errors(include_url=False, include_context=False)[0]
        given, place = first["input"], "".join(f"[{index}]" for index in first["loc"])
        kind = SettingTypeError if _is_of_wrong_type(first["type"], given) else SettingValueError
        return kind(f"{self.name}{place}", self.rule_text, shown(given, is_secret=self.secret))


def _is_of_wrong_type(error_type: str, given: object) -> bool:
    if error_type == "literal_error":
        return not isinstance(given, str)
    # A whole number too large for a float is a number all the same: out of range, not of a wrong type.
    return error_type.endswith("_type") and not (error_type == "float_type" and type(given) is int)


def scalar_setting(name: str, annotation: Any, default: object, *, is_required: bool) -> Setting:
    """Return the setting that an annotation of ``kinds`` describes."""
    if annotation == JsonObject:
        return Setting(name, "dict", MappingProxyType({}), "a JSON object")
    bare, is_optional = _without_none(annotation)
    kind, details = _kind(bare)
    optional_type, optional_rule = (" | None", ", or nothing") if is_optional else ("", "")
    return Setting(
        name=name,
        type_text=_type_text(kind) + optional_type,
        default=default,
        rule_text=_rule_text(kind, details) + optional_rule,
        secret=bool(details.json_schema_extra),
        minimum=_limit(details, "ge"),
        maximum=_limit(details, "le"),
        choices=get_args(kind) if get_origin(kind) is Literal else (),
        is_required=is_required,
        adapter=TypeAdapter(annotation, config=_STRICT),
    )


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) is not UnionType and NoneType not in get_args(annotation):
        return annotation, False
    return next(kind for kind in get_args(annotation) if kind is not NoneType), True


def _kind(annotation: Any) -> tuple[Any, FieldInfo]:
    if get_origin(annotation) is not Annotated:
        return annotation, FieldInfo()
    kind, *details = get_args(annotation)
    return kind, next(detail for detail in details if isinstance(detail, FieldInfo))


def _type_text(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return "list[str]"
    return "str" if get_origin(kind) is Literal else str(kind.__name__)


def _rule_text(kind: Any, details: FieldInfo) -> str:
    if get_origin(kind) is Literal:
        return f"one of the texts {', '.join(get_args(kind))}"
    if kind is bool:
        return "true or false"
    low, high = _limit(details, "ge"), _limit(details, "le")
    return str(details.description) if low is None else f"{details.description} from {low} to {high}"


def _limit(details: FieldInfo, name: str) -> Any:
    return next((getattr(limit, name) for limit in details.metadata if hasattr(limit, name)), None)


def list_type_error(setting: Setting, given: object) -> SettingTypeError:
    """Return the refusal of something that is no list."""
    return SettingTypeError(setting.name, setting.rule_text, kind_of(given))
