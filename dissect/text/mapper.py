"""StyleCLIP's mapper: a small network, trained for one text, that edits any latent at once.

    w' = w + α · 0.1 · M(w),   M = (M_coarse, M_medium, M_fine), one for each third of the layers

Each part normalises its rows of w+ (x / √mean x²) and passes them through four layers. Trained by

    minimise over M   distance(G(w'), t) + λ · mean (w' - w)²      with α = 1

on samples of the generator. The last layer starts at 0, so an untrained mapper is the identity, as
is α = 0. Optimisation searches each image anew; a mapper is trained once, and another image costs
one forward pass.

The original has 4, 4 and 10 layers per group of 18, Ranger at rate 0.5 (with rows scaled by 0.01)
and 50,000 steps of two images, hours on a GPU; here Adam, and a few hundred steps.

References:
    Patashnik et al., StyleCLIP, ICCV 2021, section 5, equations 2 and 3 (no identity loss here).
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dissect.errors import GeneratorError
from dissect.generators.base import Generator, check_belongs, check_editable
from dissect.latents import Latent
from dissect.progress import ProgressBar
from dissect.record_file import RecordFile
from dissect.text.scorer import TextScorer
from dissect.text.settings import MapperSettings
from segmenters.plain_text import one_line

_FILE = RecordFile(
    "gan-dissection/text-mapper",
    holds="a mapper",
    expected="a file that dissect text edit --way mapper wrote",
    advice="train the mapper again",
)
_STEP = 0.1  # scale of M's output
_DEPTH, _LEAK = 4, 0.2
_COARSE, _MEDIUM = 4 / 18, 8 / 18  # ends of the groups, as fractions of the layers


class _Group(nn.Module):
    """Part of M for some layers of w+, the same for each of them."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(size, size) for _ in range(_DEPTH)])
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @property
    def last(self) -> nn.Linear:
        layer = self.layers[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, w: Float[Tensor, "batch layer w"]) -> Float[Tensor, "batch layer w"]:
        x = w * (w.square().mean(dim=-1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers[:-1]:
            x = functional.leaky_relu(layer(x), _LEAK)
        return self.last(x)


class MapperNetwork(nn.Module):
    """M.

    Args:
        n_layers, size: Shape of w+.
    """

    def __init__(self, n_layers: int, size: int) -> None:
        super().__init__()
        ends = [0, max(1, round(_COARSE * n_layers)), max(2, round(_MEDIUM * n_layers)), n_layers]
        self.sizes = [max(0, b - a) for a, b in zip(ends, ends[1:], strict=False)]
        self.groups = nn.ModuleList([_Group(size) for _ in self.sizes])

    def forward(self, w: Float[Tensor, "batch layer w"]) -> Float[Tensor, "batch layer w"]:
        parts = w.split(self.sizes, dim=1)
        return _STEP * torch.cat(
            [group(part) for group, part in zip(self.groups, parts, strict=True)], dim=1
        )


@dataclass(frozen=True, eq=False)
class Mapper:
    """A trained mapper.

    Args:
        network: M.
        text: The text.
        generator, towers: Fingerprints.
        settings: Options of the training.
        distances: Mean distance to the text at each step; empty for a mapper from a file.
    """

    network: MapperNetwork
    text: str
    generator: str
    towers: str
    settings: MapperSettings
    distances: tuple[float, ...] = ()

    @torch.no_grad()
    def apply(self, generator: Generator, latent: Latent, strength: float = 1.0) -> Latent:
        """Latents in w+ moved by α = ``strength``; the same latent for 0.

        Raises:
            GeneratorError: a mapper of another generator, or a latent that does not reach w+.
        """
        check_belongs(
            generator, self.generator, what="mapper", advice="train one for this generator"
        )
        if strength == 0:
            return latent
        start = generator.convert(latent, "w+")
        moved = start.data + strength * self.network(start.data)
        return Latent("w+", moved, latent.label)


def train_mapper(
    generator: Generator,
    scorer: TextScorer,
    text: str,
    settings: MapperSettings | None = None,
    *,
    seed: int = 0,
    progress: bool = False,
) -> Mapper:
    """Train a mapper for a text on the samples 0, 1, … of a seed.

    Args:
        generator: A generator with w+ and gradients.
        scorer: Scorer of its images.
        text: The text.
        settings: The training; None: the defaults.
        seed: Seed of samples and initial weights.
        progress: Show a progress bar.

    Raises:
        ConfigError: a text without a letter.
        GeneratorError: a generator without w+ or gradients.
    """
    settings = settings or MapperSettings()
    check_editable(generator)
    if "w+" not in generator.spaces:
        raise GeneratorError(
            f"{generator.name} has no space w+, in which a mapper works; expected a StyleGAN; "
            "use --way optimise"
        )
    target = scorer.encode_texts([text])[0].detach()
    network = _initial(generator, seed)
    adam = torch.optim.Adam(network.parameters(), lr=settings.mapper_rate)
    label = 0 if generator.n_classes else None
    distances, batch = [], settings.mapper_batch
    for step in ProgressBar(range(settings.mapper_steps), desc=text, disable=not progress):
        adam.param_groups[0]["lr"] = settings.mapper_rate * (1 - step / settings.mapper_steps)
        with torch.no_grad():
            drawn = generator.sample(
                range(step * batch, (step + 1) * batch), seed=seed, label=label
            )
            start = generator.convert(drawn, "w+")
        change = network(start.data)
        images = generator.synthesize(Latent("w+", start.data + change, start.label))
        found = scorer.distance(images, target, step=step).mean()
        adam.zero_grad(set_to_none=True)
        (found + settings.mapper_near * change.square().mean()).backward()
        adam.step()
        distances.append(float(found.detach()))
    network.eval().requires_grad_(False)
    return Mapper(
        network, text, generator.fingerprint, scorer.fingerprint, settings, tuple(distances)
    )


def save_mapper(mapper: Mapper, path: str | Path) -> None:
    """Write a mapper as safetensors.

    Raises:
        ConfigError: a name that does not end in ``.safetensors``.
    """
    record = {
        "text": mapper.text, "generator": mapper.generator,
        "towers": mapper.towers, "settings": asdict(mapper.settings),
    }  # fmt: skip
    state = mapper.network.state_dict()
    _FILE.write(path, {name: one.cpu().numpy() for name, one in state.items()}, record)


def read_mapper(path: str | Path, generator: Generator) -> Mapper:
    """Read a mapper of a generator.

    Raises:
        ConfigError: a file that holds no mapper.
        GeneratorError: a mapper of another generator.
    """
    network = MapperNetwork(*generator.spaces["w+"].shape)

    def shapes(record: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        advice = "train one for this generator"
        check_belongs(generator, str(record["generator"]), what="mapper", advice=advice)
        return {name: tuple(one.shape) for name, one in network.state_dict().items()}

    record, arrays = _FILE.read(path, shapes=shapes)
    with _FILE.reading(path):
        text, of, towers = (str(record[key]) for key in ("text", "generator", "towers"))
        settings = MapperSettings(**record["settings"])
        network.load_state_dict({name: torch.from_numpy(one) for name, one in arrays.items()})
    network.eval().requires_grad_(False).to(generator.device)
    return Mapper(network, one_line(text), of, towers, settings)


def _initial(generator: Generator, seed: int) -> MapperNetwork:
    """A network with weights of a seed; the global random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MapperNetwork(*generator.spaces["w+"].shape)
    return network.to(generator.device)
