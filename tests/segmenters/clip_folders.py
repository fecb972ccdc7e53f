"""Tiny models in open_clip's own layout, random, for tests."""

import json

import open_clip
import torch
from safetensors.torch import save_file

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
TOWERS = {
    "vit": {"image_size": 32, "patch_size": 8, "layers": 2, "width": 32, "head_width": 16},
    "resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
    "convolutional": {
        "image_size": 64, "timm_model_name": "test_resnet", "timm_pool": "avg",
        "timm_proj": "linear",
    },
}  # fmt: skip


def write_folder(folder, tower, *, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3)):
    """A folder with random weights."""
    folder.mkdir(parents=True)
    vision = TOWERS[tower]
    model = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": TEXT}
    preprocess = {
        "size": vision["image_size"], "mean": list(mean), "std": list(std),
        "interpolation": "bicubic", "resize_mode": "squash",
    }  # fmt: skip
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": model, "preprocess_cfg": preprocess})
    )
    torch.manual_seed(3)
    network = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
        network.logit_scale.fill_(2.0)
    save_file(
        {k: v.contiguous() for k, v in network.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    return folder
