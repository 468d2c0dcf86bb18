"""The CI recipes are parsed and their shell lines are run, on a profile that takes seconds.

What would come from a package index is there already: in front of the PATH stand a ``pip`` that installs nothing and
our own command. Everything else is run as it is written.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.cli.init_command import RECIPES

ROOT = Path(__file__).parents[2]
CI = ROOT / "docs" / "ci"
PROFILE = "[tool.pywats-chaos.profiles.ci]\nproperties = ['H3.3']\nworlds = ['live']\n"
PIP = '#!/bin/sh\necho "$@" >> pip.log\n'
OURS = f'#!/bin/sh\nexec {sys.executable} -m chaos "$@"\n'
PYTHON = f"""#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {sys.executable} "$@"
mkdir -p "$3/bin" && cp "$TOOLS/pip" "$TOOLS/pywats-chaos" "$3/bin/"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(PROFILE)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("pip", PIP), ("pywats-chaos", OURS), ("python3", PYTHON)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    return tmp_path


def shell(line: str, project: Path, **environment: str) -> None:
    tools = project / "tools"
    known = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "TOOLS": str(tools), **environment}
    command = ["bash", "-euo", "pipefail", "-c", line]
    found = subprocess.run(command, cwd=project, env=known, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, f"{line}\n{found.stdout}\n{found.stderr}"


def verdict(folder: Path) -> tuple[int, str]:
    document = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
    return document["exit_code"], document["properties"][0]["verdict"]


def steps(job: Mapping[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_the_github_recipe_runs(project: Path) -> None:
    recipe = yaml.safe_load((CI / "github.yml").read_text(encoding="utf-8"))
    verify, gate = recipe["jobs"]["verify"], recipe["jobs"]["gate"]
    for number in verify["strategy"]["matrix"]["shard"]:
        for line in steps(verify):
            shell(line.replace("${{ matrix.shard }}", str(number)), project)
    for line in steps(gate):
        shell(line, project, GITHUB_STEP_SUMMARY=str(project / "step.md"))
    assert verdict(project / "chaos-evidence") == (0, "held")
    assert "The property that was asked for held" in (project / "step.md").read_text(encoding="utf-8")
    names = [step.get("with", {}).get("path") for job in (verify, gate) for step in job["steps"]]
    assert {"evidence-${{ matrix.shard }}", "chaos-evidence"} <= set(names)


def test_the_gitlab_recipe_runs(project: Path) -> None:
    recipe = yaml.safe_load((CI / "gitlab.yml").read_text(encoding="utf-8"))
    verify, gate = recipe["chaos"], recipe["chaos-gate"]
    for number in range(1, verify["parallel"] + 1):
        for line in [*recipe[verify["extends"]]["before_script"], *verify["script"]]:
            shell(line, project, CI_NODE_INDEX=str(number), CI_NODE_TOTAL=str(verify["parallel"]))
    for line in gate["script"]:
        shell(line, project)
    assert verdict(project / "chaos-evidence") == (0, "held")
    assert (project / gate["artifacts"]["reports"]["junit"]).exists()


def test_the_jenkins_recipe_runs(project: Path) -> None:
    text = (CI / "Jenkinsfile").read_text(encoding="utf-8")
    lines = [found.group(2) for found in re.finditer(r"^ *sh (['\"])(.*)\1$", text, re.MULTILINE)]
    assert (len(lines), text.count("{"), text.count("sh ")) == (2, text.count("}"), 2)
    for line in lines:
        shell(line, project)
    (junit,) = re.findall(r"junit '(.*)'", text)
    assert verdict(project / "chaos-evidence") == (0, "held")
    assert (project / junit).exists()


def test_the_shell_recipe_runs_and_compares_with_a_baseline(project: Path) -> None:
    script = str(CI / "verify.sh")
    shell(script, project)
    shell(script, project, PROFILE="ci", BASELINE="chaos-evidence")
    document = json.loads((project / "chaos-evidence" / "evidence.json").read_text(encoding="utf-8"))
    assert (document["exit_code"], bool(document["against"])) == (0, True)
    assert "install --quiet pywats-reliability[test]" in (project / "pip.log").read_text()


@pytest.mark.parametrize(("source", "_"), RECIPES.values(), ids=list(RECIPES))
def test_what_init_writes_is_what_the_documents_show(source: str, _: str) -> None:
    shown = (CI / source.removesuffix(".txt")).read_text(encoding="utf-8")
    assert (ROOT / "chaos" / "cli" / "starter" / source).read_text(encoding="utf-8") == shown
