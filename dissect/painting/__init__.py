"""Painted images: a sample, strokes over it, and a recipe that reproduces the same bytes.

``recipe`` and ``masks`` do not import torch, so that a web process can read a browser's data.
``canvas`` generates the image, ``brushes`` finds the units that draw a concept.
"""
