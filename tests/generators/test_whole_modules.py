"""Whole modules saved by ``torch.save``, against the images that the modules themselves give."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from dissect import CheckpointError, Latent, load_generator
from dissect.testing import check_generator
from tests.rounding import assert_same


def chain(*, bend=nn.ReLU, norm=nn.BatchNorm2d, end=nn.Tanh, first=True):
    """A chain of 16 px with its parts settable."""
    start = [nn.Unflatten(1, (10, 1, 1))] if first else []
    return nn.Sequential(
        *start, nn.ConvTranspose2d(10, 8, 4), norm(8), bend(),
        nn.ConvTranspose2d(8, 6, 4, 2, 1), norm(6), bend(), nn.ConvTranspose2d(6, 3, 4, 2, 1),
        *([end()] if end else []),
    )  # fmt: skip


def grown(up):
    return nn.Sequential(
        nn.Linear(10, 8 * 16), nn.Unflatten(1, (8, 4, 4)), nn.BatchNorm2d(8), nn.ReLU(), *up(8, 6),
        nn.BatchNorm2d(6, 0.8), nn.LeakyReLU(0.2), *up(6, 5), nn.Conv2d(5, 3, 3, padding=1),
        nn.Tanh(),
    )  # fmt: skip


def by_upsampling(mode):
    return lambda a, b: [nn.Upsample(scale_factor=2, mode=mode), nn.Conv2d(a, b, 3, padding=1)]


def by_shuffling(a, b):
    return [nn.Conv2d(a, 4 * b, 3, padding=1), nn.PixelShuffle(2)]


class One(nn.Module):
    """A class with one part, as the tutorial has it."""

    def __init__(self, part):
        super().__init__()
        self.main = part

    def forward(self, z):
        return self.main(z)


class Blocks(nn.Module):
    """A class of blocks that follow each other."""

    def __init__(self):
        super().__init__()
        self.l1 = nn.Sequential(nn.ConvTranspose2d(10, 8, 4), nn.BatchNorm2d(8), nn.LeakyReLU(0.3))
        self.l2 = nn.Sequential(nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.LeakyReLU(0.3))
        self.l3 = nn.Sequential(nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh())

    def forward(self, z):
        return self.l3(self.l2(self.l1(z)))


class Named(nn.Module):
    """A class of numbered layers whose norms were registered behind them."""

    def __init__(self):
        super().__init__()
        self.deconv1, self.deconv2 = nn.ConvTranspose2d(10, 8, 4), nn.ConvTranspose2d(8, 8, 4, 2, 1)
        self.deconv3 = nn.ConvTranspose2d(8, 3, 4, 2, 1)
        self.bn1, self.bn2 = nn.BatchNorm2d(8, eps=0.1), nn.BatchNorm2d(8, eps=0.2)
        self.act, self.tanh = nn.ELU(0.7), nn.Tanh()

    def forward(self, z):
        x = self.act(self.bn1(self.deconv1(z)))
        return self.tanh(self.deconv3(self.act(self.bn2(self.deconv2(x)))))


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


class Reshaping(nn.Module):
    """A matrix, and a reshape that only the code knows."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(10, 128)
        self.up = nn.Sequential(nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh())


def settle(module):
    """Statistics and affine parameters that no default can stand for."""
    torch.manual_seed(1)
    for part in module.modules():
        for name in ("running_mean", "bias"):
            if isinstance(getattr(part, name, None), torch.Tensor):
                getattr(part, name).data.normal_()
        for name in ("running_var",):
            if isinstance(getattr(part, name, None), torch.Tensor):
                getattr(part, name).data.uniform_(0.5, 2)
        if isinstance(part, nn.BatchNorm2d | nn.GroupNorm) and part.weight is not None:
            part.weight.data.uniform_(0.5, 1.5)
    return module.eval()


MODULES = {
    "ReLU": chain,
    "ReLU in place": lambda: chain(bend=lambda: nn.ReLU(inplace=True)),
    "leaky ReLU": lambda: chain(bend=lambda: nn.LeakyReLU(0.2, inplace=True)),
    "ELU": lambda: chain(bend=lambda: nn.ELU(0.5)),
    "GELU": lambda: chain(bend=lambda: nn.GELU("tanh")),
    "SiLU": lambda: chain(bend=nn.SiLU),
    "PReLU": lambda: chain(bend=lambda: nn.PReLU(init=0.4)),
    "hard tanh": lambda: chain(end=nn.Hardtanh),
    "another epsilon": lambda: chain(norm=lambda n: nn.BatchNorm2d(n, eps=0.3)),
    "no affine norm": lambda: chain(norm=lambda n: nn.BatchNorm2d(n, affine=False)),
    "instance norm": lambda: chain(norm=lambda n: nn.InstanceNorm2d(n, affine=True)),
    "group norm": lambda: chain(norm=lambda n: nn.GroupNorm(2, n)),
    "no norm": lambda: chain(norm=lambda n: nn.Identity()),
    "dropout": lambda: chain(norm=lambda n: nn.Dropout2d(0.4)),
    "no Unflatten": lambda: chain(first=False),
    "another stride": lambda: nn.Sequential(
        nn.ConvTranspose2d(10, 8, 5), nn.ReLU(), nn.ConvTranspose2d(8, 3, 5, 3, 1), nn.Tanh()
    ),
    "upsampling": lambda: grown(by_upsampling("nearest")),
    "bilinear upsampling": lambda: grown(by_upsampling("bilinear")),
    "pixel shuffle": lambda: grown(by_shuffling),
    "a class of one part": lambda: One(chain(bend=lambda: nn.LeakyReLU(0.1), first=False)),
    "a class of a class": lambda: One(One(chain(first=False))),
    "blocks": Blocks,
    "numbered layers": Named,
    "DataParallel": lambda: nn.DataParallel(One(chain(first=False))),
}


@pytest.mark.parametrize("case", MODULES)
def test_a_module_is_obeyed(tmp_path, case):
    torch.manual_seed(0)
    module = settle(MODULES[case]())
    torch.save(module, tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    latent = generator.sample(range(3), seed=0)
    z = latent.data
    inner = module.module if isinstance(module, nn.DataParallel) else module
    flat = isinstance(inner, nn.Sequential) and isinstance(inner[0], nn.Unflatten | nn.Linear)
    with torch.no_grad():
        expected = inner(z if flat else z[:, :, None, None])
        assert_same(generator.synthesize(latent), expected)
    check_generator(generator)


REFUSED = {
    "images in [0, 1]": (lambda: chain(end=nn.Sigmoid), r"Sigmoid.*\[0, 1\].*image_range=\(0, 1\)"),
    "code of a class": (lambda: chain(bend=Swish), "has a Swish in 3, whose code is not in"),
    "a reshape": (Reshaping, "Reshaping of 2 parts, and how its code joins them"),
    "no end": (lambda: One(chain(end=None, first=False)), "whether the code of One adds one"),
    "no statistics": (
        lambda: chain(norm=lambda n: nn.BatchNorm2d(n, track_running_stats=False)),
        "depends on its batch",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_module_does_not_say_is_refused_in_one_line(tmp_path, case):
    make, message = REFUSED[case]
    torch.save(make().eval(), tmp_path / "g.pt")
    with pytest.raises(CheckpointError, match=message) as told:
        load_generator(tmp_path / "g.pt")
    assert "\n" not in str(told.value)


def test_files_that_went_wrong_once(cases):
    folder = cases / "dcgan_whole_module"
    for name in ("leaky", "relu_ok"):
        expected = torch.load(folder / f"{name}_expected.pt", weights_only=True)
        generator = load_generator(folder / f"{name}.pt")
        assert_same(generator.synthesize(Latent("z", expected["z"])), expected["expected_image"])
    with pytest.raises(CheckpointError, match="Sigmoid"):
        load_generator(folder / "sigmoid.pt")


# State dicts, of which the same networks are the reference.


@pytest.mark.parametrize("file", ["g.pt", "g.safetensors"])
@pytest.mark.parametrize(
    "names",
    [
        ["deconv{}", "bn{}"], ["up{}.conv", "up{}.bn"], ["tconv{}", "tconv{}_bn"],
        ["b_layer_{}", "a_norm_{}"], ["net.{}.0", "net.{}.1"], ["n{}.deconv", "n{}.a"],
    ],
)  # fmt: skip
def test_names_are_matched_by_number_and_shape(tmp_path, names, file):
    """Eleven layers of one width, so that the alphabet and the shapes alone would mislead."""
    torch.manual_seed(0)
    layers, state = [], {}
    widths = [6] * 4 + [3]
    for k, (a, b) in enumerate(zip(widths, widths[1:], strict=False), start=8):
        layer = nn.ConvTranspose2d(a, b, 4, *((1, 0) if k == 8 else (2, 1)))
        layers.append(layer)
        for name, value in layer.state_dict().items():
            state[f"{names[0].format(k)}.{name}"] = value
        if b == 6:
            norm = settle(nn.BatchNorm2d(b))
            norm.running_mean += k
            layers += [norm, nn.ReLU()]
            for name, value in norm.state_dict().items():
                state[f"{names[1].format(k)}.{name}"] = value
    # Norms first and in turned order, as files of other programs may have them.
    turned = dict(sorted(state.items(), key=lambda item: (item[1].ndim, item[0])))
    if file == "g.pt":
        torch.save(turned, tmp_path / file)
    else:
        from safetensors.torch import save_file

        save_file({n: v.clone() for n, v in turned.items()}, tmp_path / file)
    module = nn.Sequential(*layers, nn.Tanh()).eval()
    generator = load_generator(tmp_path / file)
    latent = generator.sample(range(2), seed=0)
    with torch.no_grad():
        assert_same(generator.synthesize(latent), module(latent.data[:, :, None, None]))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "wrap", [spectral_norm, weight_norm, parametrizations.spectral_norm, parametrizations.weight_norm]
)  # fmt: skip
def test_weights_that_a_norm_computes_are_computed(tmp_path, wrap):
    torch.manual_seed(0)
    module = settle(chain(first=False))
    for part in module:
        if isinstance(part, nn.ConvTranspose2d):
            wrap(part)
    module.train()
    module(torch.randn(4, 10, 1, 1))  # so that the singular vectors are not those of the start
    module.eval()
    torch.save(module.state_dict(), tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    latent = generator.sample(range(3), seed=0)
    with torch.no_grad():
        assert_same(generator.synthesize(latent), module(latent.data[:, :, None, None]))


def test_a_chain_with_other_kernels_is_told_what_differs(tmp_path):
    state = nn.Sequential(nn.ConvTranspose2d(10, 8, 5), nn.ConvTranspose2d(8, 3, 5)).state_dict()
    torch.save(state, tmp_path / "g.pt")
    with pytest.raises(
        CheckpointError, match=r"like a DCGAN, but it has a kernel of 5 × 5"
    ) as told:
        load_generator(tmp_path / "g.pt")
    assert "get the file again" not in str(told.value)
