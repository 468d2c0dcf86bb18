"""The tests of CPython's asyncio suite that are not run on the simulated loop, each with its reason.

A key is ``module`` or ``module:part``, where the part is found in ``Class.test``. Whatever is not named here must pass.
"""

from __future__ import annotations

PRIVATE = "reads private attributes of BaseEventLoop, which the simulated loop is not"
OUTSIDE_THREAD = "starts a thread while no loop runs; the simulated loop refuses that (NotSimulatedError)"
TEST_CLOCK = "expects the clock of the suite's TestLoop, which runs one timer ahead of what was waited for"

MODULES = (
    "test_buffered_proto",
    "test_context",
    "test_eager_task_factory",
    "test_futures",
    "test_futures2",
    "test_locks",
    "test_pep492",
    "test_protocols",
    "test_queues",
    "test_runners",
    "test_staggered",
    "test_taskgroups",
    "test_tasks",
    "test_threads",
    "test_timeouts",
    "test_transports",
    "test_waitfor",
)
SINCE = {"test_eager_task_factory": (3, 12), "test_staggered": (3, 12)}

EXCLUDED = {
    "test_buffered_proto:test_buffered_proto_create_connection": "needs a network, which a loop on its own has not",
    "test_runners:test_loop_factory_default_event_loop": "asks for the real default loop by its class",
    "test_tasks:test_issue46672": "needs a mock that the suite's TestLoop puts in the place of a method",
    "test_tasks:test_stop_while_run_in_complete": TEST_CLOCK,
    "test_tasks:test_run_coroutine_threadsafe": OUTSIDE_THREAD,
}

WHOLE_MODULES = {
    "test_base_events": "tests of BaseEventLoop's private methods and of sockets",
    "test_events": "tests of real sockets, pipes and subprocesses under each selector; of loops only in passing",
    "test_proactor_events": "tests of another loop's private methods",
    "test_selector_events": "tests of another loop's private methods",
    "test_sendfile": "real sockets and files",
    "test_server": "servers belong to the simulated network",
    "test_sock_lowlevel": "real sockets",
    "test_ssl": "real sockets",
    "test_sslproto": "real sockets",
    "test_streams": "streams belong to the simulated network",
    "test_subprocess": "real processes; the simulated loop refuses them (NotSimulatedError)",
    "test_unix_events": "tests of another loop's private methods and of real signals",
    "test_windows_events": "Windows",
    "test_windows_utils": "Windows",
}
