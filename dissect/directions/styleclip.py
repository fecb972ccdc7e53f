"""StyleCLIP's global directions: the effect of each channel of s in CLIP's space, and a text.

``fs3.npy`` is a table F (channel, 512). With Δt the difference of two texts in CLIP's space, of
length 1, r = F Δt is each channel's component along the text's direction. Channels with |r| < β are
omitted, r is divided by its largest value, and a channel moves by its own deviation:

    v_c = r_c / max|r| · σ_c

Its file has all channels of s except those of layers called ``torgb``.

Writing inverts this: for a direction v, r = v / σ divided by its largest value, and F = r Δtᵀ, the
smallest table that gives r for Δt. So the file is valid for that text only, and does not store the
length of v.

References:
    Patashnik et al., StyleCLIP, ICCV 2021, section 6, equations 4 and 5.
"""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from dissect.directions.direction import Direction, Provenance
from dissect.directions.question import RELEVANCE
from dissect.directions.stylespace import StyleStatistics, style_statistics
from dissect.errors import ConfigError
from dissect.generators.base import Generator
from dissect.generators.reading.npy_files import read_numbers
from dissect.runs.replacing import write_named_file
from segmenters.plain_text import one_line
from segmenters.received import read_bytes, reading

_CLIP = 512
_LARGEST = 512 << 20  # bytes; limit of a file
_ADVICE = "get it again"


def read_fs3(
    path: str | Path,
    text: str | Path | Float[np.ndarray, "512"],
    *,
    generator: Generator,
    threshold: float = RELEVANCE,
    name: str | None = None,
) -> Direction:
    """StyleCLIP's direction of a text; see the module docstring.

    Args:
        path: ``fs3.npy``; may include the channels of ToRGB.
        text: Δt: 512 numbers, or a ``.npy`` of them. It is normalised.
        generator: Generator with these channels; their deviations are measured on 2,000 latents.
        threshold: β.
        name: Name of the direction; None takes the file name of the text, or ``text``.

    Raises:
        ConfigError: files of another shape, or a threshold above every channel's relevance.
        GeneratorError: a generator without styles.
    """
    path = Path(path)
    with reading(path, ConfigError, _ADVICE):
        table = read_numbers(read_bytes(path, _LARGEST))
    delta = _read_text(text)
    statistics = style_statistics(generator)
    kept = ~statistics.is_rgb
    if table.ndim == 2 and len(table) == len(kept):
        kept[:] = True
    if table.shape != (kept.sum(), _CLIP):
        raise ConfigError(
            f"{path} has the shape {table.shape}; expected ({kept.sum()}, {_CLIP}), the channels "
            f"of s of {generator.name} (or {len(kept)} with ToRGB)"
        )
    if not np.isfinite(table).all():
        raise ConfigError(f"{path} holds numbers that are not finite; expected finite ones")
    relevance = table.astype(np.float64) @ delta
    relevance[np.abs(relevance) < threshold] = 0
    largest = np.abs(relevance).max()
    if largest == 0:
        raise ConfigError(
            f"no channel of {path} changes the text's direction by {threshold:g}; expected a lower "
            "threshold; give --relevance"
        )
    vector = np.zeros(len(kept))
    vector[kept] = relevance / largest * statistics.deviation[kept]
    settings = {
        "file": one_line(path.name)[:200], "threshold": float(threshold),
        "channels": int((relevance != 0).sum()),
    }  # fmt: skip
    title = name or (Path(text).stem if isinstance(text, str | Path) else "text")
    return Direction(
        one_line(title)[:120], "s", vector, provenance=Provenance("import:fs3", settings)
    )


def write_fs3(
    direction: Direction,
    path: str | Path,
    text: str | Path | Float[np.ndarray, "512"],
    *,
    generator: Generator,
) -> Path:
    """Write a direction in s so that StyleCLIP reads it as that of a text.

    Reading it with the same text and threshold 0 gives the same direction, up to its length.

    Args:
        direction: A direction in s, without a component in ToRGB.
        path: ``….npy``.
        text: Δt, as in ``read_fs3``.
        generator: Generator of the direction.

    Raises:
        ConfigError: a direction of another space or generator, or one that moves channels that the
            file lacks or that never vary.
    """
    path = Path(path)
    if path.suffix != ".npy":
        raise ConfigError(f"{path} was to be written; expected a file NAME.npy")
    if direction.space != "s":
        raise ConfigError(
            f"{direction.name} is in {direction.space}, and fs3 lists channels of s; expected a "
            "direction in s"
        )
    direction.check(generator)
    delta = _read_text(text)
    statistics = style_statistics(generator)
    vector = np.asarray(direction.vector, np.float64)
    _check_channels(direction.name, vector, statistics)
    relevance = np.divide(
        vector, statistics.deviation, out=np.zeros_like(vector), where=vector != 0
    )
    relevance /= np.abs(relevance).max()
    table = np.outer(relevance[~statistics.is_rgb], delta)
    content = io.BytesIO()
    np.save(content, table.astype(np.float32), allow_pickle=False)
    return write_named_file(path, content.getvalue())


def _check_channels(
    name: str, vector: Float[np.ndarray, " channel"], statistics: StyleStatistics
) -> None:
    moved: Bool[np.ndarray, " channel"] = vector != 0
    for which, what in (
        (statistics.is_rgb, "channels of ToRGB, which fs3 lacks"),
        (statistics.deviation == 0, "channels that never vary, whose step fs3 cannot say"),
    ):
        if (moved & which).any():
            raise ConfigError(
                f"{name} moves {int((moved & which).sum())} {what}; expected a direction of the "
                "others"
            )


def _read_text(text: str | Path | Float[np.ndarray, "512"]) -> Float[np.ndarray, "512"]:
    """Δt of length 1."""
    given = "the text"
    if isinstance(text, str | Path):
        given = str(text)
        with reading(text, ConfigError, _ADVICE):
            text = read_numbers(read_bytes(Path(text), _LARGEST))
    delta = np.asarray(text, np.float64).reshape(-1)
    length = np.linalg.norm(delta)
    if delta.shape != (_CLIP,) or not np.isfinite(length) or length == 0:
        raise ConfigError(
            f"{given} has {delta.size} numbers; expected {_CLIP} finite ones, not all of them 0: "
            "the difference of two texts in CLIP's space"
        )
    return delta / length
