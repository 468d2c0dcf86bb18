"""``mutants`` as a person uses it: what is found, what is not, what hangs, what is asked wrongly, an interruption."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaos.live import process_table

OWN = '''
import os
import time
from pathlib import Path

from chaos.mutants import find_mutant, mutant
from chaos.protocols import WorldKind

SIMULATED = (WorldKind.SIMULATION,)


@mutant("C1.2", worlds=SIMULATED)
def does_nothing(service):
    """Does what the service does anyway."""


@mutant("C1.2", worlds=SIMULATED)
def swallows_everything(service):
    """Catches whatever may come, so that nothing can ever end it."""
    Path(__file__).with_suffix(".pid").write_text(str(os.getpid()))
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


@mutant("C1.2", worlds=SIMULATED)
def leaves(service):
    """Ends the process when in doubt."""
    os._exit(7)


@mutant("C1.2", worlds=SIMULATED)
def names_what_is_not_there(service):
    """Was written for an older version."""
    service.replace("pywats_reliability.shutdown:no_such_part", None)


@mutant("C2.10", worlds=SIMULATED)
def loses_reports(service):
    """Loses reports, which its own property has nothing to do with."""
    find_mutant("C1.6/writes_without_syncing").plant(service)


@mutant("H4.7", worlds=(WorldKind.LIVE,))
def names_live_what_is_not_there(service):
    """Was written for an older version, too."""
    service.replace("pywats_reliability.shutdown:no_such_part", None)


@mutant("H4.7", worlds=(WorldKind.LIVE,))
def forgets_its_keys(service):
    """Finds a configuration without keys tidier."""
    service.replace("pywats_reliability.config:ClientConfig.__contains__", lambda config, key: False)
'''


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def run(*arguments: str, seeds: int = 3) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chaos", "mutants", *arguments, "--jobs", "1", "--repeat", "1"]
    command += ["--seeds", str(seeds)]
    return subprocess.run(command, capture_output=True, text=True, timeout=58, check=False)


def test_what_its_own_property_sees_is_found() -> None:
    found = run("C1.2/cancels_at_once", "C1.12/tells_of_every_forced_stop", seeds=50)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "2 of 2 mutants found by their own property, median" in found.stdout
    assert re.search(r"C1\.2/cancels_at_once +C1\.2 +sim +1 +\d", found.stdout)
    assert re.search(r"^\[1/2\] found .* mutants/min, about \S+ s left$", found.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("does_nothing", "survived"),
        ("leaves", "its worker died"),
        ("names_what_is_not_there", "no_such_part"),
        ("names_live_what_is_not_there", "the run failed: "),
    ],
)
def test_what_is_not_found_ends_with_1(own: Path, name: str, words: str) -> None:
    found = run(f"{own}:{name}")
    assert found.returncode == 1, found.stdout + found.stderr
    assert words in found.stdout
    assert "0 of 1 mutants found" in found.stdout


def test_what_another_property_sees_is_found_by_accident(own: Path) -> None:
    found = run(f"{own}:loses_reports", seeds=100)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "found by accident (by C1.6" in " ".join(found.stdout.split())


def test_one_that_swallows_everything_is_ended_when_its_time_is_over(own: Path) -> None:
    began = time.monotonic()
    found = run(f"{own}:swallows_everything", "C1.2/cancels_at_once", "--limit-s", "20")
    assert found.returncode == 1, found.stdout + found.stderr
    assert "ran out of time" in found.stdout
    assert "1 of 2 mutants found" in found.stdout
    assert time.monotonic() - began < 55
    assert process_table.read_row(int(own.with_suffix(".pid").read_text())) is None, "its worker is gone"


def test_a_mutant_is_planted_in_live_processes(own: Path) -> None:
    found = run(f"{own}:forgets_its_keys")
    assert found.returncode == 0, found.stdout + found.stderr
    assert " live " in found.stdout


def test_ctrl_c_leaves_the_table_of_what_is_known(own: Path) -> None:
    command = [sys.executable, "-m", "chaos", "mutants", "C1.2/cancels_at_once", f"{own}:swallows_everything"]
    command += ["--jobs", "1", "--repeat", "1", "--seeds", "3"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as hunt:
        assert hunt.stdout is not None
        first = hunt.stdout.readline()
        hunt.send_signal(signal.SIGINT)
        said, _ = hunt.communicate(timeout=50)
    assert (hunt.returncode, "found" in first) == (130, True)
    assert "1 of 1 mutants found by their own property" in said
    assert "interrupted: 1 were not hunted to the end" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none_such"], "expected the name of a mutant"),
        (["--jobs", "0"], "Invalid value for '--jobs'"),
        (["--limit-s", "0"], "Invalid value for '--limit-s'"),
        (["--no-such-option"], "--no-such-option"),
        (["nowhere.py:what"], "expected a file of mutants at"),
        (["cancels_at_once", "--property", "H1"], "expected mutants to hunt, found none"),
    ],
)
def test_what_is_asked_wrongly_is_one_line_and_the_exit_code_of_usage(arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "chaos", "mutants", *arguments]
    found = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (found.returncode, found.stderr.count("\n")) == (3, 1), found.stderr
    assert words in found.stderr
