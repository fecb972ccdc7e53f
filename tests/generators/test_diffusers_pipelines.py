"""Tiny pipelines with random weights, saved by the libraries, against the libraries' own images."""

import json
import shutil

import pytest
import torch

from dissect import (
    Ablate,
    CheckpointError,
    GeneratorError,
    Insert,
    Latent,
    intervene,
    load_generator,
    trace,
)
from dissect.generators.diffusers_pipelines import TextToImageGenerator, load_pipeline
from dissect.testing import check_generator
from tests.generators.tiny_pipelines import (
    diffusers,
    library_images,
    save_pixart,
    save_stable_diffusion,
)
from tests.rounding import assert_same

PROMPTS = ("a red house", "trees", "a house")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("pipelines")
    save_stable_diffusion(home / "sd", home / "tokenizer")
    save_pixart(home / "pixart")
    return {name: home / name for name in ("sd", "pixart")}


@pytest.fixture(scope="module", params=["sd", "pixart"])
def both(request, folders):
    """Folder and generator of each kind."""
    folder = folders[request.param]
    return folder, load_pipeline(folder, prompts=PROMPTS, n_steps=3)


@pytest.fixture(scope="module")
def stable(folders):
    return load_pipeline(folders["sd"], prompts=PROMPTS, n_steps=2)


# The library's own images


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_images_are_the_library_s(folders, guidance):
    for folder in folders.values():
        generator = load_pipeline(folder, prompts=PROMPTS, n_steps=3, guidance=guidance)
        latent = generator.sample(range(3), seed=0)
        ours = generator.synthesize(Latent("z", latent.data, torch.arange(3)))
        theirs = library_images(
            folder, latent.data, PROMPTS, num_inference_steps=3, guidance_scale=guidance
        )
        assert_same((ours / 2 + 0.5).clamp(0, 1), theirs)
        assert theirs.std() > 0.01


def test_it_keeps_all_laws(both):
    assert len(check_generator(both[1])) == 11


def test_a_folder_alone_draws_the_empty_text(folders):
    generator = load_generator(folders["sd"])
    assert generator.family == "text-to-image pipeline of diffusers"
    assert isinstance(generator, TextToImageGenerator)
    assert generator.prompts == ("",)
    assert len(generator.module.names) == 5
    again = load_generator(f"{folders['sd']}?prompt=a house")
    latent = generator.sample([0], seed=0)
    assert not torch.equal(generator.synthesize(latent), again.synthesize(latent))
    assert generator.fingerprint != again.fingerprint
    assert again.family == generator.family


# Layers and edits


def test_layers_are_the_library_s_features(both):
    folder, generator = both
    latent = Latent("z", generator.sample([0], seed=0).data, torch.tensor([1]))
    first = generator.module.names[0]
    path = "mid_block" if "sd" in folder.name else "transformer_blocks.1"
    with trace(generator, [f"{first}/{path}"]) as maps:
        generator.synthesize(latent)
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    kept = []
    network = pipeline.unet if "sd" in folder.name else pipeline.transformer
    network.get_submodule(path).register_forward_hook(
        lambda module, inputs, output: kept.append(output)
    )
    given = {"clean_caption": False} if "pixart" in folder.name else {}
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline(
        PROMPTS[1], latents=latent.data, num_inference_steps=3, output_type="latent",
        **given | ({"use_resolution_binning": False} if given else {}),
    )  # fmt: skip
    theirs = kept[0][1:]  # behind the empty text's
    if theirs.ndim == 3:
        theirs = theirs.transpose(1, 2).reshape(1, -1, 4, 4)
    assert_same(maps[f"{first}/{path}"], theirs)


def attentions(generator):
    return [name for name in generator.layers if name.endswith(".attn2")]


def test_attention_to_tokens_is_one_in_all_and_none_to_what_a_prompt_lacks(both):
    _, generator = both
    latent = Latent("z", generator.sample([0, 1], seed=0).data, torch.tensor([1, 0]))
    with trace(generator, attentions(generator)) as maps:
        generator.synthesize(latent)
    for found in maps.values():
        assert torch.allclose(found.sum(dim=1), torch.ones_like(found[:, 0]), atol=1e-5)
    found = next(iter(maps.values()))
    lacking = [k for k, word in enumerate(generator.words) if word in ("h", "house")]
    assert lacking
    assert (found[0, lacking] == 0).all()
    assert (found[1, lacking] > 0).all()


def test_attention_by_hand_and_without_a_token(stable):
    """The reference: an attention of plain operations, with a token's shares set to 0."""
    name = attentions(stable)[0]
    path = name.partition("/")[2]
    module = stable.module.network.get_submodule(path)
    latent = Latent("z", stable.sample([0], seed=0).data, torch.tensor([0]))
    unit = stable.words.index("d</w>")
    kept = []

    def note(module, inputs, given, output):
        kept.append((inputs[0][1:], given["encoder_hidden_states"][1:], output[1:]))

    handle = module.register_forward_hook(note, with_kwargs=True)
    try:
        with trace(stable, [name]) as maps:
            stable.synthesize(latent)
        with intervene(stable, [Ablate(name, [unit])]):
            stable.synthesize(latent)
    finally:
        handle.remove()
    hidden, text, output = kept[0]
    heads = module.heads
    q, k, v = (
        layer(values).unflatten(2, (heads, -1)).transpose(1, 2)
        for layer, values in ((module.to_q, hidden), (module.to_k, text), (module.to_v, text))
    )
    paid = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(dim=-1)
    assert_same(module.to_out[0]((paid @ v).transpose(1, 2).flatten(2)), output)
    place = stable._texts.member[0, :, unit].nonzero().flatten()
    assert len(place) == 1
    assert_same(maps[name][0, unit].flatten(), paid.mean(dim=1)[0, :, place[0]])
    paid[..., place] = 0
    without = module.to_out[0]((paid @ v).transpose(1, 2).flatten(2))
    n_steps = len(stable.module.names)
    assert_same(kept[n_steps][2], without)


def test_an_edit_at_a_step_changes_that_step_and_what_follows(both):
    _, generator = both
    latent = generator.sample([0], seed=0, label=0)
    image = generator.synthesize(latent)
    second = generator.module.names[1]
    layer = next(n for n in generator.layers if n.startswith(f"{second}/") and "attn2" not in n)
    others = [f"{t}/{layer.partition('/')[2]}" for t in generator.module.names]
    with trace(generator, others) as plain:
        generator.synthesize(latent)
    with intervene(generator, [Insert(layer, [0], [5.0])]), trace(generator, others) as maps:
        edited = generator.synthesize(latent)
    assert not torch.equal(edited, image)
    assert torch.equal(maps[others[0]], plain[others[0]])
    assert (maps[others[1]][:, 0] == 5).all()
    assert torch.equal(maps[others[1]][:, 1:], plain[others[1]][:, 1:])
    assert not torch.equal(maps[others[2]], plain[others[2]])


def test_tracing_changes_no_bit(both):
    _, generator = both
    latent = generator.sample([0, 1], seed=0)
    image = generator.synthesize(latent)
    with trace(generator, "all"):
        assert torch.equal(generator.synthesize(latent), image)


# Prompts and folders


def test_a_mixture_of_prompts_mixes_what_they_are_encoded_as(stable):
    latent = stable.sample([0], seed=0, label=0)
    mixed = Latent("z", latent.data, torch.tensor([[0.5, 0.5, 0.0]]))
    image = stable.synthesize(mixed)
    for label in (0, 1):
        one = Latent("z", latent.data, torch.tensor([label]))
        assert not torch.equal(stable.synthesize(one), image)
    whole = Latent("z", latent.data, torch.tensor([[1.0, 0.0, 0.0]]))
    assert torch.equal(stable.synthesize(whole), stable.synthesize(latent))


def change(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: change(f / "unet/config.json", time_cond_proj_dim=8), "time_cond_proj_dim"),
        (lambda f: shutil.rmtree(f / "text_encoder"), "save_pretrained"),
        (
            lambda f: (f / "text_encoder/model.safetensors").rename(
                f / "text_encoder/pytorch_model.bin"
            ),
            "as safetensors",
        ),
        (lambda f: shutil.rmtree(f / "vae"), "is not a file"),
        (
            lambda f: change(f / "model_index.json", _class_name="StableDiffusionXLPipeline"),
            "needs more than noise",
        ),
        (
            lambda f: change(
                f / "scheduler/scheduler_config.json",
                _class_name="FlowMatchEulerDiscreteScheduler",
            ),
            "whose steps are not those of DDIM",
        ),
    ],
)
def test_folders_that_are_not_read_are_refused_in_a_line(folders, tmp_path, break_it, message):
    folder = tmp_path / "sd"
    shutil.copytree(folders["sd"], folder)
    break_it(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_generator(folder)
    assert "\n" not in str(caught.value)


def test_a_transformer_of_another_kind_is_refused_before_its_weights_are_read(folders, tmp_path):
    folder = tmp_path / "flux"
    shutil.copytree(folders["pixart"], folder)
    change(folder / "transformer/config.json", _class_name="FluxTransformer2DModel")
    (folder / "transformer/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="around a FluxTransformer2DModel"):
        load_generator(folder)


def test_settings_out_of_range(folders):
    with pytest.raises(GeneratorError, match="n_steps is 0"):
        load_pipeline(folders["sd"], n_steps=0)
    with pytest.raises(GeneratorError, match="no prompt"):
        load_pipeline(folders["sd"], prompts=())
