"""The pytest plugin: markers, options, and (where pytest-asyncio is installed) the fixtures.

Importing this costs next to nothing: whatever is heavy is loaded when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Generator
from importlib import import_module

import pytest

SEED = 20261123
WORLDS = ("live",)
MARKERS = (
    "proves(*ids): the test proves these properties, such as C1.6",
    'needs(*what): the test needs "ptrace", "faketime" or "linux"; elsewhere it is skipped, with the reason',
    "deadline(seconds): how long the test may take before the service is asked where it stands (default: 50)",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose guarantees, worlds and seeds."""
    group = parser.getgroup("pywats-chaos")
    group.addoption("--proves", action="append", default=[], metavar="ID", help="only tests that prove this property")
    group.addoption(
        "--chaos-world", action="append", default=[], metavar="WORLD", help=f"worlds to use: {', '.join(WORLDS)}"
    )
    group.addoption("--chaos-seed", type=int, default=SEED, metavar="N", help="where the random streams begin")
    group.addoption(
        "--chaos-seeds", type=int, default=1, metavar="N", help="run each test with a world N times, seeded"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and the fixtures where there is a plugin that can run them."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    for name in config.getoption("--chaos-world"):
        if name not in WORLDS:
            raise pytest.UsageError(f"--chaos-world: expected one of {', '.join(WORLDS)}, found {name!r}")
    if config.pluginmanager.hasplugin("asyncio"):
        config.pluginmanager.register(import_module("chaos.fixtures"), "pywats-chaos-fixtures")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that has a world as often as there are seeds, each under its own."""
    count, first = metafunc.config.getoption("--chaos-seeds"), metafunc.config.getoption("--chaos-seed")
    if count > 1 and "world" in metafunc.fixturenames:
        seeds = range(first, first + count)
        metafunc.parametrize("world", seeds, indirect=True, ids=[f"seed{seed}" for seed in seeds])


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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs what this machine does not have, with the reason and what to install."""
    needs = [str(need) for mark in item.iter_markers("needs") for need in mark.args]
    if needs:
        from chaos.live.needs import why_not

        for need in needs:
            if reason := why_not(need):
                pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note that a test failed, so that its world tells where the service stood before it is ended."""
    report = yield
    if call.when == "call" and report.failed and "world" in getattr(item, "fixturenames", ()):
        from chaos.fixtures import REPORTED

        item.stash[REPORTED] = True
    return report


def _ids(item: pytest.Item) -> set[str]:
    return {str(property_id) for mark in item.iter_markers("proves") for property_id in mark.args}
