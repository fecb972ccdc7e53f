"""Texts as the classes of a generator: ``GENERATOR?prompts=FILE``, ``GENERATOR?prompt=TEXT``.

    scenes-dalle?prompt=a house at night
    stable-diffusion?prompts=prompts.txt

A generator of texts has a list of prompts, and each one is one of its classes. So a sample's label
selects its prompt, and a mixture of labels mixes the embeddings of their texts. The file has one
prompt per line; empty lines are left out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dissect.errors import GeneratorError
from dissect.generators.base import Generator, check_conversion
from dissect.generators.labels import class_vectors
from dissect.latents import Latent
from segmenters.received import reading

FILE_OPTION, TEXT_OPTION = "?prompts=", "?prompt="
MOST_PROMPTS = 10_000
_LARGEST = 4 << 20  # bytes of a prompt file


@runtime_checkable
class TakesPrompts(Protocol):
    """A generator whose classes are texts."""

    @property
    def prompts(self) -> tuple[str, ...]:
        """Text of each class."""
        ...

    @property
    def words(self) -> tuple[str, ...]:
        """Meaning of the units of its attention layers, in their order."""
        ...

    def with_prompts(self, prompts: Sequence[str], *, source: str) -> Generator:
        """The same weights with other prompts.

        Args:
            prompts: At least one.
            source: Their source, for the name, as written after the generator's name.

        Raises:
            GeneratorError: a text that the generator cannot read.
        """
        ...


def prompt_weights(generator: Generator, latent: Latent) -> Float[Tensor, "batch prompt"]:
    """How much of each prompt the samples of a latent have, from their labels.

    Args:
        generator: A generator whose classes are prompts, at least one.
        latent: Its latent.

    Raises:
        GeneratorError: a latent of another generator, or labels that are missing or wrong.
    """
    check_conversion(generator, latent, latent.space)
    weights = class_vectors(latent, n_classes=generator.n_classes, name=generator.name)
    assert weights is not None  # there is a prompt
    return weights


def add_prompts(spec: str, prompts: str | None) -> str:
    """Spec of a generator with the prompts of a file; None returns the spec unchanged.

    Example:
        >>> add_prompts("stable-diffusion", "prompts.txt")
        'stable-diffusion?prompts=prompts.txt'
    """
    return spec if prompts is None else f"{spec}{FILE_OPTION}{prompts}"


def split_prompts(spec: str) -> tuple[str, str, str] | None:
    """Generator, option and value of a spec that ends in prompts; None for any other.

    Example:
        >>> split_prompts("g?prompt=a tree")
        ('g', '?prompt=', 'a tree')
    """
    for option in (FILE_OPTION, TEXT_OPTION):
        inner, found, value = spec.partition(option)
        if found:
            return inner, option, value
    return None


def set_prompts(generator: Generator, option: str, value: str) -> Generator:
    """A generator with the prompts of a spec.

    Args:
        generator: A generator of texts.
        option: ``?prompts=`` or ``?prompt=``.
        value: A file, or a text.

    Raises:
        GeneratorError: a generator without texts, a file that cannot be read, or a text that the
            generator cannot read.
    """
    if not isinstance(generator, TakesPrompts):
        raise GeneratorError(
            f"{option[1:-1]} was given to {generator.name}, a {generator.family}, which takes no "
            "text; expected a generator of texts, such as scenes-dalle"
        )
    prompts = [value] if option == TEXT_OPTION else read_prompts(Path(value))
    return generator.with_prompts(prompts, source=f"{option}{value}")


def read_prompts(path: Path) -> list[str]:
    """The lines of a file, without empty ones.

    Raises:
        GeneratorError: no such file, one that is not text, or one without a line.
    """
    with reading(path, GeneratorError, "write one prompt a line, in UTF-8"):
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST:,} bytes")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    found = [line.strip() for line in lines if line.strip()]
    if not found or len(found) > MOST_PROMPTS:
        raise GeneratorError(
            f"{path} has {len(found):,} prompts; expected 1 to {MOST_PROMPTS:,}, one a line"
        )
    return found
