import json
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dissect import ConfigError, RunError, dissect, open_run, trace
from dissect.bases import Basis
from dissect.bases.rotation import Rotation
from dissect.counting.subject import Subject
from dissect.runs.partial import Workspace
from dissect.statistics import calibration_size
from dissect.terminal import describe_run
from dissect.worlds.planted import PlantedGenerator
from reports import build_report
from reports.charts import layer_bars
from segmenters import load_segmenter
from tests.rounding import assert_same

PLANTED = "dissect.worlds.planted:generator"
ORDER = [3, 0, 8, 1, 7, 2, 6, 4, 5]
PCA, ROTATION = "units@pca:9", "units@rotation:0"


def save_permutation(path, order=ORDER, **metadata):
    """An autoencoder whose feature k is channel order[k]."""
    matrix = torch.eye(9)[order]
    tensors = {
        "encoder.weight": matrix,
        "encoder.bias": torch.zeros(9),
        "decoder.weight": matrix.T.contiguous(),
        "decoder.bias": torch.zeros(9),
    }
    save_file(tensors, path, metadata=metadata or {"activation": "relu"})
    return f"units@sae:{path}"


def files(run):
    return {
        path.relative_to(run.path): path.read_bytes()
        for path in sorted(run.path.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


@pytest.fixture(scope="module")
def bases_run(tmp_path_factory):
    """The planted world in its channels, rotated, and in its principal components."""
    out = tmp_path_factory.mktemp("runs") / "r"
    layers = [ROTATION, PCA, "units", "units@pca:2"]
    return dissect(PLANTED, "colour", out=out, layers=layers, n_samples=200, progress=False)


def bases_of(run):
    return {layer: run.basis(layer) for layer in run.layers}


def subject_of(run, generator):
    return Subject(generator, load_segmenter("colour"), run.config, bases_of(run), mixed=False)


def test_a_permutation_of_the_channels_has_their_labels_and_counts_permuted(planted_run, tmp_path):
    layer = save_permutation(tmp_path / "permutation.safetensors")
    run = dissect(
        PLANTED, "colour", out=tmp_path / "r", layers=layer, n_samples=200, progress=False
    )
    for name, axis in (("histogram", 2), ("edges", 0), ("top_indices", 0), ("top_values", 0)):
        expected = planted_run.array("units", name).values.take(ORDER, axis=axis)
        np.testing.assert_array_equal(run.array(layer, name).values, expected)
    channels = planted_run.units("units").iloc[ORDER].reset_index(drop=True)
    # Mixtures are read beside channels alone, and have a say in what is named.
    for column in channels.columns.drop(["unit", "rung", "is_named", "mixtures_below"]):
        np.testing.assert_array_equal(run.units(layer)[column], channels[column])
    same = run.units(layer).is_named == channels.is_named
    assert same.sum() == 7
    for unit, channel in enumerate(ORDER):
        if not same[unit]:
            continue
        assert run.strip(layer, unit) == planted_run.strip("units", channel)


def test_channels_beside_other_bases_are_counted_as_if_alone(bases_run, planted_run):
    assert list(bases_run.layers) == [ROTATION, PCA, "units", "units@pca:2"]
    for name in ("histogram", "edges", "top_indices", "iou"):
        np.testing.assert_array_equal(
            bases_run.array("units", name).values, planted_run.array("units", name).values
        )


def test_a_layer_is_told_with_its_rotation(bases_run):
    layers = bases_run.summary()["layers"]
    assert layers["units"]["rotated"] == layers[ROTATION]["named"]
    assert layers[PCA]["rotated"] is None
    rotated = f"({layers['units']['rotated']:g} rotated)"
    assert [line for line in describe_run(bases_run).splitlines() if rotated in line]
    bar = {bar.layer: bar for bar in layer_bars(bases_run)}["units"]
    assert bar.rotated == layers["units"]["rotated"]


def test_shapes_are_those_of_the_basis(bases_run):
    info = bases_run.layers["units@pca:2"]
    assert (info.units, info.height, info.width) == (2, 32, 32)
    assert len(bases_run.units("units@pca:2")) == 2
    assert bases_run.summary()["layers"][PCA]["units"] == 9


@pytest.mark.parametrize("layer", [ROTATION, PCA])
def test_top_images_are_those_of_the_encoded_maps(bases_run, planted, layer):
    with trace(planted, "all") as recorded:
        planted.synthesize(planted.sample(range(200), seed=0))
    peaks = bases_run.basis(layer).encode(recorded["units"]).flatten(2).amax(dim=2)
    top_values = bases_run.array(layer, "top_values").values
    assert_same(
        top_values, peaks[calibration_size(200) :].sort(dim=0, descending=True).values[:8].T
    )


@pytest.mark.parametrize("layer", [ROTATION, PCA])
def test_counts_are_those_of_the_encoded_maps(bases_run, planted, layer):
    subject = subject_of(bases_run, planted)
    blocks = [subject.block(number) for number in range(7)]
    maps = torch.cat([block.maps[layer] for block in blocks])
    evaluation = torch.arange(200) >= calibration_size(200)
    edges = torch.from_numpy(bases_run.array(layer, "edges").values)
    histogram = bases_run.array(layer, "histogram").values
    # Pixels above each edge, from bins that count the edges below a value.
    above = histogram[1, 0][:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    expected = (maps[evaluation][..., None] > edges[:, None, None]).sum(dim=(0, 2, 3))
    np.testing.assert_array_equal(above, expected.numpy())


def test_a_rotation_knows_less_than_the_channels_it_mixes(bases_run):
    found = {layer: bases_run.iou(layer).max("concept").values for layer in ("units", ROTATION)}
    assert (found["units"] == 1).sum() == 5
    assert not (found[ROTATION] == 1).any()
    assert found[ROTATION].mean() < found["units"].mean()


def test_what_a_run_stores_makes_its_bases_again(bases_run, planted):
    with trace(planted, "all") as recorded:
        planted.synthesize(planted.sample(range(4), seed=9))
    maps = recorded["units"]
    for layer, basis in bases_of(bases_run).items():
        assert isinstance(basis, Basis)
        assert basis.n_units == bases_run.layers[layer].units
        assert basis.n_channels == 9
        assert basis.encode(maps).shape == (4, basis.n_units, 32, 32)
        if layer != "units":
            assert basis.name == layer.partition("@")[2]
            assert basis.fingerprint == bases_run.record["bases"][layer]
        if basis.exact:
            assert_same(basis.decode(basis.encode(maps)), maps)
    drawn = Rotation.draw("rotation:0", seed=0, n_channels=9)
    assert torch.equal(bases_run.basis(ROTATION).encode(maps), drawn.encode(maps))
    assert drawn.matrix.is_contiguous()
    assert bases_run.basis("units").encode(maps) is maps
    # Unit 6 is the sum of two others and unit 8 constant: nine components hold less than any x.
    exact = {layer: basis.exact for layer, basis in bases_of(bases_run).items()}
    assert exact == {ROTATION: True, PCA: False, "units": True, "units@pca:2": False}


def test_components_are_ordered_and_those_that_hold_nothing_are_not_named(bases_run):
    basis = bases_run.basis(PCA)
    assert (basis.explained[:-1] >= basis.explained[1:]).all()
    assert basis.explained.sum().item() == pytest.approx(1)
    empty = ~basis.matrix.any(dim=1).numpy()
    assert empty.tolist() == [False] * 7 + [True] * 2
    assert not bases_run.units(PCA).is_named[empty].any()


def test_the_stored_components_are_fitted_to_all_pixels_of_the_pilot(bases_run, planted):
    with trace(planted, "all") as recorded:
        planted.synthesize(planted.sample(range(200), seed=0))
    pixels = recorded["units"].double().permute(0, 2, 3, 1).reshape(-1, 9)
    basis = bases_run.basis(PCA)
    assert_same(basis.mean, pixels.mean(dim=0))
    features = (pixels - pixels.mean(dim=0)) @ basis.matrix.double().T
    covariance = torch.cov(features.T)
    assert (covariance - covariance.diagonal().diag()).abs().max() < 1e-6 * covariance.max()


def test_only_samples_of_the_pilot_are_fitted(tmp_path):
    settings = {"layers": PCA, "pilot": 40, "progress": False}
    short = dissect(PLANTED, "colour", out=tmp_path / "a", n_samples=40, **settings)
    long = dissect(PLANTED, "colour", out=tmp_path / "b", n_samples=80, **settings)
    assert torch.equal(short.basis(PCA).matrix, long.basis(PCA).matrix)
    assert torch.equal(short.basis(PCA).mean, long.basis(PCA).mean)


def test_an_interrupted_pass_in_other_bases_resumes_to_the_same_bytes(
    bases_run, tmp_path, monkeypatch
):
    import dissect.counting.planes as module

    label = module.label_block
    seen = []

    def label_then_stop(*arguments):
        seen.append(1)
        if len(seen) == 3:
            signal.raise_signal(signal.SIGINT)
        return label(*arguments)

    layers = list(bases_run.config.layers)
    monkeypatch.setattr(module, "label_block", label_then_stop)
    with pytest.raises(KeyboardInterrupt):
        dissect(PLANTED, "colour", out=tmp_path / "r", layers=layers, n_samples=200, progress=False)
    monkeypatch.undo()
    state = Workspace(tmp_path / "r", bases_run.record["fingerprint"]).load()
    assert state.covered.ranges == ((0, 3),)
    assert state.bases[PCA].fingerprint == bases_run.basis(PCA).fingerprint
    # What was fitted is read, not fitted again.
    monkeypatch.setattr("dissect.counting.driver.fit_bases", None)
    resumed = dissect(
        PLANTED, "colour", out=tmp_path / "r", layers=layers, n_samples=200, resume=True,
        progress=False,
    )  # fmt: skip
    assert files(resumed) == files(bases_run)
    assert resumed.record["bases"] == bases_run.record["bases"]


def test_another_content_of_the_same_file_is_another_run(tmp_path):
    settings = {"out": tmp_path / "r", "n_samples": 32, "progress": False}
    path = tmp_path / "a.safetensors"
    layer = save_permutation(path)
    run = dissect(PLANTED, "colour", layers=layer, **settings)
    again = dissect(PLANTED, "colour", layers=layer, **settings)
    assert again.record == run.record
    save_permutation(path, order=list(range(9)))
    with pytest.raises(RunError, match="holds another run"):
        dissect(PLANTED, "colour", layers=layer, **settings)
    save_permutation(path, activation="topk", k="9")
    with pytest.raises(RunError, match="holds another run"):
        dissect(PLANTED, "colour", layers=layer, **settings)
    # The run keeps the features it was made with, whatever became of the file.
    path.unlink()
    assert open_run(run.path).basis(layer).encode(torch.ones(1, 9, 1, 1)).sum() == 9


def test_a_layer_read_in_several_bases_is_recorded_once(bases_run, monkeypatch):
    generator = PlantedGenerator()
    calls = []
    register = torch.nn.Module.register_forward_hook
    monkeypatch.setattr(
        torch.nn.Module,
        "register_forward_hook",
        lambda module, hook: (calls.append(module), register(module, hook))[1],
    )
    block = subject_of(bases_run, generator).block(0)
    assert len(calls) == 1
    assert [maps.shape[1] for maps in block.maps.values()] == [9, 9, 9, 2]


def test_a_wrong_basis_leaves_nothing(tmp_path):
    with pytest.raises(ConfigError, match="at most 9"):
        dissect(PLANTED, "colour", out=tmp_path / "r", layers="units@pca:10", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_report_shows_layers_in_other_bases(bases_run, tmp_path):
    page = build_report(bases_run, out=tmp_path / "page").read_text()
    assert ROTATION in page
    assert PCA in page


def test_the_command_line_reads_layers_in_bases(command, tmp_path):
    sae = save_permutation(tmp_path / "p.safetensors")
    arguments = ("run", PLANTED, "--segmenter", "colour", "--samples", 32, "--json")
    done = command(*arguments, "--layers", f"all,all@rotation:3, {sae}", "--out", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)["layers"]) == ["units", "units@rotation:3", sae]
    shown = command("show", tmp_path / "r", "--layer", sae, "--csv")
    assert shown.returncode == 0, shown.stderr
    for layers, message in (
        ("units@rotaton:0", "did you mean 'rotation'"),
        ("units@pca:10", "expected at most 9"),
        ("units@sae:nowhere.safetensors", "nowhere.safetensors is not a file"),
    ):
        done = command(*arguments, "--layers", layers, "--out", tmp_path / "s")
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "s").exists()
