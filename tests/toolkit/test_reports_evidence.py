"""The evidence says the same each time, reads back as it was, keeps to its schema, and leaves no stale file behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from chaos.errors import UsageError
from chaos.evidence import read_evidence, tell_ci, write_evidence
from chaos.folding import folded
from chaos.outcome import ExitCode, Outcome
from chaos.reports.evidence_json import schema, to_document, to_json
from chaos.reports.openmetrics import to_openmetrics
from chaos.reports.strength import excluded_one_in
from chaos.reports.summary import to_summary
from chaos.verdict import Verdict
from tests.toolkit import sample_outcomes

BOTH = pytest.mark.parametrize("outcome", [sample_outcomes.green(), sample_outcomes.red()], ids=["green", "red"])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@BOTH
def test_the_document_keeps_to_the_published_schema(outcome: Outcome) -> None:
    Draft202012Validator.check_schema(schema())
    Draft202012Validator(schema()).validate(to_document(outcome))


def test_the_schema_can_refuse() -> None:
    document = to_document(sample_outcomes.red())
    document["runs"][0]["surprise"] = 1
    assert not Draft202012Validator(schema()).is_valid(document)


@BOTH
def test_the_same_outcome_gives_the_same_bytes(outcome: Outcome, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_evidence(outcome, tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@BOTH
def test_what_was_written_reads_back_and_writes_the_same_again(outcome: Outcome, tmp_path: Path) -> None:
    write_evidence(outcome, tmp_path / "one")
    write_evidence(read_evidence(tmp_path / "one"), tmp_path / "two")
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert list(one) == list(two)
    assert not [name for name in ("evidence.json", "report.html") if one[name] != two[name]]


def test_every_failure_has_a_folder_with_all_it_left(tmp_path: Path) -> None:
    write_evidence(sample_outcomes.red(), tmp_path)
    folder = tmp_path / "failures" / "H1.1-every_crash_state-crash-7"
    assert {path.name for path in folder.iterdir()} == {
        "replay.txt", "history.jsonl", "trace.txt", "nearest.diff", "disk.json"
    }  # fmt: skip
    assert (folder / "replay.txt").read_text() == "pywats-chaos replay 'H1.1/every_crash_state state=17'\n"
    assert (tmp_path / "failures" / "C1.6-kill_mid_upload-live-4117" / "service.log").exists()


def test_files_of_an_earlier_campaign_go_and_those_of_others_stay(tmp_path: Path) -> None:
    write_evidence(sample_outcomes.red(), tmp_path)
    (tmp_path / "failures" / "notes.txt").write_text("mine")
    write_evidence(sample_outcomes.green(), tmp_path)
    assert [path.name for path in (tmp_path / "failures").iterdir()] == ["notes.txt"]


def test_paths_that_lead_out_of_the_folder_are_not_removed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    out = tmp_path / "out"
    (out / "failures").mkdir(parents=True)
    (out / "evidence.json").write_text(json.dumps({"runs": [{"files": {"log": "failures/../../precious"}}]}))
    write_evidence(sample_outcomes.green(), out)
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema_version": 1, "runs": []}', '{"schema_version": 2, "runs": [1]}']
)
def test_what_is_no_evidence_is_one_clear_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "evidence.json").write_text(text)
    with pytest.raises(UsageError, match="expected evidence") as caught:
        read_evidence(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_metrics_are_openmetrics() -> None:
    text = to_openmetrics(sample_outcomes.red())
    families = {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    verdicts = {sample.labels["id"]: sample.labels["verdict"] for sample in families["pywats_chaos_property"].samples}
    assert verdicts == {"C1.6": "broken", "H1.1": "broken", "H2.1": "not available", "H6.4": "not exercised"}
    assert families["pywats_chaos_schedules"].samples[0].value == 2_004


def test_junit_counts_a_broken_property_as_a_failure(tmp_path: Path) -> None:
    write_evidence(sample_outcomes.red(), tmp_path)
    root = ET.parse(tmp_path / "junit.xml").getroot()
    assert (root.get("failures"), root.get("tests")) == ("2", "4")


def test_the_summary_names_what_broke_and_how_to_replay_it() -> None:
    text = to_summary(sample_outcomes.red())
    assert "## ✗ 2 properties broken" in text
    assert "```console\npywats-chaos run C1.6/kill_mid_upload --world live --seed 4117\n```" in text
    assert "<b>" not in text


def test_the_summary_is_appended_where_github_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "step.md"
    page.write_text("earlier\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    tell_ci(sample_outcomes.green())
    assert page.read_text() == "earlier\n" + to_summary(sample_outcomes.green())


def test_a_mutant_that_is_not_found_keeps_a_green_campaign_from_being_proven() -> None:
    missed = replace(sample_outcomes.MUTANTS[0], found=False)
    outcome = sample_outcomes.outcome_of((sample_outcomes.simulated(),), mutants=(missed,))
    assert outcome.exit_code is ExitCode.NOT_PROVEN
    assert "1 planted bugs were not found" in to_summary(outcome)


@pytest.mark.parametrize(("schedules", "one_in"), [(49, None), (100, 33), (31_400, 10_482)])
def test_the_excluded_failure_rate_is_the_rule_of_three(schedules: int, one_in: int | None) -> None:
    assert excluded_one_in(schedules) == one_in


def test_what_is_excluded_is_said_of_each_property_and_fault() -> None:
    outcome = sample_outcomes.green()
    told = {item["id"]: item["faults"] for item in json.loads(to_json(outcome))["properties"]}
    assert told["C1.6"] == {
        "network.cut": {"schedules": 30, "excluded_one_in": None},
        "process.kill": {"schedules": 1_000, "excluded_one_in": 334},
    }
    words = "4 pairs of a property and a fault tried, for 2 of them failures in more than 1 of 67 schedules excluded"
    assert words in to_summary(outcome)


def test_of_a_broken_property_nothing_is_excluded() -> None:
    told = {item["id"]: item["faults"] for item in json.loads(to_json(sample_outcomes.red()))["properties"]}
    assert told["C1.6"] == {}


def test_runs_that_are_added_up_have_tried_what_each_has() -> None:
    (run,) = folded([sample_outcomes.simulated(), sample_outcomes.simulated(schedules=400)])
    assert run.tried == {"C1.6 × process.kill": 1_200, "C1.6 × network.cut": 60}


def test_an_excused_property_is_unknown_and_turns_nothing_red() -> None:
    run = sample_outcomes.simulated()
    unknown = replace(run, findings=(sample_outcomes.finding("C1.6", Verdict.UNKNOWN),))
    outcome = sample_outcomes.outcome_of((unknown,))
    excused = tuple(replace(result, excused=True) for result in outcome.properties)
    assert (outcome.exit_code, replace(outcome, properties=excused).exit_code) == (ExitCode.NOT_PROVEN, ExitCode.HELD)
    assert json.loads(to_json(outcome))["properties"][0]["verdict"] == "unknown"
