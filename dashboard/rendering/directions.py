"""Answers about directions: a sample moved along several of them, and along random ones."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch

from dashboard.rendering.frames import Frame
from dissect.directions.direction import Direction
from dissect.directions.folder import DirectionFolder, folders_of, open_folder
from dissect.directions.rescoring import equal_moves, random_direction, step_length
from dissect.edits.applying import intervene
from dissect.edits.edit import Edit
from dissect.errors import ConfigError
from dissect.latents import Latent
from dissect.painting.canvas import Canvas, to_png
from dissect.painting.checks import as_number, check_text, is_whole
from dissect.settings.kinds import short

MOST = 8.0
"""Largest strength, in deviations of the space."""
_SEED = 0  # seed of the random directions and of the length of steps


class DirectionResponder:
    """Moves samples along the directions in a run's folder.

    Args:
        canvas: Models of the run.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._length = lru_cache(maxsize=64)(self._measure_length)

    def move(self, question: Mapping[str, object]) -> Frame:
        """The images of a sample: unedited, moved, and along random directions of equal length.

        Args:
            question: ``folder``, a name; ``strengths``, one for each direction; ``index`` and
                ``seed`` of the sample; ``layers``, first and last of w+, or None for all.

        Raises:
            ConfigError: an error in the question.
            DissectError: directions that do not fit the generator.
        """
        layers = self._layers(question.get("layers"))
        index, seed = question.get("index"), question.get("seed")
        if not is_whole(index, 0, 2**40) or not is_whole(seed, 0, 2**63):
            raise ConfigError("index and seed are whole numbers from 0; expected such numbers")
        label = self._canvas.run.config.label
        latent = self._canvas.generator.sample([index], seed=seed, label=label)
        return self._move(question, latent, layers)

    def move_latent(self, question: Mapping[str, object], latent: Latent) -> Frame:
        """The images of a latent: unedited, moved, and along random directions of equal length.

        Args:
            question: ``folder`` and ``strengths``, see ``move``.
            latent: Latent of one image. In w+ all layers are moved.

        Raises:
            ConfigError: an error in the question, or directions of an earlier space.
        """
        every = self._canvas.generator.spaces["w+"].shape[0] if latent.space == "w+" else None
        return self._move(question, latent, None if every is None else list(range(every)))

    def _move(
        self, question: Mapping[str, object], latent: Latent, layers: Sequence[int] | None
    ) -> Frame:
        folder = self._open(question.get("folder"))
        strengths = question.get("strengths")
        if not isinstance(strengths, list) or len(strengths) != len(folder.directions):
            raise ConfigError(
                f"strengths is {short(strengths)}; expected {len(folder.directions)} numbers, one "
                "for each direction"
            )
        numbers = [as_number("strength", one) for one in strengths]
        if any(abs(one) > MOST for one in numbers):
            raise ConfigError(f"a strength is beyond {MOST:g}; expected -{MOST:g} to {MOST:g}")
        moved: list[Edit] = []
        random: list[Edit] = []
        for number, (direction, strength) in enumerate(
            zip(folder.directions, numbers, strict=True)
        ):
            if strength:
                noise = random_direction(direction, number, seed=_SEED)
                moved += self._moves(direction, strength, layers)
                random += self._moves(noise, strength, layers)
        return Frame({}, tuple(to_png(one) for one in self._images(latent, moved, random)))

    @torch.no_grad()
    def _images(self, latent: Latent, *recipes: Sequence[Edit]) -> list[torch.Tensor]:
        generator = self._canvas.generator
        images = [generator.synthesize(latent)[0]]
        for recipe in recipes:
            with intervene(generator, recipe):
                images.append(generator.synthesize(latent)[0])
        return images

    def _moves(
        self, direction: Direction, strength: float, layers: Sequence[int] | None
    ) -> Sequence[Edit]:
        generator = self._canvas.generator
        direction.check(generator)
        own = layers
        if direction.space not in ("w", "w+") or "w+" not in generator.spaces:
            own = None
        elif direction.layers is not None and layers is not None:
            own = [layer for layer in direction.layers if layer in layers]
            if not own:
                return []
        length = self._length(direction.space, direction.steps) * strength
        return equal_moves(generator, direction, length, layers=own)

    def _measure_length(self, space: str, steps: tuple[int, ...] | None) -> float:
        one = next(
            direction
            for path in folders_of(self._canvas.run.path)
            for direction in open_folder(path).directions
            if (direction.space, direction.steps) == (space, steps)
        )
        return step_length(self._canvas.generator, one, seed=_SEED)

    def _open(self, name: object) -> DirectionFolder:
        check_text("folder", name)
        known = {path.name: path for path in folders_of(self._canvas.run.path)}
        if name not in known:
            raise ConfigError(
                f"directions {short(name)} are not in the run; expected "
                f"{', '.join(known) or 'none'}"
            )
        return open_folder(known[str(name)])

    def _layers(self, given: object) -> list[int] | None:
        if given is None:
            return None
        spaces = self._canvas.generator.spaces
        most = spaces["w+"].shape[0] - 1 if "w+" in spaces else -1
        if (
            not isinstance(given, list)
            or len(given) != 2
            or not all(is_whole(one, 0, most) for one in given)
            or given[0] > given[1]
        ):
            raise ConfigError(f"layers is {short(given)}; expected two layers of w+, 0 to {most}")
        return list(range(given[0], given[1] + 1))
