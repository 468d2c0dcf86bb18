"""``pywats-chaos init``: a start in somebody else's repository; what it writes runs as it is."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import click

from chaos.errors import UsageError

TESTS: Mapping[str, str] = {"conftest.py.txt": "conftest.py", "test_promises.py.txt": "test_promises.py"}
RECIPES: Mapping[str, tuple[str, str]] = {
    "github": ("github.yml.txt", ".github/workflows/chaos.yml"),
    "gitlab": ("gitlab.yml.txt", ".gitlab-ci.yml"),
    "jenkins": ("Jenkinsfile.txt", "Jenkinsfile"),
    "shell": ("verify.sh.txt", "verify-chaos.sh"),
}

IGNORED = "chaos-evidence/"
"""Reports, histories and failures found before: all that our commands leave by default."""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, exists=True, path_type=Path), default=Path())
@click.option("--tests", default="tests/chaos", show_default=True, help="Where the tests go, within FOLDER.")
@click.option("--ci", type=click.Choice([*RECIPES, "none"]), default="github", show_default=True, help="Which recipe.")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
def init(*, folder: Path, tests: str, ci: str, force: bool) -> None:
    """Write a start into the repository at FOLDER: tests that put promises under faults, and a CI recipe.

    Writes nothing at all where one of its files is there already, unless --force is given.
    """
    files = {folder / tests / name: _starter(source) for source, name in TESTS.items()}
    if ci != "none":
        source, name = RECIPES[ci]
        files[folder / name] = _starter(source)
    if (there := [str(path) for path in files if path.exists()]) and not force:
        raise UsageError("a repository without these files", ", ".join(there), "move them away, or give --force")
    try:
        _have_git_ignore(folder / ".gitignore")
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if path.suffix == ".sh":
                path.chmod(0o755)
            click.echo(f"wrote {path}")
    except OSError as error:
        raise UsageError(f"a folder to write to at {folder}", str(error.strerror or error), "name another") from error
    click.echo(f"\nNext:  pip install 'pywats-reliability[test]' && python -m pytest {tests}")
    click.echo(f"Then:  put your own program into the fixture `upload` in {tests}/conftest.py")


def _have_git_ignore(path: Path) -> None:
    """Add the evidence to what git is to ignore, unless it is there."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if IGNORED in text.split():
        return
    path.write_text(text + ("" if text.endswith("\n") or not text else "\n") + f"{IGNORED}\n", encoding="utf-8")
    click.echo(f"wrote {path}: {IGNORED}")


def _starter(name: str) -> str:
    return resources.files(__package__).joinpath("starter", name).read_text(encoding="utf-8")
