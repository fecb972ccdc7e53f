"""Finds directions of a generator by one of the methods, as values with their provenance.

    found = fit_directions(generator, FitQuestion(method="boundary"), reader=reader)

Each method is a separate module; this one gives them samples and converts vectors to ``Direction``
values. A strength of 1 is one standard deviation of the population along the direction (in z: 1).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dissect.directions.boundary import Boundary, condition, fit_boundary
from dissect.directions.direction import ONE, SIGMA, Direction, Provenance
from dissect.directions.ganspace import principal_directions
from dissect.directions.hessian import discover
from dissect.directions.hspace import (
    BOTTLENECK,
    sample_bottlenecks,
    step_boundaries,
    step_components,
)
from dissect.directions.question import FitQuestion
from dissect.directions.samples import (
    WHOLE,
    AttributeReader,
    Truncation,
    check_steered,
    score_samples,
)
from dissect.directions.sefa import closed_form
from dissect.directions.stylespace import attribute_channels, style_statistics
from dissect.errors import ConfigError
from dissect.generators.base import Generator
from segmenters.nearest import did_you_mean

NEED_ATTRIBUTES = ("boundary", "stylespace")
_CHANNELS = 3  # channels of each attribute
_EXAMPLES = 30  # images with the highest values of an attribute
_Q = 0.05


def fit_directions(
    generator: Generator,
    question: FitQuestion,
    *,
    reader: AttributeReader | None = None,
    progress: bool = False,
) -> list[Direction]:
    """Find directions.

    Args:
        generator: Any generator that the method supports.
        question: The method and its settings.
        reader: Reader of attributes, for methods that need them.
        progress: Show progress bars.

    Raises:
        ConfigError: no attributes for a method that needs them, or the errors of the method.
        GeneratorError: a generator that the method does not support.
    """
    if question.method == "hspace" and truncation_of(question) != WHOLE:
        raise ConfigError(
            f"truncation {question.truncation:g} was given for the bottleneck of a diffusion "
            "model, whose noise is not drawn to a mean; expected 1; give --truncation 1"
        )
    if reader is None and question.method in NEED_ATTRIBUTES:
        raise ConfigError(
            f"{question.method} was given no predictor of attributes; expected one; give "
            "--predictor NAME, as dissect zoo lists them"
        )
    return _FITS[question.method](generator, question, reader, progress)


def truncation_of(question: FitQuestion) -> Truncation:
    """The truncation of a question's samples."""
    return WHOLE if question.truncation is None else Truncation(question.truncation)


def _boundary(
    generator: Generator, question: FitQuestion, reader: AttributeReader | None, progress: bool
) -> list[Direction]:

    assert reader is not None
    space = question.space or ("w" if "w" in generator.spaces else next(iter(generator.spaces)))
    check_steered(generator, space, truncation_of(question))
    (samples,) = score_samples(
        generator,
        reader,
        spaces=[space],
        n_samples=question.n_samples,
        seed=question.seed,
        truncation=truncation_of(question),
        label=question.label,
        progress=progress,
    )
    wanted = _wanted(question, samples.attributes, samples.varying)
    kept = _kept(question, samples.attributes, samples.varying)
    found = {
        name: fit_boundary(samples.points, samples.score(name), share=question.share)
        for name in dict.fromkeys([*wanted, *kept])
    }
    flat = samples.points.reshape(len(samples.points), -1)
    directions = []
    for name in wanted:
        normal, others = _conditioned(name, {n: one.normal for n, one in found.items()}, kept)
        about = {"attribute": name, "kept": others, "accuracy": _accuracies(found[name])}
        directions.append(
            _direction(
                generator,
                question,
                name if not others else f"{name}, {_few(others)} kept",
                space,
                normal.reshape(samples.points.shape[1:]),
                float((flat @ normal).std(ddof=1)),
                about,
                reader=reader,
            )
        )
    return directions


def _sefa(
    generator: Generator, question: FitQuestion, reader: AttributeReader | None, progress: bool
) -> list[Direction]:

    space, found = closed_form(
        generator,
        n_directions=question.n_directions,
        layers=question.layers,
        normalisation=question.normalisation,
        seed=question.seed,
        progress=progress,
    )
    directions = []
    for k, vector in enumerate(found.vectors):
        about = {
            "index": k,
            "eigenvalue": found.values[k],
            "explained": found.explained[k],
            "source": found.source,
            "normalisation": question.normalisation,
        }
        directions.append(
            _direction(
                generator,
                question,
                f"sefa {k + 1}",
                space,
                vector.reshape(generator.spaces[space].shape),
                _spread(generator, space, vector, question.label),
                about,
                layers=question.layers,
            )
        )
    return directions


def _ganspace(
    generator: Generator, question: FitQuestion, reader: AttributeReader | None, progress: bool
) -> list[Direction]:

    found = principal_directions(
        generator,
        n_components=question.n_directions,
        n_samples=question.n_samples,
        layer=question.layer,
        seed=question.seed,
        label=question.label,
        progress=progress,
    )
    return [
        _direction(
            generator,
            question,
            f"ganspace {k + 1}",
            found.space,
            vector.reshape(generator.spaces[found.space].shape),
            float(found.deviations[k]),
            {"index": k, "explained": found.components.explained[k], "layer": question.layer},
            origin=found.mean.reshape(generator.spaces[found.space].shape),
            layers=question.layers,
        )
        for k, vector in enumerate(found.vectors)
    ]


def _stylespace(
    generator: Generator, question: FitQuestion, reader: AttributeReader | None, progress: bool
) -> list[Direction]:

    assert reader is not None
    truncation = truncation_of(question)
    statistics = style_statistics(
        generator, seed=question.seed, truncation=truncation, label=question.label
    )
    (samples,) = score_samples(
        generator,
        reader,
        spaces=["s"],
        n_samples=question.n_samples,
        seed=question.seed,
        truncation=truncation,
        label=question.label,
        progress=progress,
    )
    directions = []
    for name in _wanted(question, samples.attributes, samples.varying):
        most = np.argsort(-samples.score(name), kind="stable")[:_EXAMPLES]
        table = attribute_channels(samples.points[most], statistics)
        for row in table[table.q < _Q].head(_CHANNELS).to_dict("records"):
            vector = np.zeros(len(statistics.mean), np.float32)
            vector[row["channel"]] = np.sign(row["difference"])
            about = {key: row[key] for key in ("channel", "layer", "unit", "theta", "q")}
            directions.append(
                _direction(
                    generator,
                    question,
                    f"{name}: {row['layer']} {row['unit']}",
                    "s",
                    vector,
                    float(statistics.deviation[row["channel"]]),
                    {"attribute": name, **about},
                    reader=reader,
                )
            )
    if not directions:
        raise ConfigError(
            f"no channel of s differs with certainty (q < {_Q}) in the {_EXAMPLES} images that "
            "show an attribute most; expected one; take more samples or other attributes"
        )
    return directions


def _hessian(
    generator: Generator, question: FitQuestion, reader: AttributeReader | None, progress: bool
) -> list[Direction]:

    found = discover(
        generator,
        n_directions=question.n_directions,
        steps=question.steps,
        seed=question.seed,
        progress=progress,
    )
    return [
        _direction(
            generator,
            question,
            f"hessian {k + 1}",
            found.space,
            vector.reshape(generator.spaces[found.space].shape),
            1.0,
            {
                "index": k,
                "effect": found.effects[k],
                "first_penalty": found.penalties[0],
                "last_penalty": found.penalties[-1],
            },
        )
        for k, vector in enumerate(found.vectors)
    ]


def _hspace(
    generator: Generator, question: FitQuestion, reader: AttributeReader | None, progress: bool
) -> list[Direction]:
    steps, found = sample_bottlenecks(
        generator, n_samples=question.n_samples, seed=question.seed, label=question.label,
        progress=progress,
    )  # fmt: skip
    shape, n = found.shape[2:], len(found)

    def direction(name: str, vectors: np.ndarray, about: Mapping[str, Any]) -> Direction:
        return Direction(
            name,
            BOTTLENECK,
            vectors.reshape(len(steps), *shape).astype(np.float32),
            steps=steps,
            provenance=_provenance(generator, question, about, reader),
        )

    if reader is None:
        parts = step_components(found, n_components=question.n_directions)
        return [
            direction(
                f"h component {k + 1}",
                np.stack([one.axes[k] * one.deviations[k] for one in parts]),
                {"index": k, "explained": [float(one.explained[k]) for one in parts]},
            )
            for k in range(question.n_directions)
        ]
    space = next(iter(generator.spaces))
    (samples,) = score_samples(
        generator,
        reader,
        spaces=[space],
        n_samples=question.n_samples,
        seed=question.seed,
        label=question.label,
        progress=progress,
    )
    wanted = _wanted(question, samples.attributes, samples.varying)
    kept = _kept(question, samples.attributes, samples.varying)
    of_step = {
        name: step_boundaries(found, samples.score(name), share=question.share)
        for name in dict.fromkeys([*wanted, *kept])
    }
    directions = []
    for name in wanted:
        vectors, others = [], []
        for k in range(len(steps)):
            normals = {n: ones[k].normal for n, ones in of_step.items()}
            normal, others = _conditioned(name, normals, kept)
            vectors.append(normal * (found[:, k].reshape(n, -1) @ normal).std(ddof=1))
        about = {
            "attribute": name,
            "kept": others,
            "accuracy": {
                str(step): _accuracies(one) for step, one in zip(steps, of_step[name], strict=True)
            },
        }
        title = name if not others else f"{name}, {_few(others)} kept"
        directions.append(direction(title, np.stack(vectors), about))
    return directions


_FITS: Mapping[str, Callable[..., list[Direction]]] = {
    "boundary": _boundary,
    "sefa": _sefa,
    "ganspace": _ganspace,
    "stylespace": _stylespace,
    "hessian": _hessian,
    "hspace": _hspace,
}


def _wanted(question: FitQuestion, attributes: Sequence[str], varying: Sequence[str]) -> list[str]:
    """Attributes for which directions are found."""
    if question.attributes is None:
        return list(varying)
    return [_known(name, attributes, varying) for name in question.attributes]


def _kept(question: FitQuestion, attributes: Sequence[str], varying: Sequence[str]) -> list[str]:
    if question.keep == ("all",):
        return list(varying)
    return [_known(name, attributes, varying) for name in question.keep]


def _known(name: str, attributes: Sequence[str], varying: Sequence[str]) -> str:

    if name not in attributes:
        raise ConfigError(
            f"attribute {name!r} is not read; {did_you_mean(name, attributes)}expected some of "
            f"{', '.join(attributes)}"
        )
    if name not in varying:
        raise ConfigError(
            f"attribute {name!r} is the same in all samples, so no direction changes it; expected "
            "one that varies; take more samples or leave it out"
        )
    return name


def _conditioned(
    name: str, normals: Mapping[str, np.ndarray], kept: Sequence[str]
) -> tuple[np.ndarray, list[str]]:

    others = [other for other in kept if other != name]
    return condition(normals[name], [normals[other] for other in others]), others


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} others"


def _accuracies(boundary: Boundary) -> dict[str, list[float] | None]:
    """Value and interval of each accuracy, for JSON."""
    accuracies = {name: getattr(boundary, name) for name in ("trained", "held_out", "rest")}
    return {
        name: [one.value, one.low, one.high, one.n] if one.n else None
        for name, one in accuracies.items()
    }


def _spread(generator: Generator, space: str, vector: np.ndarray, label: int | None) -> float:
    """σ of the population along a unit vector; 1 in the first space."""
    if space == next(iter(generator.spaces)):
        return 1.0
    latent = generator.convert(generator.sample(range(1000), seed=0, label=label), space)
    points = latent.data.detach().flatten(1).double().cpu().numpy()
    return float((points @ vector.ravel()).std(ddof=1))


def _provenance(
    generator: Generator,
    question: FitQuestion,
    about: Mapping[str, Any],
    reader: AttributeReader | None,
) -> Provenance:

    fingerprints = {"generator": generator.fingerprint}
    if reader is not None:
        fingerprints |= reader.fingerprints
    plain = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in about.items()
    }
    taken = {"n_samples": question.n_samples, "seed": question.seed, "share": question.share}
    if question.label is not None:
        taken["label"] = question.label
    if truncation_of(question) != WHOLE:
        taken["truncation"] = truncation_of(question).psi
    return Provenance(question.method, taken | plain, fingerprints)


def _direction(
    generator: Generator,
    question: FitQuestion,
    name: str,
    space: str,
    vector: np.ndarray,
    sigma: float,
    about: Mapping[str, Any],
    *,
    origin: np.ndarray | None = None,
    layers: Sequence[int] | None = None,
    reader: AttributeReader | None = None,
) -> Direction:

    if layers is not None and space == "w":
        space = "w+"
    is_first = space == next(iter(generator.spaces))
    return Direction(
        name,
        space,
        vector.astype(np.float32),
        layers=layers,
        unit=ONE if is_first else SIGMA,
        sigma=None if is_first else sigma,
        origin=None if origin is None else origin.astype(np.float32),
        provenance=_provenance(generator, question, about, reader),
    )
