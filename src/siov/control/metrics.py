"""GET /metrics over TCP, for a Prometheus that can't open the control socket; nothing else is there."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from siov.errors import SiovError

log = logging.getLogger("siov")

LOOPBACK = "127.0.0.1"
MAX_CLIENTS = 8  # connections at a time; a further one is closed
PATIENCE = 10.0  # seconds that a silent client is kept


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT, or PORT of the loopback interface; `SiovError` for what is neither."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise SiovError(f"--metrics {text}: is neither HOST:PORT nor PORT, with a port of 0 to 65535")
    return host.removeprefix("[").removesuffix("]") or LOOPBACK, int(port)


class MetricsServer:
    """Serves what `text` gives, of a content type, at a TCP address while it is entered as a context.

    The address is taken at once; `SiovError` when it can't be. Port 0 takes one that is free.
    """

    def __init__(self, address: tuple[str, int], text: Callable[[], str], content_type: str) -> None:
        host, port = address
        try:
            family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self._http = _Server(where, family, text, content_type)
        except OSError as why:
            raise SiovError(f"can't serve metrics at {host}:{port}: {why.strerror}") from None
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.2,), name="metrics")

    @property
    def url(self) -> str:
        """Where a scraper finds them."""
        host, port = self._http.server_address[:2]
        return f"http://{f'[{host!s}]' if ':' in str(host) else str(host)}:{port}/metrics"

    def close(self) -> None:
        """Give the address back, of one that was never entered, too."""
        self._http.server_close()

    def __enter__(self) -> MetricsServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a scraper that is slow is not waited for

    def __init__(
        self, where: Any, family: socket.AddressFamily, text: Callable[[], str], content_type: str
    ) -> None:
        self.address_family = family
        self.text, self.content_type = text, content_type
        self._clients = threading.BoundedSemaphore(MAX_CLIENTS)
        super().__init__(where, _Handler)

    def server_bind(self) -> None:
        # The base class asks a name server who we are.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._clients.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._clients.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a metrics client went away", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "siov"
    sys_version = ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, "there is GET /metrics\n", "text/plain")
            return
        try:
            text = self.server.text()
        except Exception as why:
            log.error("metrics can't be gathered", exc_info=why)
            message = f"the server failed at this: {type(why).__name__}: {why}\n"
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, message, "text/plain")
        else:
            self._answer(HTTPStatus.OK, text, self.server.content_type)

    def _answer(self, status: HTTPStatus, text: str, content_type: str) -> None:
        data = text.encode()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's word)
        log.debug(format, *args)
