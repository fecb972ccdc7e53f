"""Which weights of a file are taken: the averaged ones, whatever they are called."""

import copy
import json

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import dissect
from dissect import CheckpointError, GeneratorError, Latent, load_generator
from dissect.generators.converting import convert_file
from dissect.inspection import describe, inspect_generator
from tests.generators.test_dcgan import small_state
from tests.generators.test_pggan import NUMBERS, draw_parts
from tests.generators.test_r3gan import make_state
from tests.rounding import assert_same

RAW = small_state()
AVERAGED = {name: value * 0.9 + 0.01 for name, value in RAW.items()}


def below(prefix, state):
    return {f"{prefix}{name}": value for name, value in state.items()}


def fingerprint(tmp_path, state):
    torch.save(state, tmp_path / "alone.pt")
    return load_generator(tmp_path / "alone.pt").fingerprint


GROUPS = [
    ("G", "G_ema"), ("G", "g_ema"), ("g", "g_running"), ("netG", "avgG"), ("netG", "netG_ema"),
    ("generator", "generator_smooth"), ("generator", "generator_ema"), ("params", "params_ema"),
    ("model", "model_ema"), ("model", "ema_model"), ("model", "ema"), ("state_dict", "ema_state_dict"),
    ("model", "EMA"), ("model", "swa_model"), ("generator", "average"), ("net", "net_average"),
    ("G", "shadow"), ("G", "Gs"), ("G", "gema"), ("G", "emaG"), ("model", "averaged_model"),
    ("G", "generatorEMA"), ("weights", "smoothed_weights"), ("raw", "moving_average"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "averaged"), GROUPS)
@pytest.mark.parametrize("raw_first", [True, False])
def test_a_group_that_is_averaged_by_its_name_is_taken(tmp_path, raw, averaged, raw_first):
    groups = [(raw, RAW), (averaged, AVERAGED)]
    torch.save(dict(groups if raw_first else groups[::-1]) | {"epoch": 3}, tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    assert generator.fingerprint == fingerprint(tmp_path, AVERAGED)
    assert (generator.source.group, generator.source.averaged) == (averaged, True)
    assert [(o.name, o.family) for o in generator.source.others] == [(raw, "DCGAN")]
    other = load_generator(f"{tmp_path / 'g.pt'}#{raw}")
    assert other.fingerprint == fingerprint(tmp_path, RAW)


PREFIXES = [
    ("generator.", "ema_generator."), ("G.", "G_ema."), ("netG.", "netG_ema."),
    ("model.", "ema.module."), ("module.generator.", "module.generator_ema."),
    ("online_model.", "ema_model."), ("gen.", "gen_avg."), ("model.G.", "model.G_ema."),
    ("_orig_mod.generator.", "_orig_mod.generator_ema."), ("G._orig_mod.", "G_ema._orig_mod."),
    ("G.module.", "G_ema.module."),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "averaged"), PREFIXES)
@pytest.mark.parametrize("group", ["state_dict", None])
def test_a_prefix_that_is_averaged_by_its_name_is_taken(tmp_path, raw, averaged, group):
    state = below(raw, RAW) | below(averaged, AVERAGED)
    torch.save({group: state} if group else state, tmp_path / "g.ckpt")
    generator = load_generator(tmp_path / "g.ckpt")
    assert generator.fingerprint == fingerprint(tmp_path, AVERAGED)
    assert generator.source.averaged
    assert any(o.family == "DCGAN" and not o.averaged for o in generator.source.others)


WRAPPERS = ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module."]


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("family", ["DCGAN", "PGGAN", "R3GAN"])
def test_wrappers_are_no_part_of_names(tmp_path, wrapper, family):
    state = {
        "DCGAN": RAW,
        "PGGAN": NUMBERS["gandissect"][0](draw_parts(3)),
        "R3GAN": make_state(),
    }[family]
    torch.save(below(wrapper, state), tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    assert generator.family == family
    assert generator.fingerprint == fingerprint(tmp_path, state)


class Plain(nn.Sequential):
    """The network of ``RAW``."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(10, 8, 4, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.ConvTranspose2d(8, 6, 4, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
            nn.ConvTranspose2d(6, 3, 4, 2, 1, bias=False), nn.Tanh(),
        )  # fmt: skip


@pytest.mark.parametrize("settings", [{}, {"multi_avg_fn": get_ema_multi_avg_fn(0.9)}])
@pytest.mark.parametrize("beside", [True, False])
def test_what_torchs_averaged_model_writes_is_taken(tmp_path, settings, beside):
    module = Plain()
    average = AveragedModel(module, **settings)
    for _ in range(3):
        for parameter in module.parameters():
            parameter.data += 0.1
        average.update_parameters(module)
    state = {"first": module.state_dict(), "second": average.state_dict()}
    torch.save(state if beside else state["second"], tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    assert generator.source.averaged
    latent = generator.sample([0, 1], seed=0)
    with torch.no_grad():
        expected = average.module.eval()(latent.data[:, :, None, None])
        assert_same(generator.synthesize(latent), expected)


def test_averages_of_parameters_alone_get_the_statistics_of_what_they_average(tmp_path):
    """As a dictionary, as a list of torch_ema, and under the names of LitEma."""
    module = settle = Plain()
    for part in settle.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(), part.running_var.uniform_(0.5, 2)
    average = copy.deepcopy(module)
    for parameter in average.parameters():
        parameter.data = parameter.data * 0.8 + 0.05
    named = dict(average.named_parameters())
    stored = {
        "names": {"model": module.state_dict(), "ema": {"decay": 0.9, "shadow": named}},
        "list": {"model": module.state_dict(), "ema": {
            "decay": 0.9, "num_updates": 5, "shadow_params": list(named.values())}},
        "no dots": {"state_dict": below("model.", module.state_dict()) | {
            "model_ema.decay": torch.tensor(0.9), "model_ema.num_updates": torch.tensor(5),
            **{f"model_ema.{name.replace('.', '')}": value for name, value in named.items()}}},
    }  # fmt: skip
    for way, content in stored.items():
        torch.save(content, tmp_path / "g.pt")
        generator = load_generator(tmp_path / "g.pt")
        assert generator.source.averaged, way
        assert len(generator.source.borrowed) == 6, way
        latent = generator.sample([0, 1], seed=0)
        with torch.no_grad():
            expected = average.eval()(latent.data[:, :, None, None])
            assert_same(generator.synthesize(latent), expected, way)


def test_averages_that_cannot_be_read_are_told(tmp_path, caplog):
    odd = {"something.else": torch.ones(3)}
    torch.save({"G": RAW, "G_ema": odd}, tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    assert not generator.source.averaged
    assert "'G' were taken as they were trained; 'G_ema' is averaged" in caplog.text


def test_an_averaged_discriminator_is_not_told_of(tmp_path, caplog):
    discriminator = {"main.0.weight": torch.ones(4, 3, 4, 4)}
    torch.save({"G": RAW, "D_ema": discriminator}, tmp_path / "g.pt")
    load_generator(tmp_path / "g.pt")
    assert not caplog.text


@pytest.mark.parametrize(
    ("name", "message"),
    [("G_emo", r"which is none of its groups; expected one of 'G_ema', 'G'"),
     ("D", r"the weights 'D' of .* holds 1 tensors .* of no family known here")],
)  # fmt: skip
def test_a_wrong_choice_is_one_line(tmp_path, name, message):
    held = {"G": RAW, "D": {"c.weight": torch.ones(4, 3, 4, 4)}, "G_ema": AVERAGED}
    torch.save(held, tmp_path / "g.pt")
    with pytest.raises(CheckpointError, match=message) as told:
        load_generator(f"{tmp_path / 'g.pt'}#{name}")
    assert "\n" not in str(told.value)


def test_weights_are_chosen_of_files_only():
    from dissect.generators.loading import choose_weights

    with pytest.raises(GeneratorError, match="which is not a file or folder"):
        choose_weights("faces-dcgan", "G")


def test_a_name_with_the_mark_in_it_is_still_a_name(tmp_path):
    torch.save(RAW, tmp_path / "g#2.pt")
    assert load_generator(tmp_path / "g#2.pt").family == "DCGAN"


@pytest.mark.parametrize("weights", [None, "G"])
def test_a_converted_file_holds_what_was_chosen(tmp_path, weights):
    torch.save({"G": RAW, "G_ema": AVERAGED, "D": {"x": torch.ones(3)}}, tmp_path / "g.pt")
    made = convert_file(tmp_path / "g.pt", tmp_path / "g.safetensors", weights=weights)
    assert made.fingerprint == fingerprint(tmp_path, RAW if weights else AVERAGED)
    assert [o.name for o in made.source.others] == []


def test_inspect_names_the_group_the_others_and_what_is_not_used(tmp_path):
    torch.save({"G": RAW, "G_ema": AVERAGED}, tmp_path / "g.pt")
    found = inspect_generator(str(tmp_path / "g.pt"))
    json.dumps(found, allow_nan=False)
    assert (found["weights"]["group"], found["weights"]["averaged"]) == ("G_ema", True)
    text = describe(found)
    assert "weights: G_ema (averaged)" in text
    assert "other weights: G, 11 tensors, DCGAN; --weights G takes it" in text
    assert "assumed: activations: ReLU" in text


def test_the_command_line_takes_weights(tmp_path, command):
    torch.save({"G": RAW, "G_ema": AVERAGED}, tmp_path / "g.pt")
    for extra, expected in (([], "G_ema"), (["--weights", "G"], "G")):
        done = command("inspect", tmp_path / "g.pt", "--json", *extra)
        assert json.loads(done.stdout)["weights"]["group"] == expected


CASES = {
    "dcgan_ema_ignored/G_and_G_ema.pt": "G_ema",
    "ema_other_names/lightning.ckpt": "state_dict/ema_generator",
    "ema_other_names/params_ema.pt": "params_ema",
}


@pytest.mark.parametrize("file", CASES)
def test_files_that_went_wrong_once(cases, file):
    generator = load_generator(cases / file)
    assert generator.source.group == CASES[file]
    expected = torch.load((cases / file).parent / "expected.pt", weights_only=True)
    with torch.no_grad():
        image = generator.synthesize(Latent("z", expected["z"]))
    assert_same(image, expected["expected_image"])


def test_missing_noise_has_fixed_maps_of_the_files_strengths(cases):
    folder = cases / "rosinality_without_noises"
    without, control = (
        dissect.load_generator(folder / f) for f in ("550000_like.pt", "same_with_noises.pt")
    )
    assert list(without.source.missing) == ["noises.noise_0 … noises.noise_6"]
    assert not control.source.missing
    latent = without.sample([0], seed=0)
    with torch.no_grad():
        images = {noise: without.synthesize(latent, noise=noise) for noise in ("const", "none")}
        # Without noise the two files are the same network.
        assert_same(images["none"], control.synthesize(latent, noise="none"))
        spread = control.synthesize(latent, noise="const") - images["none"]
        assert_same(without.synthesize(latent), images["const"])
    off = (images["const"] - images["none"]).std() / spread.std()
    assert 0.5 < off < 2


@pytest.mark.parametrize("file", ["swa.pt", "pggan_compiled.pt"])
def test_wrapped_files_that_were_refused_once(cases, file):
    assert load_generator(cases / "swa_compile_prefix" / file).family in ("DCGAN", "PGGAN")
