"""What the documents say is generated or run, and a test fails when it is stale."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from chaos.catalogue import catalogue
from chaos.cli.commands import cli as chaos_cli
from chaos.mutants import told_mutants
from chaos.reports.markdown import guarantees_page
from chaos.scenarios import all_scenarios
from pywats_reliability.cli.commands import cli as service_cli
from pywats_reliability.report import parse_report

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PURPOSES = ("verify", "test")


def test_the_page_of_guarantees_is_fresh() -> None:
    """Renew it with ``pywats-chaos list --markdown > docs/guarantees.md``."""
    contents = catalogue(all_scenarios(), told_mutants())
    assert (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8") == guarantees_page(contents)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_readme_has_one_line_for_each_purpose(purpose: str) -> None:
    command = [sys.executable, str(ROOT / ".ci" / "readme_line.py"), purpose, str(ROOT / "README.md")]
    line = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    assert line.startswith("python3 -m venv .venv && .venv/bin/pip install -q ")


@pytest.mark.parametrize("name", ["pywats-service", "pywats-chaos"])
def test_every_command_in_the_readme_exists(name: str) -> None:
    known = {"pywats-service": service_cli, "pywats-chaos": chaos_cli}[name].commands
    used = {shlex.split(line, comments=True)[1] for line in README.splitlines() if line.startswith(f"{name} ")}
    assert used <= set(known)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for several in project["optional-dependencies"].values() for line in several]
    names = [re.split(r"[>=<\[]", line)[0] for line in [*project["dependencies"], *extras]]
    reasons = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert not [name for name in names if name not in reasons]


def test_links_between_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    links = [(page, link) for page, text in texts.items() for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    assert not [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "reports").glob("*.json")), ids=lambda path: path.stem)
def test_every_sample_report_is_one(path: Path) -> None:
    assert json.loads(parse_report(path.read_bytes()).body)["pn"]


def test_the_published_schema_is_the_one_in_the_package() -> None:
    """Renew it with ``cp chaos/reports/evidence.schema.json docs/``."""
    name = "evidence.schema.json"
    assert (ROOT / "docs" / name).read_bytes() == (ROOT / "chaos" / "reports" / name).read_bytes()
