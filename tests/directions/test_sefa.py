import numpy as np
import pytest
import torch

from dissect import ConfigError, Latent, load_generator
from dissect.directions.sefa import (
    NONE,
    closed_form,
    factorize,
    jacobian_gram,
    layers_read,
    style_rows,
)
from dissect.generators.z_only import HasLatentWeight


def rotation(size, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0]


def test_planted_singular_vectors_are_found_in_order():
    left, right = rotation(40, 0)[:, :12], rotation(12, 1)
    strengths = np.linspace(5, 1, 12)
    weight = left @ np.diag(strengths) @ right.T
    found = factorize(weight, n_directions=4, normalisation=NONE)
    assert np.allclose(np.abs(np.sum(found.vectors * right.T[:4], axis=1)), 1)
    assert np.allclose(found.values, strengths[:4] ** 2)
    assert np.allclose(found.explained, strengths[:4] ** 2 / (strengths**2).sum())


def test_the_two_normalisations_give_different_directions():
    # One loud channel along x, three quiet ones along y: the loudest, or most channels.
    weight = np.array([[9.0, 0], [0, 0.1], [0, 0.1], [0, 0.1]])
    assert factorize(weight, n_directions=1, normalisation=NONE).vectors.tolist() == [[1, 0]]
    assert factorize(weight, n_directions=1).vectors.tolist() == [[0, 1]]


def test_the_directions_are_those_of_largest_change_under_the_weight():
    weight = np.random.default_rng(0).standard_normal((30, 8))
    found = factorize(weight, n_directions=3, normalisation=NONE)
    for random in np.random.default_rng(1).standard_normal((200, 8)):
        change = np.linalg.norm(weight @ random) / np.linalg.norm(random)
        assert change**2 <= found.values[0] + 1e-9


FILES = {
    "sg2ada_uncond64.pkl": "styles",
    "sg3t_uncond32.pkl": "styles",
    "genforce_stylegan1_32.pth": "styles",
    "lucidrains_sg2_32": "styles",
    "genforce_pggan32.pth": "weight",
    "biggan_hf32": "weight",
    "dcgan_small64.pth": "weight",
    "eigengan_pytorch32.pt": "jacobian",
}


@pytest.mark.parametrize("name", FILES)
def test_every_family_has_directions(checkpoints, name):
    generator = load_generator(checkpoints / name)
    space, found = closed_form(generator, n_directions=3, samples=2)
    size = int(np.prod(generator.spaces[space].shape))
    assert found.vectors.shape == (3, size)
    assert np.allclose(found.vectors @ found.vectors.T, np.eye(3), atol=1e-9)
    assert found.source == FILES[name]
    assert (np.diff(found.values) <= 1e-12).all()


@pytest.mark.parametrize("name", [n for n, source in FILES.items() if source == "weight"])
def test_the_weight_is_how_the_first_values_that_depend_on_z_change(checkpoints, name):
    """A holds against the network itself: A dz is what the modules that read z put out."""
    generator = load_generator(checkpoints / name)
    assert isinstance(generator, HasLatentWeight)
    weight = generator.latent_weight().double()
    first = generator.sample([0], seed=0, label=0 if generator.n_classes else None)
    second = generator.sample([1], seed=0, label=0 if generator.n_classes else None)
    outputs = [_reads(generator, latent, name) for latent in (first, second)]
    given = [latent.data.flatten(1) for latent in (first, second)]
    if "pggan" in name:  # it reads z of length √d
        given = [x / x.square().mean(dim=1, keepdim=True).sqrt() for x in given]
    expected = (given[1] - given[0]).double() @ weight.T
    difference = (outputs[1] - outputs[0]).double()
    # The scale that is applied at run time, the same for all rows, is no part of the weight.
    factor = float((difference * expected).sum() / (expected**2).sum())
    assert torch.allclose(difference, factor * expected, atol=1e-4 * float(difference.abs().max()))
    assert factor == pytest.approx(1) or "pggan" in name


def _reads(generator, latent, name):
    """Outputs of the modules that read z, in the order of the rows of the weight."""
    network, found = generator.module, {}

    def keep(path):
        def hook(module, inputs, output):
            found[path] = output.detach()

        return hook

    if "biggan" in name:
        paths = [network.plan.first]
        for block in network.block_paths():
            for inside, module in network.get_submodule(block).named_modules():
                if hasattr(module, "conditional") and module.conditional:
                    paths += [f"{block}.{inside}.scale", f"{block}.{inside}.offset"]
    elif "pggan" in name:
        paths = ["layer1"]
    else:
        paths = [next(n for n, m in network.named_modules() if hasattr(m, "weight"))]
    handles = [network.get_submodule(p).register_forward_hook(keep(p)) for p in paths]
    with torch.no_grad():
        generator.synthesize(latent)
    for handle in handles:
        handle.remove()
    parts = [found[path] for path in paths]
    if "pggan" in name:  # back through the leaky ReLU; the kernel is turned around by the padding
        parts = [torch.where(parts[0] < 0, parts[0] / 0.2, parts[0]).flip(2, 3)]
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def test_the_styles_of_chosen_layers_are_what_moves(checkpoints):
    generator = load_generator(checkpoints / "sg2ada_uncond64.pkl")
    read = layers_read(generator)
    assert read["b4.conv1"] == (0,)
    assert read["b4.torgb"] == read["b8.conv0"] == (1,)  # they share a w
    rows = style_rows(generator, [1])
    assert len(rows) == generator.style_weight("b8.conv0").shape[0]  # ToRGB only at the end
    last = generator.spaces["w+"].shape[0] - 1
    assert len(style_rows(generator, [last])) == generator.style_weight("b64.torgb").shape[0]
    # Against the network: the styles' change for a step in w.
    step = torch.randn(1, generator.spaces["w"].shape[0])
    zero = torch.zeros_like(step)
    change = (
        generator.convert(Latent("w", step), "s").data
        - generator.convert(Latent("w", zero), "s").data
    )
    part = generator.style_slices["b8.conv0"]
    assert np.allclose(rows @ step[0].numpy(), change[0, part].numpy(), atol=1e-4)


class LinearImages:
    """A generator whose image is a matrix times z."""

    def __init__(self, matrix):
        from dissect.generators.shapes import Space

        self.matrix = torch.from_numpy(matrix).float()
        self.name, self.spaces = "linear", {"z": Space("z", (matrix.shape[1],))}

    def sample(self, indices, *, seed, label=None):
        from dissect.latents import standard_normal

        return Latent("z", standard_normal(indices, seed=seed, size=self.matrix.shape[1]))

    def synthesize(self, latent, *, noise="const"):
        return (latent.data @ self.matrix.T).reshape(len(latent), 3, 4, 4)


def test_the_jacobian_of_a_linear_map_is_its_matrix():
    matrix = np.random.default_rng(0).standard_normal((48, 6))
    generator = LinearImages(matrix)
    assert np.allclose(jacobian_gram(generator, samples=3, seed=0), matrix.T @ matrix, atol=1e-3)
    space, found = closed_form(generator, n_directions=2)
    _, _, right = np.linalg.svd(matrix)
    assert (space, found.source) == ("z", "jacobian")
    assert np.allclose(np.abs(np.sum(found.vectors * right[:2], axis=1)), 1, atol=1e-4)


def test_what_cannot_be_is_refused(checkpoints):
    with pytest.raises(ConfigError, match="rows or none"):
        factorize(np.eye(2), n_directions=1, normalisation="columns")
    with pytest.raises(ConfigError, match="expected 1 to 2"):
        factorize(np.eye(2), n_directions=3)
    with pytest.raises(ConfigError, match="zero everywhere"):
        factorize(np.zeros((3, 2)), n_directions=1)
    with pytest.raises(ConfigError, match="leave them out"):
        closed_form(load_generator(checkpoints / "genforce_pggan32.pth"), layers=[0])
    with pytest.raises(ConfigError, match="layer 99"):
        closed_form(load_generator(checkpoints / "sg2ada_uncond64.pkl"), layers=[99])
