"""Access: host, origin, token, limits, and the Content-Security-Policy.

- Host, origin and token are checked before a body is read (``Gate.refuse_body``, which the server
  calls as soon as it has the header), and again before the app answers.
- Without a token, only names of this machine are accepted (``Host``). So a page elsewhere whose
  name is made to point here (DNS rebinding) gets nothing.
- A request that another site caused the browser to send is rejected (``Sec-Fetch-Site``,
  ``Origin``).
- A token is compared in constant time and stored as a cookie that scripts cannot read and other
  sites cannot send. An address with ten failures within a minute has to wait.
- Content-Security-Policy: only scripts of this server, and dash's few inline ones by their hash.
  Styles may be inline: Mantine and plotly write style elements.
- Errors are logged; the browser gets one line.
"""

import hmac
import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import dash
import flask
from werkzeug import Request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from dashboard.settings import Settings

log = logging.getLogger("dashboard")

COOKIE = "dissect-dashboard"
HEALTH = "/healthz"
_GATE = "dissect-dashboard-gate"
_ASK_FOR_COOKIE = "a token is asked for; open the address that dissect serve printed"
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_FAILURES, _WITHIN = 10, 60.0  # failures of one address, and seconds
_ADDRESSES = 1024  # number of addresses whose failures are remembered


class FailureLimit:
    """Counts failures per address. Threads may share it.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def reached(self, address: str) -> bool:
        """Whether an address has to wait."""
        with self._lock:
            times = self._failures.get(address, ())
            since = self._clock() - _WITHIN
            return sum(moment > since for moment in times) >= _FAILURES

    def add(self, address: str) -> None:
        """Add a failure of an address."""
        with self._lock:
            times = self._failures.setdefault(address, deque(maxlen=_FAILURES))
            times.append(self._clock())
            self._failures.move_to_end(address)
            while len(self._failures) > _ADDRESSES:
                self._failures.popitem(last=False)


def protect(app: dash.Dash, settings: Settings) -> None:
    """Add all protections to an app, after its callbacks were registered."""
    server = app.server
    server.config["MAX_CONTENT_LENGTH"] = settings.max_request_bytes
    server.config["PROPAGATE_EXCEPTIONS"] = False
    server.add_url_rule(HEALTH, "healthz", lambda: flask.Response("ok\n", mimetype="text/plain"))
    # Before dash's own handlers, which expect an accepted request.
    before = server.before_request_funcs.setdefault(None, [])
    gate = server.extensions[_GATE] = Gate(settings)
    before.insert(0, gate)
    server.register_error_handler(HTTPException, _refused)
    server.register_error_handler(Exception, _fault)

    @server.after_request
    def _headers(response: flask.Response) -> flask.Response:
        response.headers.update(
            {
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
                "Referrer-Policy": "no-referrer",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Cross-Origin-Opener-Policy": "same-origin",
            }
        )
        scripts = app.csp_hashes() if response.mimetype == "text/html" else []
        response.headers["Content-Security-Policy"] = content_policy(scripts)
        if response.mimetype in ("text/html", "application/json"):
            response.headers["Cache-Control"] = "no-store"
        return response


def content_policy(hashes: Sequence[str]) -> str:
    """The policy, with the hashes of allowed inline scripts."""
    return "; ".join(
        [
            "default-src 'none'",
            " ".join(["script-src 'self'", *hashes]),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )


@dataclass(frozen=True)
class Refusal:
    """Why a request is rejected.

    Attributes:
        line: The reason, for the user.
        status: HTTP status.
    """

    line: str
    status: int


class Gate:
    """The checks of every request. Threads may share it.

    Args:
        settings: Server settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit = FailureLimit()
        # Content of the cookie, without the token itself.
        self._session = secrets.token_urlsafe(32)

    def refuse_body(self, request: Request) -> Refusal | None:
        """Why the body of a request must not be read, based on its header; None if it may.

        A token in the address is first exchanged for a cookie, so a request with a body has one.
        """
        refusal = self.refuse(request)
        if refusal is not None or self._is_known(request):
            return refusal
        return Refusal(_ASK_FOR_COOKIE, 401)

    def refuse(self, request: Request) -> Refusal | None:
        """Why a request is rejected for any sender: a foreign host name or another site."""
        if not self._settings.behind_proxy and not _host_is_known(request, self._settings):
            return Refusal(f"{request.host!r} is not a name of this dashboard", 421)
        if request.path != HEALTH and _comes_from_elsewhere(request):
            return Refusal("another site sent this request; open the dashboard itself", 403)
        return None

    def __call__(self) -> Response | None:
        """A rejection of the current request, or None if the app may answer."""
        request = flask.request
        refusal = self.refuse(request)
        if refusal is not None:
            return _line(refusal.line, refusal.status)
        if request.path == HEALTH or self._is_known(request):
            return None
        return self._ask_for_token(self._settings.token or "")

    def _is_known(self, request: Request) -> bool:
        token = self._settings.token
        return token is None or _same(request.cookies.get(COOKIE, ""), self._session)

    def _ask_for_token(self, token: str) -> Response:
        """A cookie for the right token, otherwise a line."""
        request = flask.request
        address = request.remote_addr or ""
        given = request.args.get("token")
        if given is None:
            return _line(_ASK_FOR_COOKIE, 401)
        if self._limit.reached(address):
            return _line("too many wrong tokens; wait a minute", 429)
        if not _same(given, token):
            self._limit.add(address)
            return _line("the token is wrong; open the address that dissect serve printed", 401)
        # A path with two slashes would lead to another site.
        response = flask.redirect("/" + request.path.lstrip("/"), 303)
        response.set_cookie(
            COOKIE, self._session, httponly=True, samesite="Strict", secure=request.is_secure
        )
        return response


def gate_of(app: dash.Dash) -> Gate:
    """The gate that ``protect`` added to an app."""
    return app.server.extensions[_GATE]


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _host_is_known(request: Request, settings: Settings) -> bool:
    """If other machines need a token, any host name is accepted."""
    if not settings.is_local:
        return True
    try:
        name = urlsplit(f"//{request.host}").hostname
    except ValueError:
        return False
    return name in _LOCAL_NAMES | {settings.host.lower()}


def _comes_from_elsewhere(request: Request) -> bool:
    if request.method in ("GET", "HEAD"):
        return False  # other sites cannot read answers, and reading changes nothing
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("Origin")
    try:
        return origin is not None and urlsplit(origin).netloc != request.host
    except ValueError:
        return True


def _line(text: str, status: int) -> flask.Response:
    return flask.Response(text + "\n", status, mimetype="text/plain")


def _refused(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return error.get_response()
    return _line(f"{status} {error.name}", status)


def _fault(error: Exception) -> flask.Response:
    request = flask.request
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return _line("this failed; the log of the server says why", 500)
