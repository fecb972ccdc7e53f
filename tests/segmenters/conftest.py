"""Tiny networks of other libraries with random weights, saved as the libraries save them.

Heads are drawn so that many classes win somewhere: a test on one label would prove little.
"""

import json

import pytest
import torch

PLACES = ["sky", "tree", "road", "car", "person"]
SWIN = {
    "image_size": 64, "embed_dim": 8, "depths": [1] * 4, "num_heads": [1] * 4, "window_size": 4,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}  # fmt: skip


@pytest.fixture(scope="session")
def some_images():
    """Three images whose values are those of bytes: what libraries are given, to the last bit."""
    draw = torch.Generator().manual_seed(3)
    coarse = torch.rand(3, 3, 12, 10, generator=draw)
    smooth = torch.nn.functional.interpolate(coarse, (96, 80), mode="bilinear")
    return (smooth * 255).round() / 127.5 - 1


@torch.no_grad()
def _vary(network, head, forward, *, size=64):
    """Let statistics be those of images, and every class be as likely as another over them."""
    images = torch.nn.functional.interpolate(torch.randn(6, 3, 8, 8), (size, size))
    network.train()
    forward(images)
    network.eval()
    torch.nn.init.normal_(head.weight)
    torch.nn.init.zeros_(head.bias)
    head.bias -= forward(images).mean(dim=(0, 2, 3))


@pytest.fixture(scope="session")
def smp_folder(tmp_path_factory):
    """What the library's ``save_pretrained`` writes, and albumentations' file beside it."""
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("smp") / "tiny-unet"
    network = smp.Unet(
        "tu-resnet10t", encoder_depth=3, decoder_channels=(16, 8, 8), encoder_weights=None,
        classes=150,
    ).eval()  # fmt: skip
    _vary(network, network.segmentation_head[0], network)
    network.save_pretrained(folder)
    steps = [
        {"__class_fullname__": "Resize", "height": 64, "width": 64, "interpolation": 1, "p": 1.0},
        {
            "__class_fullname__": "Normalize", "max_pixel_value": 1.0, "normalization": "standard",
            "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "p": 1.0,
        },
    ]  # fmt: skip
    pipeline = {
        "__version__": "1.4.18",
        "transform": {"__class_fullname__": "Compose", "transforms": steps},
    }
    (folder / "albumentations_config_eval.json").write_text(json.dumps(pipeline))
    return folder


@pytest.fixture(scope="session")
def segformer_folder(tmp_path_factory):
    from transformers import (
        SegformerConfig,
        SegformerForSemanticSegmentation,
        SegformerImageProcessor,
    )

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("hf") / "tiny-segformer"
    network = SegformerForSemanticSegmentation(
        SegformerConfig(
            depths=[1] * 4, hidden_sizes=[8, 16, 16, 16], num_attention_heads=[1, 1, 2, 2],
            decoder_hidden_size=16, num_labels=150,
        )
    )  # fmt: skip
    _vary(network, network.decode_head.classifier, lambda images: network(images).logits)
    network.save_pretrained(folder)
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def mask2former_folder(tmp_path_factory):
    from transformers import (
        Mask2FormerConfig,
        Mask2FormerForUniversalSegmentation,
        Mask2FormerImageProcessor,
        SwinConfig,
    )

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("hf") / "tiny-mask2former"
    backbone = SwinConfig(**SWIN)
    network = Mask2FormerForUniversalSegmentation(
        Mask2FormerConfig(
            backbone_config=backbone, num_queries=8, feature_size=32, mask_feature_size=32,
            hidden_dim=32, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
            encoder_feedforward_dim=16, dim_feedforward=16, id2label=dict(enumerate(PLACES)),
        )
    )  # fmt: skip
    torch.nn.init.normal_(network.class_predictor.weight)
    torch.nn.init.normal_(network.model.transformer_module.queries_features.weight, std=3)
    torch.nn.init.normal_(network.model.pixel_level_module.decoder.mask_projection.weight)
    network.save_pretrained(folder)
    Mask2FormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 256}).save_pretrained(
        folder
    )
    return folder


@pytest.fixture(scope="session")
def oneformer_folder(tmp_path_factory):
    """With a tokenizer that knows letters, and reads the two tasks."""
    from transformers import (
        CLIPTokenizer,
        OneFormerConfig,
        OneFormerForUniversalSegmentation,
        OneFormerImageProcessor,
        SwinConfig,
    )

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("hf") / "tiny-oneformer"
    network = OneFormerForUniversalSegmentation(
        OneFormerConfig(
            backbone_config=SwinConfig(**SWIN), num_queries=8, hidden_dim=32, conv_dim=32,
            mask_dim=32, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
            dim_feedforward=16, encoder_feedforward_dim=16, text_encoder_width=16,
            text_encoder_num_layers=1, text_encoder_vocab_size=100,
            id2label=dict(enumerate(PLACES)),
        )
    )  # fmt: skip
    for name, weight in network.named_parameters():
        if "class_embed" in name or "mask_features" in name or "task_mlp" in name:
            torch.nn.init.normal_(weight)
    network.save_pretrained(folder)
    letters = sorted(set("the task is semantic panoptic"))
    tokens = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    OneFormerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def torchvision_file(tmp_path_factory):
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    torch.manual_seed(0)
    network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21).eval()
    head = network.classifier.high_classifier
    torch.nn.init.zeros_(network.classifier.low_classifier.weight)
    _vary(network, head, lambda images: network(images)["out"], size=256)
    path = tmp_path_factory.mktemp("torchvision") / "lraspp.pth"
    torch.save(network.state_dict(), path)
    return path
