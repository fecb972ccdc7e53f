"""A network that reads images, dissected over photographs: ``NETWORK?images=FOLDER``.

    torchvision:resnet18?images=photos                        its best weights, downloaded once
    torchvision:resnet18@runs/places.pth?images=photos        the user's own state dict
    nets:make_net?images=photos                               the user's own factory

This is Network Dissection: units of a classifier instead of a generator. The network follows the
``Generator`` protocol with one space, ``image``. Sample i is the i-th photograph by file name, for
any seed. ``synthesize`` runs the network and returns the photograph. Its layers can only be read,
since no unit changes a photograph.

Its layers are the modules that output a map once in a forward pass. If several modules output the
same map, the outermost counts; maps that a later operation overwrites are left out.

References:
    Bau et al., Network Dissection: Quantifying Interpretability of Deep Visual Representations,
    CVPR 2017.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.errors import ConfigError, GeneratorError
from dissect.generators.base import check_conversion
from dissect.generators.notebook import ShownGenerator
from dissect.generators.shapes import LayerInfo, Space
from dissect.generators.wrapping import own_code
from dissect.latents import Latent
from dissect.photographs import KINDS, image_files, read_image
from segmenters.base import hash_tensors
from segmenters.factory import call_factory
from segmenters.hub import load_state, read_weights
from segmenters.nearest import did_you_mean

OPTION = "?images="
LIBRARY = "torchvision:"
_SIZE = 224  # pixels, if a factory's network gives no size
_SPACE = "image"
_WEIGHT_FILES = (".pth", ".pt", ".safetensors", ".bin")
_NOT_EDITABLE = "the network looks at images, and what its units do changes none"


def add_images(spec: str, folder: str | None) -> str:
    """Spec of a network over the images of a folder; None returns it unchanged.

    Example:
        >>> add_images("torchvision:resnet18", "photos")
        'torchvision:resnet18?images=photos'
    """
    return spec if folder is None else f"{spec}{OPTION}{folder}"


@dataclass(frozen=True)
class Photographs:
    """The images of a folder at one size.

    Args:
        folder: Folder with PNG, JPEG and WebP files, read in order of name.
        size: Height and width in pixels of the squares that images are cropped to.

    Raises:
        ConfigError: no folder, or one without images.
    """

    folder: Path
    size: int
    files: tuple[Path, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise ConfigError(f"{self.folder} is not a folder; expected one with {KINDS} images")
        object.__setattr__(self, "files", tuple(image_files(self.folder)))
        if not self.files:
            raise ConfigError(f"{self.folder} holds no {KINDS} images; expected some right in it")

    def read(self, indices: Sequence[int]) -> Float[Tensor, "batch 3 size size"]:
        """Some of the images, in [-1, 1].

        Raises:
            ConfigError: a file that cannot be read.
        """
        images = np.stack([read_image(self.files[index], self.size) for index in indices])
        return (torch.from_numpy(images).float().permute(0, 3, 1, 2) / 127.5 - 1).contiguous()

    def digest(self) -> str:
        """SHA-256 over names and bytes of all files."""
        total = hashlib.sha256()
        for path in self.files:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{path.name}|{content}|".encode())
        return total.hexdigest()


class ImageNetwork(ShownGenerator):
    """A network that reads photographs; follows the ``Generator`` protocol.

    Args:
        module: Takes images (batch, 3, size, size), normalised; put in eval mode and frozen. Its
            in-place activations are switched to copies, so that their inputs can be read.
        photographs: Sample i is image i.
        name: Name shown to people.
        mean, std: Images in [0, 1] are normalised to (x − mean) / std; None leaves them in [-1, 1].

    Raises:
        GeneratorError: a network that fails on such images, or outputs no map.
    """

    not_editable: str | None = _NOT_EDITABLE
    channels, n_classes = 3, 0

    def __init__(
        self,
        module: nn.Module,
        photographs: Photographs,
        *,
        name: str,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        self.module, self.name = module.eval().requires_grad_(False), name
        for part in module.modules():
            if getattr(part, "inplace", False) is True:
                part.inplace = False  # type: ignore[assignment]
        self.family = type(module).__name__
        self.image_size, self._photographs = photographs.size, photographs
        self._mean, self._std = mean, std
        self.spaces = {_SPACE: Space(_SPACE, (3, photographs.size, photographs.size))}
        self.layers: Mapping[str, LayerInfo] = self._find_layers()
        self.fingerprint = hash_tensors(
            module.state_dict(), "image network", repr(module), mean, std, photographs.size,
            photographs.digest(),
        )  # fmt: skip

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._photographs.files)

    @property
    def device(self) -> torch.device:
        """The device of the network's parameters; the CPU for a network without any."""
        return next((one.device for one in self.module.parameters()), torch.device("cpu"))

    def sample(self, indices: Sequence[int], *, seed: int, label: int | None = None) -> Latent:
        """Photographs, the same for any seed.

        Raises:
            GeneratorError: more samples than there are photographs, or a label.
            ConfigError: a file that cannot be read.
        """
        n_files, folder = len(self), self._photographs.folder
        if max(indices, default=0) >= n_files:
            raise GeneratorError(
                f"sample {max(indices)} is not in {folder}, which holds {n_files} images; expected "
                f"samples 0 to {n_files - 1}; take at most {n_files}"
            )
        if label is not None:
            raise GeneratorError(
                f"label {label} was given for {self.name}; expected none: photographs have no class"
            )
        return Latent(_SPACE, self._photographs.read(indices)).to(self.device)

    def convert(
        self, latent: Latent, space: str, *, truncation: float = 1.0, cutoff: int | None = None
    ) -> Latent:
        """Convert images to images; the only space is ``image``.

        Raises:
            GeneratorError: another space, another shape, or truncation, since images have no
                mean.
        """
        check_conversion(self, latent, space)
        if truncation != 1 or cutoff is not None:
            raise GeneratorError(
                f"truncation {truncation} was given for {self.name}; expected 1: photographs are "
                "taken as they are"
            )
        return latent

    def synthesize(self, latent: Latent, *, noise: str = "const") -> Float[Tensor, "batch 3 h w"]:
        """Run the network on photographs and return them.

        Raises:
            GeneratorError: a latent of another shape, or a network that fails.
        """
        check_conversion(self, latent, latent.space)
        images = latent.data.to(self.device)
        self._look(images)
        return images

    def _look(self, images: Float[Tensor, "batch 3 h w"]) -> None:
        if self._mean is not None and self._std is not None:
            mean, std = (images.new_tensor(v)[:, None, None] for v in (self._mean, self._std))
            images = ((images + 1) / 2 - mean) / std
        passed = f"{type(self.module).__name__} was called with {tuple(images.shape)}"
        with own_code(self.name, passed):
            self.module(images)

    @torch.no_grad()
    def _find_layers(self) -> dict[str, LayerInfo]:
        found: dict[str, list[tuple[Tensor, int]]] = {}
        handles = []
        for path, module in self.module.named_modules():

            def note(module: nn.Module, given: tuple, output: object, path: str = path) -> None:
                if isinstance(output, Tensor) and output.ndim == 4 and len(output) == 2:
                    found.setdefault(path, []).append((output, output._version))

            if path:
                handles.append(module.register_forward_hook(note))
        size = self.image_size
        try:
            self._look(torch.zeros(2, 3, size, size, device=self.device))
        finally:
            for handle in handles:
                handle.remove()
        outermost: dict[int, str] = {}
        for path, outputs in found.items():
            (output, version), *others = outputs
            if not others and output._version == version:
                outermost[id(output)] = path  # a module's hook runs after those of inner modules
        if not outermost:
            raise GeneratorError(
                f"{self.name} has no module that puts out a map (batch, unit, height, width) once; "
                "expected some; a network of tokens cannot be read so"
            )
        shapes = {path: tuple(outputs[0][0].shape[1:]) for path, outputs in found.items()}
        return {
            path: LayerInfo(*shapes[path], module=path)
            for path in found
            if path in outermost.values()
        }


def load_image_network(
    spec: str, folder: str, *, device: torch.device | str = "cpu"
) -> ImageNetwork:
    """Load a network over the images of a folder.

    Args:
        spec: ``torchvision:ARCHITECTURE``, with ``@WEIGHTS`` or ``@FILE``; or
            ``package.module:factory``, where the factory returns an ``nn.Module`` that takes RGB
            images in [-1, 1], of ``module.image_size`` pixels (224 if it has no such attribute).
        folder: Folder of the images.
        device: Device of a torchvision network.

    Raises:
        GeneratorError: an unknown network, weights that are not available, no map in it.
        ConfigError: no images.
    """
    name = f"{spec}{OPTION}{folder}"
    if spec.startswith(LIBRARY):
        module, size, mean, std = _of_library(spec.removeprefix(LIBRARY))
        photographs = Photographs(Path(folder), size)
        return ImageNetwork(module.to(device), photographs, name=name, mean=mean, std=std)
    if ":" not in spec:
        raise GeneratorError(
            f"images of {folder} were given for {spec!r}; expected a network that looks at images: "
            f"{LIBRARY}ARCHITECTURE, or package.module:factory that gives an nn.Module"
        )
    module = call_factory(spec, protocol=nn.Module, error=GeneratorError)
    size = getattr(module, "image_size", _SIZE)
    if not isinstance(size, int) or size < 1:
        raise GeneratorError(f"{spec} has the image_size {size!r}; expected a number of pixels")
    return ImageNetwork(module, Photographs(Path(folder), size), name=name)


def _of_library(target: str) -> tuple[nn.Module, int, Sequence[float], Sequence[float]]:
    """A classifier of torchvision: the module, its image size, mean and deviation."""
    from torchvision import models  # noqa: PLC0415, takes a second

    architecture, _, chosen = target.partition("@")
    known = models.list_models(module=models)
    if architecture not in known:
        raise GeneratorError(
            f"{architecture!r} is not a classifier of torchvision; "
            f"{did_you_mean(architecture, known)}expected one of {', '.join(known)}"
        )
    weights = models.get_model_weights(architecture)
    is_file = chosen.endswith(_WEIGHT_FILES)
    if not is_file and (chosen or "DEFAULT") not in weights.__members__:
        raise GeneratorError(
            f"{architecture} has no weights {chosen!r}; expected one of "
            f"{', '.join(weights.__members__)}, or a file ({' '.join(_WEIGHT_FILES)})"
        )
    entry = weights["DEFAULT" if is_file else chosen or "DEFAULT"]
    preset = entry.transforms()
    if is_file:
        path = Path(chosen).expanduser()
        state = read_weights(path)
    else:
        path = Path(str(entry))
        try:
            state = dict(entry.get_state_dict(progress=True, check_hash=True, weights_only=True))
        except (OSError, RuntimeError) as error:  # no network; another digest
            raise GeneratorError(
                f"{entry} cannot be fetched from {entry.url} "
                f"({' '.join(str(error).split())[:100]}); fetch it where there is a network and "
                "give the file after @"
            ) from None
    n_classes = _count_classes(state)
    module = models.get_model(
        architecture, weights=None, **({} if n_classes is None else {"num_classes": n_classes})
    )
    load_state(module, state, path)
    return module, int(preset.crop_size[0]), tuple(preset.mean), tuple(preset.std)


def _count_classes(state: Mapping[str, Tensor]) -> int | None:
    """Number of rows of the last bias, which belongs to the classifier's head."""
    biases = [value for name, value in state.items() if name.endswith("bias") and value.ndim == 1]
    return biases[-1].shape[0] if biases else None
