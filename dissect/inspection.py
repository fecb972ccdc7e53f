"""What a generator is made of, as plain values: spaces, layers, one forward pass."""

import time

import torch

from dissect.generators import Generator, load_generator


def inspect_generator(generator: Generator | str) -> dict[str, object]:
    """Describe a generator.

    Returns:
        name, image_size, channels, n_classes, parameters (how many), spaces (name → shape), layers
        (name → units, height, width), range (lowest and highest value of one image), seconds (of
        that forward pass) and fingerprint.
    """
    if isinstance(generator, str):
        generator = load_generator(generator)
    latent = generator.sample([0], seed=0)
    started = time.perf_counter()
    with torch.no_grad():
        image = generator.synthesize(latent)
    seconds = time.perf_counter() - started
    return {
        "name": generator.name,
        "image_size": generator.image_size,
        "channels": generator.channels,
        "n_classes": generator.n_classes,
        "parameters": sum(p.numel() for p in generator.module.parameters()),
        "spaces": {name: list(space.shape) for name, space in generator.spaces.items()},
        "layers": {
            name: {"units": info.units, "height": info.height, "width": info.width}
            for name, info in generator.layers.items()
        },
        "range": [float(image.min()), float(image.max())],
        "seconds": seconds,
        "fingerprint": generator.fingerprint,
    }
