"""Worlds with known truth: generated images with exact masks, attributes and captions."""

from dissect.worlds.captions import (
    Caption,
    caption_scenes,
    describe_scenes,
    scene_facts,
    short_captions,
)
from dissect.worlds.distribution import SceneParameters, draw_scenes
from dissect.worlds.scenes import Scenes, render, render_scenes

__all__ = [
    "Caption",
    "SceneParameters",
    "Scenes",
    "caption_scenes",
    "describe_scenes",
    "draw_scenes",
    "render",
    "render_scenes",
    "scene_facts",
    "short_captions",
]
