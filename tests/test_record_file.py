"""Files of arrays with one record."""

import json
import struct

import numpy as np
import pytest

from dissect.errors import ConfigError
from dissect.record_file import RecordFile

KIND = RecordFile(
    "gan-dissection/test",
    holds="an example",
    expected="a file of this test",
    advice="run the test again",
    version=3,
    largest=4096,
)


def with_record(path, text):
    """The file with another text as its record."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    head = json.loads(data[8 : 8 + size])
    head["__metadata__"] = {KIND.format: text}
    changed = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + data[8 + size :])


def test_what_is_written_is_read_and_gives_the_same_bytes(tmp_path):
    arrays = {"b": np.arange(6.0).reshape(2, 3).T, "a": np.array([1, 2])}
    record = {"name": "größer", "of": [1, None, 0.1]}
    path = KIND.write(tmp_path / "new" / "x.safetensors", arrays, record)
    found, read = KIND.read(path)
    assert found == record
    assert read.keys() == arrays.keys()
    assert all(np.array_equal(read[name], arrays[name]) for name in arrays)
    turned = dict(reversed(record.items()))
    again = KIND.write(tmp_path / "again.safetensors", dict(reversed(arrays.items())), turned)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", r"is damaged \(it has no 'version'\); run the test again"),
        ('{"version": 2}', "has the version 2; expected 3; a newer version"),
        ('{"version": NaN}', "is damaged"),
        ("[1]", "is damaged"),
        ("{" * 50, "is damaged .*not JSON"),
        (json.dumps({"version": 3, "x": "y" * (1 << 20)}), "more than 4,096 bytes"),
    ],
)
def test_a_damaged_record_is_one_line(text, message, tmp_path):
    path = KIND.write(tmp_path / "x.safetensors", {"a": np.zeros(2)}, {})
    with_record(path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        KIND.read(path)
    assert "\n" not in str(caught.value)


def test_other_arrays_than_the_kinds_are_one_line(tmp_path):
    def shapes(record):
        return {"a": (record["n"],)}

    path = KIND.write(tmp_path / "x.safetensors", {"a": np.zeros(2)}, {"n": 2})
    assert KIND.read(path, names={"a"}.__eq__, shapes=shapes)[0] == {"n": 2}
    with pytest.raises(ConfigError, match="holds no example; expected a file of this test"):
        KIND.read(path, names={"b"}.__eq__)
    KIND.write(path, {"a": np.zeros(3)}, {"n": 2})
    with pytest.raises(ConfigError, match=r"is damaged .*other names or shapes"):
        KIND.read(path, shapes=shapes)
    KIND.write(path, {"a": np.array([1.0, np.inf])}, {})
    with pytest.raises(ConfigError, match=r"is damaged .*a has a number that is not finite"):
        KIND.read(path)
    KIND.write(path, {"a": np.zeros(2000)}, {})
    with pytest.raises(ConfigError, match="more than 4,096 bytes; expected an example"):
        KIND.read(path)
    with pytest.raises(ConfigError, match=r"was to hold an example; expected a file NAME\.safeten"):
        KIND.write(tmp_path / "x.pt", {}, {})
