"""An experiment as values: the subject, its steady state, the workload, the faults, the rollback; all of it checked."""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from chaos.errors import ExperimentError, UsageError
from chaos.experiment.document import Document, read_document
from chaos.experiment.terms import At, Duration, Holed, InData, Url, measured
from chaos.live.proxy.settings import ToxicSettings
from chaos.live.proxy.steps import Direction
from chaos.rules.wats_server import rules_from_data

Argv = Annotated[tuple[Holed, ...], Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\t\r\n]+$")]
StopSignal = Literal["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"]
SHOWN_CHARACTERS = 60
SHORT = {"after": "after_bytes"}
"""Shorter names of a toxic's attributes, where the value says the unit: ``after = "512 B"``."""


class Part(BaseModel):
    """A table of the file. ``one_of``: exactly one of these keys is given."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)
    one_of: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, given: Any) -> Any:
        """TOML has arrays where we have tuples."""
        if not isinstance(given, Mapping):
            return given
        return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        given = [name for name in self.one_of if getattr(self, name) is not None]
        if self.one_of and len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(self.one_of)}")
        return self


class Ready(Part):
    """How one sees that the subject is ready."""

    one_of = ("http", "tcp", "file", "says")

    http: Url | None = None
    tcp: Url | None = None
    file: InData | None = None
    says: Annotated[str, Field(min_length=1)] | None = None
    within: Duration = 20.0


class SubjectPart(Part):
    """The service under test: how it is started, when it is ready, how it is stopped, its folders by name."""

    start: Argv
    ready: Ready
    environment: dict[str, Holed] = {}
    stop: StopSignal = "SIGTERM"
    stop_within: Duration = 10.0
    folders: dict[Name, InData] = {}


class Workload(Part):
    """What the subject is given to do: sample reports into a folder or to a URL, or a command of one's own.

    ``before``: how many reports are handed over to see the steady state before any fault.
    """

    one_of = ("into", "post", "run")

    into: Name | None = None
    post: Url | None = None
    run: Argv | None = None
    reports: Annotated[int, Field(ge=1, le=10_000)] = 10
    before: Annotated[int, Field(ge=1, le=1000)] = 1
    every: Duration | None = None
    within: Duration = 30.0


class ServerLine(Part):
    """What must hold at the WATS server."""

    one_of = ("delivered", "effect")

    delivered: Literal["all accepted"] | None = None
    effect: Literal["once"] | None = None


class HttpLine(Part):
    """How the subject answers over HTTP (by default at the URL of its readiness)."""

    url: Url | None = None
    status: Annotated[int, Field(ge=100, le=599)] = 200
    p99: Duration | None = None


class LogLine(Part):
    """What the subject says, or never says."""

    one_of = ("says", "never")

    says: Annotated[str, Field(min_length=1)] | None = None
    never: Annotated[str, Field(min_length=1)] | None = None


class ProcessLine(Part):
    """How the subject ends when it is told to stop."""

    one_of = ("exit", "leaves")

    exit: Annotated[int, Field(ge=0, le=255)] | None = None
    leaves: Literal["nothing"] | None = None


class Line(Part):
    """One line of the steady state; ``during``: it must hold under the faults, too."""

    one_of = ("server", "http", "folder", "log", "process", "command")

    server: ServerLine | None = None
    http: HttpLine | None = None
    folder: dict[Name, Literal["empty"] | Annotated[int, Field(ge=0)]] | None = None
    log: LogLine | None = None
    process: ProcessLine | None = None
    command: Argv | None = None
    during: bool = False

    @model_validator(mode="after")
    def _can_be_looked_at(self) -> Self:
        if self.process is not None and self.during:
            raise ValueError("during = false: how it ends is seen at its end")
        return self


class ProcessFault(Part):
    """A signal or a pause; ``of``: only for processes of the subject whose command line has these words."""

    one_of = ("kill", "signal", "pause")

    kill: Literal[9] | None = None
    signal: Literal["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2"] | None = None
    pause: Duration | None = None
    restart: bool = False
    of: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _restarts_what_ended(self) -> Self:
        lives_on = self.pause is not None or self.signal in {"SIGHUP", "SIGUSR1", "SIGUSR2"}
        if self.restart and (lives_on or self.of is not None):
            raise ValueError("restart only with what ends the whole subject")
        return self


class Fault(Part):
    """One fault: its moment, its kind, and how long it lasts: until it fired ``times`` times, then ``for`` so long."""

    one_of = ("proxy", "server", "process")

    at: At
    proxy: dict[str, dict[str, Any]] | None = None
    server: Literal["down"] | dict[str, Any] | None = None
    process: ProcessFault | None = None
    times: Annotated[int, Field(ge=1, le=10_000)] = 1
    lasts: Annotated[Duration | None, Field(alias="for")] = None

    @field_validator("proxy")
    @classmethod
    def _is_a_toxic(cls, given: dict[str, dict[str, Any]] | None) -> dict[str, dict[str, Any]] | None:
        if given is not None:
            if len(given) != 1:
                raise ValueError("exactly one toxic, such as { reset_peer = {} }")
            toxic_of(given)
        return given

    @field_validator("server")
    @classmethod
    def _is_a_rule(cls, given: Any) -> Any:
        if isinstance(given, dict):
            rule = {key: value for key, value in given.items() if key != "times"}
            _explained(lambda: rules_from_data([rule]))
            if "times" in given:
                raise ValueError("times beside server, not in it")
        return given

    @property
    def label(self) -> str:
        """Return what the fault is called in a history."""
        if self.proxy is not None:
            return f"proxy.{next(iter(self.proxy))}"
        if self.server is not None:
            return "server.down" if self.server == "down" else f"server.{self.server['action']}"
        assert self.process is not None, "a fault is of one kind"
        if self.process.pause is not None:
            return "process.pause"
        return "process.kill" if self.process.kill or self.process.signal == "SIGKILL" else "process.signal"


class Rollback(Part):
    """A command that is run in the end, whatever happened, as long as the folder of the run is there."""

    run: Argv
    within: Duration = 10.0


class Experiment(Part):
    """A whole experiment file."""

    subject: SubjectPart
    steady_state: Annotated[dict[Name, Line], Field(alias="steady-state", min_length=1)]
    workload: Workload
    fault: Annotated[tuple[Fault, ...], Field(min_length=1, max_length=100)]
    rollback: tuple[Rollback, ...] = ()

    @property
    def has_proxy(self) -> bool:
        """Return whether the subject is to reach the server through a proxy."""
        return any(fault.proxy is not None for fault in self.fault)


def toxic_of(proxy: Mapping[str, Mapping[str, Any]]) -> ToxicSettings:
    """Return the toxic that a fault names, checked. Raises ``ValueError``."""
    ((kind, given),) = proxy.items()
    attributes = {
        SHORT.get(key, key) if isinstance(value, str) else key: measured(value) for key, value in given.items()
    }
    stream, toxicity = attributes.pop("stream", "downstream"), attributes.pop("toxicity", 1.0)
    if stream not in list(Direction):
        raise ValueError(f"stream: {' or '.join(Direction)}")
    if not isinstance(toxicity, int | float) or not 0 <= toxicity <= 1:
        raise ValueError("toxicity: a number from 0 to 1")
    settings = ToxicSettings(kind, stream=Direction(stream), toxicity=toxicity, attributes=attributes)
    _explained(settings.toxic)
    return settings


def _explained(check: Any) -> None:
    try:
        check()
    except UsageError as error:
        raise ValueError(f"{error.expected} (found {error.found})") from error


def read_experiment(path: Path) -> tuple[Experiment, Document]:
    """Return the experiment in a file, and the file as a document. Raises ``ExperimentError`` with the line."""
    document = read_document(path)
    try:
        experiment = Experiment.model_validate(document.data)
    except ValidationError as error:
        raise _first_complaint(error, document) from None
    for complaint in _contradictions(experiment, document):
        raise complaint
    return experiment, document


def _first_complaint(error: ValidationError, document: Document) -> ExperimentError:
    """Return what stands first in the file of all that is wrong, and say how much more there is."""
    told = [one for one in error.errors(include_url=False) if not _follows(one, error)]
    places = [_known(tuple(one["loc"]), document) for one in told]
    ranks = [(one["type"] != "extra_forbidden", document.line(p)) for one, p in zip(told, places, strict=True)]
    first = ranks.index(min(ranks))  # A key that is misspelt explains one that is missing.
    one, place = told[first], places[first]
    others = sorted({document.line(p) for n, p in enumerate(places) if n != first} - {document.line(place)})
    more = f" (and lines {', '.join(map(str, others))})" if others else ""
    key = ".".join(str(step) for step in place) or "the file"
    found = " ".join(repr(one["input"]).split())
    shown = found if len(found) <= SHOWN_CHARACTERS else found[: SHOWN_CHARACTERS - 3] + "..."
    if one["type"] == "extra_forbidden":
        return document.complaint(place, f"no key {place[-1]}", shown, _meant(place) + more)
    if one["type"] == "missing":
        key, shown = ".".join(str(step) for step in one["loc"]), "nothing"
    words = one["msg"].removeprefix("Value error, ")
    return document.complaint(place, f"{key}: {words}", shown, f"mend that line{more}")


def _follows(one: ErrorDetails, error: ValidationError) -> bool:
    """Return whether a complaint only says that an array lacks an element which has a complaint of its own."""
    loc = one["loc"]
    others = (other["loc"] for other in error.errors(include_url=False))
    return one["type"] == "too_short" and any(len(o) > len(loc) and o[: len(loc)] == loc for o in others)


def _known(place: tuple[str | int, ...], document: Document) -> tuple[str | int, ...]:
    """Return as much of a complaint's place as the file has: pydantic adds the names of alternatives to it."""
    while place and place not in document.lines:
        place = place[:-1]
    return place


def _meant(place: tuple[str | int, ...]) -> str:
    keys = {key for part in Part.__subclasses__() for key in _keys_of(part)}
    near = difflib.get_close_matches(str(place[-1]), keys, n=1)
    return f"did you mean {near[0]}?" if near else "leave it out"


def _keys_of(part: type[Part]) -> list[str]:
    return [field.alias or name for name, field in part.model_fields.items()]


def _contradictions(experiment: Experiment, document: Document) -> Iterator[ExperimentError]:
    """Yield what no part of the file can see alone: names that lead nowhere."""
    folders, subject = experiment.subject.folders, experiment.subject
    named = ", ".join(folders) or "none"
    into = experiment.workload.into
    if into is not None and into not in folders:
        expected = f"one of subject.folders ({named})"
        yield document.complaint(("workload", "into"), expected, repr(into), "name one, or add it there")
    for name, line in experiment.steady_state.items():
        place = ("steady-state", name)
        for folder in line.folder or {}:
            if folder not in folders:
                expected = f"one of subject.folders ({named})"
                yield document.complaint((*place, "folder", folder), expected, repr(folder), "name one, or add it")
        if line.http is not None and line.http.url is None and subject.ready.http is None:
            found = "none, and no subject.ready.http"
            yield document.complaint((*place, "http"), "a url to ask", found, "give http.url")
        if line.server is not None and experiment.workload.run is not None:
            advice = "hand over reports with into or post, or give a command as check"
            yield document.complaint((*place, "server"), "reports of a workload", "workload.run", advice)
    program = program_of(subject.start[0], document.path)
    if "{" not in program and shutil.which(program) is None:
        advice = "install it, or name another"
        yield document.complaint(("subject", "start"), "a program to start", f"none at {program}", advice)


def program_of(name: str, file: Path) -> str:
    """Return a program's path: a relative one with a slash in it is looked for beside the experiment file."""
    if os.sep in name and not name.startswith((os.sep, "{")):
        return str(file.resolve().parent / name)
    return name
