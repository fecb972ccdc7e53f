import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from dissect import CheckpointError
from dissect.bases import rebuild_basis
from dissect.bases.sae import read_autoencoder

N_CHANNELS, N_FEATURES = 4, 10


def tensors(seed=0):
    random = torch.Generator().manual_seed(seed)
    return {
        "encoder.weight": torch.randn(N_FEATURES, N_CHANNELS, generator=random),
        "encoder.bias": torch.randn(N_FEATURES, generator=random) / 4,
        "decoder.weight": torch.randn(N_CHANNELS, N_FEATURES, generator=random),
        "decoder.bias": torch.randn(N_CHANNELS, generator=random),
    }


def save(path, held, **metadata):
    save_file({k: v.contiguous() for k, v in held.items()}, path, metadata=metadata or None)
    return path


def read(path):
    return read_autoencoder(f"sae:{path}", path, layer="units", n_channels=N_CHANNELS)


def maps(seed=1):
    return torch.randn(2, N_CHANNELS, 5, 3, generator=torch.Generator().manual_seed(seed))


def test_features_are_those_of_a_loop_over_pixels(tmp_path):
    held = tensors()
    basis = read(save(tmp_path / "a.safetensors", held, activation="relu"))
    features = basis.encode(maps())
    back = basis.decode(features)
    assert features.shape == (2, N_FEATURES, 5, 3)
    for b in range(2):
        for y in range(5):
            for x in range(3):
                pixel = maps()[b, :, y, x] - held["decoder.bias"]
                expected = (held["encoder.weight"] @ pixel + held["encoder.bias"]).clamp(min=0)
                torch.testing.assert_close(features[b, :, y, x], expected)
                torch.testing.assert_close(
                    back[b, :, y, x],
                    held["decoder.weight"] @ expected + held["decoder.bias"],
                )
    assert not basis.exact


@settings(max_examples=20)
@given(k=st.integers(1, N_FEATURES), seed=st.integers(0, 1000))
def test_top_k_keeps_exactly_the_k_largest(tmp_path_factory, k, seed):
    folder = tmp_path_factory.mktemp("sae")
    held = tensors(seed)
    held["encoder.bias"] += 100  # so that the ReLU cuts nothing off
    relu = read(save(folder / "a.safetensors", held, activation="relu")).encode(maps(seed))
    top = read(save(folder / "b.safetensors", held, activation="topk", k=str(k)))
    kept = top.encode(maps(seed))
    assert ((kept > 0).sum(dim=1) == k).all()
    assert torch.equal(kept[kept > 0], relu[kept > 0])
    smallest_kept = torch.where(kept > 0, kept, torch.inf).amin(dim=1)
    largest_left = torch.where(kept > 0, -torch.inf, relu).amax(dim=1)
    assert (smallest_kept >= largest_left).all()


def test_top_k_never_keeps_what_the_relu_cuts_off(tmp_path):
    held = tensors()
    held["encoder.bias"] -= 100
    basis = read(save(tmp_path / "a.safetensors", held, activation="topk", k="3"))
    assert (basis.encode(maps()) == 0).all()


def test_the_other_names_are_the_same_autoencoder_transposed(tmp_path):
    held = tensors()
    other = {
        "W_enc": held["encoder.weight"].T,
        "b_enc": held["encoder.bias"],
        "W_dec": held["decoder.weight"].T,
        "b_dec": held["decoder.bias"],
    }
    first = read(save(tmp_path / "a.safetensors", held, activation="relu"))
    second = read(save(tmp_path / "b.safetensors", other, activation="relu"))
    assert first.fingerprint == second.fingerprint
    assert torch.equal(first.encode(maps()), second.encode(maps()))


def test_what_it_holds_makes_it_again(tmp_path):
    for number, metadata in enumerate(({"activation": "relu"}, {"activation": "topk", "k": "2"})):
        basis = read(save(tmp_path / f"{number}.safetensors", tensors(), **metadata))
        again = rebuild_basis(basis.name, basis.to_tensors())
        assert again.top_k == basis.top_k
        assert again.fingerprint == basis.fingerprint
        assert torch.equal(again.encode(maps()), basis.encode(maps()))


def without(key):
    held = tensors()
    del held[key]
    return held


RELU = {"activation": "relu"}


@pytest.mark.parametrize(
    ("held", "metadata", "message"),
    [
        (without("decoder.bias"), RELU, r"has no tensor 'decoder.bias' \(or 'b_dec'\)"),
        (tensors() | {"threshold": torch.zeros(10)}, RELU, "also holds 'threshold'"),
        (
            tensors() | {"encoder.weight": torch.zeros(10, 5)}, RELU,
            r"encoder.weight has the shape \(10, 5\); expected \(10, 4\), since layer 'units' has 4",
        ),
        (
            without("encoder.weight") | {"W_enc": torch.zeros(10, 4)}, RELU,
            r"W_enc has the shape \(10, 4\); expected \(4, 10\)",
        ),
        (
            tensors() | {"encoder.bias": torch.zeros(10, 1)}, RELU,
            r"encoder.weight has the shape \(10, 4\); expected \(feature, 4\).* shape \(10, 1\)",
        ),
        (tensors() | {"decoder.bias": torch.zeros(3)}, RELU, r"decoder.bias .*expected \(4\)"),
        (tensors() | {"encoder.bias": torch.zeros(10).long()}, RELU, "int64"),
        (tensors() | {"encoder.bias": torch.full((10,), torch.nan)}, RELU, "finite floats"),
        (tensors(), {}, "has no activation in its metadata"),
        (tensors(), {"activation": "gelu"}, "has the activation 'gelu'"),
        (tensors(), {"activation": "topk"}, "'topk' with k ''"),
        (tensors(), {"activation": "topk", "k": "11"}, "'topk' with k '11'.*from 1 to 10"),
        (tensors(), {"activation": "topk", "k": "0"}, "'topk' with k '0'"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_in_one_line(tmp_path, held, metadata, message):
    path = save(tmp_path / "a.safetensors", held, **metadata)
    with pytest.raises(CheckpointError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_none_is_told_in_one_line(tmp_path):
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    torch.save(tensors(), tmp_path / "a.pt")
    for name, message in (
        ("nowhere.safetensors", "is not a file"),
        ("torn.safetensors", "is not a whole safetensors file"),
        ("a.pt", r"expected a \.safetensors file"),
    ):
        with pytest.raises(CheckpointError, match=message) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
