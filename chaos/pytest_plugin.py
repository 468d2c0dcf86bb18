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
    "simulated(seeds=100, seed=0, policy='portfolio', limit_s=86400): run the async test in simulated time, each seed",
    "deadline(seconds): how long the test may take before the service is asked where it stands (default: 50)",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose guarantees, worlds and seeds."""
    group = parser.getgroup("pywats-chaos")
    group.addoption("--proves", action="append", default=[], metavar="ID", help="only tests that prove this property")
    group.addoption(
        "--chaos-world", action="append", default=[], metavar="WORLD", help=f"worlds to use: {', '.join(WORLDS)}"
    )
    group.addoption("--sim-seed", type=int, metavar="N", help="run simulated tests with this seed only")
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


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is marked ``simulated`` in simulated worlds, a seed after the other."""
    marker = pyfuncitem.get_closest_marker("simulated")
    if marker is None:
        return None
    from chaos.errors import UsageError
    from chaos.sim.simulate import SimulationFailedError
    from chaos.simulated_tests import replay_of, run_simulated

    names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001 - as pytest's own plugins for async tests do
    values = {name: pyfuncitem.funcargs[name] for name in names}
    try:
        run_simulated(pyfuncitem.obj, values, marker.kwargs, pyfuncitem.config.getoption("--sim-seed"))
    except SimulationFailedError as failed:
        failed.error.add_note(f"replay with: {replay_of(pyfuncitem.nodeid, failed)}  (policy {failed.policy})")
        raise failed.error from None
    except UsageError as error:
        raise pytest.UsageError(f"{pyfuncitem.nodeid}: {error}") from error
    return True


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
