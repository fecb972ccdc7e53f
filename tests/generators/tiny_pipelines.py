"""Tiny text-to-image pipelines with random weights, written by diffusers itself."""

import json
import string

import pytest
import torch

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")


def small_vae():
    return diffusers.AutoencoderKL(
        block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2, latent_channels=4,
        sample_size=16, down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip


def clip_tokenizer(folder):
    """Letters alone: every word is spelled."""
    letters = string.ascii_lowercase
    names = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{one}</w>" for one in letters)]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({name: k for k, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=20
    )


def save_stable_diffusion(folder, scratch):
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        attention_head_dim=4, cross_attention_dim=16, in_channels=4, out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=60, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=20, bos_token_id=0, eos_token_id=1,
            pad_token_id=1,
        )
    )  # fmt: skip
    scheduler = diffusers.DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1,
        clip_sample=False, set_alpha_to_one=False,
    )  # fmt: skip
    pipeline = diffusers.StableDiffusionPipeline(
        vae=small_vae(), text_encoder=text, tokenizer=clip_tokenizer(scratch), unet=unet,
        scheduler=scheduler, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder, safe_serialization=True)


def save_pixart(folder):
    torch.manual_seed(0)
    words = {name: k for k, name in enumerate(["<pad>", "</s>", "<unk>", "a", "red", "house"])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    inner.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    text = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=6, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    )
    network = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2,
        cross_attention_dim=16, sample_size=8, patch_size=2, caption_channels=16,
        use_additional_conditions=False,
    )  # fmt: skip
    pipeline = diffusers.PixArtAlphaPipeline(
        tokenizer=tokenizer, text_encoder=text, vae=small_vae(), transformer=network,
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )  # fmt: skip
    pipeline.save_pretrained(folder, safe_serialization=True)


def library_images(folder, latents, prompts, **given):
    """The pipeline's own images, with DDIM's steps."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    if "Pix" in type(pipeline).__name__:
        given |= {"clean_caption": False, "use_resolution_binning": False}
    return pipeline(list(prompts), latents=latents, output_type="pt", **given).images
