"""Causal: every unit of a layer ablated alone, beside the units that change images as strongly."""
