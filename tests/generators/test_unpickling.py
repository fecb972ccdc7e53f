"""The machine that carries out pickles: what it makes of good ones, and of hostile ones."""

import collections
import json
import pickle
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings

from dissect.generators.reading.bounds import Refusal
from dissect.generators.reading.names import Record
from dissect.generators.reading.streams import read_stream
from tests.generators.hostile import Calls, hostile_files, legacy_bytes, name, text

ROOT = Path(__file__).resolve().parents[2]


def value_of(data):
    return read_stream(memoryview(data))[0]


_KEYS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.text(max_size=8),
    st.binary(max_size=8), st.tuples(st.integers(0, 9), st.text(max_size=3)),
)  # fmt: skip
_VALUES = st.recursive(
    st.one_of(
        _KEYS, st.integers(-(2**2000), 2**2000), st.floats(allow_nan=False), st.binary(),
        st.complex_numbers(allow_nan=False), st.text(), st.frozensets(_KEYS, max_size=3),
        st.sets(_KEYS, max_size=3), st.binary().map(bytearray),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.tuples(inner, inner), st.tuples(inner, inner, inner, inner),
        st.dictionaries(_KEYS, inner, max_size=5), st.tuples(inner),
        st.dictionaries(_KEYS, inner, max_size=3).map(collections.OrderedDict),
    ),
    max_leaves=12,
)  # fmt: skip


@given(value=_VALUES, protocol=st.integers(0, 5))
@example(value=[b"x" * 70_000, "é\U0001f600\\\n\r" * 300, list(range(3000))], protocol=4)
@example(value=["\\u0041 \\", "\x1a", 1 << 4000, -(1 << 70)], protocol=0)
@settings(max_examples=150)
def test_plain_values_are_what_python_makes_of_them(value, protocol):
    data = pickle.dumps(value, protocol)
    found = value_of(data)
    assert found == pickle.loads(data)
    assert isinstance(found, bool) == isinstance(value, bool)


def test_values_that_hold_themselves_do():
    value = []
    value.append((value,))
    found = value_of(pickle.dumps(value))
    assert found[0][0] is found


def test_text_of_python_2_is_read_as_latin_1():
    assert value_of(b"S'a\\x41\\'\\n\\101'\n.") == "aA'\nA"
    assert value_of(b'S"\'"\n.') == "'"
    assert value_of(b"U\x02\xe9a.") == "éa"
    assert value_of(b"T\x02\x00\x00\x00\xe9a.") == "éa"
    assert value_of(b"(dp0\nS'a'\np1\nI01\nsS'b'\nL12L\nsg0\n2\x86.")[1] == {"a": True, "b": 12}


class Slotted:
    __slots__ = ("kept",)


class Listed(list):
    pass


def test_an_object_of_an_unknown_class_is_a_record():
    slotted = Slotted()
    slotted.kept = 3
    listed = Listed([1, 2])
    listed.note = "here"
    for protocol in (2, 4, 5):
        first, second = value_of(pickle.dumps([slotted, listed], protocol))
        assert isinstance(first, Record)
        assert first.name == f"{__name__}.Slotted"
        assert first.state == {"kept": 3}
        assert (second.elements, second.state) == ([1, 2], {"note": "here"})
    old = value_of(pickle.dumps(Calls(Slotted, 5), 0))
    assert old.arguments == (5,)


def test_names_are_told_in_order_of_appearance():
    data = pickle.dumps([collections.OrderedDict(), Slotted(), Calls(Listed)], 4)
    _, container, reader = read_stream(memoryview(data))
    assert container == "pickle"
    found = list(reader.globals)
    assert found == ["collections.OrderedDict", f"{__name__}.Slotted", f"{__name__}.Listed"]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("code", ["f2", "f4", ">f8", "i1", ">i4", "u2", "?", "c8"])
def test_arrays_of_numpy_are_tensors(code, protocol):
    array = np.arange(12).reshape(3, 4).astype(code)
    plain = array.astype(array.dtype.newbyteorder("="))
    for given_array in (array, np.asfortranarray(array), array[:, ::2], array[:0]):
        expected = plain[tuple(slice(0, n) for n in given_array.shape)]
        expected = plain[:, ::2] if given_array.shape == (3, 2) else expected
        found = value_of(pickle.dumps(given_array, protocol))
        torch.testing.assert_close(found.tensor, torch.from_numpy(expected.copy()))


def test_scalars_of_numpy_are_plain_values():
    values = [np.float32(1.5), np.int64(-3), np.bool_(True), np.str_("añ"), np.float64(2)]
    found = value_of(pickle.dumps(values))
    assert found == [1.5, -3, True, "añ", 2.0]
    assert [type(value) for value in found] == [float, int, bool, str, float]


@pytest.mark.parametrize("array", [np.array([None, 1]), np.zeros(2, "f4,i4"), np.array(["a"])])
def test_arrays_of_objects_are_refused(array):
    with pytest.raises(Refusal, match="numpy array"):
        value_of(pickle.dumps(array))


_SNIPPETS = [
    b"N", b"\x88", b"K\x01", b"J\xff\xff\xff\xff", b"G?\xf0\0\0\0\0\0\0", b"I12\n", b"C\x02ab",
    text("a"), text("storage"), text("f4"), b"U\x01<", b"(", b")", b"]", b"}", b"\x8f", b"t", b"l",
    b"d", b"a", b"e", b"s", b"u", b"\x90", b"\x91", b"\x85", b"\x86", b"\x87", b"0", b"1", b"2",
    b"R", b"b", b"\x81", b"\x92", b"o", b"\x93", b"q\x00", b"q\x01", b"\x94", b"h\x00", b"h\x01",
    b"\x8a\x01\x05", b"\x80\x02", b".", b"ia\nB\n",
    name("a", "B"), name("collections", "OrderedDict"), name("builtins", "set"),
    name("torch", "FloatStorage"), name("numpy", "dtype"), name("numpy.core.multiarray", "scalar"),
    name("numpy.core.multiarray", "_reconstruct"), name("torch._utils", "_rebuild_tensor_v2"),
    name("torch._utils", "_rebuild_parameter"), name("copy_reg", "_reconstructor"),
    name("numpy.core.numeric", "_frombuffer"), name("builtins", "complex"), name("torch", "Size"),
    name("torch._tensor", "_rebuild_from_type_v2"), name("_codecs", "encode"),
    name("torch_utils.persistence", "_reconstruct_persistent_obj"), name("collections", "deque"),
    pickle.dumps(np.ones(3, "f4"), 2)[2:-1], pickle.dumps(np.dtype("f4"), 2)[2:-1],
    pickle.dumps(torch.ones(2).untyped_storage().tolist(), 2)[2:-1],
    name("torch.storage", "_load_from_bytes") + b"B\x3b\x01\0\0" + legacy_bytes(torch.zeros(3).untyped_storage())[:315],
]  # fmt: skip


@given(st.lists(st.sampled_from(_SNIPPETS), max_size=30))
@settings(max_examples=600)
def test_any_row_of_instructions_gives_a_value_or_is_refused(snippets):
    try:
        value_of(b"".join(snippets) + b".")
    except Refusal as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """What happened while each hostile file was read in a process of its own."""
    folder = tmp_path_factory.mktemp("hostile")
    canary = folder / "canary"
    files = hostile_files(canary)
    torch.save({"w": torch.ones(3)}, folder / "good.pt")
    paths = [folder / f"{number}.pt" for number in range(len(files))]
    for path, (content, _) in zip(paths, files.values(), strict=True):
        path.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "tests.generators.watched", folder / "good.pt", *paths],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    sample, *found = map(json.loads, done.stdout.splitlines())
    assert not canary.exists()
    sample |= {"expected": "", "size": 0, "memory": 0}
    return {"what the watch is for": sample} | {
        kind: answer | {"expected": part, "size": len(content)}
        for (kind, (content, part)), answer in zip(files.items(), found, strict=True)
    }


def test_a_hostile_file_is_refused_in_one_line_and_nothing_of_it_runs(watched):
    for kind, found in watched.items():
        assert found["expected"] in found["message"], kind
        assert "\n" not in found["message"], kind
    assert [kind for kind, found in watched.items() if found["events"]] == ["what the watch is for"]


def test_a_hostile_file_takes_little_memory_and_time(watched):
    for kind, found in watched.items():
        assert found["memory"] <= 300e6 + 4 * found["size"], kind
        assert found["seconds"] < 60, kind  # of its processor


def test_the_watch_sees_what_is_run(watched):
    assert "os.system" in watched["what the watch is for"]["events"]
