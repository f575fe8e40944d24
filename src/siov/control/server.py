"""The control socket's server, HTTP on a UNIX socket: calls as JSON, and two things to look at.

POST /call carries one call; GET /inspect/PATH gives the state, and GET /metrics the counters for Prometheus,
GET /sample those that `siov top` shows.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from siov.control.calls import Call, methods, plain
from siov.control.socket import ListeningSocket
from siov.errors import SiovError
from siov.observe.metrics import CONTENT_TYPE

log = logging.getLogger("siov")

MAX_BODY = 1 << 20
MAX_CLIENTS = 32  # connections at a time; a further one is closed
JSON = "application/json"
PATIENCE = 30.0  # seconds that a silent client is kept
OFFERED = "there are GET /, GET /metrics, GET /sample, GET /inspect/PATH and POST /call"


class ControlServer:
    """Serves a platform's calls at `path`, one after the other, while it is entered as a context.

    Each call is made under `lock`. Whoever may open the socket, its owner, may call all that there is.
    `looks` gives what GET answers at further paths: text of /metrics is in Prometheus' format, all else JSON.
    """

    def __init__(
        self,
        platform: object,
        path: Path,
        lock: AbstractContextManager[Any] | None = None,
        looks: Mapping[str, Callable[[], Any]] = MappingProxyType({}),
    ) -> None:
        self.path = path
        self._listening = ListeningSocket(path)
        self._http = _HttpServer(self._listening, platform, lock or nullcontext(), looks)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.2,), name="control")

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Remove the socket, hang up on every client, and wait for the call that is under way."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._listening.close()
        self._http.hang_up()
        self._http.server_close()

    def __enter__(self) -> ControlServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _HttpServer(ThreadingMixIn, UnixStreamServer):
    daemon_threads = False  # so that server_close waits for them

    def __init__(
        self,
        listening: ListeningSocket,
        platform: object,
        lock: AbstractContextManager[Any],
        looks: Mapping[str, Callable[[], Any]],
    ) -> None:
        super().__init__(str(listening.path), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening.socket
        self.platform = platform
        self.lock = lock
        self.looks = looks
        self.one_at_a_time = threading.Lock()
        self.stopping = False
        self._clients: set[Any] = set()  # of this and the clients' threads; each step on it is atomic

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            self.shutdown_request(request)
            return
        self._clients.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._clients.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        self.stopping = True
        for request in list(self._clients):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RD)  # an answer that is under way still goes out

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a control client went away", exc_info=True)

    def call(self, body: bytes) -> tuple[HTTPStatus, dict[str, Any]]:
        """What to answer: the result, or an error of one sentence with its errno."""
        try:
            data = json.loads(body)
        except (ValueError, RecursionError) as why:
            return HTTPStatus.BAD_REQUEST, {"error": f"the call is not JSON: {why}", "errno": None}
        return self.answer(lambda: {"result": Call.from_json(data).run(self.platform)})

    def inspect(self, path: str) -> tuple[HTTPStatus, Any]:
        """The state of everything, or of the part that a path leads to."""
        call = Call("inspect", args={"path": path})
        return self.answer(lambda: call.run(self.platform), HTTPStatus.NOT_FOUND)

    def answer(
        self, work: Callable[[], Any], refused: HTTPStatus = HTTPStatus.BAD_REQUEST
    ) -> tuple[HTTPStatus, Any]:
        """What some work gives, done when no other is; an error is one sentence with its errno."""
        try:
            with self.one_at_a_time, self.lock:
                if self.stopping:
                    raise SiovError("the server is being stopped")
                return HTTPStatus.OK, work()
        except SiovError as why:
            return refused, {"error": str(why), "errno": getattr(why, "errno", None)}
        except Exception as why:
            log.error("a control call failed", exc_info=why)
            message = f"the server failed at this call: {type(why).__name__}: {why}"
            return HTTPStatus.INTERNAL_SERVER_ERROR, {"error": message, "errno": None}


class _Handler(BaseHTTPRequestHandler):
    server: _HttpServer
    server_version = "siov"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE
    wbufsize = -1

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer(HTTPStatus.OK, {"methods": methods()})
        elif path in self.server.looks:
            self._answer(*self.server.answer(self.server.looks[path]), kind=CONTENT_TYPE)
        elif path == "/inspect" or path.startswith("/inspect/"):
            self._answer(*self.server.inspect(unquote(path).removeprefix("/inspect").strip("/")))
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": OFFERED, "errno": None})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != "/call":
            self.close_connection = True
            self._answer(HTTPStatus.NOT_FOUND, {"error": OFFERED, "errno": None})
        elif not (length.isascii() and length.isdigit()):
            self.close_connection = True
            self._answer(HTTPStatus.LENGTH_REQUIRED, {"error": "Content-Length is missing", "errno": None})
        elif len(length) > 9 or int(length) > MAX_BODY:
            self.close_connection = True
            why = f"a call of {length[:20]} bytes is over the {MAX_BODY} that are read"
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": why, "errno": None})
        else:
            body = self.rfile.read(int(length))
            self._answer(*self.server.call(body))

    def _answer(self, status: HTTPStatus, content: Any, kind: str = JSON) -> None:
        """JSON, and text of another kind as it is; an error is JSON in any case."""
        if kind != JSON and isinstance(content, str):
            data = content.encode()
        else:
            data, kind = json.dumps(plain(content)).encode(), JSON
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()

    def address_string(self) -> str:
        return "control"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's word)
        log.debug(format, *args)
