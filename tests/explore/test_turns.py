"""Whose turn it is in a hunt: time is shared out evenly, turns grow, and what was slow before comes late."""

from __future__ import annotations

from chaos.explore.turns import SIZE_MAX, SLICE_S, Turns

TAKES_S = {"quick": 0.02, "slow": 1.5}


def spent(turns: Turns, total_s: float) -> dict[str, float]:
    """Let both have their turns for so long; return how long each has played."""
    played: dict[str, float] = dict.fromkeys(TAKES_S, 0.0)
    while sum(played.values()) < total_s:
        story, _, size = turns.next()
        turns.took(story, size, size * TAKES_S[story])
        played[story] += size * TAKES_S[story]
    return played


def test_a_slow_story_has_no_more_time_than_a_quick_one() -> None:
    found = spent(Turns(["slow", "quick"], {}), 60)
    assert abs(found["slow"] - found["quick"]) <= TAKES_S["slow"]


def test_every_schedule_is_played_once() -> None:
    turns, seen = Turns(["quick", "slow"], {}), list[int]()
    for _ in range(30):
        story, played, size = turns.next()
        seen += range(played, played + size) if story == "quick" else ()
        turns.took(story, size, size * TAKES_S[story])
    assert seen == list(range(len(seen)))
    assert turns.played > len(seen) > 30


def test_turns_grow_but_none_takes_much_longer_than_a_second() -> None:
    turns = Turns(["quick"], {})
    sizes = []
    for _ in range(6):
        _, _, size = turns.next()
        sizes.append(size)
        turns.took("quick", size, size * TAKES_S["quick"])
    assert sizes == [1, 2, 4, 8, SIZE_MAX, SIZE_MAX]
    turns.took("quick", 1, SLICE_S / 3)
    assert turns.next()[2] == 3


def test_what_was_slow_in_an_earlier_hunt_comes_once_the_quick_ones_have_had_that_long() -> None:
    paces: dict[str, float] = {}
    spent(Turns(["slow", "quick"], paces), 10)
    turns, before = Turns(["slow", "quick"], paces), 0.0
    while (turn := turns.next())[0] == "quick":
        before += turn[2] * TAKES_S["quick"]
        turns.took("quick", turn[2], turn[2] * TAKES_S["quick"])
    assert before >= TAKES_S["slow"] - TAKES_S["quick"] - 1e-9
