"""Painted images: a sample, strokes over it, and the recipe from which its bytes follow.

``recipe`` and ``masks`` know nothing of torch, so that a web process can read what a browser sends;
``canvas`` makes the image, ``brushes`` finds the units that draw a concept.
"""
