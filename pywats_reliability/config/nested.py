"""The sections inside the configuration: the proxy, the presets of a station, the converters.

They are immutable and valid by construction: ``config["proxy"]["port"] = -1`` is impossible, and so is a list that
grows behind the configuration's back (H4.2, H4.3). To change one, assign a new one: ``config["proxy"] = {...}``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from pywats_reliability.config import kinds
from pywats_reliability.config.json_object import JsonObject
from pywats_reliability.config.rules import Rule, any_needed, at_most, needed
from pywats_reliability.config.section import Section


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ProxyConfig(Section):
    """The HTTP proxy; one that is enabled has a host and a port."""

    rules: ClassVar[tuple[Rule, ...]] = (needed("host", "port", when="enabled", is_one_of=(True,)),)

    enabled: bool = False
    host: kinds.Host = ""
    port: kinds.Port = 8080
    username: kinds.Line = ""
    password: kinds.Password = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StationPreset(Section):
    """A station that the operator can choose; its texts go into reports, where 100 characters are the limit."""

    key: kinds.Name
    name: kinds.Name
    location: kinds.ShortLine = ""
    purpose: kinds.ShortLine = "Production"
    description: kinds.Prose = ""
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConverterConfig(Section):
    """A converter: what it watches or when it runs, what becomes of its files; ``arguments`` are its own business."""

    rules: ClassVar[tuple[Rule, ...]] = (
        at_most("reject_threshold", "alarm_threshold"),
        needed("watch_folder", when="converter_type", is_one_of=("file", "folder")),
        any_needed("schedule_interval_seconds", "cron_expression", when="converter_type", is_one_of=("scheduled",)),
    )

    name: kinds.Name
    module_path: kinds.NeededPath
    watch_folder: kinds.PathText = ""
    done_folder: kinds.PathText = ""
    error_folder: kinds.PathText = ""
    pending_folder: kinds.PathText = ""
    converter_type: kinds.ConverterType = "file"
    enabled: bool = True
    priority: kinds.Priority = 5
    arguments: JsonObject = field(default_factory=dict, hash=False)
    file_patterns: kinds.Patterns = ("*.*",)
    folder_patterns: kinds.Patterns = ("*",)
    alarm_threshold: kinds.Share = 0.5
    reject_threshold: kinds.Share = 0.2
    max_retries: kinds.Attempts = 3
    retry_delay_seconds: kinds.WholeSeconds = 60
    schedule_interval_seconds: kinds.PositiveWholeSeconds | None = None
    cron_expression: kinds.Cron | None = None
    run_on_startup: bool = False
    readiness_marker: kinds.Line = "COMPLETE.marker"
    min_file_count: kinds.Count | None = None
    post_action: kinds.PostAction = "move"
    archive_folder: kinds.PathText = ""
    description: kinds.Prose = ""
    author: kinds.Line = ""
    version: kinds.Line = "1.0.0"
