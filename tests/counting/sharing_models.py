"""Planted generators that fail in a process of their own, by name."""

import math
import os
import time
from pathlib import Path

import torch

from dissect.worlds.planted import PlantedGenerator

NAN, KILLS, FAILS, SOME_NAN, SHORT, WAITS = (
    f"tests.counting.sharing_models:{name}"
    for name in ("nan", "kills", "fails", "some_nan", "short", "waits")
)


class _Failing(PlantedGenerator):
    """Does something at a sample, once or as long as a file does not say that it is healed."""

    def __init__(self, fail):
        super().__init__()
        self._fail = fail

    def sample(self, indices, **settings):
        if 128 in indices:  # the first of block 4
            self._fail(Path(os.environ["TEST_MARK"]))
        return super().sample(indices, **settings)


class _NotANumber(PlantedGenerator):
    def synthesize(self, latent, **settings):
        return super().synthesize(latent, **settings) * float("nan")


def _kill_once(mark):
    if not mark.exists():
        mark.write_text("killed")
        os.kill(os.getpid(), 9)


def _raise(mark):
    if not mark.exists():
        raise ValueError("planted fault")


class _Waiting(PlantedGenerator):
    """Says that it waits from block 10 on, until a file says that it need not."""

    def sample(self, indices, **settings):
        mark = Path(os.environ["TEST_MARK"])
        if indices[0] >= 320:
            mark.with_name(f"waits-{os.getpid()}").touch()
            while not mark.exists():
                time.sleep(0.01)
        return super().sample(indices, **settings)


def nan():
    return _NotANumber()


def kills():
    return _Failing(_kill_once)


def fails():
    return _Failing(_raise)


NAN_SAMPLES = (3, 57, *range(96, 104), 151)
"""One in the calibration fold and the pilot, one in the pilot alone, a whole cluster, another."""


class _SomeNotANumber(PlantedGenerator):
    """NaN in the maps of some samples."""

    def sample(self, indices, **settings):
        latent = super().sample(indices, **settings)
        latent.data[[row for row, index in enumerate(indices) if index in NAN_SAMPLES]] = math.nan
        return latent


class _Short(PlantedGenerator):
    """Has no memory for more than twelve images at a time."""

    def synthesize(self, latent, **settings):
        if len(latent) > 12:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return super().synthesize(latent, **settings)


def waits():
    return _Waiting()


def some_nan():
    return _SomeNotANumber()


def short():
    return _Short()
