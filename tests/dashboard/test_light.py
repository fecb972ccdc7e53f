"""What reads a finished run takes neither torch nor numba, which take seconds and 600 MB."""

import json
import subprocess
import sys

from benchmarks.dashboard import page_request
from dashboard.store import run_id

# Shows every page and a picture in a process of its own, then what the command line reads.
SHOW = """
import json, re, sys
from pathlib import Path

def ask_pages(folder, bodies):
    from dashboard import create_app
    client = create_app(folder).server.test_client()
    client.get("/")
    pictures = []
    for place, body in bodies.items():
        answer = client.post(
            "/_dash-update-component", data=body, content_type="application/json"
        )
        told = json.dumps(answer.json)
        assert answer.status_code == 200 and "page-failed" not in told, place
        pictures += re.findall("/media/strip/[^ ]+?webp", told)
    assert client.get(pictures[0]).status_code == 200

def read(run, out):
    from dissect.cli import main
    assert main(["show", str(run)]) == 0
    assert main(["compare", str(run), str(run), "--out", str(out / "compared.html")]) == 0
    assert main(["report", str(run), "--out", str(out / "report")]) == 0

folder, out = map(Path, sys.argv[1:])
ask_pages(folder, json.load(sys.stdin))
read(folder / "planted", out)
print([name for name in ("torch", "numba", "scipy.stats") if name in sys.modules])
"""


def test_reading_a_run_and_showing_it_takes_neither_torch_nor_numba(runs_dir, tmp_path):
    (effect,) = (path.name for path in (runs_dir / "planted/effects").iterdir())
    run, other = "/run/planted", run_id("planted too")
    places = [
        ("/", ""),
        (run, ""),
        (f"{run}/units", "?certainty=all"),
        (f"{run}/layer/units/unit/0", ""),
        (f"/run/{other}/layer/units/unit/0", ""),  # with co-activation
        (f"{run}/concept/red", ""),
        ("/compare", f"?a=planted&b={other}"),
        (f"{run}/effects", ""),
        (f"{run}/effects", f"?name={effect}"),
        (f"{run}/notes", ""),
        (f"{run}/paint", ""),
    ]
    bodies = {path + query: page_request(path, query).decode() for path, query in places}
    done = subprocess.run(
        [sys.executable, "-c", SHOW, runs_dir, tmp_path],
        input=json.dumps(bodies), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
