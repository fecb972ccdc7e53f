"""Files that were made to attack: what each is, its bytes, and a part of what is told of it."""

import io
import os
import pickle
import struct
import zipfile

import torch


class Calls:
    """Pickles as a call of a function, which the reader must not carry out."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments, state)

    def __reduce__(self):
        return self.parts


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def torch_zip(content, members=None, compression=zipfile.ZIP_STORED):
    """A zip as torch.save lays it out, around a pickle of one's own."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        for member, data in (members or {"archive/data/0": bytes(16)}).items():
            archive.writestr(member, data)
    return file.getvalue()


STORAGE = (
    b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu") + b"K\x04tQ"
)


def tensor(offset, size, stride, storage=STORAGE):
    """The pickle of one tensor on a storage of four values."""
    numbers = [b"J" + struct.pack("<i", n) for n in (offset, *size, *stride)]
    sizes, strides = numbers[1 : 1 + len(size)], numbers[1 + len(size) :]
    return (
        name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + numbers[0]
        + b"(" + b"".join(sizes) + b"t(" + b"".join(strides) + b"t\x89}tR."
    )  # fmt: skip


def doubling(levels):
    """Lists that hold the one before twice."""
    steps = [b"]q\x00"]
    for level in range(levels):
        steps.append(b"](h" + bytes([level]) + b"h" + bytes([level]) + b"eq" + bytes([level + 1]))
    return b"".join(steps) + b"."


def wide_key():
    """A dictionary whose key is a small tuple that has billions of parts."""
    steps = [b")q\x00"]
    for level in range(7):
        steps.append(
            b"(" + b"h" + bytes([level]) + (b"h" + bytes([level])) * 59 + b"tq" + bytes([level + 1])
        )
    return b"".join(steps) + b"}h\x07Ns."


def legacy_bytes(content):
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def nested_loader(levels):
    """A file in a file in a file."""
    inner = legacy_bytes(torch.zeros(2).untyped_storage())
    for _ in range(levels):
        inner = (
            name("torch.storage", "_load_from_bytes")
            + b"B" + struct.pack("<I", len(inner)) + inner + b"\x85R."
        )  # fmt: skip
    return inner


def pickled(value):
    return pickle.dumps(value, protocol=2)


def hostile_files(canary):
    """Name → (content, part of the message). Whoever runs one makes the file ``canary``."""
    command = f"touch {canary}"
    source = f"open({str(canary)!r}, 'w')"
    good = io.BytesIO()
    torch.save({"w": torch.arange(4.0)}, good)
    good = good.getvalue()
    persistent = (
        name("torch_utils.persistence", "_reconstruct_persistent_obj") + b"}("
        + text("module_src") + text(source) + text("class_name") + text("G")
    )  # fmt: skip
    bomb = torch_zip(b"}.", {"archive/data/0": bytes(4 << 20)}, zipfile.ZIP_DEFLATED)
    return {
        "os.system": (pickled(Calls(os.system, command)), "names posix.system"),
        "eval": (pickled(Calls(eval, source)), "names builtins.eval"),
        "exec": (pickled(Calls(exec, source)), "names builtins.exec"),
        "getattr": (pickled(Calls(getattr, "a", "b")), "names builtins.getattr"),
        "in a zip": (torch_zip(pickled(Calls(os.system, command))), "names posix.system"),
        "old INST": (b"(S'" + command.encode() + b"'\nios\nsystem\n.", "names os.system"),
        "import": (name("importlib", "import_module") + text("os") + b"\x85R.", "names importlib"),
        "partial": (name("functools", "partial") + b")R.", "names functools.partial"),
        "dotted": (b"\x80\x04" + text("torch") + text("serialization.os.system") + b"\x93.", "reaches through a module"),
        "dotted line": (name("torch", "serialization.os"), "reaches through a module"),
        "torch.load": (name("torch", "load") + text("f") + b"\x85R.", "names torch.load"),
        "hub": (name("torch.hub", "load") + b")R.", "names torch.hub.load"),
        "source only": (persistent + b"u\x85R.", "no tensors"),
        "persistent state": (persistent + text("state") + text("x") + b"u\x85R.", "state that only its own code"),
        "nested loader": (nested_loader(4), "files within files"),
        "loader of a pickle": (name("torch.storage", "_load_from_bytes") + b"C\x02}.\x85R.", "not a storage"),
        "call of a call": (name("a", "B") + b")R)R.", "calls something that is not a name"),
        "build on a name": (name("torch", "nn") + b"}b.", "sets the state of a Global"),
        "build on a list": (b"]}b.", "sets the state of a list"),
        "setstate": (name("a", "B") + b")R" + text("__setstate__") + b"b.", "state that only its own code"),
        "dict by list": (b"}]b.", "sets the state of a dict"),
        "object array": (pickled(Calls(os.path.join)).replace(name("posixpath", "join"), name("numpy", "dtype")).replace(b")", text("O8") + b"\x85"), "numpy array"),
        "extension": (b"\x80\x02\x82\x01.", "instruction EXT1"),
        "buffer": (b"\x80\x05\x97.", "instruction NEXT_BUFFER"),
        "persistent id": (b"X\x01\x00\x00\x00aQ.", "things outside of itself"),
        "zip bomb": (bomb, "compressed or encrypted"),
        "two members": (torch_zip(b"}.", {"archive/data_pkl": b""}).replace(b"data_pkl", b"data.pkl"), "two members"),
        "no content": (torch_zip(b"}.").replace(b"data.pkl", b"data.xxx"), "0 members data.pkl"),
        "script": (torch_zip(b"}.", {"archive/constants.pkl": b"}.", "archive/code/a.py": source}), "TorchScript"),
        "export": (torch_zip(b"}.", {"archive/archive_format": b"pt2"}), "torch.export"),
        "big-endian": (torch_zip(b"}.", {"archive/byteorder": b"big"}), "order of bytes"),
        "npz": (torch_zip(b"}.", {"a.npy": b""}).replace(b"data.pkl", b"data.npy"), "numpy's arrays"),
        "giant": (torch_zip(tensor(0, (1 << 20, 1 << 10), (0, 0))), "expanded view"),
        "giant size": (torch_zip(tensor(0, (2147483647,) * 4, (0,) * 4)), "a tensor of shape"),
        "negative": (torch_zip(tensor(-1, (2,), (1,))), "out of range"),
        "beyond": (torch_zip(tensor(1, (4,), (1,))), "beyond its 4"),
        "stride": (torch_zip(tensor(0, (2,), (4,))), "beyond its 4"),
        "offset": (torch_zip(tensor(5, (0,), (1,))), "beyond its 4"),
        "many dimensions": (torch_zip(tensor(0, (1,) * 40, (1,) * 40)), "sizes are not numbers"),
        "storage size": (torch_zip(tensor(0, (1,), (1,)), {"archive/data/0": bytes(12)}), "another size"),
        "no storage": (torch_zip(tensor(0, (1,), (1,)), {"archive/data/1": bytes(16)}), "no storage"),
        "legacy giant": (legacy_bytes(torch.zeros(4)).replace(b"K\x04N", b"J\xff\xff\xff\x7fN"), "larger tensors than the file"),
        "memo bomb": (doubling(60), "more values than"),
        "memo bomb of keys": (wide_key(), "more values than"),
        "deep lists": (b"]" * 30_000 + b"a" * 29_999 + b".", "nested deeper"),
        "deep tuples": (b")" + b"\x85" * 100_000 + b"q\x00}h\x00Ns.", "tuple as a key"),
        "deep records": (name("a", "B") + b"q\x00)R" + b"q\x01h\x00h\x01\x85R" * 10_000 + b".", "nested deeper"),
        "long integer": (b"\x8b\xff\xff\xff\x7f1.", "an integer of"),
        "long text": (b"X\xff\xff\xff\xff1.", "bytes declared"),
        "long bytes": (b"\x8e" + b"\xff" * 8 + b".", "bytes declared"),
        "long frame": (b"\x80\x04\x95" + b"\xff" * 8 + b"}.", "a frame longer"),
        "far memo": (b"j\xff\xff\xff\xff.", "KeyError"),
        "colliding keys": (b"}" + b"".join(b"\x8a\x09" + (i * (2**61 - 1)).to_bytes(9, "little") + b"Ns" for i in range(1, 9)) + b".", "a key beyond 61 bits"),
        "copies of sets": (b"(" + b"K\x01" * 60_000 + b"lq\x00" + name("builtins", "frozenset") + b"q\x01" + b"h\x01h\x00\x85R" * 60_000 + b".", "more values than"),
        "copies of text": (b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"q\x00" + name("_codecs", "encode") + b"q\x01" + b"h\x01h\x00\x85R" * 2000 + b".", "more values than"),
        "calls of long tuples": (b"(" + b"K\x01" * 100_000 + b"tq\x00" + name("builtins", "set") + b"q\x01" + b"h\x01h\x00R" * 100 + b".", "a set of a int"),
        "records of long tuples": (b"(" + b"K\x01" * 100_000 + b"tq\x00" + name("a", "B") + b"q\x01" + b"h\x01h\x00R0" * 50_000 + b".", "more values than"),
        "calls in calls": (name("copyreg", "__newobj__") + b"q\x00(" + b"h\x00" * 5000 + b"tR.", "RecursionError"),
        "tensors in tensors": (name("torch._tensor", "_rebuild_from_type_v2") + b"q\x00)q\x01" + b"(h\x00Nh\x01Ntq\x01" * 5000 + b"h\x00h\x01R.", "RecursionError"),
        "a long name": (b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"q\x00" + b"h\x00h\x00\x930" * 99_999 + b".", "more than 400 letters"),
        "a long type": (b"X" + struct.pack("<I", 1 << 20) + b"<" * (1 << 20) + b"\x85q\x00" + name("numpy", "dtype") + b"q\x01" + b"h\x01h\x00R0" * 99_999 + b".", "numpy array of"),
        "copies of a number": (text("U99999") + b"\x85q\x00" + name("numpy", "dtype") + b"h\x00Rq\x01" + b"B" + struct.pack("<I", 399_996) + bytes(399_996) + b"\x86q\x02" + name("numpy.core.multiarray", "scalar") + b"q\x03" + b"h\x03h\x02R" * 9999 + b".", "more values than"),
        "many sets": (b"\x8f" * 1_000_000 + b".", "more values than"),
        "truncated": (good[: len(good) // 2], "cut short"),
        "empty": (b"", "is empty"),
        "random": (bytes(range(255, 0, -1)) * 40, "no checkpoint"),
        "tar": (bytes(257) + b"ustar\x0000" + bytes(300), "tar archive"),
        "gzip": (b"\x1f\x8b\x08" + bytes(99), "gzip"),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        "page": (b"<!DOCTYPE html><html>", "page of the web"),
        "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5"),
    }  # fmt: skip
