"""Runs that are damaged on purpose, by kind: what is done to a copy, and what tells of it.

Where a kind is about something else than digests, these are made right again, as whoever makes such
a run on purpose would.
"""

import io
import json
import os
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from dissect.runs.schema import file_digest


def reseal(run):
    """Write sizes and digests of the files as they are now into run.json."""
    record = json.loads((run / "run.json").read_text())
    files = sorted(p for p in run.rglob("*") if p.is_file() and p.name != "run.json")
    record["files"] = {
        p.relative_to(run).as_posix(): {"bytes": p.stat().st_size, "sha256": file_digest(p)}
        for p in files
        if not p.relative_to(run).parts[0].startswith(("effects", "notes", "report"))
    }
    (run / "run.json").write_text(json.dumps(record))


def _record(change):
    def damage(run):
        record = json.loads((run / "run.json").read_text())
        record = change(record) or record
        (run / "run.json").write_text(json.dumps(record))

    return damage


def _raw(content):
    def damage(run):
        (run / "run.json").write_bytes(content)

    return damage


def _file(name, content):
    def damage(run):
        (run / name).write_bytes(content)
        reseal(run)

    return damage


def _text(old, new):
    def damage(run):
        text = (run / "run.json").read_text()
        assert old in text
        (run / "run.json").write_text(text.replace(old, new, 1))

    return damage


def _table(change):
    def damage(run):
        table = pd.read_parquet(run / "units.parquet")
        change(table).to_parquet(run / "units.parquet", index=False)
        reseal(run)

    return damage


def _meta(name, change):
    def damage(run):
        file = run / "arrays.zarr" / name / "zarr.json"
        about = json.loads(file.read_text())
        about = change(about) or about
        file.write_text(json.dumps(about))
        reseal(run)

    return damage


def _set(*path, to):
    def change(value):
        for key in path[:-1]:
            value = value[key]
        value[path[-1]] = to

    return change


def _drop(*path):
    def change(value):
        for key in path[:-1]:
            value = value[key]
        del value[path[-1]]

    return change


def _zip(name, change):
    def damage(run):
        file = run / "images" / name
        with zipfile.ZipFile(file) as archive:
            members = {n: archive.read(n) for n in archive.namelist()}
        kind = zipfile.ZIP_STORED
        found = change(members)
        if isinstance(found, tuple):
            members, kind = found
        else:
            members = found or members
        with zipfile.ZipFile(file, "w", kind) as archive:
            for n, data in members.items():
                archive.writestr(n, data)
        reseal(run)

    return damage


def _put(name, data):
    return lambda members: {**members, name: data() if callable(data) else data}


def picture(kind, size, mode="RGB"):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


def png_bomb():
    """A PNG of 60,000 × 60,000 pixels in a few hundred bytes of header."""
    good = bytearray(picture("PNG", (8, 8), "1"))
    good[16:24] = struct.pack(">II", 60_000, 60_000)
    crc = __import__("zlib").crc32(bytes(good[12:29]))
    good[29:33] = struct.pack(">I", crc)
    return bytes(good)


def _zstd_bomb(run):
    """A chunk that unpacks to 4 GB of zeros."""
    chunk = run / "arrays.zarr/units/edges/c/0/0"
    # The frame's header states the size; blocks of one byte that is repeated follow.
    rle = struct.pack("<I", (128 << 10) << 3 | 1 << 1)[:3] + b"\0"
    last = struct.pack("<I", (128 << 10) << 3 | 1 << 1 | 1)[:3] + b"\0"
    frame = b"\x28\xb5\x2f\xfd" + bytes([0xE0]) + struct.pack("<Q", 4 << 30)
    frame += rle * ((4 << 30) // (128 << 10) - 1) + last
    chunk.write_bytes(frame)
    reseal(run)


def _pickled_zarr(run):
    """A group of zarr's second format, whose objects are pickles."""
    import pickle

    import numcodecs

    folder = run / "arrays.zarr/units/edges"
    shutil.rmtree(folder)
    folder.mkdir()
    about = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "order": "C",
        "compressor": None, "fill_value": None, "filters": [{"id": "pickle", "protocol": 5}],
    }  # fmt: skip
    (folder / ".zarray").write_text(json.dumps(about))
    assert "pickle" in numcodecs.registry.codec_registry
    (folder / "0").write_bytes(pickle.dumps(np.array(["x"], object)))
    reseal(run)


def _many_rows(run):
    """A table of 10⁹ rows in a few kilobytes."""
    n = 50_000_000
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), ["units"])
    pq.write_table(pa.table({"layer": column}), run / "units.parquet", row_group_size=n)
    _record(_set("generator", "layers", "units", to=[1_000_000, 1, 1]))(run)
    reseal(run)


def _long_text(run):
    table = pq.read_table(run / "units.parquet")
    names = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(len(table), np.int8)), pa.array(["x" * 30_000_000])
    )
    place = table.schema.names.index("concept")
    pq.write_table(table.set_column(place, "concept", names), run / "units.parquet")
    reseal(run)


def _link(name, target):
    def damage(run):
        path = run / name
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    return damage


def _effect(change):
    def damage(run):
        file = next(run.glob("effects/*/recipe.json"))
        record = json.loads(file.read_text())
        file.write_text(json.dumps(change(record) or record))

    return damage


def _fifo(run):
    (run / "trust.json").unlink()
    os.mkfifo(run / "trust.json")


def _sparse(run):
    with (run / "units.parquet").open("r+b") as file:
        file.truncate(10**12)
    _record(_set("files", "units.parquet", "bytes", to=10**12))(run)


def _members(run):
    """Three hundred thousand members in the zip of images."""
    with zipfile.ZipFile(run / "images/units.zip", "a") as archive:
        for number in range(100_000):
            archive.writestr(zipfile.ZipInfo(f"{number}"), b"")
    reseal(run)


def _dotted(record):
    record["config"]["layers"] = [".."]
    record["generator"]["layers"] = {"..": [9, 32, 32]}


NESTED = b"[" * 100_000 + b"]" * 100_000
SHOW, REPORT, EFFECTS = ("show",), ("report",), ("effects",)
EXPORT = ("export", "--format", "json")

KINDS = {
    # run.json: what is done, what is asked of the run, and what names the place
    "an empty run.json": (_raw(b""), SHOW, "run.json"),
    "no JSON": (_raw(b"{"), SHOW, "run.json"),
    "no text": (_raw(b"\xff\xfe\x00"), SHOW, "run.json"),
    "nested a hundred thousand deep": (_raw(NESTED), SHOW, "run.json"),
    "nested below a key": (_raw(b'{"kind": ' + NESTED + b"}"), SHOW, "run.json"),
    "nested 500 deep": (_record(lambda r: r | {"more": json.loads("[" * 500 + "]" * 500)}), SHOW, "run.json"),
    "a list": (_raw(b"[]"), SHOW, "run.json"),
    "null": (_raw(b"null"), SHOW, "run.json"),
    "digits without end": (_text('"seed": 0', '"seed": 1' + "0" * 5000), SHOW, "run.json"),
    "17 MB": (_raw(b'{"a": "' + b"x" * 17_000_000 + b'"}'), SHOW, "run.json"),
    "another kind": (_record(_set("kind", to="a cake")), SHOW, "run.json"),
    "a kind of no type": (_record(_set("kind", to=[[1]])), SHOW, "run.json"),
    "a newer version": (_record(_set("schema_version", to=99)), SHOW, "version 99"),
    "a version in words": (_record(_set("schema_version", to="one")), SHOW, "run.json"),
    "no settings": (_record(_set("config", to=None)), SHOW, "run.json"),
    "settings that are missing": (_record(_drop("config", "seed")), SHOW, "run.json"),
    "settings of another type": (_record(_set("config", "n_samples", to="many")), SHOW, "run.json"),
    "10¹² samples": (_record(_set("config", "n_samples", to=10**12)), SHOW, "run.json"),
    "blocks of 10¹²": (_record(_set("config", "block", to=8 * 10**12)), SHOW, "run.json"),
    "no layers": (_record(_set("generator", "layers", to={})), SHOW, "run.json"),
    "layers that are no object": (_record(_set("generator", "layers", to=3)), SHOW, "run.json"),
    "10¹² units": (_record(_set("generator", "layers", "units", 0, to=10**12)), SHOW, "run.json"),
    "a million units": (_record(_set("generator", "layers", "units", 0, to=10**6)), SHOW, "units.parquet"),
    "a layer of two numbers": (_record(_set("generator", "layers", "units", to=[9, 32])), SHOW, "run.json"),
    "a layer called ..": (_record(_dotted), SHOW, "run.json"),
    "names of fewer units": (_record(_set("generator", "unit_names", to={"units": ["a"]})), SHOW, "run.json"),
    "prompts that are numbers": (_record(_set("generator", "prompts", to=[1, 2])), SHOW, "run.json"),
    "no vocabulary": (_record(_set("segmenter", "vocabulary", to=None)), SHOW, "run.json"),
    "a short concept": (_record(_set("segmenter", "vocabulary", 0, to=["a"])), SHOW, "run.json"),
    "a concept twice": (_record(lambda r: r["segmenter"]["vocabulary"].append(r["segmenter"]["vocabulary"][0])), SHOW, "run.json"),
    "200,000 concepts": (_record(_set("segmenter", "vocabulary", to=[[str(i), "object", "p", "#000000"] for i in range(200_000)])), SHOW, "run.json"),
    "a colour that is none": (_record(_set("segmenter", "vocabulary", 0, 3, to="url(x)")), SHOW, "run.json"),
    "a part of nothing": (_record(_set("segmenter", "part_of", to={"red": "door"})), SHOW, "run.json"),
    "a number beyond floats": (_text('"seconds": ', '"seconds": 1e999, "was": '), SHOW, "run.json"),
    "half a character": (_text('"planted"', '"\\ud800"'), SHOW, "run.json"),
    "a name that clears the screen": (_text('"planted"', '"\\u001b[2J"'), SHOW, "run.json"),
    "a name that turns text around": (_text('"planted"', '"\\u202egnp.exe"'), SHOW, "run.json"),
    "no file is listed": (_record(_set("files", to={})), SHOW, "units.parquet"),
    "the table is not listed": (_record(_drop("files", "units.parquet")), SHOW, "units.parquet"),
    "an array is not listed": (_record(_drop("files", "arrays.zarr/units/edges/c/0/0")), SHOW, "edges"),
    "files elsewhere": (_record(_set("files", "/etc/passwd", to={"bytes": 1, "sha256": ""})), SHOW, "run.json"),
    "files above": (_record(_set("files", "../x", to={"bytes": 1, "sha256": ""})), SHOW, "run.json"),
    "files without a size": (_record(_set("files", "units.parquet", to={"sha256": ""})), SHOW, "run.json"),
    "a file of another size": (_record(_set("files", "units.parquet", "bytes", to=3)), SHOW, "units.parquet"),
    "a file that was changed": (lambda run: (run / "trust.json").write_text((run / "trust.json").read_text().replace("8", "9", 1)), SHOW, "trust.json"),
    "a link out of the run": (_link("trust.json", "/etc/passwd"), SHOW, "run.json"),
    "arrays behind a link": (_link("arrays.zarr", "/etc"), SHOW, "run.json"),
    "a pipe": (_fifo, SHOW, "trust.json"),
    "a terabyte of nothing": (_sparse, SHOW, "units.parquet"),
    # The table
    "no parquet": (_file("units.parquet", b"x" * 100), SHOW, "units.parquet"),
    "a table cut short": (lambda run: _file("units.parquet", (run / "units.parquet").read_bytes()[:-200])(run), SHOW, "units.parquet"),
    "rows that are missing": (_table(lambda t: t.iloc[:-1]), SHOW, "units.parquet"),
    "rows in another order": (_table(lambda t: t.iloc[::-1]), SHOW, "units.parquet"),
    "a column that is missing": (_table(lambda t: t.drop(columns="iou")), SHOW, "units.parquet"),
    "text for numbers": (_table(lambda t: t.assign(iou="high")), SHOW, "units.parquet"),
    "numbers for text": (_table(lambda t: t.assign(concept=1.5)), SHOW, "units.parquet"),
    "a concept of nobody": (_table(lambda t: t.assign(concept="door")), SHOW, "units.parquet"),
    "two labels": (_table(lambda t: t.assign(is_label=True)), SHOW, "units.parquet"),
    "labels in words": (_table(lambda t: t.assign(is_label="yes")), SHOW, "units.parquet"),
    "fifty million rows": (_many_rows, SHOW, "units.parquet"),
    "text of 30 MB in each row": (_long_text, SHOW, "units.parquet"),
    # Arrays
    "objects of zarr's second format": (_pickled_zarr, REPORT, "arrays.zarr"),
    "metadata nested": (_file("arrays.zarr/units/edges/zarr.json", NESTED), REPORT, "edges"),
    "metadata that are a list": (_meta("units/edges", lambda about: [about]), REPORT, "arrays.zarr"),
    "a shape of 10¹²": (_meta("units/edges", _set("shape", to=[10**6, 10**6])), REPORT, "arrays.zarr"),
    "a negative shape": (_meta("units/edges", _set("shape", to=[-1, 48])), REPORT, "arrays.zarr"),
    "chunks of 10¹²": (_meta("units/edges", _set("chunk_grid", "configuration", "chunk_shape", to=[10**6, 10**6])), REPORT, "arrays.zarr"),
    "a chunk that unpacks to 4 GB": (_zstd_bomb, REPORT, "arrays.zarr"),
    "a chunk cut short": (lambda run: _file("arrays.zarr/units/edges/c/0/0", (run / "arrays.zarr/units/edges/c/0/0").read_bytes()[:30])(run), REPORT, "arrays.zarr"),
    "a shard cut short": (lambda run: _file("arrays.zarr/units/histogram/c/0/0/0/0", (run / "arrays.zarr/units/histogram/c/0/0/0/0").read_bytes()[:30])(run), REPORT, "arrays.zarr"),
    "another codec": (_meta("units/edges", _set("codecs", to=[{"name": "bytes"}, {"name": "numcodecs.pickle"}])), REPORT, "arrays.zarr"),
    "another type": (_meta("units/edges", _set("data_type", to="string")), REPORT, "arrays.zarr"),
    "other dimensions": (_meta("units/iou", _set("dimension_names", to=["unit", "concept", "threshold"])), REPORT, "arrays.zarr"),
    "other labels": (_meta("units", _set("attributes", "concept", to=["a"])), REPORT, "arrays.zarr"),
    "no pixels": (_meta("+concepts", _set("attributes", "pixels", to=0)), REPORT, "+concepts"),
    "an array that is gone": (lambda run: (shutil.rmtree(run / "arrays.zarr/units/edges"), reseal(run)), REPORT, "arrays.zarr"),
    # Images
    "images that are no zip": (_file("images/units.zip", b"PK" * 50), REPORT, "units.zip"),
    "images cut short": (lambda run: _file("images/units.zip", (run / "images/units.zip").read_bytes()[:-50])(run), REPORT, "units.zip"),
    "images that are packed": (_zip("units.zip", lambda m: (m, zipfile.ZIP_DEFLATED)), REPORT, "units.zip"),
    "a hundred thousand members": (_members, REPORT, "units.zip"),
    "an image that is gone": (_zip("units.zip", lambda m: {n: d for n, d in m.items() if n != "unit-00003.webp"}), REPORT, "units.zip"),
    "an image that is text": (_zip("units.zip", _put("unit-00003.webp", b"<svg onload=alert(1)>")), REPORT, "units.zip"),
    "an image of 16,383 pixels": (_zip("units.zip", _put("unit-00003.webp", lambda: picture("WEBP", (16_383, 2000)))), REPORT, "units.zip"),
    "a mask that is a bomb": (_zip("units.zip", _put("unit-00003.mask.png", png_bomb)), REPORT, "units.zip"),
    "a mask of another size": (_zip("units.zip", _put("unit-00003.mask.png", lambda: picture("PNG", (128, 128), "1"))), REPORT, "units.zip"),
    "a mask cut short": (_zip("units.zip", lambda m: {**m, "unit-00003.mask.png": m["unit-00003.mask.png"][:60]}), REPORT, "units.zip"),
    "examples that say nothing": (_zip("+concepts.zip", _put("samples.json", b"null")), REPORT, "+concepts.zip"),
    "examples nested": (_zip("+concepts.zip", _put("samples.json", NESTED)), REPORT, "+concepts.zip"),
    # Trust and effects
    "trust nested": (_file("trust.json", NESTED), SHOW, "trust.json"),
    "trust that is null": (_file("trust.json", b"null"), SHOW, "trust.json"),
    "trust of other concepts": (_file("trust.json", b'{"images": 8, "columns": ["concept", "category", "images", "share", "flip", "shift", "rescale", "lowest"], "concepts": []}'), SHOW, "trust.json"),
    "an effect nested": (lambda run: next(run.glob("effects/*/recipe.json")).write_bytes(NESTED), EFFECTS, "recipe.json"),
    "an effect that is a list": (_effect(lambda r: [r]), EFFECTS, "recipe.json"),
    "an effect without a summary": (_effect(_drop("summary")), EFFECTS, "recipe.json"),
    "an effect of no kind": (_effect(_set("summary", "kind", to=None)), EFFECTS, "effects"),
    "an effect of 10¹² pixels": (_effect(_set("edits", 0, "region", to={"height": 10**6, "width": 10**6, "runs": [[1, 10**12]]})), EFFECTS, "recipe.json"),
    "effects behind a link": (_link("effects", "/etc"), EFFECTS, "effects"),
    "a sheet that is a bomb": (lambda run: next(run.glob("effects/*/sheet.png")).write_bytes(png_bomb()), REPORT, "sheet.png"),
    "a sheet that is text": (lambda run: next(run.glob("effects/*/sheet.png")).write_text("<svg>"), REPORT, "sheet.png"),
}  # fmt: skip
"""Kind → what is done to a run's folder, the command that meets it, and a part of its line."""


def make(kind, run, folder):
    """A copy of a run, damaged; gives its path."""
    out = Path(folder) / "run"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(run, out)
    KINDS[kind][0](out)
    return out
