"""The simulated disk says what a real one says: results, errors with their numbers and words, and what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.disk.bodies import BODIES
from tests.conformance.disk.both_disks import Body, in_the_simulation, on_the_real_disk


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_the_simulated_disk_says_what_the_real_one_says(body: Body, tmp_path: Path) -> None:
    assert in_the_simulation(body) == on_the_real_disk(body, tmp_path)
