import numpy as np
import pytest
from sklearn.decomposition import PCA

from dissect import ConfigError, LayerError, load_generator
from dissect.directions.ganspace import principal_components, principal_directions, regress

SPREADS = np.array([6.0, 4.0, 2.5, 1.0, 0.5, 0.2])


def gaussian(n, seed=0):
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.standard_normal((6, 6)))[0].T
    return (random.standard_normal((n, 6)) * SPREADS) @ axes + 3, axes


def test_axes_and_spreads_of_an_anisotropic_gaussian_are_found():
    points, axes = gaussian(20_000)
    found = principal_components(np.array_split(points, 40), n_components=3)
    assert (np.abs(np.sum(found.axes * axes[:3], axis=1)) > 0.999).all()
    assert np.allclose(found.deviations, SPREADS[:3], rtol=0.03)
    assert np.allclose(found.explained, (SPREADS**2 / (SPREADS**2).sum())[:3], rtol=0.03)
    assert np.allclose(found.mean, points.mean(axis=0))
    # A random axis has less than the first component, and never more than all.
    assert (found.random_deviations < SPREADS[0]).all()


@pytest.mark.parametrize(("n", "least"), [(1037, 1 - 1e-9), (9001, 0.999)])
def test_blocks_of_any_size_give_the_components_of_all_points(n, least):
    points, _ = gaussian(n)
    whole = PCA(n_components=2).fit(points)
    for n_blocks in (1, 3, 17):
        found = principal_components(np.array_split(points, n_blocks), n_components=2)
        assert (np.abs(np.sum(found.axes * whole.components_, axis=1)) > least).all()
        assert np.allclose(found.deviations**2, whole.explained_variance_, rtol=1e-3)


def test_regression_brings_planted_coordinates_back():
    random = np.random.default_rng(0)
    z = random.standard_normal((500, 8))
    axes = np.linalg.qr(random.standard_normal((8, 8)))[0][:3]
    found = regress(z @ axes.T, z)
    assert (np.sum(found * axes, axis=1) > 0.95).all()
    assert np.allclose(np.linalg.norm(found, axis=1), 1)


def test_in_w_no_image_is_made_and_in_a_layer_the_latent_is_regressed(checkpoints):
    generator = load_generator(checkpoints / "sg2ada_uncond64.pkl")
    plain, calls = generator.synthesize, []
    generator.synthesize = lambda latent, **options: calls.append(latent)
    found = principal_directions(generator, n_components=4, n_samples=300)
    assert found.space == "w"
    assert np.allclose(found.vectors @ found.vectors.T, np.eye(4), atol=1e-6)
    assert np.allclose(found.deviations, found.components.deviations, rtol=1e-3)
    assert calls == []
    generator.synthesize = plain
    layer = principal_directions(generator, n_components=3, n_samples=120, layer="b4.conv1")
    assert (layer.space, layer.vectors.shape) == ("z", (3, generator.spaces["z"].shape[0]))
    assert np.allclose(np.linalg.norm(layer.vectors, axis=1), 1)


def test_a_regressed_direction_moves_its_own_component_most():
    """Of a generator whose layer is a known matrix of z."""
    import torch

    from dissect.generators.wrapping import wrap

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(5, 4, bias=False)
            self.layer.weight.data = torch.eye(4, 5) * torch.tensor([[4.0], [3.0], [2.0], [1.0]])
            self.maps = torch.nn.Identity()

        def forward(self, z):
            maps = self.maps(self.layer(z)[:, :, None, None].expand(-1, -1, 8, 8))
            return torch.tanh(maps[:, :3])

    generator = wrap(Network(), sample=5, layers=["maps"], name="known")
    found = principal_directions(generator, n_components=3, n_samples=800, layer="maps")
    assert np.abs(found.vectors).argmax(axis=1).tolist() == [0, 1, 2]
    assert (np.abs(found.vectors).max(axis=1) > 0.98).all()


def test_what_has_no_components_is_refused(checkpoints):
    pggan = load_generator(checkpoints / "genforce_pggan32.pth")
    with pytest.raises(ConfigError, match="components of its z are those of a ball"):
        principal_directions(pggan)
    with pytest.raises(LayerError, match="nowhere"):
        principal_directions(pggan, layer="nowhere")
    with pytest.raises(ConfigError, match="more points"):
        principal_components([np.eye(4)[:2]], n_components=3)
    with pytest.raises(ConfigError, match="1 to 4"):
        principal_components([np.eye(4)], n_components=5)
