"""Our own code keeps our own rules.

Each rule reads the source and lists every offender as ``file:line: what is wrong``, so that one run shows everything
there is to mend. A rule that a linter already has is not repeated here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Bottom first. A module may import what stands below it, or what stands in its own folder.
LAYERS = {
    "pywats_reliability": [
        {"errors", "answers"},
        {"report", "ports", "events"},
        {"config", "retry", "health"},
        {"disk", "workers"},
        {"store", "config_file", "scope", "supervisor", "shutdown", "wats_client", "ipc", "health_server", "logs"},
        {"upstream_folders"},
        {"metrics", "converters"},
        {"queue_manager", "pending_queue", "converter_pool"},
        {"client_service"},
        {"gui"},
        {"cli"},
        {"__init__", "__main__"},
    ],
    "chaos": [
        {"errors"},
        {"guarantees", "seed", "history", "trial"},
        {"verdict", "live_trial"},
        {"outcome"},
        {"protocols", "rules", "sample_reports", "storage", "replacements"},
        {"wats_server", "spans"},
        {"worlds", "judging"},
        {"coverage"},
        {"sim", "live", "faults", "checkers", "reports"},
        {"crash", "experiment"},
        {"subjects", "scenarios", "mutants"},
        {"plan", "catalogue", "profiles", "evidence", "shards", "baseline", "folding"},
        {"runner", "shrink"},
        {"shrink_live", "sweep", "determinism", "corpus", "simulated_tests", "old_bugs"},
        {"explore"},
        {"cli", "fixtures"},
        {"pytest_plugin"},
        {"__init__", "__main__"},
    ],
}
DOORS = ("subjects", "mutants")  # The only folders of chaos that may know the reference service.
STRANGERS = [("faults", "checkers"), ("scenarios", "checkers"), ("reports", "checkers")]  # They never know each other.
LINES_PER_FILE = 400
LINES_PER_FUNCTION = 40

SOURCES = sorted(p for package in LAYERS for p in (ROOT / package).rglob("*.py"))


def part_of(path: Path) -> tuple[str, str]:
    """Return the package and the layered part: ``chaos/sim/loop.py`` -> ``("chaos", "sim")``."""
    relative = path.relative_to(ROOT)
    return relative.parts[0], relative.parts[1].removesuffix(".py")


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


def rank(package: str, part: str) -> int:
    return next(i for i, parts in enumerate(LAYERS[package]) if part in parts)


def upward_imports(path: Path) -> Iterator[str]:
    package, part = part_of(path)
    for line, target in imports(ast.parse(path.read_text())):
        names = target.split(".")
        if names[0] not in LAYERS:
            continue
        where = f"{path.relative_to(ROOT)}:{line}"
        if names[0] != package:
            if package == "pywats_reliability":
                yield f"{where}: the service must not know {target}"
            elif part not in DOORS:
                yield f"{where}: only {' and '.join(DOORS)} may know {target}"
        elif (other := names[1] if len(names) > 1 else "__init__") != part:
            if rank(package, other) >= rank(package, part):
                yield f"{where}: {part} must not import {other}, which stands at or above it"
            elif any({part, other} == set(pair) for pair in STRANGERS):
                yield f"{where}: {part} and {other} must not know each other"


def long_things(path: Path) -> Iterator[str]:
    text = path.read_text()
    if (lines := text.count("\n")) > LINES_PER_FILE:
        yield f"{path.relative_to(ROOT)}: {lines} lines, limit {LINES_PER_FILE}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = node.body[0] if ast.get_docstring(node) else None
            skip = (documented.end_lineno or 0) - documented.lineno + 1 if documented else 0
            if (length := (node.end_lineno or 0) - node.lineno + 1 - skip) > LINES_PER_FUNCTION:
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield f"{where}: {node.name} has {length} lines, limit {LINES_PER_FUNCTION}"


def late_imports(path: Path) -> Iterator[str]:
    """Imports inside functions are for optional extras and for the plugin, which must load nothing heavy."""
    if part_of(path)[1] in {"pytest_plugin", "fixtures"}:
        return
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}: {function.name} imports; imports stand at the top"


def swallowed_exceptions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
            if broad and all(isinstance(part, ast.Pass | ast.Continue) for part in node.body):
                yield f"{path.relative_to(ROOT)}:{node.lineno}: an exception is swallowed"


@pytest.mark.parametrize("rule", [upward_imports, long_things, late_imports, swallowed_exceptions])
def test_rule(rule: Callable[[Path], Iterator[str]]) -> None:
    offenders = [line for path in SOURCES for line in rule(path)]
    assert not offenders, "\n" + "\n".join(offenders)


@pytest.mark.parametrize("package", LAYERS)
def test_every_module_has_a_layer(package: str) -> None:
    placed = set().union(*LAYERS[package])
    assert {part_of(p)[1] for p in SOURCES if part_of(p)[0] == package} <= placed


def test_every_module_starts_with_one_sentence() -> None:
    silent = [str(p.relative_to(ROOT)) for p in SOURCES if not ast.get_docstring(ast.parse(p.read_text()))]
    assert not silent, silent


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "misc", "manager", "base"])
def test_no_module_has_a_name_that_says_nothing(name: str) -> None:
    assert not [p for p in SOURCES if p.stem == name]


def test_the_guard_against_upward_imports_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted import from below to above is named."""
    planted = tmp_path / "pywats_reliability" / "retry.py"
    planted.parent.mkdir()
    planted.write_text("import chaos.runner\nfrom pywats_reliability.client_service import AsyncClientService\n")
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    assert len(list(upward_imports(planted))) == 2
