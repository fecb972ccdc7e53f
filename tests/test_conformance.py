import pytest
import torch

from dissect import load_generator
from dissect.errors import DissectError, GeneratorError
from dissect.generators.base import LayerInfo
from dissect.generators.diffusers_unets import load_unet
from dissect.latents import Latent
from dissect.testing import check_generator
from dissect.worlds.planted import PlantedGenerator

FILES = (
    "sg2ada_uncond64.pkl", "sg2ada_cond32.pkl", "sg3t_uncond32.pkl", "tf_stylegan2_32.pkl",
    "rosinality_converted64.pt", "rosinality_train16.pt", "genforce_stylegan1_32.pth",
    "genforce_pggan32.pth", "gandissect_proggan32.pth", "biggan_hf32", "lucidrains_sg2_32",
    "eigengan_pytorch32.pt", "dcgan_small64.pth",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_generators_from_files_keep_all_laws(checkpoints, name):
    assert len(check_generator(load_generator(checkpoints / name))) == 11


def test_diffusion_models_keep_all_laws(checkpoints):
    pytest.importorskip("diffusers", reason="diffusers is not installed")
    assert len(check_generator(load_unet(checkpoints / "diffusers_ddpm16", n_steps=2))) == 11


@pytest.mark.parametrize("name", ["scenes-stylegan2", "scenes-pggan"])
def test_shipped_generators_keep_all_laws(name):
    check_generator(load_generator(name))


class Moody(PlantedGenerator):
    def synthesize(self, latent, *, noise="const"):
        return super().synthesize(latent) + 0.1 * torch.rand(1)


class Loud(PlantedGenerator):
    def synthesize(self, latent, *, noise="const"):
        return 127.5 * (super().synthesize(latent) + 1)


class Cut(PlantedGenerator):
    @torch.no_grad()
    def synthesize(self, latent, *, noise="const"):
        return super().synthesize(latent)


class Leaning(PlantedGenerator):
    def synthesize(self, latent, *, noise="const"):
        image = super().synthesize(latent)
        return image - image.mean(dim=0, keepdim=True)


class Batched(PlantedGenerator):
    def sample(self, indices, *, seed, label=None):
        return Latent(
            "z", torch.randn(len(indices), 23, generator=torch.Generator().manual_seed(seed))
        )


class Wrong(PlantedGenerator):
    def __init__(self):
        super().__init__()
        self.layers = {"units": LayerInfo(9, 16, 16, "units")}


class Training(PlantedGenerator):
    def __init__(self):
        super().__init__()
        self.module.train()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Moody, "gives one latent two images"),
        (Loud, r"values up to \d+; expected about"),
        (Cut, "cuts gradients off"),
        (Leaning, "other images in another batch"),
        (Batched, "sample 2 other bits"),
        (Wrong, r"put out .* expected \(batch, 9, 16, 16\)"),
        (Training, "in training mode; expected eval mode"),
    ],
)
def test_a_broken_law_is_named(broken, message):
    with pytest.raises(DissectError, match=message):
        check_generator(broken())


def test_a_layer_that_is_never_called_is_named():
    planted = PlantedGenerator()
    planted.module.add_module("aside", torch.nn.Identity().eval())
    planted.layers["aside"] = LayerInfo(9, 32, 32, "aside")
    with pytest.raises(GeneratorError, match=r"never calls \['aside'\]"):
        check_generator(planted)
