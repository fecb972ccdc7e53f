"""The dashboard's waitress server: checks before bodies, time-outs, a limit on connections.

- As soon as the header of a request is complete, its host, origin, token and size are checked. The
  body of a rejected request is never read.
- A connection is closed after ``IDLE_SECONDS`` without traffic, or if one request takes longer than
  ``REQUEST_SECONDS``, even with steady traffic.
- Beyond ``MOST_CONNECTIONS`` a new connection replaces the one that was idle longest.
"""

import resource
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher
from waitress.utilities import Error
from werkzeug import Request
from werkzeug.exceptions import HTTPException

from dashboard.security import Gate, Refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

MOST_CONNECTIONS = 512
IDLE_SECONDS = 60.0
REQUEST_SECONDS = 60.0
_CHECK_SECONDS = 5  # between two checks for connections that take too long
_LARGEST_HEADER = 64 * 1024
_THREADS = 8
_IN_HEADERS = ("HOST", "COOKIE", "ORIGIN", "SEC_FETCH_SITE")


class RefusedError(Error):
    """A rejection for waitress: one line, then the connection is closed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.line)
        self._status = refusal.status

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], Any]:
        """Status, headers and body in bytes, which waitress expects despite its type hints."""
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
        return f"{self._status} Refused", headers, f"{self.body}\n".encode()


class GuardedServer(TcpWSGIServer):
    """A server that limits the number and duration of its connections.

    Args:
        application: Answers requests that pass the checks.
        sock: A bound socket.
        gate: Checks the header of a request with a body.
        max_request_bytes: Largest accepted body.
    """

    def __init__(
        self,
        application: "WSGIApplication",
        sock: socket.socket,
        gate: Gate,
        *,
        max_request_bytes: int,
    ) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most_connections = min(MOST_CONNECTIONS, files // 2)
        adjustments = Adjustments(
            sockets=[sock],
            threads=_THREADS,
            ident=None,
            asyncore_use_poll=True,  # select stops at 1,024 files
            # Waitress would stop listening here; idle connections are closed before.
            connection_limit=self.most_connections + 2 * _THREADS,
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=_CHECK_SECONDS,
            max_request_header_size=_LARGEST_HEADER,
            max_request_body_size=max_request_bytes + 1,  # waitress rejects this size
        )
        self.gate = gate
        self.sockets: dict[int, Any] = {}  # sockets of the wasyncore loop
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(_THREADS)
        super().__init__(
            application,
            self.sockets,
            _sock=sock,
            dispatcher=dispatcher,
            adj=adjustments,
            sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
            bind_socket=False,
        )

    @property
    def channels(self) -> list["GuardedChannel"]:
        """The current connections."""
        # Waitress's hints say that the dictionary is one channel.
        return list(cast("dict[int, GuardedChannel]", self.active_channels).values())

    def end_tasks(self, seconds: float) -> None:
        """Wait this long for current answers, then abandon them."""
        # Waitress's hints say whole seconds.
        self.task_dispatcher.shutdown(timeout=cast(Any, seconds))

    def wake(self, then: Callable[[], None]) -> None:
        """Run a function in the loop's own thread; to be called from other threads."""
        cast(Any, self.trigger).pull_trigger(then)  # waitress's hints say a number

    def handle_accept(self) -> None:
        """Accept a connection; closes the one idle longest if there are too many."""
        if len(self.channels) >= self.most_connections:
            idle = [one for one in self.channels if one.is_waiting]
            if idle:
                min(idle, key=lambda one: one.last_activity).handle_close()
        super().handle_accept()

    def maintenance(self, now: float) -> None:
        """Close connections that take too long; waitress calls it regularly."""
        for channel in self.channels:
            if channel.is_overdue(now):
                channel.will_close = True


class GuardedChannel(HTTPChannel):
    """A connection that records when its current request began."""

    receiving_since: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for the browser: no answer is in progress."""
        return not self.requests and not self.total_outbufs_len

    def is_overdue(self, now: float) -> bool:
        """Whether it was idle, or has been sending one request, for too long."""
        if self.requests:
            return False
        if now - self.last_activity > IDLE_SECONDS:
            return True
        since = self.receiving_since
        return self.is_waiting and since is not None and now - since > REQUEST_SECONDS

    def parser_class(  # pyright: ignore[reportIncompatibleVariableOverride] - called like the class
        self, adjustments: Adjustments
    ) -> HTTPRequestParser:
        """A parser for the next request."""
        assert isinstance(self.server, GuardedServer)
        return _Parser(adjustments, self.server.gate)

    def received(self, data: bytes) -> bool:
        """Process received bytes."""
        if self.receiving_since is None:
            self.receiving_since = time.time()
        taken = super().received(data)
        if self.request is None:  # the last one is complete
            self.receiving_since = None
        return taken


GuardedServer.channel_class = GuardedChannel


class _Parser(HTTPRequestParser):
    """Rejects a request by its header, before its body is read."""

    path: str  # ``parse_header`` sets it; waitress's hints lack it

    def __init__(self, adjustments: Adjustments, gate: Gate) -> None:
        super().__init__(adjustments)
        self._gate = gate

    def received(self, data: bytes) -> int:
        taken = super().received(data)
        if self.error is not None:
            self.expect_continue = False  # else waitress asks for the body that it refused
        return taken

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.body_rcv is None:
            return
        refusal = self._refusal()
        if refusal is not None:
            self.error = RefusedError(refusal)
            self.body_rcv, self.content_length, self.chunked = None, 0, False

    def _refusal(self) -> Refusal | None:
        given = {f"HTTP_{name}": self.headers[name] for name in _IN_HEADERS if name in self.headers}
        head = {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": self.path,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "0",
            "wsgi.url_scheme": "http",
        }
        try:
            return self._gate.refuse_body(Request(head | given))
        except HTTPException as error:
            return Refusal(f"{error.code} {error.name}", error.code or 400)
