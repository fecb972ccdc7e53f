"""Training: two discriminators, lazy R1, growing through the skip outputs, a mean of weights.

The pixel discriminator takes the non-saturating loss with lazy R1; the projected one, where a
schedule gives it a weight, the hinge loss. On any device: on a GPU, and on processors with bfloat16
units, ``half`` computes networks in bfloat16 and keeps weights and losses in float32.

Each step's random numbers are keyed by (seed, step), so a training that is stopped and taken up
sees the same images and latents as one that ran through.

References:
    Goodfellow et al., Generative Adversarial Nets, 2014 (the non-saturating loss).
    Mescheder et al., Which Training Methods for GANs Do Actually Converge?, ICML 2018 (R1).
    Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020 (lazy R1).
"""

import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from dissect.interrupt import deferred_interrupt
from recipes.scenes_gan.data import shrink, to_bytes
from recipes.scenes_gan.discriminator import Discriminator
from recipes.scenes_gan.projected import (
    ProjectedDiscriminator,
    augment,
    hinge_fake,
    hinge_real,
    mean_score,
)
from recipes.scenes_gan.proportions import Proportions
from recipes.scenes_gan.state import load_state, save_state
from segmenters.scenes import SIZE, ScenesNetwork, load_network

_PROPORTIONS_OF = 4096  # images of the training set
_ADDED = ("proportions",)  # a training may go on with them


@dataclass(frozen=True)
class Stage:
    """One part of the training, at one size.

    Args:
        size: Height and width in pixels.
        until: Thousands of images seen by the end of it, counted from the start of the training.
        batch: Images per step.
        r1: Weight γ of γ/2 · E‖∇D‖².
        rate: Adam's learning rate.
    """

    size: int
    until: float
    batch: int
    r1: float
    rate: float = 0.002


@dataclass(frozen=True)
class Schedule:
    """A whole training: its stages and what stays the same through them."""

    stages: tuple[Stage, ...]
    seed: int = 0
    fade_kimg: float = 6.0  # over which a new size's judge comes in
    mean_half_life_kimg: float = 4.0  # of the weights that are kept
    r1_every: int = 16
    mixing: float = 0.3  # probability of two w's in one image
    projected: float = 0.0  # weight of the projected discriminator in the generator's loss; 0: none
    proportions: float = 0.5  # weight of the proportions there, where a segmenter says them
    pixel: float = 1.0  # weight of the pixel discriminator there

    def stage(self, kimg: float) -> tuple[Stage, float]:
        """The stage at this point, and how many kimg it has run."""
        start = 0.0
        for stage in self.stages:
            if kimg < stage.until:
                break
            start = stage.until
        return stage, kimg - (start if stage.until != start else 0.0)


class Family(Protocol):
    """How one kind of generator is built and run in training.

    Attributes:
        name: Of the family; its work lies in a folder of this name.
        judge_channels: Units of its judge at 4, 8, 16, … pixels.
    """

    name: str
    judge_channels: tuple[int, ...]

    def build(self) -> nn.Module:
        """A fresh network, random by torch's global generator, which the training has seeded."""
        ...

    def fakes(
        self,
        network: nn.Module,
        n: int,
        size: int,
        draws: torch.Generator,
        *,
        fade: float,
        mixing: float,
    ) -> Float[Tensor, "n 3 size size"]:
        """Images at a size, which ``fade`` from 0 to 1 brings in."""
        ...


class Training:
    """The owner of the networks while they are trained.

    Args:
        family: What is trained.
        schedule: How.
        images: The training set, bytes of shape image × 3 × size × size.
        folder: Where state and sheets go; a state that is there is taken up.
        device: Where the networks are.
        half: Compute in bfloat16.
        start: Weights to begin from where the folder has no state, as ``save_start`` writes them.
        segmenter: Says proportions, another one than the package's; None does without them.
    """

    def __init__(
        self,
        family: Family,
        schedule: Schedule,
        images: np.ndarray,
        folder: Path,
        *,
        device: torch.device | str = "cpu",
        half: bool = False,
        start: Path | None = None,
        segmenter: ScenesNetwork | None = None,
    ) -> None:
        self.family, self.schedule, self.folder = family, schedule, folder
        self.images, self.device, self.half = images, torch.device(device), half
        torch.manual_seed(schedule.seed)
        place = {"device": self.device, "memory_format": torch.channels_last}
        self.generator: nn.Module = family.build().to(**place)
        self.mean = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.judge = Discriminator(family.judge_channels).to(**place)
        self.adam_g = torch.optim.Adam(
            self.generator.parameters(), lr=2e-3, betas=(0.0, 0.99), fused=True
        )
        self.lazy = lazy = schedule.r1_every / (schedule.r1_every + 1)
        self.adam_d = torch.optim.Adam(
            self.judge.parameters(), lr=2e-3 * lazy, betas=(0.0, 0.99**lazy), fused=True
        )
        self.projected: ProjectedDiscriminator | None = None
        self.adam_p: torch.optim.Adam | None = None
        if schedule.projected:
            encoder = load_network().unet.encoder.to(**place)
            self.projected = ProjectedDiscriminator(encoder, size=SIZE).to(**place)
            self.adam_p = torch.optim.Adam(
                self.projected.heads.parameters(), lr=2e-3, betas=(0.0, 0.99), fused=True
            )
        self.step, self.kimg = 0, 0.0
        self._small: tuple[int, np.ndarray] = (0, images)
        self.proportions: Proportions | None = None
        if segmenter is not None:
            seen = (self._rows(slice(at, at + 64), SIZE) for at in range(0, _PROPORTIONS_OF, 64))
            self.proportions = Proportions(
                segmenter.to(**place), (one for one in seen if len(one))
            ).to(self.device)
        folder.mkdir(parents=True, exist_ok=True)
        if self.state_path.exists():
            progress = load_state(self.state_path, self._modules, self._optimizers, added=_ADDED)
            self.step, self.kimg = int(progress["step"]), progress["kimg"]
        elif start is not None:
            self.kimg = load_state(start, self._kept, {}, added=_ADDED)["kimg"]
            self.generator.load_state_dict(self.mean.state_dict())
            self.step = round(1000 * self.kimg / self.schedule.stage(self.kimg)[0].batch)

    @property
    def _kept(self) -> dict[str, nn.Module]:
        """What another machine can go on from: the mean weights and the discriminators."""
        return {name: m for name, m in self._modules.items() if name != "generator"}

    def save_start(self, path: Path) -> None:
        """Write the mean weights and the discriminators, a quarter of the whole state's size."""
        save_state(path, self._kept, {}, {"kimg": self.kimg}, half=True)

    @property
    def state_path(self) -> Path:
        return self.folder / "state.safetensors"

    @property
    def _modules(self) -> dict[str, nn.Module]:
        modules = {"generator": self.generator, "mean": self.mean, "judge": self.judge}
        if self.projected is not None:
            modules["projected"] = self.projected.heads
        if self.proportions is not None:
            modules["proportions"] = self.proportions
        return modules

    @property
    def _optimizers(self) -> dict[str, tuple[str, torch.optim.Adam]]:
        optimizers = {"adam_g": ("generator", self.adam_g), "adam_d": ("judge", self.adam_d)}
        return optimizers | ({"adam_p": ("projected", self.adam_p)} if self.adam_p else {})

    def save(self) -> None:
        progress = {"step": self.step, "kimg": self.kimg}
        save_state(self.state_path, self._modules, self._optimizers, progress)

    def _rows(self, rows: np.ndarray | slice, size: int) -> Float[Tensor, "row 3 size size"]:
        """Images of the training set at a size."""
        if self._small[0] != size:
            self._small = (size, shrink(self.images, size))
        images = torch.tensor(self._small[1][rows], device=self.device).float() / 127.5 - 1
        return images.to(memory_format=torch.channels_last)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    def advance(self) -> dict[str, float]:
        """One step of all networks; returns the losses."""
        stage, within = self.schedule.stage(self.kimg)
        numbers = np.random.Generator(np.random.Philox(key=[self.schedule.seed, self.step]))
        draws = torch.Generator().manual_seed(int(numbers.integers(2**62)))
        fade = min(1.0, within / self.schedule.fade_kimg)
        for adam, factor in ((self.adam_g, 1.0), (self.adam_d, self.lazy), (self.adam_p, 1.0)):
            for group in adam.param_groups if adam else ():
                group["lr"] = stage.rate * factor

        with self._autocast():
            fakes = self.family.fakes(
                self.generator,
                stage.batch,
                stage.size,
                draws,
                fade=fade,
                mixing=self.schedule.mixing,
            )
        fakes = fakes.float()
        reals = self._rows(numbers.integers(len(self.images), size=stage.batch), stage.size)
        losses = self._move_discriminators(fakes.detach(), reals, stage, fade, draws)

        self.judge.requires_grad_(False)
        with self._autocast():
            loss_g = functional.softplus(-self.judge(fakes, fade).float()).mean()
            loss = self.schedule.pixel * loss_g
            if self.projected is not None:
                self.projected.heads.requires_grad_(False)
                scores = self.projected(augment(fakes, draws))
                loss = loss - self.schedule.projected * mean_score(scores)
            if self.proportions is not None:
                some = fakes[: len(fakes) // 2]  # the others would cost more than they tell
                wrong = self.proportions(functional.adaptive_avg_pool2d(some, SIZE))
                loss = loss + self.schedule.proportions * wrong
                losses["proportions"] = wrong.item()
        self.adam_g.zero_grad(set_to_none=True)
        loss.backward()
        self.adam_g.step()
        losses["loss_g"] = loss_g.item()

        self._move_mean(stage.batch)
        self.step += 1
        self.kimg += stage.batch / 1000
        return losses

    def _move_discriminators(
        self, fakes: Tensor, reals: Tensor, stage: Stage, fade: float, draws: torch.Generator
    ) -> dict[str, float]:
        """One step of the pixel discriminator, and of the projected one where there is one."""
        self.judge.requires_grad_(True)
        with self._autocast():
            on_fakes, on_reals = self.judge(fakes, fade).float(), self.judge(reals, fade).float()
        loss_d = functional.softplus(on_fakes).mean() + functional.softplus(-on_reals).mean()
        loss = loss_d
        losses = {"loss_d": loss_d.item(), "real": on_reals.mean().item()}
        if self.step % self.schedule.r1_every == 0:
            penalty = self._gradient_penalty(reals, fade)
            loss = loss + penalty * (stage.r1 / 2 * self.schedule.r1_every)
            losses["r1"] = penalty.item()
        self.adam_d.zero_grad(set_to_none=True)
        loss.backward()
        self.adam_d.step()
        if self.projected is None or self.adam_p is None:
            return losses
        self.projected.heads.requires_grad_(True)
        with self._autocast():
            on_fakes = self.projected(augment(fakes, draws))
            on_reals = self.projected(augment(reals, draws))
        loss = hinge_fake(on_fakes) + hinge_real(on_reals)
        losses["loss_p"] = loss.item()
        self.adam_p.zero_grad(set_to_none=True)
        loss.backward()
        self.adam_p.step()
        return losses

    def _gradient_penalty(self, reals: Float[Tensor, "batch 3 s s"], fade: float) -> Tensor:
        """E‖∇ₓ D(x)‖² on real images."""
        reals = reals.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.judge(reals, fade).sum(), reals, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean()

    @torch.no_grad()
    def _move_mean(self, batch: int) -> None:
        half_life = min(self.schedule.mean_half_life_kimg, 0.1 * self.kimg + 1e-3)
        keep = 0.5 ** (batch / 1000 / half_life)
        for mean, now in zip(self.mean.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(now, 1 - keep)
        for mean, now in zip(self.mean.buffers(), self.generator.buffers(), strict=True):
            mean.copy_(now)

    def run(
        self, *, until: float | None = None, every_kimg: float = 4.0, minutes: float | None = None
    ) -> None:
        """Train to the end of the schedule, or until some kimg; sheets and state on the way.

        Ctrl-C ends it after the step that runs, and saves; so does the end of ``minutes``.
        """
        end = min(until or float("inf"), self.schedule.stages[-1].until)
        last = time.monotonic() + 60 * (minutes or float("inf"))
        mark, since, seen = self.kimg, time.monotonic(), {}
        with deferred_interrupt() as interrupted:

            def stopped() -> bool:
                return interrupted() or time.monotonic() >= last

            while self.kimg < end and not stopped():
                for key, value in self.advance().items():
                    seen.setdefault(key, []).append(value)
                if self.kimg - mark >= every_kimg or self.kimg >= end or stopped():
                    self._report(seen, self.kimg - mark, time.monotonic() - since)
                    mark, since, seen = self.kimg, time.monotonic(), {}

    def _report(self, seen: dict[str, list[float]], kimg: float, seconds: float) -> None:
        line = {key: round(sum(values) / len(values), 3) for key, values in seen.items()}
        line |= {
            "kimg": round(self.kimg, 1),
            "size": self.schedule.stage(self.kimg)[0].size,
            "images_per_s": round(1000 * kimg / seconds, 1),
        }
        print(json.dumps(line), flush=True)
        self.save()
        self.sheet()

    @torch.no_grad()
    def sheet(self) -> Path:
        """64 samples of the mean weights, always the same latents, at the size of the stage."""
        stage, within = self.schedule.stage(self.kimg)
        size, fade = stage.size, min(1.0, within / self.schedule.fade_kimg)
        draws = torch.Generator().manual_seed(1)
        images = self.family.fakes(self.mean, 64, size, draws, fade=fade, mixing=0.0)
        path = self.folder / "sheets" / f"{round(self.kimg):05d}.png"
        path.parent.mkdir(exist_ok=True)
        write_sheet(images, path, n_columns=8, zoom=max(1, 128 // size))
        return path


def write_sheet(images: Tensor, path: Path, *, n_columns: int, zoom: int) -> None:
    """Images side by side in one PNG, pixels enlarged ``zoom`` times."""
    data = to_bytes(images).cpu()
    n, _, height, width = data.shape
    rows = data.reshape(n // n_columns, n_columns, 3, height, width)
    sheet = rows.permute(0, 3, 1, 4, 2).reshape(n // n_columns * height, n_columns * width, 3)
    picture = Image.fromarray(sheet.numpy())
    picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST).save(
        path
    )
