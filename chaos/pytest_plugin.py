"""The pytest plugin: the marker ``proves``, its option, and (where pytest-asyncio is installed) the fixtures.

Importing this costs next to nothing: whatever is heavy is loaded when a test asks for it.
"""

from __future__ import annotations

from importlib import import_module

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that chooses tests by what they prove."""
    group = parser.getgroup("pywats-chaos")
    group.addoption("--proves", action="append", default=[], metavar="ID", help="only tests that prove this property")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the fixtures where there is a plugin that can run them."""
    config.addinivalue_line("markers", "proves(*ids): the test proves these properties, such as C1.6")
    if config.pluginmanager.hasplugin("asyncio"):
        config.pluginmanager.register(import_module("chaos.fixtures"), "pywats-chaos-fixtures")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse marks with unknown ids, and keep only the tests that ``--proves`` asks for."""
    marked = {item: _ids(item) for item in items if item.get_closest_marker("proves")}
    if marked:
        from chaos.errors import UsageError
        from chaos.guarantees import find_property

        for item, ids in marked.items():
            try:
                for property_id in ids:
                    find_property(property_id)
            except UsageError as error:
                raise pytest.UsageError(f"{item.nodeid}: {error}") from error
    if wanted := {text.upper() for text in config.getoption("--proves")}:
        chosen = [item for item in items if marked.get(item, set()) & wanted]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def _ids(item: pytest.Item) -> set[str]:
    return {str(property_id) for mark in item.iter_markers("proves") for property_id in mark.args}
