"""How the command `serve` ends, and what ends with it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from dashboard.serving import stop
from dashboard.work import processes
from dashboard.work.queue import Work
from tests import patience

# `dissect serve` whose renderer loads a generator while a run and an effect are at work, as pages
# have it; what a shell starts in the background is deaf to Ctrl-C, and so may be these tests.
SERVE = """
import contextlib, signal, sys, threading, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
import dashboard.serving
from dashboard import context
from dashboard.rendering.renderers import RenderError, Renderers
from dashboard.work.queue import Work
from dashboard.work.requests import EffectRequest, RunRequest
from dissect.cli import main

run, made = Path(sys.argv.pop()), dashboard.serving.create_app

def create_app(*given):
    app = made(*given)
    renderers = Renderers()
    with app.server.app_context():
        own = context.current()
    own.service("renderers", lambda: renderers)

    def ask():
        with contextlib.suppress(RenderError):  # the renderer is ended before it can answer
            renderers.ask(run, "f", {"ask": "about"}, view="tab")

    threading.Thread(target=ask, daemon=True).start()
    while not renderers.pids():
        time.sleep(0.01)
    work = Work(given[0], program="import time; time.sleep(600)")
    work.start(RunRequest(name="run", generator="g", segmenters=("colour",)))
    work.start(EffectRequest(run="any", edit="ablate", concept="red", name="effect"))
    print(*renderers.pids(), flush=True)
    return app

dashboard.serving.create_app = create_app
sys.exit(main())
"""


# SIGTERM goes the way of Ctrl-C, from one line on.
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_a_dashboard_ends_at_once_with_its_renderers_and_without_what_it_started(
    planted_run, tmp_path, number, status
):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", tmp_path, "--port", "0", "--json", planted_run.path],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    pids = [int(pid) for pid in process.stdout.readline().split()]
    port = json.loads(process.stdout.readline())["url"].rstrip("/").rpartition(":")[2]
    page = http.client.HTTPConnection("127.0.0.1", int(port))  # a browser keeps its connection
    page.request("GET", "/healthz")
    assert page.getresponse().read() == b"ok\n"
    assert len(pids) == 1
    assert all(processes.identity(pid) for pid in pids)
    process.send_signal(number)
    _, errors = process.communicate(timeout=patience.PROCESS)
    page.close()
    work = Work(tmp_path)
    assert [job.state for job in work.all()] == ["running"] * 2  # what pages start goes on
    for job in work.all():
        os.killpg(work._records.read(job.id)["pid"], signal.SIGKILL)
    assert process.returncode == status
    assert "Traceback" not in errors
    end = time.monotonic() + patience.PROCESS
    while any(processes.identity(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(processes.identity(pid) for pid in pids)


def test_a_server_is_not_closed_before_whoever_wakes_it_is_done():
    seen, threads = [], []

    def pull_trigger(close):  # whose loop was awake already
        threads.append(threading.Thread(target=lambda: (close(), seen.append("closed"))))
        threads[0].start()
        threads[0].join(0.2)
        seen.append("woken")

    stop(SimpleNamespace(channels=[], sockets={}, wake=pull_trigger))
    threads[0].join()
    assert seen == ["woken", "closed"]
