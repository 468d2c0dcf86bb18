"""The tests of CPython's asyncio suite that are not run on the simulated loop, each with its reason.

A key is a part of ``module:Class.test``. Whatever is in a module of ``MODULES`` and is not named here must pass.
"""

from __future__ import annotations

REAL_PEER = "talks to a real server or client of the suite's own, in a thread of the operating system"
REAL_FILES = "looks for the socket's file on the real disk; a loop on its own has no disk"
OUTSIDE_THREAD = "starts a thread while no loop runs; the simulated loop refuses that (NotSimulatedError)"
TEST_CLOCK = "expects the clock of the suite's TestLoop, which runs one timer ahead of what was waited for"
PIPES = "pipes are not simulated (NotSimulatedError)"

MODULES = {
    "test_buffered_proto": (3, 11),
    "test_context": (3, 11),
    "test_eager_task_factory": (3, 12),
    "test_futures": (3, 11),
    "test_futures2": (3, 11),
    "test_locks": (3, 11),
    "test_pep492": (3, 11),
    "test_protocols": (3, 11),
    "test_queues": (3, 11),
    "test_runners": (3, 11),
    "test_server": (3, 13),
    "test_staggered": (3, 13),
    "test_streams": (3, 11),
    "test_taskgroups": (3, 11),
    "test_tasks": (3, 11),
    "test_threads": (3, 11),
    "test_timeouts": (3, 11),
    "test_transports": (3, 11),
    "test_waitfor": (3, 11),
}
"""The modules that are run, each from that version of Python on."""

EXCLUDED = {
    "test_runners:RunTests.test_loop_factory_default_event_loop": "asks for the real default loop by its class",
    "test_server:SelectorStartServerTests.test_start_server_1": REAL_PEER,
    "test_server:SelectorStartServerTests.test_start_unix_server_1": REAL_PEER,
    "test_server:UnixServerCleanupTests": REAL_FILES,
    "test_streams:StreamTests.test_async_writer_api": REAL_PEER,
    "test_streams:StreamTests.test_drain_raises": REAL_PEER,
    "test_streams:StreamTests.test_eof_feed_when_closing_writer": REAL_PEER,
    "test_streams:StreamTests.test_loop_is_closed_resource_warnings": REAL_PEER,
    "test_streams:StreamTests.test_open_connection": REAL_PEER,
    "test_streams:StreamTests.test_open_unix_connection": REAL_PEER,
    "test_streams:StreamTests.test_read_all_from_pipe_reader": PIPES,
    "test_streams:StreamTests.test_start_server": REAL_PEER,
    "test_streams:StreamTests.test_start_tls": REAL_PEER,
    "test_streams:StreamTests.test_unclosed_resource_warnings": REAL_PEER,
    "test_streams:StreamTests.test_unclosed_server_resource_warnings": REAL_PEER,
    "test_streams:StreamTests.test_wait_closed_on_close": REAL_PEER,
    "test_tasks:CoroutineGatherTests.test_issue46672": "needs a mock of the suite's TestLoop",
    "test_tasks:RunCoroutineThreadsafeTests": OUTSIDE_THREAD,
    "Tests.test_stop_while_run_in_complete": TEST_CLOCK,
}

SLOW = ("test_task_del_collect",)
"""Left out of the run by pytest: it collects all garbage eight hundred times."""

WHOLE_MODULES = {
    "test_base_events": "tests of BaseEventLoop's private methods and of real sockets",
    "test_events": "tests of real sockets, pipes and subprocesses under each selector; of loops only in passing",
    "test_proactor_events": "tests of another loop's private methods",
    "test_selector_events": "tests of another loop's private methods",
    "test_sendfile": "real sockets and files",
    "test_sock_lowlevel": "real sockets; those of the simulated network are tested in tests/sim/net",
    "test_ssl": "real peers; TLS over the simulated network is tested in tests/sim/net",
    "test_sslproto": "real peers, as above",
    "test_subprocess": "real processes; the simulated loop refuses them (NotSimulatedError)",
    "test_unix_events": "tests of another loop's private methods and of real signals",
    "test_windows_events": "Windows",
    "test_windows_utils": "Windows",
}
"""The modules that are not run at all, so that the list is complete."""
