"""Reading time of a pickle like NVIDIA's, relative to torch.load of the same tensors.

    python -m benchmarks.reading [--megabytes N] [--rounds R] [--json]

A generated file: persistent classes with their source, one storage within the pickle for each
tensor, like files of stylegan2-ada-pytorch and stylegan3. ``torch.load(weights_only=True)`` reads a
file that ``torch.save`` wrote from the same tensors. Both alternate, each in a separate child
process (in one process, the second reader would reuse the memory of the first one), with both files
in the page cache. ``ratio`` is the median over rounds of the first time over the second.
``safetensors``, which maps the file without reading, is given for comparison.
"""

import argparse
import json
import os
import pickle
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dissect.generators.checkpoint import read

_SOURCE = "class Layer(torch.nn.Module):\n    pass\n" * 500


class _Persistent:
    """Pickles a module like ``torch_utils.persistence``."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __reduce__(self) -> tuple[object, tuple[dict[str, object]]]:
        state = dict(self.module.__dict__)
        state["_modules"] = {name: _Persistent(m) for name, m in self.module._modules.items()}
        meta = {"type": "class", "version": 6, "module_src": _SOURCE, "class_name": "Layer"}
        function = sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj
        return function, (meta | {"state": state},)


def write_files(folder: Path, megabytes: int) -> dict[str, Tensor]:
    """Write the same tensors as a pickle, by ``torch.save`` and as safetensors; return them."""
    draw = torch.Generator().manual_seed(0)
    generator, left = nn.Module(), megabytes * 1_000_000
    for number, width in enumerate([512] * 1000):
        layer = nn.Module()
        weight = torch.randn(width, width, 3, 3, generator=draw)
        for name, value in (("weight", weight), ("affine", weight[:, 0, :, 0].clone())):
            layer.register_parameter(name, nn.Parameter(value))
        layer.register_buffer("noise_const", torch.randn(64, 64, generator=draw))
        layer.register_parameter("bias", nn.Parameter(torch.zeros(width)))
        generator.add_module(f"L{number}", layer)
        left -= sum(value.nbytes for value in layer.state_dict().values())
        if left <= 0:
            break
    state = generator.state_dict()

    def _reconstruct_persistent_obj(meta: object) -> None:
        """Only its name is written."""

    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    module = types.ModuleType("torch_utils.persistence")
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj
    sys.modules |= {"torch_utils": types.ModuleType("torch_utils"), module.__name__: module}
    try:
        with (folder / "network.pkl").open("wb") as file:
            pickle.dump({"G_ema": _Persistent(generator)}, file)
    finally:
        del sys.modules["torch_utils"], sys.modules[module.__name__]
    torch.save({"G_ema": state}, folder / "network.pt")
    save_file(state, folder / "network.safetensors")
    return state


def _time_in_child(work: Callable[[], object]) -> float:
    """Seconds of a call in a fork of this process."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        started = time.perf_counter()
        work()
        os.write(send, repr(time.perf_counter() - started).encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as pipe:
        seconds = float(pipe.read())
    os.waitpid(child, 0)
    return seconds


def measure(megabytes: int, rounds: int) -> dict[str, object]:
    """Time all alternately, so that a slow phase of the machine affects all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = write_files(folder, megabytes)
        readers: dict[str, Callable[[], object]] = {
            "read": lambda: read(folder / "network.pkl"),
            "torch.load": lambda: torch.load(folder / "network.pt", weights_only=True),
            "safetensors": lambda: load_file(folder / "network.safetensors"),
        }
        found = read(folder / "network.pkl").groups()["G_ema"]
        if found.keys() != expected.keys() or any(
            not torch.equal(found[key], value) for key, value in expected.items()
        ):
            raise SystemExit("the tensors differ; no time is worth telling")
        del found
        seconds: dict[str, list[float]] = {kind: [] for kind in readers}
        for _ in range(rounds):
            for kind, work in readers.items():
                seconds[kind].append(_time_in_child(work))
        size = (folder / "network.pkl").stat().st_size
    ratios = [a / b for a, b in zip(seconds["read"], seconds["torch.load"], strict=True)]
    return {
        "megabytes": round(size / 1e6, 1),
        "tensors": len(expected),
        "seconds": {kind: round(statistics.median(t), 3) for kind, t in seconds.items()},
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=250, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.megabytes, options.rounds)
    print(json.dumps(found, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
