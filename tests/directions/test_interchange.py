"""Directions of other programs: files in their layouts, made by the libraries that they use."""

import io
import os
import pickle

import numpy as np
import pytest
import torch

from dissect.directions import Direction, Provenance
from dissect.directions.interchange import (
    export_direction,
    export_factor,
    export_ganspace,
    import_directions,
    parse_layers,
)
from dissect.errors import ConfigError, GeneratorError
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.latents import Latent

SIZE, LAYERS = 8, 6


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def unit(*shape, seed=0):
    values = numbers(*shape, seed=seed)
    return values / np.linalg.norm(values)


@pytest.fixture(scope="module")
def styled():
    torch.manual_seed(0)
    config = StyleGAN2Config(16, (8, 8, 8), z_size=SIZE, w_size=SIZE, mapping_depth=2)
    return StyleGAN2(StyleGAN2Network(config).eval().requires_grad_(False), name="tiny")


def moved(direction, points, strength, **options):
    (move,) = direction.moves(strength, **options)
    latent = Latent(direction.space, torch.from_numpy(points.astype(np.float32)))
    return move.apply(latent).data.numpy()


def test_a_boundary_of_interfacegan_sets_codes_of_z_and_w(tmp_path, styled):
    boundary = unit(1, SIZE)
    np.save(tmp_path / "stylegan_celebahq_smile_boundary.npy", boundary)
    np.save(tmp_path / "stylegan_ffhq_age_c_gender_w_boundary.npy", boundary)
    (smile,) = import_directions(
        tmp_path / "stylegan_celebahq_smile_boundary.npy", generator=styled
    )
    (age,) = import_directions(tmp_path / "stylegan_ffhq_age_c_gender_w_boundary.npy")
    assert (smile.name, smile.space, smile.mode) == ("stylegan_celebahq_smile", "z", "set")
    assert (age.space, age.mode) == ("w", "set")
    assert smile.provenance.method == "import:interfacegan"
    assert smile.provenance.fingerprints == {"generator": styled.fingerprint}
    # Its manipulate.py: z + (t - z·n) n.
    z = numbers(5, SIZE, seed=1)
    expected = z + (3 - z @ boundary.T) @ boundary
    np.testing.assert_allclose(moved(smile, z, 3), expected, rtol=1e-4, atol=1e-5)


def test_a_boundary_of_all_layers_adds(tmp_path, styled):
    boundary = unit(LAYERS, SIZE)
    np.save(tmp_path / "smile.npy", boundary)
    (smile,) = import_directions(tmp_path / "smile.npy", generator=styled)
    assert (smile.space, smile.mode, smile.layers) == ("w+", "add", None)
    ws = numbers(2, LAYERS, SIZE, seed=1)
    np.testing.assert_allclose(moved(smile, ws, 2), ws + 2 * boundary, rtol=1e-4, atol=1e-5)


def higan_file(path, boundary, *, protocol=2, old=False, layers="2-4", **more):
    """What numpy.save writes of HiGAN's dictionary, by numpy's own pickling."""
    value = {"boundary": boundary, "meta_data": {"type": "attribute", "manipulate_layers": layers}}
    array = np.empty((), dtype=object)
    array[()] = value | more
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    pickled = pickle.dumps(array, protocol=protocol)
    if old:
        pickled = pickled.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        assert b"numpy.core.multiarray" in pickled
    path.write_bytes(content.getvalue() + pickled)
    return path


@pytest.mark.parametrize(
    ("protocol", "old"), [(2, False), (2, True), (3, True), (4, False), (5, False)]
)
def test_a_pickled_boundary_of_higan_moves_its_layers(tmp_path, styled, protocol, old):
    boundary = unit(1, SIZE).astype(np.float32)
    path = higan_file(
        tmp_path / "indoor_lighting_boundary.npy", boundary, protocol=protocol, old=old
    )
    if not old:
        assert np.load(path, allow_pickle=True)[()]["meta_data"]["manipulate_layers"] == "2-4"
    (light,) = import_directions(path, generator=styled)
    assert (light.name, light.space, light.mode) == ("indoor_lighting", "w+", "add")
    assert light.layers == (2, 3, 4)
    assert light.provenance.settings == {"file": path.name, "type": "attribute"}
    ws = numbers(2, LAYERS, SIZE, seed=1)
    expected = ws.copy()
    expected[:, 2:5] += 1.5 * boundary
    np.testing.assert_allclose(moved(light, ws, 1.5), expected, rtol=1e-4, atol=1e-5)


def test_numpys_own_save_of_a_dictionary_is_read(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, {"boundary": unit(1, SIZE), "meta_data": {}}, allow_pickle=True)
    assert import_directions(path)[0].layers is None
    plain = tmp_path / "bedroom_view.npy"
    np.save(plain, unit(1, SIZE))
    (view,) = import_directions(plain, format="higan")
    assert (view.space, view.mode) == ("w", "add")


class _Attack:
    def __reduce__(self):
        return os.system, ("touch attacked",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"boundary": _Attack()}, "could run anything"),
        ({"boundary": [1.0]}, "has no array 'boundary'"),
        ({"boundary": unit(1, SIZE), "meta_data": {"manipulate_layers": "all"}}, "is damaged"),
        ([1], "has no array 'boundary'"),
    ],
)
def test_a_hostile_or_odd_pickle_is_one_line_and_runs_nothing(
    tmp_path, monkeypatch, value, message
):
    monkeypatch.chdir(tmp_path)
    array = np.empty((), dtype=object)
    array[()] = value
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(ConfigError, match=message) as caught:
        import_directions(tmp_path / "x.npy")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "attacked").exists()


def ganspace_file(path, n=3):
    vectors = np.linalg.qr(numbers(SIZE, SIZE))[0][:n]
    arrays = {
        "act_comp": numbers(n, 4, 2, 2), "act_mean": numbers(1, 4, 2, 2), "act_stdev": np.ones(n),
        "lat_comp": vectors[:, None], "lat_mean": numbers(1, SIZE, seed=2),
        "lat_stdev": np.array([3.0, 2.0, 1.0])[:n], "var_ratio": np.array([0.6, 0.3, 0.1])[:n],
        "random_stdevs": np.ones(5),
    }  # fmt: skip
    np.savez_compressed(path, **arrays)
    return arrays


def test_components_of_ganspace_step_in_deviations_from_the_mean(tmp_path, styled):
    path = tmp_path / "stylegan2-tiny_style_ipca_c3_n1000_w.npz"
    arrays = ganspace_file(path)
    found = import_directions(path, generator=styled)
    assert [(one.space, one.mode, one.unit, one.sigma) for one in found] == [
        ("w", "add", "σ", 3.0), ("w", "add", "σ", 2.0), ("w", "add", "σ", 1.0)
    ]  # fmt: skip
    assert found[1].provenance.settings["explained variance"] == 0.3
    w = numbers(4, SIZE, seed=3)
    mean, component = arrays["lat_mean"][0], arrays["lat_comp"][1, 0]
    np.testing.assert_allclose(moved(found[1], w, 2), w + 2 * 2.0 * component, rtol=1e-4, atol=1e-4)
    # Its coordinate, as GANSpace's figures have it.
    np.testing.assert_allclose(
        found[1].coordinates(w), (w - mean) @ component / 2.0, rtol=1e-3, atol=1e-4
    )
    assert len(import_directions(path, count=2)) == 2
    (first, *_) = import_directions(path, layers=range(1, 3), generator=styled)
    ws = numbers(1, LAYERS, SIZE)
    after = moved(first, ws, 1)
    np.testing.assert_allclose(
        after[:, 1:3], ws[:, 1:3] + 3 * arrays["lat_comp"][0], rtol=1e-3, atol=1e-4
    )
    assert np.array_equal(after[:, 3:], ws[:, 3:].astype(np.float32))
    z = tmp_path / "biggan_generator.gen_z_ipca_c3_n1000.npz"
    ganspace_file(z)
    assert import_directions(z)[0].space == "z"


def test_columns_of_rosinalitys_factor_are_directions_in_w(tmp_path, styled):
    matrix = torch.from_numpy(np.linalg.qr(numbers(SIZE, SIZE))[0]).float()
    torch.save({"ckpt": "stylegan2.pt", "eigvec": matrix}, tmp_path / "factor.pt")
    found = import_directions(tmp_path / "factor.pt", count=4, generator=styled)
    assert [one.name for one in found] == ["factor 0", "factor 1", "factor 2", "factor 3"]
    w = numbers(2, SIZE, seed=1)
    # Its apply_factor.py: latent + degree * eigvec[:, index].
    expected = w + 5 * matrix[:, 2].numpy()
    np.testing.assert_allclose(moved(found[2], w, 5), expected, rtol=1e-4, atol=1e-4)
    assert len(import_directions(tmp_path / "factor.pt")) == SIZE


def test_what_is_written_for_others_is_read_again_and_by_their_libraries(tmp_path, styled):
    vectors = numbers(3, SIZE).astype(np.float32)
    plain = Direction("smile", "z", vectors[0], unit="σ", sigma=2.0)
    path = export_direction(plain, tmp_path / "smile_boundary.npy")
    assert np.load(path, allow_pickle=False).shape == (1, SIZE)
    np.testing.assert_allclose(np.load(path)[0], 2 * vectors[0])
    mean = numbers(SIZE, seed=4).astype(np.float32)
    several = [
        Direction(f"pc {k}", "w", v, unit="σ", sigma=3.0 - k, origin=mean)
        for k, v in enumerate(vectors)
    ]
    found = import_directions(export_ganspace(several, tmp_path / "mine_w.npz"), generator=styled)
    for one, again in zip(several, found, strict=True):
        np.testing.assert_array_equal(again.vector, one.vector)
        np.testing.assert_array_equal(again.origin, one.origin)
        assert (again.sigma, again.space) == (one.sigma, "w")
    factor = export_factor(several, tmp_path / "factor.pt")
    written = torch.load(factor, weights_only=True)
    assert written["eigvec"].shape == (SIZE, 3)
    np.testing.assert_allclose(written["eigvec"][:, 1].numpy(), 2 * vectors[1], rtol=1e-6)
    assert len(import_directions(factor)) == 3
    with pytest.raises(ConfigError, match="which a boundary's file cannot say"):
        export_direction(Direction("a", "w+", vectors[0], layers=[1]), tmp_path / "a.npy")
    with pytest.raises(ConfigError, match="expected all in z or all in w for GANSpace's file"):
        export_ganspace([plain, several[0]], tmp_path / "a.npz")
    with pytest.raises(ConfigError, match="different origins"):
        export_ganspace([Direction("a", "w", vectors[0]), several[0]], tmp_path / "a.npz")
    with pytest.raises(ConfigError, match="expected all in w for a factor file"):
        export_factor([plain], tmp_path / "a.pt")
    with pytest.raises(ConfigError, match=r"expected a file NAME\.npy"):
        export_direction(plain, tmp_path / "a.txt")


def test_space_and_layers_can_be_said(tmp_path, styled):
    np.save(tmp_path / "x.npy", unit(1, SIZE))
    (in_w,) = import_directions(tmp_path / "x.npy", space="w")
    assert (in_w.space, in_w.mode) == ("w", "set")
    (some,) = import_directions(tmp_path / "x.npy", space="w", layers=[1, 2], generator=styled)
    assert (some.space, some.mode, some.layers) == ("w+", "add", (1, 2))
    with pytest.raises(ConfigError, match="expected w or w\\+, which have layers"):
        import_directions(tmp_path / "x.npy", layers=[1])
    with pytest.raises(GeneratorError, match="space 'q' is not one of tiny's"):
        import_directions(tmp_path / "x.npy", space="q", generator=styled)


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("x.bin", b"", {}, "is of no known format; expected .npy, .npz"),
        ("x.npy", b"", {}, "is damaged"),
        ("x.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': 'bad'}", {}, "is damaged"),
        ("x.npz", b"PK\x05\x06" + bytes(18), {}, "has no lat_comp"),
        ("x.npz", b"no zip", {}, "is damaged"),
        ("x.pt", b"no pickle", {}, "is damaged or no checkpoint"),
        ("x.npy", b"", {"format": "interfacegann"}, "did you mean 'interfacegan'"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_one_line(tmp_path, name, content, options, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        import_directions(tmp_path / name, **options)
    assert "\n" not in str(caught.value)


def test_directions_that_do_not_fit_are_one_line(tmp_path, styled):
    with pytest.raises(ConfigError, match="cannot be read"):
        import_directions(tmp_path / "none.npy")
    np.save(tmp_path / "long.npy", unit(1, SIZE + 1))
    with pytest.raises(ConfigError, match=r"vector has the shape \(9,\); expected \(8,\)"):
        import_directions(tmp_path / "long.npy", generator=styled)
    np.save(tmp_path / "zero.npy", np.zeros((1, SIZE)))
    with pytest.raises(ConfigError, match="vector is zero"):
        import_directions(tmp_path / "zero.npy")
    np.save(tmp_path / "text.npy", np.array(["a", "b"]))
    with pytest.raises(ConfigError, match=r"is damaged .*no numbers"):
        import_directions(tmp_path / "text.npy")
    np.save(tmp_path / "many.npy", numbers(600, 512))
    with pytest.raises(ConfigError, match=r"has the shape \(600, 512\); expected \(1, d\)"):
        import_directions(tmp_path / "many.npy")
    torch.save({"other": torch.ones(2, 2)}, tmp_path / "x.pt")
    with pytest.raises(ConfigError, match="has no matrix 'eigvec'"):
        import_directions(tmp_path / "x.pt")
    # A header that promises more than the file has.
    head = (tmp_path / "zero.npy").read_bytes().replace(b"(1, 8)", b"(9, 8)")
    (tmp_path / "cut.npy").write_bytes(head)
    with pytest.raises(ConfigError, match="does not fit its"):
        import_directions(tmp_path / "cut.npy")
    np.save(tmp_path / "own.npy", unit(1, SIZE))
    (own,) = import_directions(tmp_path / "own.npy", generator=styled)
    other = Direction(
        "x", "z", own.vector, provenance=Provenance(fingerprints={"generator": "1" * 64})
    )
    with pytest.raises(ConfigError, match="was found in a generator of weights 111111111111…"):
        other.check(styled)


def test_layers_are_written_as_others_write_them():
    assert parse_layers("6-11") == (6, 7, 8, 9, 10, 11)
    assert parse_layers("0,3") == (0, 3)
    for odd in ("", "a", "5-3", "-1", "0-99999999"):
        with pytest.raises(ValueError, match=r"."):
            parse_layers(odd)
