"""What the outside may have seen is in the log; what the program says to itself is not."""

from __future__ import annotations

from tests.crash.recorder.hand_written_trace import translated_trace, visible

CONNECT = "1 connect(4<socket:[9]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr('127.0.0.1')}, 16)"


def test_pieces_of_a_line_are_one_event() -> None:
    assert visible("1 write(1<pipe:[7]>, 'acc', 3) = 3", "1 write(1<pipe:[7]>, 'epted', 5) = 5") == [
        ("printed", {"stream": "stdout", "text": "accepted"})
    ]


def test_a_duplicate_of_stdout_is_still_stdout() -> None:
    assert visible("1 write(9<pipe:[7]>, 'x', 1) = 1") == [("printed", {"stream": "stdout", "text": "x"})]


def test_pipes_and_pairs_of_the_program_itself_are_no_events() -> None:
    assert not visible(
        "1 socketpair(AF_UNIX, SOCK_STREAM, 0, [5<socket:[20]>, 6<socket:[21]>]) = 0",
        "1 sendto(5<socket:[20]>, 'x', 1, 0, NULL, 0) = 1",
        "1 pipe2([8<pipe:[22]>, 9<pipe:[22]>], O_CLOEXEC) = 0",
        "1 write(9<pipe:[22]>, 'x', 1) = 1",
    )


def test_a_conversation_names_its_peer() -> None:
    assert visible(
        f"{CONNECT} = -1 EINPROGRESS (Operation now in progress)",
        "1 sendmsg(4<socket:[9]>, {msg_iov=[{iov_base='a', iov_len=1}, {iov_base='sk', iov_len=2}]}, 0) = 3",
        "1 recvfrom(4<socket:[9]>, 'answer', 4096, 0, NULL, NULL) = 6",
    ) == [
        ("connected", {"to": "127.0.0.1:80"}),
        ("sent", {"to": "127.0.0.1:80", "text": "ask", "bytes": 3}),
        ("received", {"from": "127.0.0.1:80", "text": "answer", "bytes": 6}),
    ]


def test_a_refused_connection_is_no_event() -> None:
    assert not visible(f"{CONNECT} = -1 ECONNREFUSED (Connection refused)")


def test_an_accepted_client_is_an_event() -> None:
    unix = "1 accept4(7<socket:[3]>, {sa_family=AF_UNIX}, [2], SOCK_CLOEXEC) = 9<socket:[4]>"
    sent = "1 write(9<socket:[4]>, 'ok', 2) = 2"
    assert visible(unix, sent) == [
        ("accepted", {"from": "a client"}),
        ("sent", {"to": "a client", "text": "ok", "bytes": 2}),
    ]


def test_the_end_of_the_program_is_an_event_with_its_exit_code() -> None:
    result = translated_trace("1 write(1<pipe:[7]>, 'x', 1) = 1", "2 +++ exited with 9 +++", "1 +++ exited with 3 +++")
    assert result.exit_code == 3


def test_a_program_killed_by_a_signal_has_no_exit_code() -> None:
    lines = ("1 getpid() = 1", "1 +++ killed by SIGKILL +++")
    assert visible(*lines) == [("exited", {"signal": "SIGKILL"})]
    assert translated_trace(*lines).exit_code is None
