"""Diffusion models: U-Nets of diffusers as generators, noise → image in a few steps of DDIM.

    generator = load_generator("ddpm-cat-256")           # 5 steps
    generator = load_unet("ddpm-cat-256", n_steps=20)

No step draws random numbers (η = 0), so a latent, the noise x_T, has one image:

    x_s = √ᾱ_s · x̂₀(x_t, t) + √(1 − ᾱ_s) · ε̂(x_t, t),   t → s → … → 0

with x̂₀ and ε̂ from the U-Net's output at step t. The network and the rule are the library's own
(``UNet2DModel``, ``DDIMScheduler``). The reader of this package reads weights and configuration, so
nothing in the folder is run (``pip install 'gan-dissection[diffusers]'``).

**Layers belong to a step**: ``t800/mid_block`` is the output of the U-Net's ``mid_block`` at
t = 800. The same modules run at every step, so each one passes its output through a module of that
step alone, ``taps.t800.mid_block``; traces and edits hook there. An edit at one step changes that
step and all later ones, and reaches the skip connections as well. The layers are ``conv_in``, the
blocks, and the residual blocks inside them (except one whose output is also the block's).

References:
    Ho, Jain and Abbeel, Denoising Diffusion Probabilistic Models, NeurIPS 2020, section 3.
    Song, Meng and Ermon, Denoising Diffusion Implicit Models, ICLR 2021, equation 12.
    Kwon, Jeong and Uh, Diffusion Models Already Have a Semantic Latent Space, ICLR 2023 (the
    bottleneck at each step as h-space).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import CheckpointError, GeneratorError
from dissect.generators.base import check_conversion
from dissect.generators.checkpoint import read
from dissect.generators.diffusers_library import open_library, own_config, rename_attentions
from dissect.generators.labels import class_vectors
from dissect.generators.shapes import LayerInfo
from dissect.generators.states import build
from dissect.generators.taps import Tap, exchange, grow
from dissect.generators.weights import Part, whole_part
from dissect.generators.z_only import ZOnlyGenerator
from dissect.latents import Latent
from segmenters.base import hash_tensors

N_STEPS = 5
"""Default number of steps of a forward pass."""
_CLASS = "UNet2DModel"
_BLOCK = re.compile(r"conv_in|mid_block|(down|up)_blocks\.\d+")
_INSIDE = ("ResnetBlock2D", "ResnetBlockCondNorm2D")
# Values that DDIMScheduler supports.
_CHOICES = {
    "prediction_type": ("epsilon", "sample", "v_prediction"),
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "timestep_spacing": ("leading", "linspace", "trailing"),
}
# Images of DDIMScheduler for fixed noise; the fingerprint includes them.
SETTINGS = (
    "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas",
    "clip_sample", "clip_sample_range", "set_alpha_to_one", "steps_offset", "prediction_type",
    "thresholding", "dynamic_thresholding_ratio", "sample_max_value", "timestep_spacing",
    "rescale_betas_zero_snr",
)  # fmt: skip
_MOST = {"sample_size": 4096, "layers_per_block": 64, "num_train_timesteps": 100_000}


class Scheduler(Protocol):
    """The members of ``diffusers.DDIMScheduler`` that are used here."""

    config: Mapping[str, Any]
    timesteps: Tensor
    alphas_cumprod: Tensor
    final_alpha_cumprod: Tensor

    def set_timesteps(self, num_inference_steps: int) -> None:
        """Choose the steps."""
        ...

    def step(
        self,
        model_output: Tensor,
        timestep: int | Tensor,
        sample: Tensor,
        *,
        eta: float,
        return_dict: bool,
    ) -> tuple[Tensor, Tensor]:
        """One step; returns (next sample, x̂₀)."""
        ...


def _config(unet: nn.Module) -> Mapping[str, Any]:
    """The configuration of a ``diffusers.UNet2DModel``; the class itself needs the extra."""
    config = unet.config
    assert isinstance(config, Mapping)
    return config


class _Route:
    """Hook that passes a U-Net module's output through the tap of the current step."""

    def __init__(self, owner: "Diffusion", path: str) -> None:
        self.owner, self.path = owner, path

    def __call__(self, module: nn.Module, inputs: tuple, output: Any) -> object:
        if self.owner.now is None:  # the U-Net was called from elsewhere
            return output
        tap = self.owner.taps.get_submodule(f"{self.owner.now}.{self.path}")
        if isinstance(output, Tensor):
            return tap(output)
        maps = output[0]
        edited = tap(maps)
        # Down blocks also list their output among the skips; it is the same map there.
        return (edited, *(exchange(part, maps, edited) for part in output[1:]))


class _ClassVectors(nn.Module):
    """Class embedding that takes weights of classes; a one-hot vector equals an index."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, vectors: Float[Tensor, "batch n_classes"]) -> Float[Tensor, "batch size"]:
        return vectors @ self.weight


class Diffusion(nn.Module):
    """A U-Net and the steps at which it is called.

    Args:
        unet: ``diffusers.UNet2DModel``, with its weights.
        scheduler: Scheduler with its steps set.
        paths: Modules of the U-Net that get a tap at every step.

    Attributes:
        timesteps: From noise to image.
        taps: ``taps.t800.mid_block`` and so on.
        now: The name of the current step, such as ``t800``; None outside a pass.
    """

    def __init__(self, unet: nn.Module, scheduler: Scheduler, paths: Sequence[str]) -> None:
        super().__init__()
        self.unet, self.scheduler = unet, scheduler
        self.channels = int(_config(unet)["in_channels"])
        self.timesteps = [int(t) for t in scheduler.timesteps]
        self.now: str | None = None
        self.taps = Tap()
        for t in self.timesteps:
            for path in paths:
                grow(self.taps, f"t{t}.{path}")
        for path in paths:
            unet.get_submodule(path).register_forward_hook(_Route(self, path))

    def forward(
        self,
        noise: Float[Tensor, "batch channels size size"],
        classes: Float[Tensor, "batch n_classes"] | None = None,
    ) -> Float[Tensor, "batch channels size size"]:
        """Images of noise, DDIM with η = 0."""
        sample = noise
        for t in self.timesteps:
            sample, _ = self.advance(t, sample, self.predict(t, sample, classes))
        return sample

    def predict(
        self,
        t: int,
        sample: Float[Tensor, "batch channels size size"],
        classes: Float[Tensor, "batch n_classes"] | None,
    ) -> Float[Tensor, "batch channels size size"]:
        """The U-Net's output for x_t; passes through the layers of step t."""
        self.now = f"t{t}"
        try:
            output = self.unet(sample, t, class_labels=classes, return_dict=False)[0]
        finally:
            self.now = None
        # A network with twice the channels also predicts its variance; with η = 0 it is unused.
        return output[:, : self.channels]

    def advance(
        self,
        t: int,
        sample: Float[Tensor, "batch channels size size"],
        output: Float[Tensor, "batch channels size size"],
    ) -> tuple[Float[Tensor, "batch channels size size"], Float[Tensor, "batch c h w"]]:
        """The next sample x_s, and x̂₀, the image that the step predicts."""
        ahead, image = self.scheduler.step(output, t, sample, eta=0.0, return_dict=False)[:2]
        return ahead, image

    def image_share(self, t: int) -> float:
        """√ᾱ_s, the factor of x̂₀ in the next sample."""
        n_steps = len(self.timesteps)
        before = t - int(self.scheduler.config["num_train_timesteps"]) // n_steps
        alphas = self.scheduler.alphas_cumprod
        return float(alphas[before] if before >= 0 else self.scheduler.final_alpha_cumprod) ** 0.5


def is_block(path: str, module: nn.Module) -> bool:
    """Whether a module of a U-Net is a layer: ``conv_in``, a block, or a residual block."""
    return _BLOCK.fullmatch(path) is not None or type(module).__name__ in _INSIDE


@torch.no_grad()
def probe(
    network: nn.Module, call: Callable[[], object], chosen: Callable[[str, nn.Module], bool]
) -> dict[str, tuple[int, int, int]]:
    """The maps of one call, in the order of calls: path → units, height, width.

    Args:
        network: Whose modules.
        call: Runs it on one sample.
        chosen: Whether the module at a path is a layer. Tokens (batch, place, unit) count as the
            map of their places, a square.
    """
    maps: dict[str, Tensor] = {}
    handles = []
    for path, module in network.named_modules():

        def note(module: nn.Module, inputs: tuple, output: Any, path: str = path) -> None:
            own = output if isinstance(output, Tensor) else output[0]
            same = [inside for inside, other in maps.items() if other is own]
            for inside in same:  # the last residual block of a block
                del maps[inside]
            maps[path] = own

        if chosen(path, module):
            handles.append(module.register_forward_hook(note))
    try:
        call()
    finally:
        for handle in handles:
            handle.remove()
    found = {}
    for path, values in maps.items():
        side = round(values.shape[1] ** 0.5)
        tokens = (values.shape[2], side, side)
        found[path] = tokens if values.ndim == 3 else tuple(values.shape[1:])
    return found


def _probe(
    unet: nn.Module, t: int, *, n_classes: int, name: str
) -> dict[str, tuple[int, int, int]]:
    """The maps of one call of a U-Net without a text."""
    config = _config(unet)
    size = (1, int(config["in_channels"]), _side(config), _side(config))
    latent = Latent("z", torch.zeros(size), torch.zeros(1, dtype=torch.int64))
    latent = latent.to(next(unet.parameters()).device)
    classes = class_vectors(latent, n_classes=n_classes, name=name)
    return probe(unet, lambda: unet(latent.data, t, class_labels=classes), is_block)


class DiffusionGenerator(ZOnlyGenerator[Diffusion]):
    """A diffusion model as a generator; follows the ``Generator`` protocol.

    Args:
        unet: ``diffusers.UNet2DModel`` with its weights; gets hooks that stay.
        scheduler: ``diffusers.DDIMScheduler`` with its steps set.
        n_classes: Number of classes that the U-Net embeds; 0 if none.
        fingerprint, name: See ``Generator``.
    """

    def __init__(
        self, unet: nn.Module, scheduler: Scheduler, *, n_classes: int, fingerprint: str, name: str
    ) -> None:
        channels, side = int(_config(unet)["in_channels"]), _side(_config(unet))
        maps = _probe(unet, int(scheduler.timesteps[0]), n_classes=n_classes, name=name)
        module = Diffusion(unet, scheduler, list(maps)).eval().requires_grad_(False)
        super().__init__(
            module,
            name=name,
            z_shape=(channels, side, side),
            fingerprint=fingerprint,
            n_classes=n_classes,
        )
        self.channels, self.image_size = channels, side
        self.layers = {
            f"t{t}/{path}": LayerInfo(*shape, f"taps.t{t}.{path}")
            for t in module.timesteps
            for path, shape in maps.items()
        }

    def synthesize(
        self, latent: Latent, *, noise: str = "const"
    ) -> Float[Tensor, "batch channels height width"]:
        """Images of the last step; ``noise`` has no effect, since no step adds noise."""
        check_conversion(self, latent, latent.space)
        classes = class_vectors(latent, n_classes=self.n_classes, name=self.name)
        return self.module(self._z(latent), classes)


def matches(part: Part) -> bool:
    """Whether the folder is a U-Net of diffusers, including unsupported ones."""
    return str(part.attributes.get("_class_name")).startswith("UNet")


def load_unet(
    path: str | Path,
    *,
    n_steps: int = N_STEPS,
    name: str | None = None,
    device: torch.device | str = "cpu",
) -> DiffusionGenerator:
    """Load the diffusion model of a folder, with a chosen number of steps.

    Args:
        path: Folder of a U-Net, or of the pipeline around it.
        n_steps: Calls of the U-Net per image. More give better images and more layers.
        name: Name shown to people; the folder's name if None.
        device: Device to run on.

    Raises:
        CheckpointError: see ``from_checkpoint``.
        GeneratorError: fewer steps than one, or more than it was trained with.

    Example:
        >>> list(load_unet(folder, n_steps=20).layers)[0]  # saved by diffusers
        't950/conv_in'
    """
    part, name = whole_part(read(path)), Path(path).stem if name is None else name
    if not matches(part):
        raise CheckpointError(f"{path} is not a U-Net of diffusers; expected the folder of one")
    return from_checkpoint(part, name=name, device=device, n_steps=n_steps)


def from_checkpoint(
    part: Part, *, name: str, device: torch.device | str, n_steps: int = N_STEPS
) -> DiffusionGenerator:
    """Load the generator of a folder; see the module docstring.

    Raises:
        CheckpointError: a network that needs more than noise, a scheduler that DDIM does not
            support, tensors that do not fit the configuration, or diffusers not installed.
        GeneratorError: a number of steps out of range.
    """
    _refuse_others(part)
    diffusers, config = open_library(part, _CLASS), own_config(part)
    scheduler = make_scheduler(diffusers, part)
    most = int(scheduler.config["num_train_timesteps"])
    if not 1 <= n_steps <= most:
        raise GeneratorError(f"n_steps is {n_steps}; expected 1 to {most} for {name}")
    scheduler.set_timesteps(n_steps)
    first, prediction = int(scheduler.timesteps[0]), scheduler.config["prediction_type"]
    if prediction == "epsilon" and float(scheduler.alphas_cumprod[first]) == 0:
        raise _odd(part, f"predicts noise at t = {first}, where there is nothing else (ᾱ = 0)")
    unet = build(
        lambda: diffusers.UNet2DModel.from_config(config),
        rename_attentions(part.tensors),
        part.path,
        family=_CLASS,
    )
    n_classes = int(config.get("num_class_embeds") or 0)
    if n_classes:
        unet.class_embedding = _ClassVectors(unet.class_embedding.weight).eval()
    settings = {key: scheduler.config[key] for key in SETTINGS}
    stated = any(key.startswith("scheduler/") for key in part.attributes)
    about = part.ledger.obeyed if stated else part.ledger.assumed
    about |= {f"scheduler/{key}": value for key, value in settings.items()}
    architecture = {key: value for key, value in config.items() if not key.startswith("_")}
    about = json.dumps([architecture, settings, n_steps], sort_keys=True)
    return DiffusionGenerator(
        unet.to(device),
        scheduler,
        n_classes=n_classes,
        fingerprint=hash_tensors(unet.state_dict(), "diffusion", about),
        name=name,
    )


def make_scheduler(diffusers: ModuleType, part: Part) -> Scheduler:
    """DDIM over the betas that the folder names, otherwise over those of DDPM."""
    start = "scheduler/"
    given = {
        key.removeprefix(start): value
        for key, value in part.attributes.items()
        if key.startswith(start)
    }
    title = str(given.get("_class_name", "DDIMScheduler"))
    known = diffusers.schedulers.KarrasDiffusionSchedulers.__members__
    # This scheduler is listed as compatible, but has no betas.
    if title not in known or title == "EDMEulerScheduler":
        raise _odd(part, f"has the scheduler {title}, whose steps are not those of DDIM")
    for key, known in _CHOICES.items():
        if given.get(key, known[0]) not in known:
            raise _odd(
                part,
                f"has a scheduler whose {key} is {str(given[key])[:40]!r}, where "
                f"{', '.join(known)} were expected",
            )
    _check_sizes(part, given)
    return diffusers.DDIMScheduler.from_config(given)


def _refuse_others(part: Part) -> None:
    """Raise an error if the network needs more than noise to make an image."""
    given, path = part.attributes, part.path
    title, pipeline = given["_class_name"], given.get("pipeline/_class_name")
    if title != _CLASS:
        within = f" of a {pipeline}" if pipeline else ""
        raise CheckpointError(
            f"{path} is a {title}{within}, which needs more than noise (a text, a video, states "
            f"of an agent); expected {_CLASS}; wrap it with what it needs as "
            "package.module:factory, or give its vae folder for the decoder alone"
        )
    others = [
        part
        for part in given.get("pipeline/parts", [])
        if not part.startswith("unet:") and not part.endswith("Scheduler")
    ]
    if others:
        raise CheckpointError(
            f"{path} is part of a {pipeline}, which has {', '.join(others)[:80]} beside its U-Net; "
            f"expected a U-Net that makes images alone; give the folder "
            f"{others[0].split(':')[0]} there for a decoder, or wrap all as package.module:factory"
        )
    _check_sizes(part, given)
    _side(given, part)
    channels, out = given.get("in_channels", 3), given.get("out_channels", 3)
    learned = str(given.get("scheduler/variance_type")).startswith("learned")
    if channels not in (1, 3) or out not in (channels, 2 * channels if learned else channels):
        raise _odd(
            part,
            f"goes from {channels} to {out} channels, where images (1 or 3) were expected",
        )
    if given.get("class_embed_type") is not None:
        raise _odd(
            part,
            f"embeds classes by {given['class_embed_type']!r}, where indices were expected",
        )
    if given.get("time_embedding_type") == "fourier":
        raise _odd(part, "embeds levels of noise, where timesteps were expected")


def _check_sizes(part: Part, given: Mapping[str, object]) -> None:
    """Check sizes that are looped over or allocated before the tensors are compared."""
    for key, most in _MOST.items():
        value = given.get(key)
        numbers = value if isinstance(value, list | tuple) else [1 if value is None else value]
        if not all(isinstance(number, int) and 1 <= number <= most for number in numbers):
            raise CheckpointError(
                f"{part.path} says {key} is {str(value)[:40]}; expected 1 to {most}; "
                "get the folder again"
            )


def _side(config: Mapping[str, Any], part: Part | None = None) -> int:
    """Height and width of images."""
    size = config.get("sample_size")
    sides: Sequence[Any] = size if isinstance(size, list | tuple) else [size, size]
    if part is not None and (size is None or len(set(sides)) != 1):
        raise _odd(part, f"says sample_size is {size}, where that of squares was expected")
    return int(sides[0])


def _odd(part: Part, what: str) -> CheckpointError:
    return CheckpointError(
        f"{part.path} {what}; wrap it as package.module:factory with a sampler of its own"
    )
