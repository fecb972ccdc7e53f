"""How the weights of the ``faces`` segmenter were made; run ``python -m recipes.face_parts``."""
