"""Runs commands in processes of their own and watches them.

    python -m tests.runs.watched damaged RUN FOLDER   each kind of damaged run
    python -m tests.runs.watched files FOLDER         each kind of damaged file of a generator
    python -m tests.runs.watched hostile RUNS OUT     every command on a hostile folder of runs

Prints a line of JSON for each: exit status, what was told on stderr, the memory of the process at
its peak, seconds of its processor, and events that have no business there.
"""

import contextlib
import importlib
import io
import json
import os
import resource
import shutil
import sys
import threading
import time
from pathlib import Path

IMPORTED = (
    "numba", "pandas", "pyarrow.parquet", "torch", "zarr", "xarray", "dissect.commands",
    "dissect.generators.families", "dissect.runs.compare", "dissect.studies.registry",
    "reports.build", "reports.comparison", "reports.exporting", "segmenters.colour",
)  # fmt: skip


def prepare():
    """Import what commands import, so that each starts at once, and later imports stand out."""
    for name in IMPORTED:
        importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)


def run_command(arguments):
    """Run one; gives its status and what it told."""
    from dissect.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code
    return status, out.getvalue(), err.getvalue()


def in_a_child(work):
    """What some work gives, in a child of this process, with its memory and time."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        started = time.process_time()
        answer = work()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        answer |= {"memory": usage.ru_maxrss * 1024, "seconds": time.process_time() - started}
        with os.fdopen(send, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(answer) if status == 0 else {"status": f"died of {status}", "err": ""}


def damaged(run, folder):
    from tests.runs.damaged_runs import KINDS, make

    for kind, (_, command, _) in KINDS.items():
        in_a_child(lambda kind=kind: {"path": str(make(kind, Path(run), folder))})
        path = Path(folder) / "run"
        name, *options = command

        def work(path=path, name=name, options=options):
            status, out, err = run_command([name, path, *options])
            return {"status": status, "out": out[-200:], "err": err}

        print(json.dumps({"kind": kind} | in_a_child(work)), flush=True)


def files(folder):
    from tests.generators.damaged_files import kinds

    for kind, make in kinds().items():
        place = Path(folder) / "file"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        path = in_a_child(lambda make=make, place=place: {"path": str(make(place))})["path"]

        def work(path=path):
            status, out, err = run_command(["inspect", path])
            return {"status": status, "out": out[-300:], "err": err, "path": path}

        print(json.dumps({"kind": kind} | in_a_child(work)), flush=True)


def hostile(runs, out):
    """Every command on every run of a hostile folder, from within it."""
    from tests.runs.watch import Watch

    os.chdir(runs)
    names = sorted(path.name for path in Path(runs).iterdir() if (path / "run.json").exists())
    for name in names:
        for number, words in enumerate(COMMANDS):
            page = Path(out) / f"{name}{number}"
            arguments = [
                word.replace("RUN", f"{runs}/{name}").replace("OUT", str(page)) for word in words
            ]

            def work(arguments=arguments):
                watch = Watch([runs, out, os.environ["DISSECT_STATE"]], ["evil"])
                status, told, err = run_command(arguments)
                return {"status": status, "out": told, "err": err, "found": watch.found}

            answer = {"run": name, "command": words[0]} | in_a_child(work)
            print(json.dumps(answer), flush=True)


def served(runs):
    """A dashboard over a hostile folder; says its address, and what happened when stdin ends."""
    from dashboard import Settings, create_app
    from dashboard.serving import listen, make_server, stop
    from tests.runs.watch import Watch

    os.chdir(runs)
    sock = listen("127.0.0.1", 0)
    server = make_server(create_app(runs, Settings(port=sock.getsockname()[1])), sock)
    own = [runs, os.environ["DISSECT_STATE"], os.environ["TMPDIR"]]
    watch = Watch(own, ["evil"])
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    print(json.dumps({"url": f"http://127.0.0.1:{sock.getsockname()[1]}"}), flush=True)
    sys.stdin.read()
    print(json.dumps({"found": watch.found}), flush=True)
    stop(server)
    os._exit(0)


COMMANDS = (
    ("show", "RUN"),
    ("show", "RUN", "--json"),
    ("show", "RUN", "--csv"),
    ("report", "RUN"),
    ("report", "RUN", "--single-file", "--out", "OUT.html"),
    ("compare", "RUN", "RUN", "--out", "OUT.html", "--match", "8"),
    ("export", "RUN"),
    ("export", "RUN", "--format", "json", "--out", "OUT.json"),
    ("export", "RUN", "--format", "latex"),
    ("ablate", "RUN", "--concept", "blue", "--units", "1", "--samples", "8", "--draws", "1"),
    ("effects", "RUN"),
)


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    prepare()
    {"damaged": damaged, "files": files, "hostile": hostile, "served": served}[what](*given)
