"""Four small networks that read a face, as the npm package @vladmandic/face-api 1.7.15 has them.

====================  ======  =====================================================================
network               pixels  gives
====================  ======  =====================================================================
``AgeGender``         112     age in years; logits of male and female
``Expressions``       112     logits of ``EXPRESSIONS``
``Landmarks``         112     68 points (x, y), as fractions of the image
``Recognition``       150     128 numbers; images of one person lie within about 0.6
====================  ======  =====================================================================

All take RGB from 0 to 255 of any size, resized bilinearly (corners not aligned), minus
``MEAN_RGB``, divided by 255. Padding is TensorFlow's "same": an odd pixel goes right and
below. The face has to fill the image: there is no face detection.

References:
    face-api.js (MIT), ``AgeGenderNet``, ``FaceExpressionNet``, ``FaceLandmark68Net`` and
    ``FaceRecognitionNet``: the layouts, restated from their weights and shapes.
    Chollet, Xception, CVPR 2017 (separable convolutions; the blocks of ``AgeGender``).
    He et al., Deep Residual Learning, CVPR 2016 (``Recognition``, after dlib's network).
    Sagonas et al., 300 Faces in-the-Wild Challenge, ICCV workshops 2013 (the 68 points).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from segmenters.images import resize

MEAN_RGB = (122.782, 117.001, 104.298)
EXPRESSIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
N_LANDMARKS, N_DESCRIPTOR = 68, 128


def prepare(
    images: Float[Tensor, "batch 3 height width"], size: int
) -> Float[Tensor, "batch 3 size size"]:
    """Preprocess images in [-1, 1] for the networks."""
    pixels = (resize(images, (size, size)) + 1) * 127.5
    return (pixels - pixels.new_tensor(MEAN_RGB)[:, None, None]) / 255


def pad_same(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad so that ⌈side / stride⌉ windows fit; an odd pixel goes right and below."""
    sides: list[int] = []
    for side in (x.shape[-1], x.shape[-2]):  # functional.pad starts at the last dimension
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        sides += [total // 2, total - total // 2]
    return functional.pad(x, sides, value=value)


class Convolution(nn.Conv2d):
    """A convolution with "same" padding."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__(n_in, n_out, kernel, stride)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(pad_same(input, self.kernel_size[0], self.stride[0]))


class Separable(nn.Module):
    """A 3 × 3 convolution of each channel, then a 1 × 1 one over all."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(n_in, n_in, 3, stride, groups=n_in, bias=False)
        self.pointwise = nn.Conv2d(n_in, n_out, 1)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(pad_same(x, 3, self.stride)))


class _Reduction(nn.Module):
    """Half the size: two separable convolutions and a pool, beside a 1 × 1 convolution."""

    def __init__(self, n_in: int, n_out: int, *, relu_first: bool = True) -> None:
        super().__init__()
        self.separable_conv0 = Separable(n_in, n_out)
        self.separable_conv1 = Separable(n_out, n_out)
        self.expansion_conv = Convolution(n_in, n_out, 1, stride=2)
        self.relu_first = relu_first

    def forward(self, x: Tensor) -> Tensor:
        y = self.separable_conv0(x.relu() if self.relu_first else x)
        y = self.separable_conv1(y.relu())
        y = functional.max_pool2d(pad_same(y, 3, 2, value=-torch.inf), 3, stride=2)
        return y + self.expansion_conv(x)


class _Main(nn.Module):
    """Three separable convolutions, each after a ReLU, added to the input."""

    def __init__(self, n: int) -> None:
        super().__init__()
        for k in range(3):
            self.add_module(f"separable_conv{k}", Separable(n, n))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for convolution in self.children():
            y = convolution(y.relu())
        return x + y


class _Entry(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_in = Convolution(3, 32, 3, stride=2)
        self.reduction_block_0 = _Reduction(32, 64, relu_first=False)
        self.reduction_block_1 = _Reduction(64, 128)

    def forward(self, x: Tensor) -> Tensor:
        return self.reduction_block_1(self.reduction_block_0(self.conv_in(x).relu()))


class _Exit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reduction_block = _Reduction(128, 256)
        self.separable_conv = Separable(256, 512)

    def forward(self, x: Tensor) -> Tensor:
        return self.separable_conv(self.reduction_block(x)).relu()


class AgeGender(nn.Module):
    """Age in years, and the logits of male and female."""

    def __init__(self) -> None:
        super().__init__()
        self.entry_flow = _Entry()
        self.middle_flow = nn.Sequential()
        for k in range(2):
            self.middle_flow.add_module(f"main_block_{k}", _Main(128))
        self.exit_flow = _Exit()
        self.fc = nn.ModuleDict({"age": nn.Linear(512, 1), "gender": nn.Linear(512, 2)})

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch 2"]]:
        """Age and logits.

        Args:
            images: RGB in [-1, 1].
        """
        x = self.middle_flow(self.entry_flow(prepare(images, 112)))
        x = self.exit_flow(x).mean(dim=(2, 3))
        return self.fc["age"](x)[:, 0], self.fc["gender"](x)


class _Dense(nn.Module):
    """Four convolutions; each one reads the sum of all outputs before it."""

    def __init__(self, n_in: int, n_out: int, *, plain: bool = False) -> None:
        super().__init__()
        first = Convolution(n_in, n_out, 3, 2) if plain else Separable(n_in, n_out, 2)
        self.conv0 = first
        for k in range(1, 4):
            self.add_module(f"conv{k}", Separable(n_out, n_out))

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.children()
        total = first(x).relu()
        for convolution in others:
            # The sum of raw outputs; only the first of them went through its ReLU.
            total = total + convolution(total.relu())
        return total.relu()


class _DenseNet(nn.Module):
    def __init__(self, n_values: int) -> None:
        super().__init__()
        for k, (n_in, n_out) in enumerate(((3, 32), (32, 64), (64, 128), (128, 256))):
            self.add_module(f"dense{k}", _Dense(n_in, n_out, plain=k == 0))
        self.fc = nn.Linear(256, n_values)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Tensor:
        *blocks, last = self.children()
        x = prepare(images, 112)
        for block in blocks:
            x = block(x)
        return last(x.mean(dim=(2, 3)))


class Expressions(_DenseNet):
    """Logits of the seven ``EXPRESSIONS``."""

    def __init__(self) -> None:
        super().__init__(len(EXPRESSIONS))


class Landmarks(_DenseNet):
    """68 points (x, y), fractions of the image's width and height."""

    def __init__(self) -> None:
        super().__init__(2 * N_LANDMARKS)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 68 2"]:
        return super().forward(images).unflatten(1, (N_LANDMARKS, 2))


class _Scale(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.weights, self.biases = (nn.Parameter(torch.zeros(n)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights[:, None, None] + self.biases[:, None, None]


class _Scaled(nn.Module):
    """A convolution, then a factor and an offset for each channel. ``stride`` 2 does not pad."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        make = Convolution if stride == 1 else nn.Conv2d
        self.conv = make(n_in, n_out, kernel, stride)
        self.scale = _Scale(n_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale(self.conv(x))


class _Residual(nn.Module):
    """Two convolutions added to the input; ``down`` halves the size and may add channels."""

    def __init__(self, n_in: int, n_out: int, *, down: bool = False) -> None:
        super().__init__()
        self.conv1 = _Scaled(n_in, n_out, stride=2 if down else 1)
        self.conv2 = _Scaled(n_out, n_out)
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x).relu())
        if self.down:
            x = functional.avg_pool2d(x, 2)
            # Without padding a convolution can give one pixel less: add zeros right and below.
            rows, columns = x.shape[2] - y.shape[2], x.shape[3] - y.shape[3]
            y = functional.pad(y, (0, columns, 0, rows))
            x = functional.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
        return (x + y).relu()


class Recognition(nn.Module):
    """128 numbers; the distance of two faces shows how similar they are."""

    def __init__(self) -> None:
        super().__init__()
        self.conv32_down = _Scaled(3, 32, kernel=7, stride=2)
        n_in = 32
        for n, n_blocks, down in ((32, 3, False), (64, 3, True), (128, 2, True), (256, 2, True)):
            if down:
                self.add_module(f"conv{n}_down", _Residual(n_in, n, down=True))
            for k in range(n_blocks):
                self.add_module(f"conv{n}_{k + 1}", _Residual(n, n))
            n_in = n
        self.conv256_down_out = _Residual(256, 256, down=True)
        self.fc = nn.Linear(256, N_DESCRIPTOR, bias=False)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 128"]:
        """Descriptors.

        Args:
            images: RGB in [-1, 1].
        """
        first, *blocks, last = self.children()
        x = functional.max_pool2d(first(prepare(images, 150)).relu(), 3, stride=2)
        for block in blocks:
            x = block(x)
        return last(x.mean(dim=(2, 3)))
