"""The control server: one call at a time, and nothing that a client sends brings it down."""

import errno
import http.client
import json
import socket
import threading

import pytest

from siov.control import server as module
from siov.control.calls import Call
from siov.control.client import ControlClient
from siov.control.server import ControlServer
from siov.errors import SiovError
from siov.host.linux import LinuxError

from .fake import UUID


def raw(path, request: bytes) -> tuple[int, dict]:
    """What a server answers to bytes, and that it hangs up when the client does."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(str(path))
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(sock)
        response.begin()
        return response.status, json.loads(response.read())


def post(body: bytes, length: object = None) -> bytes:
    length = len(body) if length is None else length
    return b"POST /call HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\n\r\n%b" % (str(length).encode(), body)


def test_a_call_reaches_the_platform_and_its_result_comes_back(client, platform):
    made = client.call(Call("mdev.create", None, {"type": "ice-vdcm"}))
    assert made == {"uuid": UUID, "parent": "0000:3b:00.0", "type": "ice-vdcm", "open": False}
    assert platform.calls == [("create", "ice-vdcm", None, None)]


def test_an_error_comes_back_with_its_sentence_and_errno(client):
    with pytest.raises(LinuxError, match="0 queue pairs are free") as refused:
        client.call(Call("mdev.create", None, {"type": "full"}))
    assert refused.value.errno == errno.ENOSPC


def test_a_bug_in_a_call_is_told_and_the_server_goes_on(client):
    with pytest.raises(SiovError, match="the server failed at this call: KeyError"):
        client.call(Call("mdev.create", None, {"type": "bug"}))
    assert len(client.call(Call("mdev.list"))) == 1


def test_one_connection_carries_many_calls(client):
    for _ in range(3):
        assert client.call(Call("netdev.ethtool", "ens1f0", {"words": ["-S"]})).startswith("NIC statistics:")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post(b""), 400),
        (post(b"{"), 400),
        (post(b"\xff\xfe"), 400),
        (post(b"[" * 100_000), 400),
        (post(b"9" * 10_000), 400),
        (post(b'{"method": "mdev.create", "args": {"type": NaN}}'), 400),
        (post(b"{}", length=-1), 411),
        (post(b"{}", length="x"), 411),
        (post(b"{}", length=1 << 21), 413),
        (post(b"{}", length="9" * 5000), 413),
        (b"POST /call HTTP/1.1\r\nHost: x\r\n\r\n", 411),
        (b"POST /other HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 404),
        (b"GET /other HTTP/1.1\r\n\r\n", 404),
        (b"PUT /call HTTP/1.1\r\n\r\n", 501),
    ],
)
def test_what_is_no_call_is_answered_and_the_server_goes_on(server, client, request_, status):
    if status == 501:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(server.path))
            sock.sendall(request_)
            assert sock.recv(64).startswith(b"HTTP/1.1 501")
    else:
        assert raw(server.path, request_)[0] == status
    assert len(client.call(Call("mdev.list"))) == 1


@pytest.mark.parametrize("bytes_", [b"", b"\0" * 100, b"GET", b"\r\n" * 10, post(b"{", length=100)])
def test_a_client_that_breaks_off_is_forgotten(server, client, bytes_):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(server.path))
        sock.sendall(bytes_)
    assert len(client.call(Call("mdev.list"))) == 1


def test_get_lists_the_methods(server):
    status, answer = raw(server.path, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (status, "mdev.create" in answer["methods"]) == (200, True)


def test_calls_are_made_one_after_the_other(server, platform):
    meeting = threading.Barrier(2)
    met = []

    def remove(uuid: str) -> None:
        try:
            meeting.wait(0.3)
            met.append(uuid)
        except threading.BrokenBarrierError:
            meeting.reset()

    platform.mdev.remove = remove

    def call() -> None:
        with ControlClient(server.path) as one:
            one.call(Call("mdev.remove", None, {"uuid": UUID}))

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert met == []


def test_a_call_is_made_under_the_lock_that_was_given(platform, path):
    lock = threading.Lock()
    seen = []
    platform.mdev.remove = lambda uuid: seen.append(lock.locked())
    with ControlServer(platform, path, lock), ControlClient(path) as client:
        client.call(Call("mdev.remove", None, {"uuid": UUID}))
    assert (seen, lock.locked()) == ([True], False)


def test_too_many_clients_are_turned_away_and_places_come_back(server, monkeypatch):
    monkeypatch.setattr(module, "MAX_CLIENTS", 2)
    inside = [ControlClient(server.path) for _ in range(2)]
    for one in inside:
        one.call(Call("mdev.list"))
    with pytest.raises(SiovError, match="gave no answer"), ControlClient(server.path) as third:
        third.call(Call("mdev.list"))
    for one in inside:
        one.close()
    gone = [thread for thread in threading.enumerate() if "process_request_thread" in thread.name]
    for thread in gone:
        thread.join()
    with ControlClient(server.path) as fourth:
        assert len(fourth.call(Call("mdev.list"))) == 1


def test_stop_waits_for_the_call_under_way_whose_answer_still_goes_out(platform, path):
    before = threading.active_count()
    platform.mdev.hold = threading.Event()
    server = ControlServer(platform, path)
    server.start()
    answers = []
    caller = threading.Thread(target=lambda: answers.append(ControlClient(path).call(Call("mdev.types"))))
    caller.start()
    assert platform.mdev.entered.wait(30)
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    platform.mdev.hold.set()
    stopper.join()
    caller.join()
    assert [len(answer) for answer in answers] == [1]
    assert (path.exists(), threading.active_count()) == (False, before)


def test_a_client_that_stays_connected_does_not_hold_up_the_end(platform, path):
    before = threading.active_count()
    with ControlServer(platform, path):
        client = ControlClient(path)
        client.call(Call("mdev.list"))
    assert threading.active_count() == before
    with pytest.raises(SiovError):
        client.call(Call("mdev.list"))


def test_without_a_server_the_sentence_says_how_to_start_one(path):
    with ControlClient(path) as client, pytest.raises(SiovError, match="start one with 'siov serve'"):
        client.call(Call("mdev.list"))
