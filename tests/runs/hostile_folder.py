"""A folder of runs as somebody may send it: each of its runs would like to have something done.

Whoever does it touches ``canary``, reads ``secret`` or shows its content.
"""

import json
import shutil
import sqlite3

from tests.runs.damaged_runs import NESTED, make, reseal

SECRET = "the content of a file elsewhere"


def make_folder(run, folder, outside):
    """Make the folder; gives the names of its runs that can be opened.

    Args:
        run: A whole run with an effect, whose generator is the planted one.
        folder: Where; what a command is run in, too.
        outside: A folder that is nobody's business, with ``secret``.
    """
    folder.mkdir()
    outside.mkdir()
    canary = outside / "canary"
    (outside / "secret").write_text(SECRET)
    source = f"open({str(canary)!r}, 'w')\ndef make(): open({str(canary)!r}, 'w')\n"
    for place in (folder, folder / "evilpackage"):
        place.mkdir(exist_ok=True)
        (place / "evilmodule.py").write_text(source)
    (folder / "evilpackage" / "__init__.py").write_text(source)

    def copy(name, change=None):
        out = shutil.copytree(run, folder / name)
        shutil.copy(folder / "evilmodule.py", out / "evilmodule.py")
        if change is not None:
            record = json.loads((out / "run.json").read_text())
            change(record)
            (out / "run.json").write_text(json.dumps(record))
        return out

    copy("factory", lambda r: r["config"].update(generator="evilmodule:make"))
    copy("package", lambda r: r["config"].update(generator="evilpackage.evilmodule:make"))
    copy("segmenter", lambda r: r["config"].update(segmenter="colour+evilmodule:make"))
    copy("names", lambda r: r["config"].update(segmenter=f"smp:x,names={outside}/secret"))
    copy("hub", lambda r: r["config"].update(segmenter="hf:attacker/model"))
    copy("path", lambda r: r["config"].update(generator=str(outside / "secret")))
    copy("above", lambda r: r["config"].update(generator="../../outside/secret"))
    own = copy("inside", lambda r: r["config"].update(generator="evil.pkl"))
    (own / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch " + str(canary).encode() + b"'\ntR.")
    formula = copy("formula")
    _rename(formula, "red", "=cmd|' /C calc'!A0")
    notes = copy("notes")
    (notes / "notes.sqlite").symlink_to(outside / "secret")
    journal = copy("journal")
    sqlite3.connect(journal / "notes.sqlite").close()
    (journal / "notes.sqlite").write_bytes(b"")
    name = str(outside / "secret").encode()
    end = len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big")
    (journal / "notes.sqlite-journal").write_bytes(
        bytes(512) + name + end + bytes.fromhex("d9d505f920a163d7")
    )
    readable = ["factory", "package", "segmenter", "names", "hub", "path", "above", "inside"]
    readable += ["formula", "notes", "journal"]
    # Those that cannot be opened.
    (folder / "nested").mkdir()
    (folder / "nested" / "run.json").write_bytes(NESTED)
    for number, kind in enumerate(
        ["a link out of the run", "arrays behind a link", "files above", "effects behind a link",
         "objects of zarr's second format", "a name that clears the screen"]
    ):  # fmt: skip
        made = make(kind, run, folder / "scratch")
        made.rename(folder / f"damaged{number}")
    (folder / "scratch").rmdir()
    # Work that nobody asked for.
    job = folder / ".jobs" / "evil"
    job.mkdir(parents=True)
    arguments = ["run", "--segmenter=colour", f"--out={outside}/run", "--", "evilmodule:make"]
    about = {"arguments": arguments, "created": "2026-01-01T00:00:00", "waiting": 1}
    (job / "job.json").write_text(json.dumps(about))
    return readable


def _rename(run, old, new):
    """Call a concept otherwise, everywhere."""
    import pandas as pd

    for file in (run / "run.json", *run.glob("arrays.zarr/**/zarr.json"), run / "trust.json"):
        file.write_text(file.read_text().replace(json.dumps(old), json.dumps(new)))
    table = pd.read_parquet(run / "units.parquet")
    table["concept"] = table.concept.replace({old: new})
    table.to_parquet(run / "units.parquet", index=False)
    shutil.rmtree(run / "effects")
    reseal(run)
