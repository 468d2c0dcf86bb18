"""The failures that were found before: kept once, read back as they were, refused when they are no lines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chaos.corpus import DEFAULT, EARLIER, Corpus
from chaos.errors import UsageError
from chaos.explore import Order, Pool, Search, SimulationPlayer, Tally
from chaos.plan import Run, find_scenario
from chaos.protocols import WorldKind
from chaos.scenarios import all_scenarios
from chaos.seed import Seed
from chaos.trial import parse_trial
from chaos.verdict import Verdict

FAILING = "C1.6/all_at_once seed=0 policy=fifo plan=refuse@0+50,power@60+7 workload=1"
MUTANT = "C1.6/writes_without_syncing"


def test_a_failure_is_kept_once_and_read_back_as_it_was(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus.txt")
    trial = parse_trial(FAILING)
    assert corpus.trials(trial.scenario) == []
    assert corpus.keep(trial, "C1.6: a report\nis nowhere # at all")
    assert not corpus.keep(trial, "the same again")
    assert corpus.trials(trial.scenario) == [trial]
    assert corpus.trials("C1.6/another") == []
    assert corpus.path.read_text().count("\n") == 1


def test_comments_and_empty_lines_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(f"# ours\n\n{FAILING}  # lost\n")
    assert len(Corpus(tmp_path / "corpus.txt").trials("C1.6/all_at_once")) == 1


@pytest.mark.parametrize("line", ["C1.6/all_at_once", "seed=1", "C1.6/x seed=one", "C1.6/x seed=1 plan=kill", "a b c"])
def test_a_line_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "corpus.txt").write_text(f"{FAILING}\n{line}\n")
    with pytest.raises(UsageError, match="found"):
        Corpus(tmp_path / "corpus.txt").trials("C1.6/all_at_once")


def test_a_corpus_that_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="readable corpus"):
        Corpus(tmp_path / "bytes.txt").trials("C1.6/all_at_once")
    with pytest.raises(UsageError, match="a file to write to"):
        Corpus(tmp_path / "bytes.txt" / "corpus.txt").keep(parse_trial(FAILING), "lost")


def test_the_corpus_by_default_is_with_the_evidence_and_an_earlier_one_is_still_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trial, other = parse_trial(FAILING), parse_trial("C1.6/all_at_once seed=5")
    EARLIER.write_text(f"{trial}  # lost\n")
    corpus = Corpus.at(DEFAULT)
    assert not corpus.keep(trial, "known from before")
    assert corpus.keep(other, "new")
    assert corpus.trials(trial.scenario) == [trial, other]
    assert Path("chaos-evidence/corpus.txt").read_text() == f"{other}  # new\n"
    assert EARLIER.read_text() == f"{trial}  # lost\n"
    assert Corpus.at(tmp_path / "own.txt").trials(trial.scenario) == []


def test_what_failed_before_is_played_first() -> None:
    heard: list[tuple[Order, Tally]] = []
    pool = Pool(1)
    try:
        search = Search(seeds=400, shrinks=False, mutant=MUTANT)
        known = [parse_trial(FAILING)]
        player = SimulationPlayer(pool, "reference", search, lambda *said: heard.append(said), lambda _: known)
        story = find_scenario(all_scenarios(), "C1.6/all_at_once")
        result = asyncio.run(player(Run(story, WorldKind.SIMULATION, Seed(1_000))))
    finally:
        pool.close()
    assert (result.verdict, result.stands_for, heard) == (Verdict.BROKEN, 1, [])
    assert FAILING in result.replay_line
