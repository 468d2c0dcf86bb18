"""The rules of the WATS server: which request meets which fate, decided without a server."""

from __future__ import annotations

import json

import pytest

from chaos.errors import UsageError
from chaos.rules.wats_server import (
    Action,
    Counts,
    Effect,
    Facts,
    Point,
    Rule,
    RuleBook,
    early_report_id,
    rules_from_json,
)

ID = "8362baa8-6f02-4d29-8e7f-8b7b2f30f03d"
OTHER = "83ac0b8e-b575-4004-94de-f905774c3ed8"
READ = Facts(Point.BODY_READ, "/api/Report/WSJF", ID)


def decisions(book: RuleBook, count: int, facts: Facts = READ) -> list[int | None]:
    return [book.decide(facts) for _ in range(count)]


def test_without_rules_a_request_goes_on() -> None:
    assert RuleBook().decide(READ) is None


def test_the_first_rule_that_holds_is_chosen() -> None:
    book = RuleBook([Rule(Action.HTML, report_id=OTHER), Rule(Action.STATUS), Rule(Action.NOT_JSON)])
    assert book.decide(READ) == 1


def test_a_rule_falls_through_once_its_times_are_used_up() -> None:
    assert decisions(RuleBook([Rule(Action.HTML, times=2)]), 4) == [0, 0, None, None]


def test_the_nth_request_alone_meets_a_rule_of_the_nth() -> None:
    assert decisions(RuleBook([Rule(Action.HTML, nth=3)]), 5) == [None, None, 0, None, None]


def test_nth_counts_only_the_requests_that_the_other_conditions_let_through() -> None:
    book = RuleBook([Rule(Action.HTML, nth=2, path="/api/Report/WSJF")])
    book.decide(Facts(Point.BODY_READ, "/api/App/Version"))
    assert decisions(book, 2) == [None, 0]


def test_a_report_id_is_compared_as_a_uuid() -> None:
    assert RuleBook([Rule(Action.HTML, report_id=ID.upper())]).decide(READ) == 0


@pytest.mark.parametrize(("already_stored", "expected"), [(True, 0), (False, None)])
def test_a_rule_can_ask_for_reports_that_are_stored_already(already_stored: bool, expected: int | None) -> None:
    book = RuleBook([Rule(Action.STATUS, status=409, duplicate=True, already_stored=True)])
    assert book.decide(Facts(Point.BODY_READ, READ.path, ID, already_stored)) == expected


def test_the_same_seed_draws_the_same_requests() -> None:
    first, second = (decisions(RuleBook([Rule(Action.HTML, probability=0.5, seed=7)]), 200) for _ in range(2))
    assert first == second
    assert 60 < first.count(0) < 140


def test_another_seed_draws_others() -> None:
    first, second = (decisions(RuleBook([Rule(Action.HTML, probability=0.5, seed=s)]), 200) for s in (1, 2))
    assert first != second


def test_a_probability_of_zero_never_fires_and_is_reached() -> None:
    book = RuleBook([Rule(Action.HTML, probability=0)])
    assert decisions(book, 50) == [None] * 50
    assert book.counts == (Counts(reached=50),)


def test_a_rule_acts_at_its_own_moment_only() -> None:
    book = RuleBook([Rule(Action.HANG_BEFORE_HEADERS)])
    moments = (Point.HEADERS_READ, Point.BODY_READ, Point.STARTED)
    assert [book.decide(Facts(moment)) for moment in moments] == [None, None, 0]


def test_a_rule_that_was_chosen_has_not_fired_until_the_server_says_so() -> None:
    book = RuleBook([Rule(Action.HTML)])
    book.decide(READ)
    chosen = book.counts[0]
    book.fired(0)
    assert (chosen, book.counts[0]) == (Counts(1, 1, 0), Counts(1, 1, 1))


def test_a_rule_below_the_chosen_one_is_not_reached() -> None:
    book = RuleBook([Rule(Action.HTML), Rule(Action.STATUS)])
    book.decide(READ)
    assert book.counts[1] == Counts()


def test_bodies_are_stopped_where_rules_ask_and_only_in_their_middle() -> None:
    rules = [Rule(Action.HANG_IN_BODY, after_bytes=n) for n in (700, 10, 1000)]
    assert RuleBook(rules).stops_in(1000) == [10, 700]


@pytest.mark.parametrize(("length", "stop"), [(100, 50), (1_000_000, 4096), (0, None)])
def test_a_body_is_stopped_in_its_first_half_by_default(length: int, stop: int | None) -> None:
    assert Rule(Action.DROP_IN_BODY).stop_in(length) == stop


def test_the_id_is_known_from_the_first_bytes_of_a_body() -> None:
    body = json.dumps({"type": "T", "id": ID.upper(), "pn": "x"}).encode()
    assert [early_report_id(body[:size]) for size in (30, 60)] == [None, ID]


@pytest.mark.parametrize("action", list(Action))
def test_every_action_survives_its_json(action: Action) -> None:
    rule = Rule(action, times=3, location="/login" if action is Action.REDIRECT else "")
    assert rules_from_json(json.dumps([rule.as_data()])) == (rule,)


def test_what_stands_at_its_default_is_not_in_the_json() -> None:
    assert Rule(Action.STATUS, status=503, times=1).as_data() == {"action": "status", "status": 503, "times": 1}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "Invalid JSON"),
        ("{}", "a list of rules"),
        ("[{}]", "0.action"),
        ('[{"action": "sulk"}]', "'sulk'"),
        ('[{"action": "html", "when": 3}]', "0.when"),
        ('[{"action": "html", "times": 0}]', "0.times"),
        ('[{"action": "html", "times": true}]', "0.times"),
        ('[{"action": "html", "nth": "2"}]', "0.nth"),
        ('[{"action": "html", "probability": 1.5}]', "0.probability"),
        ('[{"action": "html", "probability": NaN}]', "0.probability"),
        ('[{"action": "html", "report_id": "x"}]', "report_id as a UUID"),
        ('[{"action": "html", "delay_s": 3}]', "delay_s"),
        ('[{"action": "delay_answer", "delay_s": -1}]', "0.delay_s"),
        ('[{"action": "status", "status": 99}]', "0.status"),
        ('[{"action": "status", "retry_after": "1\\r\\nX: y"}]', "0.retry_after"),
        ('[{"action": "hang_before_headers", "report_id": "8362baa8-6f02-4d29-8e7f-8b7b2f30f03d"}]', "report_id"),
        ('[{"action": "drop_after_headers", "already_stored": true}]', "already_stored"),
        ('[{"action": "redirect", "location": "http://example.com/"}]', "loopback"),
        ('[{"action": "redirect", "location": "//example.com/"}]', "loopback"),
        ('[{"action": "redirect"}]', "location"),
        ('[{"action": "redirect", "status": 200, "location": "/"}]', "300 and 399"),
    ],
)
def test_a_bad_rule_is_refused_in_one_line_that_names_it(text: str, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        rules_from_json(text)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("action", list(Action))
def test_answers_that_prove_nothing_store_nothing_unless_told_to(action: Action) -> None:
    rule = Rule(action, location="/" if action is Action.REDIRECT else "")
    is_true = rule.effect is not Effect.ANSWER or action in (Action.LONG_ANSWER, Action.SLOW_ANSWER)
    assert rule.stores is is_true


def test_a_duplicate_is_no_lie() -> None:
    assert Rule(Action.STATUS, status=409, duplicate=True).stores
