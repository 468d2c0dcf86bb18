"""What is promised: eight guarantees, split into 71 properties that a machine can check. Ids are stable."""

from __future__ import annotations

from chaos.guarantees.registry import ENGINES, Guarantee, Property, find_property, guarantees, properties

__all__ = ["ENGINES", "Guarantee", "Property", "find_property", "guarantees", "properties"]
