"""Worlds with known truth: images made with their exact masks and attributes."""

from dissect.worlds.distribution import SceneParameters, draw_scenes
from dissect.worlds.scenes import Scenes, render, render_scenes

__all__ = ["SceneParameters", "Scenes", "draw_scenes", "render", "render_scenes"]
