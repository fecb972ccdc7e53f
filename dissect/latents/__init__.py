"""Latent spaces: latents with the name of their space, and sampling by (seed, index)."""

from dissect.latents.latent import Latent
from dissect.latents.sampling import standard_normal, stream, uniform_labels

__all__ = ["Latent", "standard_normal", "stream", "uniform_labels"]
