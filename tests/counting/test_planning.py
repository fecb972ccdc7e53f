import json

import pytest
import torch

from dissect import ConfigError, dissect
from dissect.config import RunConfig
from dissect.counting import grouping
from dissect.counting.grouping import (
    Group,
    LayerNeeds,
    Measured,
    counts_bytes,
    group_bytes,
    group_layers,
    layer_needs,
)
from dissect.counting.pilot import KeptBlocks
from dissect.counting.planning import plan
from dissect.counting.subject import Subject, setup_of
from dissect.generators.base import LayerInfo
from dissect.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Network
from dissect.memory import peak_memory
from dissect.runs.partial import Workspace
from dissect.sizes import format_size, parse_size
from dissect.statistics import LayerCounts
from dissect.statistics.edges import N_EDGES
from dissect.statistics.units import empty_statistics
from segmenters import load_segmenter

PLANTED = "dissect.worlds.planted:generator"


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("4GB", 4 * 10**9),
        ("500 mb", 500 * 10**6),
        ("1.5GiB", 3 * 2**29),
        ("64k", 64_000),
        ("12", 12),
        (7, 7),
    ],
)
def test_sizes_are_read_as_people_write_them(text, n_bytes):
    assert parse_size(text) == n_bytes


@pytest.mark.parametrize("text", ["", "GB", "4XB", "-4GB", "0", "nan", "1e9", "4 GB 3"])
def test_what_is_no_size_is_told(text):
    with pytest.raises(ConfigError, match=r"not an amount of memory; expected .* such as 4GB"):
        parse_size(text)


def test_sizes_are_written_with_few_digits():
    shown = [format_size(n) for n in (0, 999, 1000, 9_960, 1_500_000, 999_600_000, 5 * 10**13)]
    assert shown == ["0 bytes", "999 bytes", "1.0 kB", "10 kB", "1.5 MB", "1.0 GB", "50 TB"]


def needs(**units):
    config = RunConfig("g", "s", tuple(units))
    return {
        name: layer_needs(
            LayerInfo(n, 8, 8, name), n_concepts=20, n_codes=50, grid=32, config=config
        )
        for name, n in units.items()
    }


def test_every_layer_is_in_one_group_and_no_group_exceeds_the_budget():
    layers = needs(a=64, b=512, c=256, d=8, e=300)
    single = max(group_bytes([n]) for n in layers.values())
    for budget in (1000 + single, 1000 + 2 * single, 1000 + 10 * single):
        groups = group_layers(layers, base=1000, finishing=0, budget=budget)
        assert sorted(name for group in groups for name in group.layers) == list(layers)
        for group in groups:
            used = 1000 + group_bytes([layers[name] for name in group.layers])
            assert used + group.spare == budget
            assert group.spare >= 0
    assert groups == [Group(tuple(layers), groups[0].spare)]
    assert group_layers(layers, base=0, finishing=0, budget=None) == [Group(tuple(layers))]


def test_counts_take_as_many_bytes_as_the_arrays_that_are_made():
    config = RunConfig("g", "s", ("l",), coactivation=True)
    for n_units in (1, 2, 7, 40):
        setup = setup_of(config, n_units=n_units, n_concepts=5)
        made = LayerCounts.empty(
            n_concepts=5, n_units=n_units, n_edges=N_EDGES, n_planes=2,
            statistics=empty_statistics(setup),
        )  # fmt: skip
        size = sum(array.nbytes for array in made.to_arrays().values())
        assert counts_bytes(setup, n_planes=2) == size


def test_layers_together_need_their_maps_and_the_pilot_or_all_counts_with_the_largest_scratch():
    a, b = LayerNeeds(maps=1, pilot=10, counts=20, scratch=5), LayerNeeds(2, 30, 4, 7)
    assert group_bytes([a]) == 1 + 20 + 5
    assert group_bytes([a, b]) == 1 + 2 + 40  # the pilot is larger than 24 + 7
    assert group_bytes([a, LayerNeeds(2, 3, 4, 7)]) == 1 + 2 + 20 + 4 + 7


def test_the_pilot_of_a_short_run_is_as_long_as_the_run():
    one = LayerInfo(8, 8, 8, "one")
    needed = [
        layer_needs(
            one, n_concepts=5, n_codes=9, grid=16,
            config=RunConfig("g", "s", ("one",), n_samples=n_samples, pilot=64),
        ).pilot
        for n_samples in (16, 64, 6400)
    ]  # fmt: skip
    assert needed == [4 * 8 * n_pilot * 16**2 for n_pilot in (16, 64, 64)]


def test_groups_stand_in_the_order_of_their_layers_and_a_budget_may_be_used_up():
    layers = {name: LayerNeeds(n, 0, 0, 0) for name, n in (("a", 2), ("b", 9), ("c", 3), ("d", 8))}
    groups = group_layers(layers, base=100, finishing=0, budget=111)
    assert groups == [Group(("a", "b"), 0), Group(("c", "d"), 0)]
    assert group_layers(layers, base=100, finishing=9, budget=109) == [
        Group(("a", "c"), 4), Group(("b",), 0), Group(("d",), 1),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="expected at least"):
        group_layers(layers, base=100, finishing=10, budget=109)


def test_a_budget_below_every_layer_names_the_least_that_would_do():
    layers = needs(a=64, b=512)
    least = 5000 + group_bytes([layers["b"]])
    megabytes = -(-least // 10**6)
    with pytest.raises(ConfigError, match=f"expected at least {megabytes}MB") as caught:
        group_layers(layers, base=5000, finishing=0, budget=least - 1)
    assert "\n" not in str(caught.value)
    assert group_layers(layers, base=5000, finishing=0, budget=megabytes * 10**6)


@pytest.fixture(scope="module")
def small_stylegan():
    torch.manual_seed(0)
    config = StyleGAN2Config(16, (12, 8, 6), z_size=16, w_size=16, mapping_depth=1)
    return StyleGAN2(StyleGAN2Network(config).eval().requires_grad_(False), name="small")


def contents(run):
    return {
        path.relative_to(run.path): path.read_bytes()
        for path in sorted(run.path.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


@pytest.fixture
def budget_for_two_groups(small_stylegan, monkeypatch):
    """A budget that does not hold all layers, in a process that takes nothing itself."""
    monkeypatch.setattr(grouping, "measure", lambda *_: Measured(base=0, n_codes=40))
    monkeypatch.setattr(grouping, "_WRITERS", 0)
    config = RunConfig("small", "colour", tuple(small_stylegan.layers), n_samples=64)
    subject = Subject(small_stylegan, load_segmenter("colour"), config)
    found = grouping.needs_of_layers(subject, 40)
    return max(group_bytes([n]) for n in found.values()) * 3 // 2


def test_a_run_in_several_passes_is_the_same_bytes_and_fits_its_memory(
    small_stylegan, budget_for_two_groups, tmp_path, monkeypatch
):
    segmenter = load_segmenter("colour")
    whole = dissect(small_stylegan, segmenter, out=tmp_path / "a", n_samples=64, progress=False)
    counted = []
    make = Subject.block
    monkeypatch.setattr(
        Subject, "block", lambda own, number: counted.append(own.config.layers) or make(own, number)
    )
    parts = dissect(
        small_stylegan, segmenter, out=tmp_path / "b", n_samples=64, memory=budget_for_two_groups,
        progress=False,
    )  # fmt: skip
    assert len(set(counted)) >= 2
    assert contents(parts) == contents(whole)
    assert parts.record["config"] == whole.record["config"]
    assert parts.summary()["layers"] == whole.summary()["layers"]


def test_a_run_in_several_passes_goes_on_where_it_stopped(
    small_stylegan, budget_for_two_groups, tmp_path, monkeypatch
):
    segmenter = load_segmenter("colour")
    settings = {"n_samples": 64, "memory": budget_for_two_groups, "progress": False}
    whole = dissect(small_stylegan, segmenter, out=tmp_path / "a", **settings)
    saves = []

    def stop_in_the_second_pass(workspace, state, number=0):
        save(workspace, state, number)
        saves.append(number)
        if number == 1:
            raise KeyboardInterrupt

    save = Workspace.save
    monkeypatch.setattr(Workspace, "save", stop_in_the_second_pass)
    with pytest.raises(KeyboardInterrupt):
        dissect(small_stylegan, segmenter, out=tmp_path / "b", save_every=0, **settings)
    monkeypatch.setattr(Workspace, "save", save)
    assert saves.count(0) >= 2  # every block and the end
    with pytest.raises(ConfigError, match="layers that the unfinished run counts together"):
        dissect(
            small_stylegan,
            segmenter,
            out=tmp_path / "b",
            resume=True,
            **settings | {"memory": "100kB"},
        )
    resumed = dissect(small_stylegan, segmenter, out=tmp_path / "b", resume=True, **settings)
    assert contents(resumed) == contents(whole)


def test_a_plan_counts_forward_passes_and_its_bytes_follow_from_the_shapes(
    small_stylegan, budget_for_two_groups, monkeypatch
):
    monkeypatch.setattr(
        "dissect.counting.planning.measure", lambda *_: Measured(base=0, n_codes=40)
    )
    segmenter = load_segmenter("colour")
    config = RunConfig("small", "colour", tuple(small_stylegan.layers), n_samples=640, pilot=64)
    whole = plan(small_stylegan, segmenter, config)
    assert whole.passes == 1
    # All of 20 blocks to be counted; the pilot's two are kept.
    assert whole.forward_passes == 20
    layer = whole.layers["b8.conv1"]
    assert (layer.units, layer.height, layer.width, layer.in_pass) == (8, 8, 8, 1)
    directions = 8 + 16  # its units, and four draws of four mixtures
    histogram = 8 * 3 * 12 * directions * 49
    pairs = 8 * (4 * 2 + 5) * 2 * directions * 11
    top_images = (4 + 8 + 2 * 8 * 11) * 8 * directions
    assert layer.counts_bytes == pytest.approx(histogram + pairs + top_images, abs=800)
    parts = plan(small_stylegan, segmenter, config, budget=budget_for_two_groups)
    assert parts.passes == max(layer.in_pass for layer in parts.layers.values()) >= 2
    assert parts.memory_bytes <= budget_for_two_groups < whole.memory_bytes
    assert parts.forward_passes >= parts.passes * 20
    longer = plan(small_stylegan, segmenter, RunConfig("small", "colour", config.layers, 6400))
    more = plan(small_stylegan, segmenter, RunConfig("small", "colour", config.layers, 64_000))
    assert longer.memory_bytes == more.memory_bytes
    assert more.forward_passes > 5 * longer.forward_passes


def test_peak_memory_sees_what_was_let_go_again():
    held, before = peak_memory(lambda: None)
    _, peak = peak_memory(lambda: torch.ones(50_000_000).sum().item())
    assert held is None
    assert peak - before > 150_000_000


def test_blocks_are_kept_up_to_the_limit_and_taken_once(planted):
    config = RunConfig("planted", "colour", ("units",), n_samples=64)
    subject = Subject.of(planted, load_segmenter("colour"), config)
    first, second = (subject.block(number) for number in range(subject.n_blocks))
    size = first.images.nbytes + sum(maps.nbytes for maps in first.maps.values())
    kept = KeptBlocks(size)
    kept.offer(0, first)
    kept.offer(1, second)
    assert kept.take(1) is None
    assert kept.take(0) is first
    assert kept.take(0) is None


def test_blocks_beyond_the_memory_wait_in_a_file_and_come_back_as_they_were(planted, tmp_path):
    config = RunConfig("planted", "colour", ("units",), n_samples=96)
    subject = Subject.of(planted, load_segmenter("colour"), config)
    blocks = [subject.block(number) for number in range(subject.n_blocks)]
    with KeptBlocks(0, folder=tmp_path) as kept:
        for number, block in enumerate(blocks):
            kept.offer(number, block)
        for number in (1, 2, 0):
            found = kept.take(number)
            assert found.indices == blocks[number].indices
            assert torch.equal(found.images, blocks[number].images)
            assert torch.equal(found.maps["units"], blocks[number].maps["units"])
            assert kept.take(number) is None
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_pilot_waits_in_a_file_is_the_same_bytes(planted_run, tmp_path, monkeypatch):
    monkeypatch.setattr("dissect.counting.driver.KEPT_BYTES", 0)
    made, block = [], Subject.block
    monkeypatch.setattr(Subject, "block", lambda own, n: made.append(n) or block(own, n))
    run = dissect(PLANTED, "colour", out=tmp_path / "r", n_samples=200, progress=False)
    # Neither the pilot nor the count makes a block that the other made, and strips need none.
    assert made == list(range(7))
    assert contents(run) == contents(planted_run)


def test_a_dry_run_says_what_a_run_takes_and_writes_nothing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ("run", PLANTED, "--segmenter", "colour", "--samples", 64, "--dry-run")
    done = command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["layers"]["units"]["units"] == 9
    assert found["passes"] == 1
    assert found["memory_bytes"] > 10**8
    assert set(found["seconds"]) == {"pilot", "generate", "segment", "count", "images", "total"}
    assert {"arrays", "table", "images", "unfinished"} == set(found["disk_bytes"])
    text = command(*arguments, "--memory", "1MB")
    assert text.returncode == 2
    assert text.stderr.count("\n") == 1
    assert "memory is 1.0 MB; expected at least" in text.stderr
    assert list(tmp_path.iterdir()) == []
