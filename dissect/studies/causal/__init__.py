"""Causal: every unit of a layer ablated alone, beside units that change images as strongly."""
