"""The training recipe of the ``faces`` segmenter; run ``python -m recipes.face_parts``."""
