"""Texts and images: scorers, StyleCLIP's edits, painting by words, labels of units."""
