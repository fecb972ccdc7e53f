"""Latents of one's own as samples: what a file may hold, and what a run over it is."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dissect import dissect, load_generator
from dissect.errors import GeneratorError
from dissect.generators.given_latents import GivenLatents, add_latents, load_latents
from dissect.generators.stylegan2 import (
    StyleGAN2,
    StyleGAN2Config,
    StyleGAN2Network,
    save_stylegan2,
)
from dissect.latents import Latent
from dissect.studies import measure

PLANTED = "dissect.worlds.planted:generator"


@pytest.fixture(scope="module")
def styled():
    torch.manual_seed(0)
    network = StyleGAN2Network(
        StyleGAN2Config(16, (4, 4, 4), z_size=8, w_size=8, mapping_depth=2, n_classes=3)
    )
    return StyleGAN2(network.eval().requires_grad_(False), name="tiny")


@pytest.fixture(scope="module")
def w(styled):
    return styled.convert(styled.sample(range(24), seed=5), "w").data


def write(path, arrays, kind):
    if kind == "npy":
        np.save(path.with_suffix(".npy"), next(iter(arrays.values())).numpy())
    elif kind == "npz":
        np.savez(path.with_suffix(".npz"), **{name: one.numpy() for name, one in arrays.items()})
    elif kind == "pt":
        torch.save(arrays, path.with_suffix(".pt"))
    else:
        save_file(arrays, path.with_suffix(".safetensors"))
    return path.with_suffix(f".{kind}")


@pytest.mark.parametrize("kind", ["npy", "npz", "pt", "safetensors"])
@pytest.mark.parametrize("layered", [False, True])
def test_rows_of_a_file_are_the_samples(styled, w, tmp_path, kind, layered):
    data = styled.convert(Latent("w", w), "w+").data.contiguous() if layered else w
    path = write(tmp_path / "a", {"w": data}, kind)
    space = "w+" if layered else "w"
    text = str(path) if layered or kind != "npy" else f"w:{path}"
    over = load_latents(styled, text)
    assert (len(over), next(iter(over.spaces))) == (24, space)
    latent = over.sample([7, 3], seed=9)
    assert (latent.space, latent.label) == (space, None)
    assert torch.equal(latent.data, data[[7, 3]])
    images = styled.synthesize(Latent("w", w[[7, 3]]))
    assert torch.equal(over.synthesize(latent), images)
    assert over.fingerprint != styled.fingerprint
    other = GivenLatents(styled, Latent(space, data + 1))
    assert len({over.fingerprint, styled.fingerprint, other.fingerprint}) == 3


def test_latents_in_z_draw_classes_and_those_in_w_have_theirs(styled, w, tmp_path):
    z = styled.sample(range(24), seed=5)
    over = load_latents(styled, f"z:{write(tmp_path / 'z', {'': z.data}, 'npy')}")
    assert torch.equal(over.sample([2], seed=0).label, styled.sample([2], seed=0).label)
    assert over.sample([2], seed=0, label=1).label.tolist() == [1]
    assert over.n_classes == 3
    in_w = GivenLatents(styled, Latent("w", w))
    assert in_w.n_classes == 0
    with pytest.raises(GeneratorError, match="expected none: a class acts on z alone"):
        in_w.sample([2], seed=0, label=1)
    with pytest.raises(
        GeneratorError, match=r"sample 24 is not in latents, which holds 24 latents"
    ):
        in_w.sample([2, 24], seed=0)


def test_vectors_may_have_dimensions_of_one_and_other_arrays_beside_them(styled, w, tmp_path):
    path = write(tmp_path / "a", {"w": w[:, :, None, None], "loss": w[:1]}, "npz")
    assert torch.equal(load_latents(styled, str(path)).sample([1], seed=0).data, w[1:2])
    path = write(tmp_path / "b", {"a": w, "b": w}, "npz")
    with pytest.raises(GeneratorError, match=r"b\.npz holds the arrays 'a', 'b'; expected one"):
        load_latents(styled, str(path))
    path = write(tmp_path / "c", {"z": w, "w": w + 1}, "pt")
    assert torch.equal(load_latents(styled, f"w:{path}").sample([0], seed=0).data, w[:1] + 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch.zeros(20, 8), r"fits z and w; give SPACE:FILE, such as z:.*a\.npy"),
        (torch.zeros(20, 9), "fits no space of tiny; expected .* of z .8,., p .8,., w"),
        (torch.zeros(0, 8), "is damaged .*no numbers"),
        (torch.full((20, 6, 8), torch.nan), "or NaN or infinity; expected finite numbers"),
        (torch.zeros(20, 6, 8, dtype=torch.int64), "holds torch.int64"),
    ],
)
def test_latents_that_do_not_fit_are_refused_in_one_line(styled, tmp_path, data, message):
    path = write(tmp_path / "a", {"": data}, "npy")
    with pytest.raises(GeneratorError, match=message) as caught:
        load_latents(styled, str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_objects_are_refused_in_one_line(styled, tmp_path):
    for text in (str(tmp_path / "none.npy"), "q:none.npy"):
        with pytest.raises(GeneratorError, match=r"cannot be read: there is no such file.* z, "):
            load_latents(styled, text)
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(GeneratorError, match="is damaged"):
        load_latents(styled, str(tmp_path / "a.npy"))


def test_a_run_over_the_latents_of_a_seed_counts_what_a_run_over_the_seed_counts(
    planted, planted_run, tmp_path, command
):
    z = planted.sample(range(264), seed=0).data  # those behind the run's are for the effect
    path = write(tmp_path / "z", {"": z}, "npy")
    out = tmp_path / "r"
    done = command(
        "run", PLANTED, "--latents", path, "--segmenter", "colour", "--samples", 200, "--out", out,
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["layers"]
    from dissect import open_run

    run = open_run(out)
    assert run.config.generator == add_latents(PLANTED, str(path))
    for name in ("histogram", "edges", "top_indices", "iou"):
        np.testing.assert_array_equal(
            run.array("units", name).values, planted_run.array("units", name).values
        )
    # Its models are opened again by what the run says, and its units edited.
    found = measure(run, "ablate", concept="red", n_units=1, n_samples=32, n_search=16, draws=0,
                    progress=False)  # fmt: skip
    assert found.summary["target"]["net_removed_share"] == 1
    done = command("run", PLANTED, "--latents", path, "--segmenter", "colour", "--samples", 280,
                   "--out", tmp_path / "b")  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "expected samples 0 to 263; take at most 264" in done.stderr
    assert not (tmp_path / "b").exists()


def test_a_file_is_chosen_behind_any_spec(styled, w, tmp_path):
    save_stylegan2(styled.module, tmp_path / "g.safetensors")
    path = write(tmp_path / "w", {"w": w}, "npz")
    over = load_generator(f"{tmp_path / 'g.safetensors'}?latents={path}")
    assert over.name == f"g?latents={path}"
    assert torch.equal(over.sample([4], seed=0).data, w[4:5])
    run = dissect(
        over, "colour", out=tmp_path / "r", n_samples=24, layers=["b16.conv1"], truncation=0.5,
        progress=False, mixtures=0,
    )  # fmt: skip
    assert run.layers["b16.conv1"].units == 4
