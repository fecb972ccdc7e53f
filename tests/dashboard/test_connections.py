"""The server before a request is complete: what it refuses by the header, and whom it outlasts."""

import contextlib
import http.client
import socket
import time

import pytest

from dashboard import Settings, connections
from dashboard.connections import GuardedChannel
from tests import patience

TOKEN = "a-token-of-enough-letters"
GIGABYTE = 1_000_000_000
PATIENCE = patience.PAGE


@pytest.fixture
def port(serving, tmp_path):
    with serving(tmp_path) as url:
        yield int(url.rpartition(":")[2])


def answer(port, *lines, body=b""):
    """The whole answer to the header of a request that stays without (the rest of) its body."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        found = b""
        while part := sock.recv(65536):
            found += part
    return found.decode()


def post(port, *headers, host=None, size=GIGABYTE, body=b""):
    lines = ("POST /_dash-update-component HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}")
    return answer(port, *lines, f"Content-Length: {size}", *headers, body=body)


def is_alive(port):
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    asked.request("GET", "/healthz")
    found = asked.getresponse().read()
    asked.close()
    return found == b"ok\n"


@pytest.mark.parametrize("headers", [(), ("Expect: 100-continue",)])
def test_a_body_of_a_gigabyte_is_refused_after_its_header(port, headers):
    found = post(port, *headers)
    assert found.startswith("HTTP/1.1 413 ")
    assert "100 Continue" not in found


@pytest.mark.parametrize("size", [10, GIGABYTE])
@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        ("evil.example", (), 421),
        ("[", (), 4),
        (None, ("Origin: http://evil.example",), 403),
        (None, ("Sec-Fetch-Site: cross-site", "Expect: 100-continue"), 403),
    ],
)
def test_who_may_not_ask_is_refused_before_the_body(port, host, headers, status, size):
    found = post(port, *headers, host=host, size=size)
    assert found.startswith(f"HTTP/1.1 {status}")
    assert "100 Continue" not in found
    assert found.partition("\r\n\r\n")[2].count("\n") == 1


def test_a_body_of_unknown_size_is_refused_before_its_first_part(port):
    lines = ("POST / HTTP/1.1", "Host: evil.example", "Transfer-Encoding: chunked")
    assert answer(port, *lines).startswith("HTTP/1.1 421 ")


def test_a_body_of_unknown_size_is_read_up_to_the_limit(serving, tmp_path):
    with serving(tmp_path, Settings(max_request_bytes=1000)) as url:
        port = int(url.rpartition(":")[2])
        lines = ("POST / HTTP/1.1", f"Host: 127.0.0.1:{port}", "Transfer-Encoding: chunked")
        assert answer(port, *lines, body=b"3e8\r\n" + b"x" * 1001).startswith("HTTP/1.1 413 ")


def test_a_body_needs_the_token_before_it_is_read(serving, tmp_path):
    with serving(tmp_path, Settings(token=TOKEN)) as url:
        port = int(url.rpartition(":")[2])
        assert post(port, size=10).startswith("HTTP/1.1 401 ")
        assert post(port, "Cookie: dissect-dashboard=wrong", size=10).startswith("HTTP/1.1 401 ")
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        asked.request("GET", f"/?token={TOKEN}")
        entered = asked.getresponse()
        entered.read()
        cookie = entered.getheader("Set-Cookie").partition(";")[0]
        asked.request("POST", "/_dash-update-component", b"{}", {"Cookie": cookie})
        assert asked.getresponse().status not in (401, 421, 403)  # the app answers
        asked.close()


def test_a_body_that_may_come_arrives_whole(serving, tmp_path):
    with serving(tmp_path, Settings(max_request_bytes=1000)) as url:
        asked = http.client.HTTPConnection("127.0.0.1", int(url.rpartition(":")[2]))
        for size, status in ((1000, 400), (1001, 413)):  # the app finds no JSON in it
            asked.request("POST", "/_dash-update-component", b"x" * size,
                          {"Content-Type": "application/json"})  # fmt: skip
            found = asked.getresponse()
            found.read()
            assert found.status == status
        asked.close()


def test_the_server_answers_while_two_hundred_are_idle_and_fifty_are_slow(port, monkeypatch):
    monkeypatch.setattr(connections, "IDLE_SECONDS", patience.PROCESS)  # on a busy machine too
    monkeypatch.setattr(connections, "REQUEST_SECONDS", patience.PROCESS)
    with contextlib.ExitStack() as stack:
        hanging = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
            for _ in range(250)
        ]
        for slow in hanging[:50]:
            slow.sendall(b"POST /_dash-update-component HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        for number in range(20):
            for slow in hanging[:50]:
                slow.sendall(b"x")
            assert is_alive(port), number
        for one in hanging:  # all of them are still connected: nothing is there to be read
            one.setblocking(False)
            with pytest.raises(BlockingIOError):
                one.recv(1)


def test_beyond_the_cap_the_idlest_makes_room(serving, tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 10)
    with serving(tmp_path) as url, contextlib.ExitStack() as stack:
        port = int(url.rpartition(":")[2])
        idle = []
        for _ in range(40):
            idle.append(stack.enter_context(socket.create_connection(("127.0.0.1", port))))
            assert is_alive(port)
        idle[0].settimeout(PATIENCE)
        assert idle[0].recv(1) == b""  # closed
        idle[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            idle[-1].recv(1)  # open


@pytest.mark.parametrize(
    ("limit", "sent"), [("IDLE_SECONDS", b""), ("REQUEST_SECONDS", b"GET / HTTP/1.1\r\nX: ")]
)
def test_who_is_idle_or_sends_one_request_for_ever_is_closed(
    serving, tmp_path, monkeypatch, limit, sent
):
    monkeypatch.setattr(connections, limit, 0.2)
    monkeypatch.setattr(connections, "_CHECK_SECONDS", 0)
    with serving(tmp_path) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.settimeout(0.05)
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                with contextlib.suppress(TimeoutError):
                    sock.sendall(sent[:1])  # steadily
                    sent = sent[1:] + sent[-1:]
                    if sock.recv(1) == b"":
                        break
            else:
                raise AssertionError("it was never closed")


def test_who_waits_for_an_answer_is_not_hurried():
    channel = GuardedChannel.__new__(GuardedChannel)
    channel.requests, channel.total_outbufs_len = ["asked"], 0
    channel.last_activity = channel.receiving_since = 0.0
    assert not channel.is_overdue(1e9)
    channel.requests = []
    assert channel.is_overdue(1e9)
