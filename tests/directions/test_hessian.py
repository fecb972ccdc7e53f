import numpy as np
import pytest
import torch

from dissect import ConfigError, load_generator
from dissect.directions.hessian import all_signs, discover, hessian_penalty, random_signs


def products(z):
    """(z₀z₁, z₀²z₁)."""
    return torch.stack([z[:, 0] * z[:, 1], z[:, 0] ** 2 * z[:, 1]], dim=1)


def test_the_penalty_of_two_products_is_what_their_hessians_say():
    # H₁ = [[0, 1], [1, 0]]: 2 · (1 + 1) = 4. H₂ = [[2z₁, 2z₀], [2z₀, 0]]: 2 · 2 · (2z₀)² = 16 z₀².
    z = torch.tensor([[0.5, 1.0], [-2.0, 0.3], [1.5, -1.0]], dtype=torch.float64)
    found = hessian_penalty(products, z, all_signs(2), exact=True, reduction="none")
    expected = torch.stack([torch.full((3,), 4.0), 16 * z[:, 0] ** 2], dim=1).double()
    assert torch.allclose(found, expected, atol=1e-8)
    for reduction, value in (("max", expected.max()), ("mean", expected.mean())):
        one = hessian_penalty(products, z, all_signs(2), exact=True, reduction=reduction)
        assert torch.allclose(one, value)


def test_a_linear_map_and_separate_squares_have_no_penalty():
    z = torch.randn(4, 5, dtype=torch.float64)
    matrix = torch.randn(5, 7, dtype=torch.float64)
    for function in (lambda x: x @ matrix, lambda x: x**2 @ matrix):
        assert hessian_penalty(function, z, all_signs(5), exact=True) < 1e-15 / 0.1**4


def test_the_penalty_is_twice_the_squares_off_the_diagonal():
    random = torch.randn(6, 6, dtype=torch.float64)
    hessian = random + random.T
    off = hessian - torch.diag(hessian.diagonal())

    def quadratic(x):
        return 0.5 * torch.einsum("bi,ij,bj->b", x, hessian, x)[:, None]

    x = torch.randn(2, 6, dtype=torch.float64)
    found = hessian_penalty(quadratic, x, all_signs(6), exact=True)
    assert found.item() == pytest.approx(2 * float(off.square().sum()))
    # Drawn signs are right in the mean: of many draws, and unbiased with two of them.
    many = hessian_penalty(quadratic, x, random_signs(6, n=4000, seed=0)).item()
    assert many == pytest.approx(found.item(), rel=0.1)
    pairs = [hessian_penalty(quadratic, x, random_signs(6, n=2, seed=s)).item() for s in range(600)]
    assert np.mean(pairs) == pytest.approx(found.item(), rel=0.25)


def test_it_has_gradients():
    x = torch.randn(2, 3, requires_grad=True)
    hessian_penalty(lambda z: products(z[:, :2] ** 2), x, all_signs(3), exact=True).backward()
    assert x.grad.abs().sum() > 0


def test_a_fixed_generator_gets_orthonormal_directions_of_less_penalty(checkpoints):
    generator = load_generator(checkpoints / "dcgan_small64.pth")
    before = generator.fingerprint
    state = {name: value.clone() for name, value in generator.module.state_dict().items()}
    found = discover(generator, n_directions=3, steps=4, batch=2, pixels=8)
    assert np.allclose(found.vectors @ found.vectors.T, np.eye(3), atol=1e-5)
    assert len(found.penalties) == 5
    assert np.isfinite(found.penalties).all()
    assert (np.diff(found.effects) <= 0).all()
    for name, value in generator.module.state_dict().items():
        assert torch.equal(value, state[name])
    assert generator.fingerprint == before
    assert all(p.grad is None for p in generator.module.parameters())


def test_discovery_finds_coordinates_that_act_apart():
    """z₀ and z₁ are multiplied with each other, z₂ and z₃ act alone: those have no penalty."""
    from dissect.generators.wrapping import wrap

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.maps = torch.nn.Identity()

        def forward(self, z):
            values = torch.stack([0.05 * z[:, 0] * z[:, 1], 0.1 * z[:, 2], 0.1 * z[:, 3]], dim=1)
            return self.maps(values[:, :, None, None].expand(-1, -1, 8, 8))

    generator = wrap(Network(), sample=4, layers=["maps"], name="products")
    found = discover(generator, n_directions=2, steps=150, batch=8, draws=4, rate=0.03)
    # No penalty is left: no two directions have a product in them. Sums of squares have none too.
    assert found.penalties[-10:].mean() < 0.1 * found.penalties[:10].mean()
    q = found.vectors
    mixed = q[0, 0] * q[1, 1] + q[0, 1] * q[1, 0]
    assert abs(mixed) < 0.05


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="1 to 12"):
        all_signs(13)
    with pytest.raises(ConfigError, match="at least 2"):
        hessian_penalty(products, torch.zeros(1, 2), all_signs(2)[:1])
