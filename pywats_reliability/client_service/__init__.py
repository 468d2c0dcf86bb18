"""The service as a whole: the only package that knows every part."""

from __future__ import annotations

from pywats_reliability.client_service.service import AsyncClientService
from pywats_reliability.client_service.surroundings import Surroundings

__all__ = ["AsyncClientService", "Surroundings"]
