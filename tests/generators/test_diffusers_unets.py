import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dissect import (
    Ablate,
    CheckpointError,
    GeneratorError,
    Latent,
    intervene,
    load_generator,
    trace,
)
from dissect.generators.converting import convert_file
from dissect.generators.diffusers_unets import load_unet
from dissect.testing import check_generator
from tests.rounding import assert_same

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")


def small_unet(**settings):
    torch.manual_seed(0)
    defaults = {
        "sample_size": 8, "block_out_channels": (8, 16), "layers_per_block": 1,
        "norm_num_groups": 4, "attention_head_dim": 4,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    }  # fmt: skip
    return diffusers.UNet2DModel(**(defaults | settings)).eval()


def save(folder, scheduler=None, **settings):
    """A pipeline of a small U-Net, with DDIM unless another scheduler is given."""
    unet = small_unet(**settings)
    pipeline = diffusers.DDPMPipeline(unet, scheduler or diffusers.DDIMScheduler())
    pipeline.save_pretrained(folder, safe_serialization=True)
    return unet


def change(file, **values):
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(content | values))


@pytest.fixture(scope="module")
def real(checkpoints):
    """The pipeline that the library wrote, and what it computed from it."""
    folder = checkpoints / "diffusers_ddpm16"
    return load_generator(folder), np.load(checkpoints / "diffusers_ddpm16.npz"), folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unets") / "small"
    save(folder)
    return folder


# The library's own numbers


def test_five_steps_give_the_images_of_the_library(real):
    generator, expected, _ = real
    assert generator.module.timesteps == list(expected["ddim5_timesteps"])
    image = generator.synthesize(Latent("z", torch.from_numpy(expected["x"])))
    assert_same(image, expected["ddim5_eta0_img"])


def test_layers_at_a_step_are_the_features_of_the_library(real):
    _, expected, folder = real
    generator = load_unet(folder, n_steps=100)
    for i, t in enumerate(expected["t"].tolist()):
        generator.module.timesteps = [t]  # that step alone, from a given x_t
        with trace(
            generator, [name for name in generator.layers if name.startswith(f"t{t}/")]
        ) as m:
            generator.module(torch.from_numpy(expected["x"][i : i + 1]))
        names = [name for name in expected if name.startswith("feat.")]
        assert len(names) == 5
        for name in names:
            ours = m[f"t{t}/{name.removeprefix('feat.')}"][0]
            assert_same(ours, expected[name][i], f"{name} at {t}")


@pytest.mark.parametrize(
    "settings",
    [
        {"prediction_type": "v_prediction", "timestep_spacing": "trailing", "clip_sample": False,
         "rescale_betas_zero_snr": True},
        {"prediction_type": "sample", "timestep_spacing": "linspace", "clip_sample_range": 0.5,
         "beta_schedule": "squaredcos_cap_v2"},
        {"steps_offset": 1, "set_alpha_to_one": False, "beta_schedule": "scaled_linear",
         "thresholding": True},
    ],
)  # fmt: skip
def test_the_scheduler_in_the_folder_decides_the_way(tmp_path, settings):
    save(tmp_path / "p", diffusers.DDIMScheduler(**settings))
    generator = load_unet(tmp_path / "p", n_steps=4)
    pipe = diffusers.DDIMPipeline.from_pretrained(tmp_path / "p", use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(2, torch.Generator().manual_seed(3), num_inference_steps=4, output_type="pt")[0]
    noise = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    ours = generator.synthesize(Latent("z", noise))
    assert_same((ours / 2 + 0.5).clamp(0, 1), theirs)
    plain = load_unet(tmp_path / "p" / "unet", n_steps=4)  # finds the scheduler beside its folder
    assert plain.fingerprint == generator.fingerprint


def test_a_network_that_learned_its_variance_is_read_by_its_mean(tmp_path):
    scheduler = diffusers.DDPMScheduler(variance_type="learned_range")
    unet = save(tmp_path / "p", scheduler, out_channels=6)
    generator = load_unet(tmp_path / "p", n_steps=1)
    latent = generator.sample([0], seed=0)
    ddim = diffusers.DDIMScheduler()
    ddim.set_timesteps(1)
    mean = unet(latent.data, 0).sample[:, :3]
    theirs = ddim.step(mean, 0, latent.data).prev_sample
    assert_same(generator.synthesize(latent), theirs)


# Laws


def test_it_keeps_all_laws_with_classes_in_one_channel(tmp_path):
    unet = save(tmp_path / "p", in_channels=1, out_channels=1, num_class_embeds=3)
    generator = load_unet(tmp_path / "p", n_steps=2)
    assert (generator.n_classes, generator.channels) == (3, 1)
    assert len(check_generator(generator)) == 11
    with trace(generator, "t500/mid_block") as maps:
        generator.synthesize(generator.sample([0, 1], seed=0, label=2))
    theirs = []
    unet.mid_block.register_forward_hook(lambda module, inputs, output: theirs.append(output))
    latent = generator.sample([0, 1], seed=0)
    unet(latent.data, 500, class_labels=torch.tensor([2, 2]))
    assert_same(maps["t500/mid_block"], theirs[0])
    mixed = Latent("z", latent.data, torch.tensor([[0.5, 0.5, 0.0]] * 2))
    assert generator.synthesize(mixed).isfinite().all()


@pytest.mark.parametrize(
    "settings",
    [
        {"down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
         "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D"), "block_out_channels": (32, 32)},
        {"downsample_type": "resnet", "upsample_type": "resnet", "mid_block_type": None},
    ],
)  # fmt: skip
def test_other_kinds_of_blocks_keep_all_laws(tmp_path, settings):
    save(tmp_path / "p", **settings)
    generator = load_unet(tmp_path / "p", n_steps=1)
    assert len(check_generator(generator)) == 11
    blocks = [name for name in generator.layers if "resnet" not in name]
    middle = [] if "mid_block_type" in settings else ["t0/mid_block"]
    down, up = ([f"t0/{way}_blocks.{i}" for i in (0, 1)] for way in ("down", "up"))
    assert blocks == ["t0/conv_in", *down, *middle, *up]


def test_an_edit_at_one_step_leaves_all_before_it(real):
    generator, _, _ = real
    latent = generator.sample([0, 1], seed=0)
    names, edited = list(generator.layers), "t400/mid_block"
    with torch.no_grad():
        with trace(generator, names) as before:
            generator.synthesize(latent)
        with intervene(generator, [Ablate(edited, range(32))]), trace(generator, names) as after:
            generator.synthesize(latent)
    changed = [name for name in names if not torch.equal(before[name], after[name])]
    # From that layer on, and of later steps everything.
    assert changed == names[names.index(edited) :]
    assert not after[edited].any()


def test_an_edit_of_a_down_block_reaches_its_skip_and_no_call_from_outside(real):
    generator, expected, _ = real
    unet, latent = generator.module.unet, generator.sample([0], seed=0)
    x, t = torch.from_numpy(expected["x"]), torch.from_numpy(expected["t"])
    given = []
    handle = (
        unet.up_blocks[0]
        .resnets[0]
        .register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    )
    try:
        with intervene(generator, [Ablate("t200/down_blocks.1", range(32))]):
            generator.synthesize(latent)
            direct = unet(x, t).sample
    finally:
        handle.remove()
    # What the first residual block on the way up gets: 32 units from below, 32 of the skip.
    skips = [bool(maps[:, 32:].any()) for maps in given[:5]]
    assert skips == [True, True, True, False, True]
    assert_same(direct, expected["eps"])


def test_a_pass_that_fails_leaves_no_step_behind(real):
    generator, _, _ = real

    def fail(module, inputs, output):
        raise KeyboardInterrupt

    handle = generator.module.taps.t400.mid_block.register_forward_hook(fail)
    try:
        with pytest.raises(KeyboardInterrupt):
            generator.synthesize(generator.sample([0], seed=0))
    finally:
        handle.remove()
    assert generator.module.now is None


def test_gradients_reach_units_at_every_step(real):
    generator, _, _ = real
    factor = torch.ones(5, requires_grad=True)
    handles = [
        generator.module.get_submodule(f"taps.t{t}.mid_block").register_forward_hook(
            lambda module, inputs, output, i=i: output * factor[i]
        )
        for i, t in enumerate(generator.module.timesteps)
    ]
    try:
        generator.synthesize(generator.sample([0], seed=0)).square().sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    assert (factor.grad != 0).all()


# Files


def test_it_is_dissected_converted_and_inspected(real, tmp_path, command):
    generator, _, folder = real
    layers = "t800/mid_block,t0/up_blocks.1"
    asked = ["--segmenter", "colour", "--samples", "32", "--layers", layers]
    done = command("run", folder, *asked, "--out", tmp_path / "r", "--json")
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)["layers"]) == layers.split(",")
    again = convert_file(folder, tmp_path / "u.safetensors")
    assert again.fingerprint == generator.fingerprint
    latent = generator.sample([0], seed=1)
    assert torch.equal(again.synthesize(latent), generator.synthesize(latent))
    assert "layer t400/down_blocks.1.resnets.0" in command("inspect", folder).stdout


def test_old_folders_and_names_load_the_same(pipeline, tmp_path):
    """Everything side by side, weights pickled, attentions as they were called before 0.14."""
    state = load_file(pipeline / "unet" / "diffusion_pytorch_model.safetensors")
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    parts = {f".{new}.": f".{before}." for new, before in old.items()}
    found = {name: [part for part in parts if part in name] for name in state}
    renamed = {
        name.replace(found[name][0], parts[found[name][0]]) if found[name] else name: value
        for name, value in state.items()
    }
    assert renamed.keys() != state.keys()
    torch.save(renamed, tmp_path / "diffusion_pytorch_model.bin")
    for file in ("unet/config.json", "scheduler/scheduler_config.json", "model_index.json"):
        (tmp_path / file.split("/")[-1]).write_bytes((pipeline / file).read_bytes())
    assert load_generator(tmp_path).fingerprint == load_generator(pipeline).fingerprint


def test_settings_that_change_images_change_the_fingerprint(pipeline, tmp_path):
    prints = {load_unet(pipeline, n_steps=n).fingerprint for n in (4, 5)}
    save(tmp_path / "p", diffusers.DDIMScheduler(clip_sample=False))
    prints.add(load_generator(tmp_path / "p").fingerprint)
    assert len(prints) == 3


def test_a_unet_without_a_scheduler_takes_that_of_ddpm(tmp_path):
    small_unet().save_pretrained(tmp_path / "u", safe_serialization=True)
    scheduler = load_generator(tmp_path / "u").module.scheduler
    assert scheduler.config == diffusers.DDIMScheduler().config


# Refusals


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("unet/config.json", {"_class_name": "UNet2DConditionModel"},
         "UNet2DConditionModel of a DDPMPipeline, which needs more than noise"),
        ("model_index.json", {"_class_name": "LDMPipeline", "vqvae": ["diffusers", "VQModel"]},
         "part of a LDMPipeline, which has vqvae:VQModel beside its U-Net"),
        ("unet/config.json", {"sample_size": None}, "sample_size is None, where that of squares"),
        ("unet/config.json", {"sample_size": [8, 16]}, "where that of squares"),
        ("unet/config.json", {"in_channels": 4, "out_channels": 4}, "from 4 to 4 channels"),
        ("unet/config.json", {"out_channels": 6}, "from 3 to 6 channels"),
        ("unet/config.json", {"class_embed_type": "timestep"}, "embeds classes by 'timestep'"),
        ("unet/config.json", {"time_embedding_type": "fourier"}, "embeds levels of noise"),
        ("unet/config.json", {"layers_per_block": 10**9}, "layers_per_block is 1000000000"),
        ("unet/config.json", {"norm_num_groups": "many"}, "do not fit together"),
        ("unet/config.json", {"block_out_channels": [8, 32]}, "except for .* of its tensors"),
        ("scheduler/scheduler_config.json", {"_class_name": "ScoreSdeVeScheduler"},
         "ScoreSdeVeScheduler, whose steps are not those of DDIM"),
        ("scheduler/scheduler_config.json", {"prediction_type": "flow"}, "prediction_type is 'flow'"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "sigmoid"}, "beta_schedule is 'sigm"),
        ("scheduler/scheduler_config.json", {"trained_betas": [0.1] * 100}, "100 betas of its own"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**12}, "expected 1 to 100000"),
        ("scheduler/scheduler_config.json",
         {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}, "noise at t = 999"),
    ],
)  # fmt: skip
def test_what_noise_alone_makes_no_image_of_is_told_in_one_line(
    pipeline, tmp_path, file, values, message
):
    for part in ("unet", "scheduler"):
        (tmp_path / part).mkdir()
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").symlink_to(
        pipeline / "unet" / "diffusion_pytorch_model.safetensors"
    )
    for kept in ("unet/config.json", "scheduler/scheduler_config.json", "model_index.json"):
        (tmp_path / kept).write_bytes((pipeline / kept).read_bytes())
    change(tmp_path / file, **values)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_generator(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_pipeline_without_a_unet_and_a_file_without_one_are_told(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"without a U-Net \(unet/config.json\)"):
        load_generator(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="is not a U-Net of diffusers"):
        load_unet(tmp_path / "a.safetensors")


@pytest.mark.parametrize("n_steps", [0, 1001])
def test_a_number_of_steps_out_of_range_is_refused(pipeline, n_steps):
    with pytest.raises(GeneratorError, match=f"n_steps is {n_steps}; expected 1 to 1000"):
        load_unet(pipeline, n_steps=n_steps)


def test_without_the_library_it_says_what_to_install(pipeline, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(CheckpointError, match=r"pip install 'gan-dissection\[diffusers\]'"):
        load_generator(pipeline)
