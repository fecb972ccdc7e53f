import numpy as np
import pytest
import torch

from dissect.statistics.codes import encode


@pytest.mark.parametrize("largest", [0, 1, 9, 3000])
def test_a_code_stands_for_the_concepts_of_its_pixel_and_no_two_codes_for_the_same(largest):
    """With 3,000 concepts in each plane the combinations are too many for a table."""
    draw = np.random.default_rng(0)
    planes = torch.from_numpy(draw.integers(0, largest + 1, (2, 3, 40, 50)))
    codes, members = encode(planes)
    assert codes.dtype == torch.int32
    found = torch.from_numpy(members)[codes.long()]
    assert torch.equal(found.permute(0, 3, 1, 2), planes)
    assert len(np.unique(members, axis=0)) == len(members) == len(codes.unique())
