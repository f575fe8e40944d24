"""The dialogue with QEMU's monitor: answers find their command, events wait, and what breaks is an error."""

import json
import socket
from collections.abc import Iterator

import pytest

from siov.guests.qmp import Qmp, QmpError

GREETING = {"QMP": {"version": {}, "capabilities": []}}


@pytest.fixture
def ends() -> Iterator[tuple[Qmp, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Qmp(ours, patience=0.2), theirs


def say(line: socket.socket, *messages: dict[str, object]) -> None:
    line.sendall(b"".join(json.dumps(message).encode() + b"\r\n" for message in messages))


def test_the_greeting_is_answered_before_the_first_command(ends: tuple[Qmp, socket.socket]) -> None:
    qmp, line = ends
    say(line, GREETING, {"return": {}, "id": 1}, {"return": {"running": True}, "id": 2})
    assert qmp.execute("query-status") == {"running": True}
    asked = [json.loads(each)["execute"] for each in line.recv(4096).splitlines()]
    assert asked == ["qmp_capabilities", "query-status"]


def test_an_event_before_the_answer_waits_until_it_is_asked_for(ends: tuple[Qmp, socket.socket]) -> None:
    qmp, line = ends
    event = {"event": "DEVICE_DELETED", "data": {"device": "vdev0"}}
    say(line, GREETING, {"return": {}, "id": 1}, {"event": "RESET"}, event, {"return": {}, "id": 2})
    qmp.execute("device_del")
    assert qmp.wait_event("DEVICE_DELETED", 0.1) == {"device": "vdev0"}
    assert qmp.wait_event("RESET", 0.1) == {}
    with pytest.raises(QmpError, match="in time"):
        qmp.wait_event("RESET", 0.1)


def test_a_refusal_says_which_command_and_why(ends: tuple[Qmp, socket.socket]) -> None:
    qmp, line = ends
    error = {"class": "DeviceNotFound", "desc": "no such device"}
    say(line, GREETING, {"return": {}, "id": 1}, {"error": error, "id": 2})
    with pytest.raises(QmpError, match="refused device_del: no such device") as caught:
        qmp.execute("device_del")
    assert caught.value.kind == "DeviceNotFound"


@pytest.mark.parametrize("said", [b"", b"{\n", b"3\n", b"{}\n"])
def test_what_is_no_dialogue_is_an_error(ends: tuple[Qmp, socket.socket], said: bytes) -> None:
    qmp, line = ends
    line.sendall(said)
    line.shutdown(socket.SHUT_WR)
    with pytest.raises(QmpError, match=r"closed|no message|greet") as caught:
        qmp.execute("query-status")
    assert caught.value.kind == ""
