"""From the configuration to the limits of each part: one function a part, so that a setting has one place of effect."""

from __future__ import annotations

from pathlib import Path

from pywats_reliability.config import ClientConfig
from pywats_reliability.config.nested import ConverterConfig
from pywats_reliability.converter_pool import PoolSettings
from pywats_reliability.converters import StationInfo
from pywats_reliability.ipc import IPCLimits
from pywats_reliability.ipc.address import Address, UnixAddress, default_address
from pywats_reliability.pending_queue import UploadSettings
from pywats_reliability.shutdown import ShutdownLimits
from pywats_reliability.store import StoreLimits
from pywats_reliability.supervisor import SupervisionLimits
from pywats_reliability.wats_client import ProxySettings


def store_limits(config: ClientConfig) -> StoreLimits:
    """Return how much may be kept (H5)."""
    return StoreLimits(
        max_reports=config.max_queue_size,
        max_bytes=config.max_queue_bytes,
        min_free_disk_bytes=config.min_free_disk_bytes,
    )


def upload_settings(config: ClientConfig) -> UploadSettings:
    """Return how sending goes about it (H1)."""
    return UploadSettings(
        max_concurrent=config.max_concurrent_uploads,
        max_attempts=config.max_retry_attempts,
        retry_interval_s=config.retry_interval_seconds,
        retry_cap_s=config.retry_cap_seconds,
    )


def proxy_settings(config: ClientConfig) -> ProxySettings:
    """Return the way out to the server."""
    return ProxySettings(
        mode=config.proxy_mode,
        host=config.proxy_host,
        port=config.proxy_port,
        username=config.proxy_username if config.proxy_auth else "",
        password=config.proxy_password if config.proxy_auth else "",
        bypass=config.proxy_bypass,
        withheld=(*secrets_of(config), f"{config.proxy_username}:{config.proxy_password}"),
    )


def converters(config: ClientConfig) -> tuple[ConverterConfig, ...]:
    """Return the converters that are to work: none where converting as a whole is turned off."""
    return tuple(config.converters) if config.converters_enabled else ()


def pool_settings(config: ClientConfig) -> PoolSettings:
    """Return how converting goes about it (C1.9)."""
    return PoolSettings(conversion_timeout_s=config.conversion_timeout_seconds, station=_station(config))


def converter_threads_limit_s(config: ClientConfig) -> float:
    """Return how long the end of a stop waits for threads of conversions: they were cancelled long before."""
    return min(1.0, float(config.force_shutdown_seconds) / 60)


def disk_limit_s(config: ClientConfig) -> float:
    """Return how long the end of a stop waits for what the disk is at: only a disk that is stuck takes longer."""
    return min(4.0, float(config.force_shutdown_seconds) / 30)


def _station(config: ClientConfig) -> StationInfo:
    """Return the station as configured: the chosen preset of several, or the one there is."""
    if not config.include_station_in_reports:
        return StationInfo()
    chosen = [preset for preset in config.station_presets if preset.key == config.active_station_key]
    if config.multi_station_enabled and chosen:
        return StationInfo(chosen[0].name, chosen[0].location, chosen[0].purpose)
    return StationInfo(config.station_name, config.location, config.purpose)


def shutdown_limits(config: ClientConfig) -> ShutdownLimits:
    """Return the windows of a stop (C1)."""
    return ShutdownLimits(
        config.graceful_shutdown_seconds, config.force_shutdown_seconds, config.shutdown_poll_seconds
    )


def supervision_limits(config: ClientConfig) -> SupervisionLimits:
    """Return how background tasks are watched (C2)."""
    return SupervisionLimits(
        restart_limit=config.restart_limit,
        restart_window_s=config.restart_window_seconds,
        monitor_interval_s=config.monitor_interval_seconds,
    )


def ipc_limits(config: ClientConfig) -> IPCLimits:
    """Return how long clients are waited for, and how many are served (H6)."""
    return IPCLimits(
        connection_s=config.ipc_connection_timeout,
        read_s=config.ipc_read_timeout,
        request_s=config.ipc_request_timeout,
        write_s=config.ipc_write_timeout,
        idle_s=config.ipc_idle_timeout,
        connections_max=config.ipc_max_connections,
    )


def ipc_address(config: ClientConfig) -> Address:
    """Return where clients find the service: the configured socket, or the place of the instance."""
    if config.ipc_socket:
        return UnixAddress(Path(config.ipc_socket))
    return default_address(config.instance_id)


def secrets_of(config: ClientConfig) -> tuple[str, ...]:
    """Return the values that no log line and no message may show (H3.5)."""
    values = (config.api_token, config.proxy_password, config.proxy.password, config.webhook_auth_value)
    return tuple(value for value in values if value)
