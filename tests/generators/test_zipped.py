import pytest
import torch

from dissect import CheckpointError
from dissect.generators.checkpoint import read

VALUES = torch.arange(300_000.0)


def damaged(path, before, after):
    content = path.read_bytes()
    assert content.count(before) == 1
    path.write_bytes(content.replace(before, after))
    return path


def test_a_changed_bit_of_a_tensor_is_told_in_one_line(tmp_path):
    torch.save({"w": VALUES, "v": torch.ones(3)}, tmp_path / "g.pt")
    changed = VALUES[290_000:290_002].clone()
    changed.view(torch.uint8)[0] ^= 1
    before, after = (v.numpy().tobytes() for v in (VALUES[290_000:290_002], changed))
    path = damaged(tmp_path / "g.pt", before, after)
    with pytest.raises(
        CheckpointError, match=r"data/\d' has another checksum.*get it again"
    ) as told:
        read(path)
    assert "\n" not in str(told.value)


def test_a_changed_bit_of_the_pickle_is_told_in_one_line(tmp_path):
    torch.save({"a name of a tensor": VALUES[:9]}, tmp_path / "g.pt")
    path = damaged(tmp_path / "g.pt", b"a name of a tensor", b"a nome of a tensor")
    with pytest.raises(CheckpointError, match=r"data\.pkl' has another checksum"):
        read(path)


def test_a_file_without_checksums_is_read(tmp_path):
    if not hasattr(torch.serialization, "get_crc32_options"):
        pytest.skip("torch before 2.6 cannot leave checksums out")
    usual = torch.serialization.get_crc32_options()
    try:
        torch.serialization.set_crc32_options(False)
        torch.save({"w": VALUES}, tmp_path / "g.pt")
    finally:
        torch.serialization.set_crc32_options(usual)
    assert torch.equal(read(tmp_path / "g.pt").tensors["w"], VALUES)
