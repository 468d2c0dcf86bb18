"""Every setting of the service: its name, its kind and its default, and the rules that tie settings together.

Names, types and defaults are those the users know; the rules hold on every way in (H4.3, H4.4). Defaults of our own:

* ``min_free_disk_bytes`` 64 MiB: a full disk would also stop what clears it (the notes beside failed reports, the
  configuration, the log); 64 MiB is room for more than 1,000 reports of 50 KiB. 0 turns the limit off.
* ``retry_cap_seconds`` an hour: 10 attempts, doubling from 30 s with full jitter, then spread over 3 hours at most and
  1.5 on average, and the end of an outage is noticed within the hour. A cap below the interval acts as the interval.
* ``ipc_max_connections`` 1,100: 1,000 hung clients and 100 that behave. Each costs a file descriptor, so a process that
  is allowed only 1,024 of them should raise its soft limit at start.
* ``upload_timeout_seconds`` 30, as the public client; ``conversion_timeout_seconds`` 300, for one file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pywats_reliability.config import kinds
from pywats_reliability.config.document import DOCUMENT_BYTES_MAX, encoded
from pywats_reliability.config.given import kind_of
from pywats_reliability.config.nested import ConverterConfig, ProxyConfig, StationPreset
from pywats_reliability.config.rules import Rule, at_most, needed, unique
from pywats_reliability.config.section import Section, build, settings_of
from pywats_reliability.config.setting import Setting
from pywats_reliability.config.texts import CURRENT_SCHEMA_VERSION, is_newer_version
from pywats_reliability.errors import SettingTypeError, SettingValueError


def _check_size(state: Mapping[str, Any]) -> None:
    size = len(encoded(state.to_dict())) if isinstance(state, Section) else 0
    if size > DOCUMENT_BYTES_MAX:
        expected = f"a configuration of at most {DOCUMENT_BYTES_MAX} bytes"
        raise SettingValueError("converters, station_presets", expected, f"{size} bytes")


def _check_version(state: Mapping[str, Any]) -> None:
    unknown = isinstance(state, Section) and has_unknown_keys(state)
    if unknown and not is_newer_version(state["schema_version"]):
        raise SettingValueError(
            "schema_version", f"a version newer than {CURRENT_SCHEMA_VERSION}, as keys of a newer one are kept",
            state["schema_version"],
        )


def has_unknown_keys(section: Section) -> bool:
    """Tell whether a section keeps keys of a newer version, at any depth."""
    below = [item for value in section.values() for item in (value if isinstance(value, tuple) else (value,))]
    return bool(section.unknown_keys) or any(isinstance(item, Section) and has_unknown_keys(item) for item in below)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings(Section):
    """All settings at one instant: typed, immutable, valid."""

    rules: ClassVar[tuple[Rule, ...]] = (
        at_most("graceful_shutdown_seconds", "force_shutdown_seconds"),
        needed("proxy_host", "proxy_port", when="proxy_mode", is_one_of=("manual",)),
        unique("converters", "name"),
        unique("station_presets", "key"),
        Rule("keys of a newer version need its schema_version", ("schema_version",), _check_version),
        Rule("the configuration fits into its file", ("converters", "station_presets"), _check_size),
    )

    schema_version: kinds.SchemaVersion = CURRENT_SCHEMA_VERSION
    instance_id: kinds.InstanceId = "default"
    instance_name: kinds.Line = "WATS Client"
    service_address: kinds.BaseUrl = ""
    api_token: kinds.Token = ""
    username: kinds.Line = ""

    station_name: kinds.ShortLine = ""
    location: kinds.ShortLine = ""
    purpose: kinds.ShortLine = ""
    station_description: kinds.Prose = ""
    auto_detect_location: bool = False
    multi_station_enabled: bool = False
    include_station_in_reports: bool = True
    process_sync_enabled: bool = True
    offline_queue_enabled: bool = True
    converters_enabled: bool = True
    service_auto_start: bool = True
    station_name_source: kinds.StationNameSource = "hostname"
    station_presets: tuple[StationPreset, ...] = ()
    active_station_key: kinds.ShortLine = ""

    sn_mode: kinds.SerialNumberMode = "Manual Entry"
    sn_prefix: kinds.Line = ""
    sn_pattern: kinds.Line = ""
    sn_start: kinds.Count = 1
    sn_padding: kinds.Count = 6
    sn_com_port: kinds.Line = "Auto-detect"
    sn_terminator: kinds.Line = "Enter (CR)"
    sn_validate_format: bool = False
    sn_check_duplicates: bool = True

    proxy_mode: kinds.ProxyMode = "system"
    proxy_host: kinds.Host = ""
    proxy_port: kinds.Port = 8080
    proxy_auth: bool = False
    proxy_username: kinds.Line = ""
    proxy_password: kinds.Password = ""
    proxy_bypass: kinds.Line = ""
    proxy: ProxyConfig = field(default_factory=ProxyConfig)

    sync_interval_seconds: kinds.WholeSeconds = 300
    reports_folder: kinds.NeededPath = "reports"
    max_retry_attempts: kinds.Attempts = 10
    retry_interval_seconds: kinds.PositiveWholeSeconds = 30
    retry_cap_seconds: kinds.PositiveSeconds = 3600.0
    max_queue_size: kinds.Count = 10_000
    max_queue_bytes: kinds.Bytes = 0
    min_free_disk_bytes: kinds.Bytes = 64 * 1024 * 1024
    queue_full_action: kinds.QueueFullAction = "reject"
    max_concurrent_uploads: kinds.Uploads = 5
    upload_timeout_seconds: kinds.PositiveSeconds = 30.0
    sent_retention_days: kinds.Days = 7

    enable_cache: bool = True
    cache_ttl_seconds: kinds.Seconds = 300.0
    cache_max_size: kinds.Count = 1000
    enable_metrics: bool = True
    metrics_port: kinds.Port = 9090

    converters_folder: kinds.NeededPath = "converters"
    converters: tuple[ConverterConfig, ...] = ()
    conversion_timeout_seconds: kinds.PositiveSeconds = 300.0

    yield_monitor_enabled: bool = False
    yield_threshold: kinds.Percent = 95.0
    location_services_enabled: bool = False
    software_auto_update: bool = False

    api_enabled: bool = False
    api_host: kinds.NeededHost = "127.0.0.1"
    api_port: kinds.Port = 8080
    api_base_path: kinds.Line = "/api/v1"
    api_cors_enabled: bool = False
    api_cors_origins: kinds.Line = "*"
    api_auth_type: kinds.ApiAuthType = "None"
    api_rate_limit_enabled: bool = False
    api_rate_limit_requests: kinds.PositiveCount = 100
    api_rate_limit_window: kinds.PositiveWholeSeconds = 60
    webhook_converter_url: kinds.Url = ""
    webhook_report_url: kinds.Url = ""
    webhook_service_url: kinds.Url = ""
    webhook_auth_header: kinds.HeaderName = ""
    webhook_auth_value: kinds.HeaderSecret = ""

    show_software_tab: bool = True
    show_sn_handler_tab: bool = True
    show_converters_tab: bool = True
    show_location_tab: bool = True
    show_proxy_tab: bool = True
    auto_connect: bool = True
    was_connected: bool = False
    log_level: kinds.LogLevel = "INFO"
    log_file: kinds.PathText = "client.log"
    start_minimized: bool = False
    minimize_to_tray: bool = True

    graceful_shutdown_seconds: kinds.Seconds = 60.0
    force_shutdown_seconds: kinds.PositiveSeconds = 120.0
    shutdown_poll_seconds: kinds.PositiveSeconds = 1.0
    monitor_interval_seconds: kinds.PositiveSeconds = 30.0
    restart_limit: kinds.Count = 3
    restart_window_seconds: kinds.PositiveSeconds = 300.0

    ipc_socket: kinds.SocketPath = ""
    ipc_connection_timeout: kinds.PositiveSeconds = 30.0
    ipc_read_timeout: kinds.PositiveSeconds = 30.0
    ipc_write_timeout: kinds.PositiveSeconds = 10.0
    ipc_request_timeout: kinds.PositiveSeconds = 60.0
    ipc_idle_timeout: kinds.PositiveSeconds = 300.0
    ipc_max_connections: kinds.Connections = 1100
    health_host: kinds.NeededHost = "127.0.0.1"
    health_port: kinds.PortOrOff = 8080


SETTINGS: Mapping[str, Setting] = settings_of(Settings)
"""Every setting by name: for tools, messages and tests."""


def settings_from(given: object) -> Settings:
    """Return the settings that a mapping describes; keys of a newer version are kept when it says that it is newer.

    The version is judged first, so that a file of a newer service is refused for that, and not for a key in it. Raises
    ``UnknownSettingError``, ``SettingTypeError`` or ``SettingValueError``.
    """
    if not issubclass(type(given), Mapping):
        raise SettingTypeError("the configuration", "an object", kind_of(given))
    values: dict[str, Any] = dict(given)  # type: ignore[call-overload]
    return build(Settings, values, keep_unknown=is_newer(values))


def is_newer(values: Mapping[str, Any]) -> bool:
    """Tell whether a mapping says that a newer version wrote it; raises for a version that cannot be read here."""
    setting = SETTINGS["schema_version"]
    return is_newer_version(setting.check(values.get("schema_version", setting.default)))
