"""Planted generators that fail in a process of their own, by name."""

import os
from pathlib import Path

from dissect.worlds.planted import PlantedGenerator

NAN, KILLS, FAILS = (f"tests.counting.sharing_models:{name}" for name in ("nan", "kills", "fails"))


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


def nan():
    return _NotANumber()


def kills():
    return _Failing(_kill_once)


def fails():
    return _Failing(_raise)
