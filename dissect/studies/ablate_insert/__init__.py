"""Ablate and insert: one set of units taken away, or held at a value, and what changes."""
