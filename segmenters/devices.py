"""Finds the device for models by its usual name."""

import torch

from segmenters.errors import DissectError

AUTO = "auto"
"""The machine's accelerator, or the processor if there is none."""
CPU = "cpu"
_ACCELERATORS = ("cuda", "xpu", "mps")  # in the order of preference of ``auto``


def devices_here() -> list[str]:
    """Kinds of devices that torch can use on this machine, accelerators first."""
    modules = {"cuda": torch.cuda, "xpu": torch.xpu, "mps": torch.backends.mps}
    return [*(name for name in _ACCELERATORS if modules[name].is_available()), CPU]


def find_device(device: torch.device | str) -> torch.device:
    """The device with a name such as ``cuda:1``, ``mps``, ``cpu`` or ``auto``.

    Raises:
        DissectError: torch does not have it on this machine.
    """
    if device == AUTO:
        return torch.device(devices_here()[0])
    try:
        found = torch.device(device)
        torch.empty(0, device=found).cpu()  # "meta" holds no values
    except (RuntimeError, AssertionError, ImportError, TypeError) as error:
        here = [CPU, *devices_here()[:-1], AUTO]
        raise DissectError(
            f"device is {str(device)[:80]!r}, which torch does not have here; expected "
            f"{', '.join(here[:-1])} or {here[-1]}"
        ) from error
    return found
