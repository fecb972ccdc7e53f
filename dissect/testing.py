"""The laws that every generator must keep, as one call for the tests of a custom generator.

    from dissect.testing import check_generator

    def test_my_generator_keeps_the_laws():
        check_generator(my_generator())

The rest of the toolkit relies on these laws: a generator that breaks one gives wrong runs without
an error. A generator that is ``not_editable`` has to reject edits and gradients; all other laws
hold for it too.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from dissect.edits.applying import check_reach, intervene
from dissect.edits.moves import Move
from dissect.edits.unit_edits import Ablate
from dissect.errors import GeneratorError
from dissect.generators.base import Generator, complete, members
from dissect.latents import Latent
from dissect.latents.sampling import PROBE_STREAMS, stream
from dissect.tracing import trace

_LARGEST = 100.0  # distinguishes images in [0, 255] from those in [-1, 1]


def check_generator(generator: Generator, *, seed: int = 0, tolerance: float = 1e-4) -> list[str]:
    """Check a generator against all laws.

    Args:
        generator: Any generator that follows the protocol.
        seed: Seed of the samples; three of them are generated repeatedly.
        tolerance: Largest difference of images that differ only in the order of sums, as a
            share of their range.

    Returns:
        The checks, a few words each.

    Raises:
        GeneratorError: the first broken law, with the found and the expected value.

    Example:
        >>> from dissect.worlds.planted import generator
        >>> check_generator(generator())[0]
        'follows the protocol'
    """
    laws = _Laws(generator, seed, tolerance)
    checked = []
    for words, law in laws.all():
        law()
        checked.append(words)
    return checked


class _Laws:
    def __init__(self, generator: Generator, seed: int, tolerance: float) -> None:
        self.generator, self.seed, self.tolerance = generator, seed, tolerance

    def all(self) -> Iterator[tuple[str, Callable[[], None]]]:
        yield "follows the protocol", self.protocol
        yield "samples do not depend on their batch", self.samples
        yield "images have their shape and range", self.images
        yield "images are the same twice", self.determinism
        yield "images do not depend on their batch", self.batches
        yield "every space gives the same image", self.spaces
        yield "moves of the latent change the image, and one by 0 leaves it", self.moves
        yield "layers are as listed, and hooks are gone after", self.layers
        if getattr(self.generator, "not_editable", None) is not None:
            yield "edits and gradients are refused in one line", self.refusals
            return
        yield "gradients reach the latent", self.gradients
        yield "no edit changes no bit, and an edit one", self.edits
        yield "every layer reaches the image", self.reach

    def _demand(self, holds: bool, found: str, expected: str) -> None:
        if not holds:
            raise GeneratorError(f"{self.generator.name} {found}; expected {expected}")

    def _sample(self, indices: list[int] | None = None) -> Latent:
        return self.generator.sample([0, 1, 2] if indices is None else indices, seed=self.seed)

    @torch.no_grad()
    def _image(self, latent: Latent) -> Tensor:
        return self.generator.synthesize(latent)

    def _near(self, first: Tensor, second: Tensor) -> bool:
        span = float(second.max() - second.min())
        return float((first - second).abs().max()) <= self.tolerance * max(span, 1e-12)

    def protocol(self) -> None:
        complete(self.generator)
        missing = [name for name in members() if not hasattr(self.generator, name)]
        self._demand(not missing, f"lacks {', '.join(missing)}", f"{', '.join(members())}")
        modules = self.generator.module.modules()
        training = [type(module).__name__ for module in modules if module.training]
        self._demand(not training, f"has {training[:1]} in training mode", "eval mode")
        self._demand(bool(self.generator.layers), "lists no layer", "at least one")
        key = self.generator.fingerprint
        self._demand(
            len(key) == 64 and set(key) <= set("0123456789abcdef"),
            f"has the fingerprint {key[:20]!r}",
            "64 hexadecimal digits",
        )

    def samples(self) -> None:
        latent, alone = self._sample(), self._sample([2])
        space = next(iter(self.generator.spaces.values()))
        shape = (latent.space, tuple(latent.data.shape))
        expected = (space.name, (3, *space.shape))
        self._demand(shape == expected, f"samples {shape}", f"{expected}")
        same = torch.equal(latent.data[2:], alone.data)
        self._demand(same, "gives sample 2 other bits in another batch", "the same")
        other = self.generator.sample([0, 1, 2], seed=self.seed + 1)
        differs = not torch.equal(latent.data, other.data)
        self._demand(differs, "gives two seeds the same samples", "others")
        if self.generator.n_classes:
            labelled = self.generator.sample([0], seed=self.seed, label=0).label
            self._demand(labelled is not None, "drops the label of a sample", "it in the latent")

    def images(self) -> None:
        image = self._image(self._sample())
        size = self.generator.image_size
        shape, expected = tuple(image.shape), (3, self.generator.channels, size, size)
        self._demand(shape == expected, f"gives images of shape {shape}", f"{expected}")
        self._demand(image.dtype == torch.float32, f"gives {image.dtype}", "torch.float32")
        self._demand(bool(image.isfinite().all()), "gives NaN or infinity", "finite numbers")
        largest = float(image.abs().max())
        self._demand(largest <= _LARGEST, f"gives values up to {largest:.0f}", "about [-1, 1]")
        self._demand(not torch.equal(image[0], image[1]), "gives two samples one image", "two")

    def determinism(self) -> None:
        latent = self._sample()
        same = torch.equal(self._image(latent), self._image(latent))
        self._demand(same, "gives one latent two images", "the same bits")

    def batches(self) -> None:
        latent = self._sample()
        alone = torch.cat([self._image(latent[i : i + 1]) for i in range(3)])
        near = self._near(alone, self._image(latent))
        self._demand(near, "gives other images in another batch", "the same up to rounding")

    def spaces(self) -> None:
        latent = self._sample()
        image, order = self._image(latent), list(self.generator.spaces)
        for name, space in self.generator.spaces.items():
            with torch.no_grad():
                there = self.generator.convert(latent, name)
            shape, expected = tuple(there.data.shape), (3, *space.shape)
            self._demand(shape == expected, f"gives {shape} in {name}", f"{expected}")
            near = self._near(self._image(there), image)
            self._demand(near, f"gives another image from {name}", f"that from {order[0]}")
            if name != order[0]:
                try:
                    self.generator.convert(there, order[0])
                except GeneratorError:
                    continue
                self._demand(False, f"goes back from {name} to {order[0]}", "GeneratorError")

    def moves(self) -> None:
        latent = self._sample()
        image = self._image(latent)
        for name, space in self.generator.spaces.items():
            direction = stream(self.seed, PROBE_STREAMS).standard_normal(space.shape)
            for strength in (0.0, 1.0):
                with intervene(self.generator, [Move(name, direction, strength)]):
                    moved = self._image(latent)
                if strength:
                    changed = not torch.equal(moved, image)
                    self._demand(changed, f"does not follow a move in {name}", "another image")
                else:
                    near = self._near(moved, image)
                    self._demand(near, f"changes under a move by 0 in {name}", "the same image")

    def gradients(self) -> None:
        latent = self._sample()
        data = latent.data.clone().requires_grad_(True)
        image = self.generator.synthesize(Latent(latent.space, data, latent.label))
        self._demand(image.requires_grad, "cuts gradients off", "synthesize without no_grad")

    def layers(self) -> None:
        before = self._hooks()
        with trace(self.generator, "all") as maps:  # refuses maps of another shape
            self._image(self._sample())
        silent = [name for name in self.generator.layers if name not in maps]
        self._demand(
            not silent, f"never calls {silent[:3]}", "every listed layer in a forward pass"
        )
        self._demand(self._hooks() == before, "keeps hooks", "none after a trace")

    def _hooks(self) -> int:
        modules: Iterator[nn.Module] = self.generator.module.modules()
        return sum(len(module._forward_hooks) for module in modules)

    def refusals(self) -> None:
        """Check a generator whose layers can only be read."""
        latent, (layer, *_) = self._sample(), self.generator.layers
        live = Latent(latent.space, latent.data.clone().requires_grad_(True), latent.label)

        def edit() -> None:
            with intervene(self.generator, [Ablate(layer, [0])]):
                self._image(latent)

        for what, attempt in (
            ("an edit", edit),
            ("noise in a layer", self.reach),
            ("gradients", lambda: self.generator.synthesize(live)),
        ):
            try:
                attempt()
            except GeneratorError as error:
                one_line = "\n" not in str(error)
                self._demand(one_line, f"refuses {what} in several lines", "one")
            else:
                self._demand(False, f"takes {what}, but is not editable", "GeneratorError")

    def edits(self) -> None:
        latent = self._sample()
        image = self._image(latent)
        with intervene(self.generator, []):
            same = torch.equal(self._image(latent), image)
        self._demand(same, "changes under no edit", "the same bits")
        first, info = next(iter(self.generator.layers.items()))
        with intervene(self.generator, [Ablate(first, range(info.units))]):
            changed = not torch.equal(self._image(latent), image)
        self._demand(changed, f"does not change without {first}", "another image")

    def reach(self) -> None:
        check_reach(self.generator, list(self.generator.layers), seed=self.seed)
