"""Move: a latent is taken along a direction, and what changes."""
