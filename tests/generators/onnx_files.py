"""Writes small ONNX programs, field by field, so that no other library is needed."""

import numpy as np
import torch


def field(number, content):
    """One field of a message: text, bytes, an integer, or several of them."""
    if isinstance(content, list):
        return b"".join(field(number, one) for one in content)
    if isinstance(content, int):
        return varint(number << 3) + varint(content & (1 << 64) - 1)
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value):
    encoded = []
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def attribute(name, value):
    if isinstance(value, bytes):  # a tensor
        return field(1, name) + field(5, value) + field(20, 4)
    if isinstance(value, list):
        return field(1, name) + field(8, value) + field(20, 7)
    return field(1, name) + field(3, value) + field(20, 2)


def node(kind, inputs, output, **attributes):
    written = [attribute(name, value) for name, value in attributes.items()]
    return field(1, inputs) + field(2, [output]) + field(4, kind) + field(5, written)


def tensor(name, values, *, location=None, offset=0):
    """A tensor with its bytes, or with the place of them."""
    values = np.ascontiguousarray(values)
    kind = {"float32": 1, "int64": 7}[str(values.dtype)]
    head = field(1, list(values.shape)) + field(2, kind) + field(8, name)
    if location is None:
        return head + field(9, values.tobytes())
    where = {"location": location, "offset": str(offset), "length": str(values.nbytes)}
    places = [field(1, key) + field(2, value) for key, value in where.items()]
    return head + field(13, places) + field(14, 1)


def value(name, shape, kind=1):
    sizes = [field(2, n) if isinstance(n, str) else field(1, n) for n in shape]
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, field(1, sizes))))


def model(nodes, inputs, outputs, tensors, metadata=None):
    graph = (
        field(1, nodes) + field(2, "g") + field(5, tensors) + field(11, inputs) + field(12, outputs)
    )
    about = [field(1, key) + field(2, text) for key, text in (metadata or {}).items()]
    return field(1, 9) + field(7, graph) + field(8, field(2, 17)) + field(14, about)


WIDTHS = [10, 8, 6]


def network(channels=3, end=torch.nn.Tanh):
    """A DCGAN of 16 px in torch."""
    draw = torch.Generator().manual_seed(0)
    parts, widths = [], [*WIDTHS, channels]
    for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
        parts.append(torch.nn.ConvTranspose2d(a, b, 4, 2 if i else 1, 1 if i else 0))
        parts += [torch.nn.BatchNorm2d(b), torch.nn.ReLU()] if i < len(WIDTHS) - 1 else [end()]
    made = torch.nn.Sequential(*parts).eval().requires_grad_(False)
    for values in made.state_dict().values():
        if values.is_floating_point():
            values.copy_(torch.rand(values.shape, generator=draw) - 0.3 * (values.ndim == 4))
    return made


def program(
    net, *, batch="batch", end="Tanh", name="z", label=False, external=None, metadata=None, last=False
):  # fmt: skip
    """The same network as an ONNX program, and the bytes that lie beside it."""
    nodes, tensors, beside, x = [], [], b"", name
    inputs = [value(name, [batch, WIDTHS[0]])]
    if label:  # a row of a table is added to z
        inputs.append(value("which", [batch], kind=7))
        tensors.append(tensor("table", np.eye(4, WIDTHS[0], dtype="float32") * 3))
        nodes += [node("Gather", ["table", "which"], "row"), node("Add", [x, "row"], "shifted")]
        x = "shifted"
    tensors.append(tensor("axes", np.array([2, 3])))
    nodes.append(node("Unsqueeze", [x, "axes"], "tall"))
    x = "tall"
    for i, part in enumerate(net):
        parts = {"weight": part.weight, "bias": part.bias} if hasattr(part, "weight") else {}
        if isinstance(part, torch.nn.BatchNorm2d):
            parts |= {"mean": part.running_mean, "var": part.running_var}
        for key, values in parts.items():
            array = values.numpy()
            tensors.append(tensor(f"{i}.{key}", array, location=external, offset=len(beside)))
            beside += array.tobytes() if external else b""
        names = [x, *(f"{i}.{key}" for key in parts)]
        if isinstance(part, torch.nn.ConvTranspose2d):
            stride, pads = list(part.stride), list(part.padding) * 2
            nodes.append(node("ConvTranspose", names, f"conv{i}", strides=stride, pads=pads))
            x = f"conv{i}"
        elif parts:
            nodes.append(node("BatchNormalization", names, f"norm{i}"))
            x = f"norm{i}"
        else:
            kind, made = ("Relu", f"relu{i}") if i < len(net) - 1 else (end, "image")
            nodes.append(node(kind, [x], made))
            x = made
    if last:
        nodes.append(node("Transpose", ["image"], "out", perm=[0, 2, 3, 1]))
    outputs = [value("out", [batch, 16, 16, 3]) if last else value("image", [batch, 3, 16, 16])]
    return model(nodes, inputs, outputs, tensors, metadata), beside
