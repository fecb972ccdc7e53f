"""Answers about the user's own image: inverted step by step, then moved along directions."""

import base64
import binascii
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dashboard.rendering.directions import DirectionResponder
from dashboard.rendering.frames import Frame
from dissect.errors import ConfigError
from dissect.inversion.coordinates import Coordinates, coordinates
from dissect.inversion.images import square_of
from dissect.inversion.noise import noise_maps
from dissect.inversion.optimise import Inverter
from dissect.inversion.settings import SPACES, InversionSettings
from dissect.painting.canvas import Canvas, to_png
from dissect.painting.checks import is_whole
from dissect.settings.kinds import short

LARGEST_UPLOAD = 5 << 20
"""Largest size of a file in bytes."""
MOST_STEPS = 1000
_MOST_SEARCHES = 4  # number of latest searches that are kept
_SECONDS = 0.7  # of steps per answer, so that other requests get their turn


@dataclass(frozen=True, eq=False)
class _Search:
    """One image and the search for its latent."""

    image: Float[Tensor, "1 c h w"]
    inverter: Inverter
    n_steps: int


class InversionResponder:
    """Inverts uploaded images, a few steps per question.

    Args:
        canvas: Models of the run.
        directions: Moves the found latent along directions.
    """

    def __init__(self, canvas: Canvas, directions: DirectionResponder) -> None:
        self._canvas, self._directions = canvas, directions
        self._searches: OrderedDict[str, _Search] = OrderedDict()
        self._spaces: dict[str, Coordinates] = {}

    def begin(self, question: Mapping[str, object]) -> Frame:
        """Start a search; the answer has its token.

        Args:
            question: ``image``, a file in base64; ``space``; ``steps``.

        Raises:
            ConfigError: a file that is not an image, or a setting out of its range.
            DissectError: a generator without gradients, or a space that it lacks.
        """
        space, n_steps = question.get("space"), question.get("steps")
        if not isinstance(space, str) or space not in SPACES:
            raise ConfigError(f"space is {short(space)}; expected {', '.join(SPACES)}")
        if not is_whole(n_steps, 1, MOST_STEPS):
            raise ConfigError(f"steps is {short(n_steps)}; expected 1 to {MOST_STEPS}")
        generator, label = self._canvas.generator, self._canvas.run.config.label
        image = square_of(
            _decode(question.get("image")), "the file", generator.image_size,
            grey=generator.channels == 1,
        )  # fmt: skip
        if space not in self._spaces:
            self._spaces[space] = coordinates(generator, space, label=label)
        settings = InversionSettings(space=space, n_steps=n_steps)
        inverter = Inverter(generator, image, settings, within=self._spaces[space], label=label)
        token = uuid.uuid4().hex
        self._searches[token] = _Search(image, inverter, settings.n_steps)
        while len(self._searches) > _MOST_SEARCHES:
            self._searches.popitem(last=False)
        return self._told(token)

    def go_on(self, question: Mapping[str, object]) -> Frame:
        """Take some more steps.

        Args:
            question: ``token`` of the search.

        Raises:
            ConfigError: a search that is no longer kept.
        """
        token, search = self._find(question)
        until = time.monotonic() + _SECONDS
        while not search.inverter.done and time.monotonic() < until:
            search.inverter.advance()
        return self._told(token)

    def move(self, question: Mapping[str, object]) -> Frame:
        """The found latent moved along directions; see ``DirectionResponder.move``.

        Args:
            question: ``token``; ``folder`` and ``strengths``.

        Raises:
            ConfigError: a search that is no longer kept, or an error about directions.
        """
        _, search = self._find(question)
        (one,) = search.inverter.found()
        with noise_maps(self._canvas.generator, one.noise):
            return self._directions.move_latent(question, one.latent)

    def _told(self, token: str) -> Frame:
        search = self._searches[token]
        (one,) = search.inverter.found()
        content = {
            "fleeting": True, "token": token, "step": search.inverter.n_done,
            "steps": search.n_steps, "mse": one.errors["mse"], "psnr": one.errors["psnr"],
        }  # fmt: skip
        with torch.no_grad():
            drawn = search.inverter.draw()
        return Frame(content, (to_png(search.image[0]), to_png(drawn[0])))

    def _find(self, question: Mapping[str, object]) -> tuple[str, _Search]:
        token = question.get("token")
        if not isinstance(token, str) or token not in self._searches:
            raise ConfigError(
                "the search for this picture is not kept any more; expected one of the last "
                f"{_MOST_SEARCHES}; upload the picture again"
            )
        return token, self._searches[token]


def _decode(given: object) -> bytes:
    if not isinstance(given, str) or len(given) > LARGEST_UPLOAD * 4 // 3 + 4:
        raise ConfigError(
            f"the file has more than {LARGEST_UPLOAD >> 20} MB or is none; expected a smaller "
            "picture; make it smaller first"
        )
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("the browser sent something else than a file; upload it again") from None
