"""Segmenters and attribute predictors at hand, by name: what there is, without torch."""

SEGMENTERS = {
    "colour": "the eleven basic colour terms, exact, no weights",
    "faces": "person and background, and nine parts of a face, at 64 px",
    "scenes": "twelve objects, eight parts and six materials of the drawn scenes, at 64 px",
}
"""Names at hand → what they mark. Each is a module here with ``load(device) -> Segmenter``."""

MODIFIERS = {
    "quadrants": "adds the halves of every object before it: tree-top, tree-left",
    "autocast": "everything before it in half precision, on an accelerator only",
}
"""Names after a ``+`` that change all segmenters before it → what they do.

Each is a module here with ``modify(segmenter) -> Segmenter``."""

PREFIXES = {
    "smp": ("smp_models", "a folder or hub id of segmentation-models-pytorch"),
    "torchvision": ("torchvision_models", "a network of torchvision, @WEIGHTS or @FILE"),
    "hf": ("transformers_models", "a folder or hub id of transformers"),
}
"""``PREFIX:TARGET`` → the module here with ``load(spec, device)``, and what TARGET is."""

PREDICTORS = {"scenes": "seven attributes of the drawn scenes, at 64 px"}
"""Names at hand → what they predict. Each is a module here with ``load_predictor(device)``."""
