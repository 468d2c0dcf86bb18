"""Plays of one trial: the same in two processes, with its plan happening and undone at the end."""

from __future__ import annotations

import asyncio

from chaos.explore import Pool
from chaos.explore.worker import play_trial
from chaos.trial import parse_trial
from chaos.verdict import Verdict

LINE = "C1.6/all_at_once seed=3 policy=shuffle plan=cut@1+20,kill@5+10,disk_full@8+5 workload=2"


def test_two_plays_of_one_seed_are_the_same_in_two_processes_and_what_was_cut_and_killed_recovers() -> None:
    digests = []
    for _ in range(2):
        pool = Pool(1)
        try:
            played = asyncio.run(pool.run(play_trial, parse_trial(LINE)))
        finally:
            pool.close()
        digests.append(played.digest)
        assert played.result.verdict is Verdict.HELD, played.result.findings
        assert played.result.faults_fired["process.kill"] == 1
    assert digests[0] == digests[1]
