"""The Lambda runtime API, from which a function's process fetches events over HTTP (AWS
documentation, Lambda runtime API, 2018-06-01). Requests do not name their environment, so each
environment has its own server."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Protocol

NEXT = "/2018-06-01/runtime/invocation/next"
INIT_ERROR = "/2018-06-01/runtime/init/error"
RESULT = re.compile(r"/2018-06-01/runtime/invocation/([^/]+)/(response|error)")


@dataclass(frozen=True)
class Event:
    """One event as the process receives it."""

    request_id: str
    payload: bytes
    arn: str
    deadline_ms: int = 0
    client_context: str | None = None
    trace_id: str | None = None


class EventSource(Protocol):
    """The environment, as the server sees it."""

    def next_event(self) -> Event | None:
        """Wait for an event. None if the environment has ended."""

    def answered(self, request_id: str, failed: bool, body: bytes) -> bool:
        """Take the response to an event. False if this event is not being handled."""

    def init_failed(self, body: bytes) -> None:
        """Take the process's report that it failed to initialise."""


class RuntimeApi:
    """The HTTP server of one environment."""

    def __init__(self, source: EventSource) -> None:
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"source": source}))
        threading.Thread(target=self._server.serve_forever, name="runtime-api", daemon=True).start()

    @property
    def address(self) -> str:
        """Host and port, in the format of AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening, without waiting."""
        threading.Thread(target=self._close, name="runtime-api-end", daemon=True).start()

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def server_bind(self) -> None:
        """Bind without the DNS lookup that HTTPServer makes."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: a killed process leaves broken sockets."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    source: EventSource

    def do_GET(self) -> None:
        if self.path != NEXT:
            return self._respond(404, b"{}")
        event = self.source.next_event()
        if event is None:
            return self._respond(500, b'{"errorMessage": "the environment has ended"}')
        headers = {
            "Lambda-Runtime-Aws-Request-Id": event.request_id,
            "Lambda-Runtime-Deadline-Ms": str(event.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": event.arn,
            "Lambda-Runtime-Trace-Id": event.trace_id,
            "Lambda-Runtime-Client-Context": event.client_context,
        }
        self._respond(200, event.payload, {name: value for name, value in headers.items() if value})

    def do_POST(self) -> None:
        body = self._body()
        result = RESULT.fullmatch(self.path)
        if self.path == INIT_ERROR:
            self.source.init_failed(body)
        elif result is None:
            return self._respond(404, b"{}")
        elif not self.source.answered(result[1], result[2] == "error", body):
            rejection = {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"}
            return self._respond(400, json.dumps(rejection).encode())
        self._respond(202, b'{"status": "OK"}')

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return body

    def _respond(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log no requests."""
