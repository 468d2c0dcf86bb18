"""The eleven pages, in the order in which the window lists them."""

from pywats_reliability.gui.page import Page
from pywats_reliability.gui.pages.about import AboutPage
from pywats_reliability.gui.pages.api_settings import ApiSettingsPage
from pywats_reliability.gui.pages.connection import ConnectionPage
from pywats_reliability.gui.pages.converters import ConvertersPage
from pywats_reliability.gui.pages.dashboard import DashboardPage
from pywats_reliability.gui.pages.location import LocationPage
from pywats_reliability.gui.pages.log import LogPage
from pywats_reliability.gui.pages.proxy_settings import ProxySettingsPage
from pywats_reliability.gui.pages.serial_numbers import SerialNumberHandlerPage
from pywats_reliability.gui.pages.setup import SetupPage
from pywats_reliability.gui.pages.software import SoftwarePage

PAGES: tuple[type[Page], ...] = (
    DashboardPage,
    ConnectionPage,
    ConvertersPage,
    SetupPage,
    SerialNumberHandlerPage,
    LogPage,
    ApiSettingsPage,
    LocationPage,
    ProxySettingsPage,
    SoftwarePage,
    AboutPage,
)

__all__ = ["PAGES"]
