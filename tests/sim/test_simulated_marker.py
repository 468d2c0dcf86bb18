"""The marker ``simulated``, loops in virtual time for pytest-asyncio, Hypothesis machines with overlapping rules."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chaos.sim.virtual_loop import virtual_loop

pytest_plugins = ["pytester"]

TESTS = """
    import asyncio
    import pytest

    seen = []

    @pytest.fixture
    def amount():
        return 80

    @pytest.mark.simulated(seeds=25)
    async def test_it_is_run_for_each_seed(amount):
        seen.append(asyncio.get_running_loop().time())
        await asyncio.sleep(3600)
        assert amount == 80

    def test_that_was_twenty_five_times():
        assert seen == [0.0] * 25

    @pytest.mark.simulated(seeds=300)
    async def test_a_race(amount):
        balance = 100
        async def withdraw():
            nonlocal balance
            if balance >= amount:
                await asyncio.sleep(0)
                balance -= amount
        async with asyncio.TaskGroup() as group:
            group.create_task(withdraw())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            group.create_task(withdraw())
        assert balance >= 0
"""


def test_an_async_test_is_run_for_each_seed_and_a_failure_tells_how_to_replay_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_race=TESTS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", "0")
    result.assert_outcomes(passed=2, failed=1)
    line = next(line for line in result.outlines if "replay with: pytest" in line)
    seed = line.partition("--sim-seed=")[2].split()[0]
    again = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", "0", "-k", "race", f"--sim-seed={seed}")
    assert "replay with: pytest" in again.stdout.str()


def test_unit_tests_of_pytest_asyncio_run_in_virtual_time(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from chaos.simulated_tests import loop_factories as pytest_asyncio_loop_factories\n")
    pytester.makepyfile("""
        import asyncio, time
        import pytest

        @pytest.mark.asyncio
        async def test_an_hour():
            began = time.monotonic()
            await asyncio.sleep(3600)
            assert time.monotonic() - began == 3600
    """)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", "0")
    result.assert_outcomes(passed=1)


class Account(RuleBasedStateMachine):
    """Withdrawals that overlap: each rule starts one, some let time pass, and the balance must never be negative."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=lambda: virtual_loop(policy="shuffle"))
        self.balance = 100
        self.running: list[asyncio.Task[None]] = []

    async def withdraw(self) -> None:
        if self.balance >= 60:
            await asyncio.sleep(1)
            self.balance -= 60

    @rule()
    def start_a_withdrawal(self) -> None:
        self.running.append(self.runner.get_loop().create_task(self.withdraw()))

    @rule()
    def let_time_pass(self) -> None:
        self.runner.run(asyncio.sleep(2))

    @invariant()
    def there_is_no_debt(self) -> None:
        assert self.balance >= 0

    def teardown(self) -> None:
        self.runner.close()


def test_a_hypothesis_machine_with_overlapping_async_rules_finds_the_race_and_shrinks_it() -> None:
    quick = settings(
        max_examples=200, deadline=None, phases=(Phase.generate, Phase.shrink), database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    with pytest.raises(AssertionError) as caught:
        run_state_machine_as_test(Account, settings=quick)
    story = "\n".join(caught.value.__notes__)
    assert story.count("start_a_withdrawal") == 2
    assert story.count("let_time_pass") == 1
