"""The dialogue with the guest's init, against a guest that is played by the test."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from siov.guests.agent import Agent, AgentError, AgentTimeoutError


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def play(guest: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=guest)
    thread.start()
    return thread


def test_the_guest_is_ready_after_whatever_was_sent_before(line: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = line
    theirs.sendall(b"\xffnoise\n...siov ready 0\n")
    Agent(ours).wait_ready(5)


def test_a_script_is_put_then_run_and_its_output_taken_by_its_length(
    line: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = line
    requests: list[bytes] = []

    def guest() -> None:
        with theirs.makefile("rb") as stream:
            requests.append(stream.readline())
            theirs.sendall(b"siov 0 0\n")
            requests.append(stream.readline() + stream.read(4))
            theirs.sendall(b"siov 0 0\n")
            requests.append(stream.readline())
            for byte in b"siov 3 14\nsiov 0 0\n\0siov":  # what looks like an answer is output
                theirs.sendall(bytes([byte]))

    thread = play(guest)
    answer = Agent(ours).run(b"true", timeout=1.5)
    thread.join()
    assert (answer.status, answer.output, answer.late) == (3, b"siov 0 0\n\0siov", False)
    script = b"/run/siov/script\n"
    assert requests == [b"new 0 " + script, b"more 4 " + script + b"true", b"run 2\n"]


def test_a_file_goes_in_chunks_that_the_guests_line_can_hold(
    line: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = line
    data = bytes(range(256)) * 300
    received: list[bytes] = []

    def guest() -> None:
        with theirs.makefile("rb") as stream:
            while sum(map(len, received)) < len(data):
                verb, number, path = stream.readline().split()
                assert path == b"/tmp/x"
                if verb == b"more":
                    received.append(stream.read(int(number)))
                theirs.sendall(b"siov 0 0\n")

    thread = play(guest)
    assert Agent(ours).put("/tmp/x", data) == 0
    thread.join()
    assert b"".join(received) == data
    assert max(map(len, received)) <= 32768


def test_a_file_that_the_guest_refuses_is_given_up_with_its_status(
    line: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = line
    theirs.sendall(b"siov 1 0\n")
    assert Agent(ours).put("/proc/x", b"data") == 1
    assert theirs.recv(100) == b"new 0 /proc/x\n"


@pytest.mark.parametrize("path", ["relative", "/with space", "/line\nfeed", "", "/é"])
def test_a_path_that_the_dialogue_can_not_carry_is_refused(
    line: tuple[socket.socket, socket.socket], path: str
) -> None:
    with pytest.raises(ValueError, match="not an absolute path"):
        Agent(line[0]).put(path, b"")


@pytest.mark.parametrize(
    "answer", [b"hello\n", b"siov x 0\n", b"siov 0\n", b"siov 0 -1\n", b"siov 0 9999999999\n", b"x" * 5000]
)
def test_what_is_no_answer_breaks_the_dialogue_off(
    line: tuple[socket.socket, socket.socket], answer: bytes
) -> None:
    ours, theirs = line
    theirs.sendall(answer)
    with pytest.raises(AgentError):
        Agent(ours).put("/tmp/x", b"")


def test_a_silent_guest_is_given_up_after_the_patience(line: tuple[socket.socket, socket.socket]) -> None:
    start = time.monotonic()
    with pytest.raises(AgentTimeoutError):
        Agent(line[0], patience=0.1).put("/tmp/x", b"")
    with pytest.raises(AgentTimeoutError):
        Agent(line[0]).wait_ready(0.1)
    assert time.monotonic() - start >= 0.2


def test_output_that_stops_half_way_is_given_up(line: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = line
    theirs.sendall(b"siov 0 10\nhalf")
    with pytest.raises(AgentTimeoutError):
        Agent(ours, patience=0.1).put("/tmp/x", b"")


def test_a_closed_line_breaks_the_dialogue_off(line: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = line
    theirs.close()
    agent = Agent(ours)
    with pytest.raises(AgentError, match="is closed"):
        agent.wait_ready(5)
    with pytest.raises(AgentError, match="is closed"):
        agent.power_off()
