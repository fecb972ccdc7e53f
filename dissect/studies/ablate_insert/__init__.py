"""Ablate and insert: one set of units is ablated or held at a value; all changes are measured."""
