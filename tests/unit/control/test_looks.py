"""GET on the control socket, and the metrics over TCP: what is there to look at, and who may."""

import http.client
import json
import os
import socket
import threading
import urllib.error
import urllib.request

import pytest

from siov.cli.main import main
from siov.control.client import ControlClient
from siov.control.metrics import MAX_CLIENTS, MetricsServer, parse_address
from siov.control.server import ControlServer
from siov.errors import SiovError

from .test_control_server import raw

TEXT = "# HELP siov_x x\n# TYPE siov_x gauge\nsiov_x 1\n"


def get(path, what: str) -> tuple[int, str, bytes]:
    """Status, content type and body of a GET on a control socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(str(path))
        sock.sendall(f"GET {what} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        response = http.client.HTTPResponse(sock)
        response.begin()
        return response.status, response.getheader("Content-Type", ""), response.read()


class Tree:
    """A platform with a state to look at."""

    def inspect(self, path: str = "") -> object:
        tree: object = {"hw": {"a b": {"n": 7, "word": "0x1"}}}
        for step in filter(None, path.split("/")):
            if not isinstance(tree, dict) or step not in tree:
                raise SiovError(f"there is no {step!r} on the way to {path!r}")
            tree = tree[step]
        return tree


@pytest.fixture
def looked(tmp_path):
    with ControlServer(
        Tree(), tmp_path / "c", looks={"/metrics": lambda: TEXT, "/sample": lambda: {"time": 1.5}}
    ) as server:
        yield server


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/inspect", {"hw": {"a b": {"n": 7, "word": "0x1"}}}),
        ("/inspect/", {"hw": {"a b": {"n": 7, "word": "0x1"}}}),
        ("/inspect/hw/a%20b", {"n": 7, "word": "0x1"}),
        ("/inspect/hw/a%20b/n", 7),
        ("/inspect/hw/a%20b/word", "0x1"),
    ],
)
def test_the_state_is_there_by_its_path_as_json(looked, path, found):
    status, kind, body = get(looked.path, path)
    assert (status, kind, json.loads(body)) == (200, "application/json", found)


def test_a_path_that_leads_nowhere_is_not_found_and_says_why(looked):
    status, _, body = get(looked.path, "/inspect/hw/none")
    assert status == 404
    assert json.loads(body)["error"] == "there is no 'none' on the way to 'hw/none'"


def test_metrics_are_text_of_the_kind_that_prometheus_expects(looked):
    status, kind, body = get(looked.path, "/metrics?x=1")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert body.decode() == TEXT


def test_a_sample_is_there_for_a_client_as_json(looked):
    with ControlClient(looked.path) as client:
        assert client.get("/sample") == {"time": 1.5}
        with pytest.raises(SiovError, match="there are GET /"):
            client.get("/none")


def test_a_server_without_metrics_says_what_there_is(tmp_path):
    with ControlServer(Tree(), tmp_path / "c") as server:
        status, answer = raw(server.path, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 404
    assert "GET /inspect/PATH" in answer["error"]


def test_metrics_that_fail_are_told_as_json_and_the_server_goes_on(tmp_path):
    with ControlServer(Tree(), tmp_path / "c", looks={"/metrics": lambda: {}["bug"]}) as server:
        status, kind, body = get(server.path, "/metrics")
        assert (status, kind) == (500, "application/json")
        assert "KeyError" in json.loads(body)["error"]
        assert get(server.path, "/inspect")[0] == 200


# Over TCP.


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:80", ("::1", 80)),
        ("host.example:80", ("host.example", 80)),
    ],
)
def test_an_address_without_a_host_is_of_the_loopback(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "1:65536", "-1", "1:²", ":"])
def test_what_is_no_address_is_refused_before_anything_is_built(text, capsys):
    assert main(["serve", f"--metrics={text}"]) == 2
    assert f"siov: --metrics {text}: is neither HOST:PORT nor PORT" in capsys.readouterr().err


def test_metrics_without_a_server_are_refused(capsys, tmp_path):
    assert main(["serve", "--metrics", "0", "--socket", str(tmp_path / "s")]) == 2
    assert "--metrics is of a server" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_a_scraper_gets_metrics_and_nothing_else():
    with MetricsServer(("127.0.0.1", 0), lambda: TEXT, "text/plain; version=0.0.4") as server:
        with urllib.request.urlopen(server.url, timeout=30) as answer:
            assert answer.read().decode() == TEXT
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
        for other in ("/", "/inspect", "/metrics/x"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(server.url.removesuffix("/metrics") + other, timeout=30)


def test_an_address_in_use_is_refused_in_a_sentence_and_given_back_at_the_end():
    with MetricsServer(("127.0.0.1", 0), lambda: TEXT, "text/plain") as server:
        port = int(server.url.split(":")[2].split("/")[0])
        with pytest.raises(
            SiovError, match=f"can't serve metrics at 127.0.0.1:{port}: Address already in use"
        ):
            MetricsServer(("127.0.0.1", port), lambda: TEXT, "text/plain")
    MetricsServer(("127.0.0.1", port), lambda: TEXT, "text/plain").close()


def test_silent_clients_hold_up_nobody_else_and_not_the_end():
    with MetricsServer(("127.0.0.1", 0), lambda: TEXT, "text/plain") as server:
        port = int(server.url.split(":")[2].split("/")[0])
        silent = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(MAX_CLIENTS - 1)]
        with urllib.request.urlopen(server.url, timeout=30) as answer:
            assert answer.read().decode() == TEXT
    for one in silent:
        one.close()
    assert not any(thread.name == "metrics" for thread in threading.enumerate())


def test_a_bug_while_gathering_is_told_and_the_next_scrape_is_served():
    texts = iter([None, TEXT])

    def gather() -> str:
        text = next(texts)
        if text is None:
            raise RuntimeError("a bug of ours")
        return text

    with MetricsServer(("127.0.0.1", 0), gather, "text/plain") as server:
        with pytest.raises(urllib.error.HTTPError, match="500") as failed:
            urllib.request.urlopen(server.url, timeout=30)
        assert b"RuntimeError: a bug of ours" in failed.value.read()
        with urllib.request.urlopen(server.url, timeout=30) as answer:
            assert answer.read().decode() == TEXT
