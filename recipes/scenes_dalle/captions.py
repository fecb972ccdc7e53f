"""Captions of the training set, written once from the scenes' masks."""

import json
from pathlib import Path

from dissect.worlds import render_scenes
from dissect.worlds.captions import caption_scenes
from recipes.scenes_gan.data import SEED

_BLOCK = 512
_SIZE = 64  # image size in pixels for visibility


def prepare_captions(
    folder: Path, *, n_images: int, n_variants: int, seed: int = SEED
) -> list[list[str]]:
    """For each variant a caption of each scene, from the file if it exists.

    Args:
        folder: Folder of the file.
        n_images: Number of scenes, the first ones of the seed.
        n_variants: Number of captions of a scene.
        seed: Seed of the scenes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"captions-{seed}-{n_images}-{n_variants}.json"
    if not path.exists():
        found: list[list[str]] = [[] for _ in range(n_variants)]
        for start in range(0, n_images, _BLOCK):
            indices = range(start, min(start + _BLOCK, n_images))
            scenes = render_scenes(indices, seed=seed, size=_SIZE)
            for variant in range(n_variants):
                found[variant] += caption_scenes(scenes, indices, seed=seed, variant=variant)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(found))
        partial.replace(path)
    return json.loads(path.read_text())
