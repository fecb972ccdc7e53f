"""Reads directions from other programs' files, and writes files for them.

=================  ===============================================================================
format             file
=================  ===============================================================================
``interfacegan``   ``.npy``: a boundary's unit normal (1, d), in z or, by ``_w`` in its name, in
                   w; or one for each layer of w+ (layer, d). Codes of z and w are *set* along it,
                   those of w+ moved by adding
``higan``          ``.npy``: the same, or a pickled dictionary ``boundary`` (1, d) with
                   ``meta_data``, whose ``manipulate_layers`` (``6-11``, inclusive) are the layers
                   of w+ that are moved
``ganspace``       ``.npz``: principal components ``lat_comp`` (k, 1, d) with ``lat_mean`` and
                   ``lat_stdev``: unit σ, the mean as origin
``factor``         ``.pt`` of rosinality's stylegan2-pytorch: ``eigvec`` (d, k), columns; in w
``fs3``            ``.npy`` of StyleCLIP, (channel, 512), with a text: in s (``styleclip``)
=================  ===============================================================================

Nothing in a file is run: ``dissect.generators.reading`` reads pickles.

References:
    Shen et al., InterFaceGAN, CVPR 2020 (repository genforce/interfacegan, ``boundaries/``).
    Yang et al., HiGAN, IJCV 2020 (genforce/higan).
    Härkönen et al., GANSpace, NeurIPS 2020 (harskish/ganspace, ``.npz`` caches).
    Shen and Zhou, SeFa, CVPR 2021 (rosinality/stylegan2-pytorch, ``closed_form_factorization``).
"""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from dissect.directions.direction import SIGMA, Direction, Provenance
from dissect.directions.question import FORMATS, RELEVANCE
from dissect.edits.moves import ADD, SET
from dissect.errors import CheckpointError, ConfigError
from dissect.runs.replacing import write_named_file
from segmenters.nearest import did_you_mean
from segmenters.plain_text import one_line
from segmenters.received import read_bytes, reading

if TYPE_CHECKING:
    from dissect.generators.base import Generator

_LARGEST = 512 << 20  # bytes; limit of a file, and of an array in it
_MOST = 1000  # limit of directions in one file
_MOST_LAYERS = 64  # limit of layers of w+; more rows are channels
_ADVICE = "get it again, or name its format"


def import_directions(
    path: str | Path,
    *,
    format: str | None = None,
    space: str | None = None,
    layers: Sequence[int] | None = None,
    count: int | None = None,
    generator: "Generator | None" = None,
    text: str | Path | Float[np.ndarray, "512"] | None = None,
    threshold: float = RELEVANCE,
) -> list[Direction]:
    """Read the directions of another program's file.

    Args:
        path: The file.
        format: One of ``FORMATS``; None detects it. ``fs3`` must be given, with its text and the
            generator.
        space: Space to use instead of the file's, such as ``w``.
        layers: Layers of w+, from 0, in which directions of w act; instead of the file's own.
        count: Number of first directions to read; None means all.
        generator: Generator of the directions. They are checked against its spaces, and store its
            fingerprint.
        text: For ``fs3``: Δt, 512 numbers or a ``.npy`` of them.
        threshold: For ``fs3``: β, see ``styleclip.read_fs3``.

    Returns:
        At least one, in the order of the file.

    Raises:
        ConfigError: no such file or format, a damaged or hostile file, or directions that do not
            fit the space, the layers or the generator.
    """
    path = Path(path)
    name = _find_format(path) if format is None else format
    if name not in FORMATS:
        raise ConfigError(
            f"format is {name!r}; {did_you_mean(name, FORMATS)}expected {', '.join(FORMATS)}"
        )
    with reading(path, ConfigError, _ADVICE):
        found = (
            [_read_text(path, text, threshold, generator)]
            if name == "fs3"
            else _READERS[name](path, count)
        )
    directions = [_adapt(one, name, path, space, layers) for one in found]
    if generator is not None:
        directions = [_claim(one, generator) for one in directions]
    return directions


def export_direction(direction: Direction, path: str | Path) -> Path:
    """Write one direction for InterFaceGAN and HiGAN: ``.npy`` of float32, (1, d).

    Args:
        direction: In z or w, or in all layers of w+.
        path: ``….npy``.

    Raises:
        ConfigError: a direction that the format cannot store, or a file that cannot be written.
    """
    vector = np.asarray(direction.vector)
    if direction.space not in ("z", "w", "w+") or direction.layers is not None:
        some = "" if direction.layers is None else f" in the layers {list(direction.layers)}"
        raise ConfigError(
            f"{direction.name} is in {direction.space}{some}, which a boundary's file cannot say; "
            "expected a direction in z, w, or all of w+"
        )
    step = direction.step * vector
    content = io.BytesIO()
    np.save(content, step if step.ndim == 2 else step[None], allow_pickle=False)
    return _write(Path(path), ".npy", content.getvalue())


def export_ganspace(directions: Sequence[Direction], path: str | Path) -> Path:
    """Write directions of one space as GANSpace's ``lat_comp``, ``lat_mean`` and ``lat_stdev``.

    Args:
        directions: All in z or all in w, with one origin.
        path: ``….npz``.

    Raises:
        ConfigError: directions that the format cannot store together.
    """
    vectors = _stack(directions, "GANSpace's file")
    origins = [
        np.zeros_like(vectors[0]) if one.origin is None else np.asarray(one.origin)
        for one in directions
    ]
    if any(not np.array_equal(origin, origins[0]) for origin in origins):
        raise ConfigError("directions have different origins; expected one for GANSpace's file")
    content = io.BytesIO()
    np.savez(
        content,
        lat_comp=vectors[:, None],
        lat_mean=origins[0][None],
        lat_stdev=np.array([one.step for one in directions], np.float32),
    )
    return _write(Path(path), ".npz", content.getvalue())


def export_factor(directions: Sequence[Direction], path: str | Path) -> Path:
    """Write directions in w as the columns of rosinality's ``eigvec``.

    Args:
        directions: All in w.
        path: ``….pt``.

    Raises:
        ConfigError: directions that the format cannot store together.
    """
    import torch  # noqa: PLC0415

    vectors = _stack(directions, "a factor file", spaces=("w",))
    steps = np.array([one.step for one in directions], np.float32)
    content = io.BytesIO()
    columns = torch.from_numpy(np.ascontiguousarray((vectors * steps[:, None]).T))
    torch.save({"ckpt": "", "eigvec": columns}, content)
    return _write(Path(path), ".pt", content.getvalue())


def parse_layers(text: str) -> tuple[int, ...]:
    """Parse layers in the syntax of HiGAN and SeFa: ``0,2-5`` is (0, 2, 3, 4, 5), inclusive.

    Raises:
        ValueError: another text.

    Example:
        >>> parse_layers("6-8, 1")
        (6, 7, 8, 1)
    """
    layers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        start, stop = int(first), int(last) if dash else int(first)
        if not 0 <= start <= stop < _MOST_LAYERS:
            raise ValueError(f"{text[:40]!r} lists no layers")
        layers += range(start, stop + 1)
    return tuple(layers)


def _find_format(path: Path) -> str:
    by_suffix = {".npy": "interfacegan", ".npz": "ganspace", ".pt": "factor", ".pth": "factor"}
    found = by_suffix.get(path.suffix.lower())
    if found is None:
        raise ConfigError(
            f"{path} is of no known format; expected {', '.join(by_suffix)}; give the format, one "
            f"of {', '.join(FORMATS)}"
        )
    if found == "interfacegan" and path.is_file():
        with reading(path, ConfigError, _ADVICE), path.open("rb") as file:
            if b"|O" in file.read(256):
                return "higan"
    return found


def _adapt(
    direction: Direction,
    format_name: str,
    path: Path,
    space: str | None,
    layers: Sequence[int] | None,
) -> Direction:
    """The direction in the requested space and layers, with its origin."""
    settings = {"file": one_line(path.name)[:200], **direction.provenance.settings}
    provenance = Provenance(f"import:{format_name}", settings)
    changes: dict[str, Any] = {"provenance": provenance}
    given = space or direction.space
    if layers is not None:
        changes |= {"space": "w+", "layers": tuple(layers), "mode": ADD}
        if given not in ("w", "w+"):
            raise ConfigError(
                f"layers were given for directions in {given!r}; expected w or "
                "w+, which have layers; give the space w if they are"
            )
    elif space is not None and space != direction.space:
        changes |= {"space": space, "layers": None}
        if format_name in ("interfacegan", "higan"):
            changes["mode"] = SET if space in ("z", "w") else ADD
    return replace(direction, **changes)


def _claim(direction: Direction, generator: "Generator") -> Direction:
    direction.check(generator)
    own = {**direction.provenance.fingerprints, "generator": generator.fingerprint}
    return replace(direction, provenance=replace(direction.provenance, fingerprints=own))


def _read_boundary(path: Path, count: int | None) -> list[Direction]:
    return [_boundary(path, _array(path))]


def _boundary(path: Path, values: np.ndarray) -> Direction:
    values = values[0] if values.ndim == 2 and len(values) == 1 else values
    if values.ndim > 2 or (values.ndim == 2 and len(values) > _MOST_LAYERS):
        raise ConfigError(
            f"{path} has the shape {values.shape}; expected (1, d), or (layer, d) for w+; "
            "StyleCLIP's fs3 needs a text too"
        )
    words = path.stem.lower().split("_")
    space = "w+" if values.ndim == 2 else "w" if "w" in words else "z"
    return Direction(_name(path), space, values, mode=ADD if space == "w+" else SET)


def _read_higan(path: Path, count: int | None) -> list[Direction]:
    from dissect.generators.reading.bounds import Refusal  # noqa: PLC0415 - takes torch
    from dissect.generators.reading.npy_files import read_object  # noqa: PLC0415
    from dissect.generators.reading.tensors import Array  # noqa: PLC0415

    content = read_bytes(path, _LARGEST)
    if b"|O" not in content[:256]:
        plain = _boundary(path, _array(path))
        space = plain.space if plain.space == "w+" else "w"
        return [replace(plain, space=space, mode=ADD)]
    try:
        given = read_object(content)
    except Refusal as refusal:
        raise ConfigError(f"{path} {refusal}") from refusal
    boundary = given.get("boundary") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(boundary, Array) or boundary.tensor is None:
        raise ConfigError(f"{path} has no array 'boundary'; expected a boundary of HiGAN")
    about = given.get("meta_data")
    about = about if isinstance(about, dict) else {}
    listed = about.get("manipulate_layers")
    layers = None if listed in (None, "") else parse_layers(str(listed))
    values = boundary.tensor.numpy()
    plain = _boundary(path, values)
    kind = about.get("type")
    settings = {"type": one_line(kind)[:80]} if isinstance(kind, str) else {}
    return [
        replace(
            plain, space="w+", layers=layers, mode=ADD, provenance=Provenance(settings=settings)
        )
    ]


def _read_ganspace(path: Path, count: int | None) -> list[Direction]:
    keys = ("lat_comp", "lat_mean", "lat_stdev", "var_ratio")
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        arrays: dict[str, np.ndarray] = {}
        for key in keys:
            member = f"{key}.npy"
            if member not in archive.namelist():
                continue
            if archive.getinfo(member).file_size > _LARGEST:
                raise ValueError(f"{key} is too large")
            with archive.open(member) as part:
                arrays[key] = _parse(part.read(_LARGEST + 1))
    missing = [key for key in keys[:3] if key not in arrays]
    if missing:
        raise ConfigError(
            f"{path} has no {missing[0]}; expected the .npz of GANSpace: {', '.join(keys[:3])}"
        )
    components = arrays["lat_comp"].reshape(len(arrays["lat_comp"]), -1)
    mean, sigmas = arrays["lat_mean"].reshape(-1), arrays["lat_stdev"].reshape(-1)
    if mean.shape != components.shape[1:] or len(sigmas) not in (1, len(components)):
        raise ConfigError(
            f"{path} has {components.shape} components, a mean of {mean.shape} and {len(sigmas)} "
            "deviations; expected as many numbers in each"
        )
    sigmas = np.broadcast_to(sigmas, len(components))
    ratios = arrays.get("var_ratio", np.zeros(0)).reshape(-1)
    space = "w" if path.stem.lower().endswith("_w") or "_w_" in path.stem.lower() else "z"
    found: list[Direction] = []
    for k in range(_limit(path, len(components), count)):
        settings: dict[str, Any] = {"component": k}
        if k < len(ratios):
            settings["explained variance"] = float(ratios[k])
        found.append(
            Direction(
                f"{_name(path)[:100]} {k}", space, components[k],
                unit=SIGMA, sigma=float(sigmas[k]), origin=mean if mean.any() else None,
                provenance=Provenance(settings=settings),
            )
        )  # fmt: skip
    return found


def _read_factor(path: Path, count: int | None) -> list[Direction]:
    from dissect.generators.checkpoint import read  # noqa: PLC0415 - takes torch

    try:
        tensors = read(path).tensors
    except CheckpointError as error:
        raise ConfigError(str(error)) from error
    columns = tensors.get("eigvec")
    if columns is None or columns.ndim != 2 or not columns.is_floating_point():
        raise ConfigError(
            f"{path} has no matrix 'eigvec'; expected what rosinality's "
            "closed_form_factorization.py writes"
        )
    matrix = columns.float().numpy()
    n = _limit(path, matrix.shape[1], count)
    return [
        Direction(
            f"{_name(path)[:100]} {k}", "w", matrix[:, k],
            provenance=Provenance(settings={"column": k}),
        )
        for k in range(n)
    ]  # fmt: skip


def _read_text(
    path: Path,
    text: str | Path | Float[np.ndarray, "512"] | None,
    threshold: float,
    generator: "Generator | None",
) -> Direction:
    from dissect.directions.styleclip import read_fs3  # noqa: PLC0415 - takes torch

    if text is None or generator is None:
        raise ConfigError(
            f"{path} holds what channels change in CLIP's space; expected a text and the generator "
            "too; give --text FILE.npy, 512 numbers"
        )
    return read_fs3(path, text, generator=generator, threshold=threshold)


_READERS: Mapping[str, Callable[[Path, int | None], list[Direction]]] = {
    "interfacegan": _read_boundary,
    "higan": _read_higan,
    "ganspace": _read_ganspace,
    "factor": _read_factor,
}
"""Format → function that reads the first directions of a file; ``fs3`` needs a text too."""


def _array(path: Path) -> np.ndarray:
    return _parse(read_bytes(path, _LARGEST))


def _parse(content: bytes) -> np.ndarray:
    """Parse a plain array of numbers from the content of a ``.npy``."""
    from dissect.generators.reading.npy_files import read_numbers  # noqa: PLC0415 - takes torch

    return read_numbers(content)


def _limit(path: Path, n: int, count: int | None) -> int:
    chosen = n if count is None else min(n, count)
    if not 1 <= chosen <= _MOST:
        raise ConfigError(
            f"count is {chosen}, and {path} holds {n} directions; expected 1 to {_MOST}; give count"
        )
    return chosen


def _name(path: Path) -> str:
    """A direction's name from its file name, without the additions of other programs."""
    return one_line(path.stem.removesuffix("_boundary"))[:110] or "direction"


def _stack(
    directions: Sequence[Direction], what: str, spaces: tuple[str, ...] = ("z", "w")
) -> Float[np.ndarray, "direction size"]:
    found = {one.space for one in directions}
    shapes = {np.shape(one.vector) for one in directions}
    if len(found) != 1 or not found <= {*spaces} or len(shapes) != 1:
        raise ConfigError(
            f"directions are in {', '.join(sorted(found)) or 'no space'}, of the shapes "
            f"{sorted(shapes)}; expected all in {' or all in '.join(spaces)} for {what}"
        )
    return np.stack([np.asarray(one.vector) for one in directions])


def _write(path: Path, suffix: str, content: bytes) -> Path:
    if path.suffix != suffix:
        raise ConfigError(f"{path} was to be written; expected a file NAME{suffix}")
    return write_named_file(path, content)
