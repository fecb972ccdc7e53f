"""Texts that the samples of a run were drawn for, if its generator takes texts."""

from collections.abc import Mapping, Sequence
from typing import Any

from dissect.config import RunConfig


def prompts_of(record: Mapping[str, Any], config: RunConfig, samples: Sequence[int]) -> list[str]:
    """The text of each sample; empty if the generator takes none.

    Args:
        record: Content of run.json.
        config: Settings of the run.
        samples: Indices of samples, also those after the run's own.
    """
    prompts: list[str] = record["generator"].get("prompts", [])
    if not prompts:
        return []
    if config.label is not None:
        return [prompts[config.label]] * len(samples)
    from dissect.latents.sampling import uniform_labels  # noqa: PLC0415, needs torch

    labels = uniform_labels(samples, seed=config.seed, n_classes=len(prompts))
    return [prompts[int(label)] for label in labels]
