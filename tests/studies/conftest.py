import pytest
import torch

from dissect.studies.originals import Originals
from segmenters import Vocabulary


class Hard:
    """A segmenter whose scores have no gradient."""

    name, fingerprint, device = "hard", "hard", torch.device("cpu")
    vocabulary = Vocabulary.build([("paint", "colour", "colour", "#e50000")])

    def segment(self, images):
        return (images > -0.9).any(dim=1, keepdim=True).long()

    def score(self, images):
        return self.segment(images).float()


@pytest.fixture
def hard_originals(planted, planted_run):
    """Originals of the planted generator, read by ``Hard``."""
    return Originals(planted, Hard(), planted_run.config, n_samples=32, first=224)
