"""A planted world: a toy generator with fully known truth, for tests and examples.

The image is 32 × 32 and black. It is divided into 16 cells of 8 × 8 pixels. Each painting unit has
its own cell, so shapes never overlap. With the ``colour`` segmenter, at a threshold between 0 and
1:

====  ========================================  ================================
unit  fires on                                  and paints
====  ========================================  ================================
0     a 6 × 6 square                            it, red
1     a plus sign                               it, green
2     a disc                                    it, blue
3     an upright bar                            it, yellow
4     a ring                                    it, purple
5     the left half of unit 0's square          nothing (IoU with red is exactly ½)
6     the shapes of units 1 and 2               nothing (IoU with green is c₁ / (c₁ + c₂))
7     a cell that has nothing to do with these  nothing
8     nowhere, it is constant                   nothing
====  ========================================  ================================

Unit 4 is drawn in one sample of eight, so it is rare. Values inside a shape are 1 or more and
differ from sample to sample; outside they are 0.

``moving()`` is the same world with a tenth unit, 9, which is 1 everywhere and keeps the red square
at its place. Without it the square is one pixel further right and down, with the same size. So its
removal takes 11 of 36 red pixels away and adds as many.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dissect.generators.shapes import LayerInfo
from dissect.generators.z_only import ZOnlyGenerator
from segmenters.base import hash_tensors
from segmenters.colour import TYPICAL

IMAGE_SIZE = 32
_CELL = 8
_N_CELLS = (IMAGE_SIZE // _CELL) ** 2
PAINTS = ("red", "green", "blue", "yellow", "purple")
N_UNITS = 9
MOVER = 9
"""The unit of ``moving()`` that keeps the red square at its place."""
_RARE_UNIT = 4
_RARE_QUANTILE = 1.1503  # a standard normal value exceeds it with probability 1/8


def _stamps() -> Float[Tensor, "painter cell cell"]:
    """The five shapes inside their cell."""
    y, x = torch.meshgrid(torch.arange(_CELL), torch.arange(_CELL), indexing="ij")
    square = (x >= 1) & (x <= 6) & (y >= 1) & (y <= 6)
    plus = square & (((x >= 3) & (x <= 4)) | ((y >= 3) & (y <= 4)))
    radius = (x - 3.5) ** 2 + (y - 3.5) ** 2
    disc = radius <= 9
    bar = square & (x >= 3) & (x <= 4)
    ring = (radius <= 12.5) & (radius >= 4)
    return torch.stack([square, plus, disc, bar, ring]).float()


class _Draw(nn.Module):
    """Latent → unit maps."""

    stamps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("stamps", _stamps())

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch unit height width"]:
        n_painters = len(PAINTS)
        cells = z[:, :_N_CELLS].argsort(dim=1)[:, : n_painters + 1]  # distinct cells
        strength = 1 + z[:, _N_CELLS : _N_CELLS + n_painters + 1].abs()
        rare = z[:, -1] > _RARE_QUANTILE
        strength[:, _RARE_UNIT] = torch.where(rare, strength[:, _RARE_UNIT], 0)
        maps = z.new_zeros(len(z), N_UNITS, IMAGE_SIZE, IMAGE_SIZE)
        full = torch.ones_like(self.stamps[:1])
        for place, stamp in enumerate(torch.cat([self.stamps, full])):
            drawn = self._put(stamp, cells[:, place]) * strength[:, place, None, None]
            maps[:, place if place < n_painters else 7] = drawn
        left = self.stamps[0] * (torch.arange(_CELL, device=z.device) < _CELL // 2)
        maps[:, 5] = self._put(left, cells[:, 0]) * strength[:, 0, None, None]
        maps[:, 6] = maps[:, 1] + maps[:, 2]
        return maps

    def _put(
        self, stamp: Float[Tensor, "cell cell"], cells: Tensor
    ) -> Float[Tensor, "batch height width"]:
        chosen = nn.functional.one_hot(cells, _N_CELLS).to(stamp.dtype)
        side = IMAGE_SIZE // _CELL
        tiles = chosen.reshape(-1, side, 1, side, 1) * stamp[:, None, :]
        return tiles.reshape(-1, IMAGE_SIZE, IMAGE_SIZE)


class _Network(nn.Module):
    """Draw, pass the maps through a layer that can be edited, paint."""

    paint: Tensor

    def __init__(self, *, moves: bool = False) -> None:
        super().__init__()
        self.moves = moves
        self.draw = _Draw()
        self.units = nn.Identity()
        paint = [[int(TYPICAL[name][i : i + 2], 16) / 127.5 for i in (1, 3, 5)] for name in PAINTS]
        self.register_buffer("paint", torch.tensor(paint))

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch 3 height width"]:
        maps = self.draw(z)
        if self.moves:
            maps = torch.cat([maps, torch.ones_like(maps[:, :1])], dim=1)
        maps = self.units(maps)
        coverage = maps[:, : len(PAINTS)].clamp(0, 1)
        if self.moves:
            held = maps[:, MOVER].clamp(0, 1)
            red = coverage[:, 0]
            moved = held * red + (1 - held) * red.roll((1, 1), (-2, -1))
            coverage = torch.cat([moved[:, None], coverage[:, 1:]], dim=1)
        return torch.einsum("bkhw,kc->bchw", coverage, self.paint) - 1


class PlantedGenerator(ZOnlyGenerator[_Network]):
    """The toy generator; follows the Generator protocol. One layer, ``units``."""

    def __init__(self, device: torch.device | str = "cpu", *, moves: bool = False) -> None:
        module = _Network(moves=moves).eval().to(device)
        name = "planted-moving" if moves else "planted"
        super().__init__(
            module,
            name=name,
            z_shape=(_N_CELLS + len(PAINTS) + 2,),
            fingerprint=hash_tensors(module.state_dict(), name),
        )
        self.image_size = IMAGE_SIZE
        self.channels = 3
        self.layers = {"units": LayerInfo(N_UNITS + moves, IMAGE_SIZE, IMAGE_SIZE, "units")}


def generator() -> PlantedGenerator:
    """The planted world as a factory: ``dissect.worlds.planted:generator``."""
    return PlantedGenerator()


def moving() -> PlantedGenerator:
    """The world with the unit that moves: ``dissect.worlds.planted:moving``."""
    return PlantedGenerator(moves=True)
