"""Names of the available segmenters and attribute predictors; does not import torch."""

SEGMENTERS = {
    "colour": "the eleven basic colour terms, exact, no weights",
    "faces": "person and background, and nine parts of a face, at 64 px",
    "scenes": "twelve objects, eight parts and six materials of the drawn scenes, at 64 px",
}
"""Available names → the concepts that they mark. Each is a module here with
``load(device) -> Segmenter``."""

MODIFIERS = {
    "quadrants": "adds the halves of every object before it: tree-top, tree-left",
    "autocast": "everything before it in half precision, on an accelerator only",
}
"""Names after a ``+`` that modify all segmenters before it → their effect.

Each is a module here with ``modify(segmenter) -> Segmenter``."""

PREFIXES = {
    "smp": ("smp_models", "a folder or hub id of segmentation-models-pytorch"),
    "torchvision": ("torchvision_models", "a network of torchvision, @WEIGHTS or @FILE"),
    "hf": ("transformers_models", "a folder or hub id of transformers"),
    "clip": ("clip", "words with | between them, found by a CLIP of open_clip"),
}
"""``PREFIX:TARGET`` → the module here with ``load(spec, device)``, and the meaning of TARGET."""

PREDICTORS = {
    "scenes": ("scenes", "seven attributes of the drawn scenes, at 64 px"),
    "faces-attributes": (
        "predictors.faces_attributes",
        "age, gender, seven expressions, yaw and pitch of a face that fills the image",
    ),
    "identity": (
        "predictors.identity",
        "128 numbers of a face, near each other for images of one person",
    ),
}
"""Available names, local or downloaded → the module here with ``load_predictor(device)``, and its
title."""

FEATURES = {"vgg16": "VGG16, tuned on edges: maps for perceptual and Fréchet distances"}
"""Downloadable networks of features → their description."""

OWN_PREDICTORS = {
    "areas:SEGMENTER": "share of the image that each concept of a segmenter has",
    "FILE.onnx": "a network of one's own as an ONNX program",
    "package.module:predict": "a function of images, or a factory of a predictor",
    "FILE.csv": "scores by sample, for fitting alone",
}
"""Forms of custom predictors → their description."""
