"""The configuration of the service (H4): a mapping that cannot be made invalid. No I/O here."""

from pywats_reliability.config.client_config import ClientConfig
from pywats_reliability.config.nested import ConverterConfig, ProxyConfig, StationPreset
from pywats_reliability.config.setting import Setting
from pywats_reliability.config.settings import SETTINGS, Settings

__all__ = ["SETTINGS", "ClientConfig", "ConverterConfig", "ProxyConfig", "Setting", "Settings", "StationPreset"]
