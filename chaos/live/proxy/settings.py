"""What a proxy and a toxic are told, as values with Toxiproxy's field names, and how to read them from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.config import with_config

from chaos.errors import UsageError
from chaos.live.proxy.steps import Direction, Toxic
from chaos.live.proxy.toxics import TOXICS
from chaos.rules.wats_server import usage_error

_FORBID = ConfigDict(extra="forbid")
_LENIENT = ConfigDict(extra="ignore")  # Clients send back what they were told, our own counts included.
Name = Annotated[str, Field(min_length=1, max_length=200)]


@with_config(_LENIENT)
@dataclass(frozen=True, slots=True)
class ToxicSettings:
    """One toxic: ``toxicity`` is the chance that a connection gets it, drawn once per connection from the seed."""

    type: str
    name: str = ""
    stream: Direction = Direction.DOWNSTREAM
    toxicity: Annotated[float, Field(ge=0, le=1)] = 1.0
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Return its name, by default ``<type>_<stream>``."""
        return self.name or f"{self.type}_{self.stream}"

    def toxic(self) -> Toxic:
        """Return what its attributes say. Raises ``UsageError`` for an unknown type or attribute, or a bad value."""
        if self.type not in TOXICS:
            raise UsageError(f"a type of toxic ({', '.join(TOXICS)})", repr(self.type), "choose one of those")
        kind = TOXICS[self.type]
        try:
            return _adapter(kind).validate_python(dict(self.attributes))
        except ValidationError as error:
            raise usage_error(error, f"the attributes of {self.label}") from None


@with_config(_LENIENT)
@dataclass(frozen=True, slots=True)
class ProxySettings:
    """One proxy; with ``toxics`` it exists with its faults from the first connection on. ``seed`` decides chances."""

    name: Name
    upstream: str
    listen: str = "127.0.0.1:0"
    enabled: bool = True
    toxics: tuple[ToxicSettings, ...] = ()
    seed: Annotated[int, Field(ge=0)] = 0


@with_config(_LENIENT)
@dataclass(frozen=True, slots=True)
class ProxyChange:
    """What an update of a proxy says; None leaves a field as it is."""

    listen: str | None = None
    upstream: str | None = None
    enabled: bool | None = None


@with_config(_LENIENT)
@dataclass(frozen=True, slots=True)
class ToxicChange:
    """What an update of a toxic says; attributes that are not named stay as they are."""

    toxicity: Annotated[float, Field(ge=0, le=1)] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


ONE_PROXY = TypeAdapter(ProxySettings)
MANY_PROXIES = TypeAdapter(list[ProxySettings])
ONE_TOXIC = TypeAdapter(ToxicSettings)
PROXY_CHANGE = TypeAdapter(ProxyChange)
TOXIC_CHANGE = TypeAdapter(ToxicChange)
_adapters: dict[type[Toxic], TypeAdapter[Toxic]] = {}


def attributes_of(toxic: Toxic) -> dict[str, Any]:
    """Return all attributes of a toxic, those that were not given included."""
    return asdict(toxic)  # type: ignore[call-overload,no-any-return]  # every toxic is a dataclass


def _adapter(kind: type[Toxic]) -> TypeAdapter[Toxic]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(with_config(_FORBID)(kind))
    return _adapters[kind]
