"""Words: scorers of images against texts, StyleCLIP's edits, painting by words, labels of units."""
