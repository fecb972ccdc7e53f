"""Move: a latent is moved along a direction, and all changes are measured."""
