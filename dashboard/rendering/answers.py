"""The questions that a worker answers, by the word in ``ask``; checks all input.

=======  ==============================================  ========================================
ask      with                                            answer
=======  ==============================================  ========================================
about    –                                               sizes, layers, concepts of the models
brush    concept or units, mode, layer, box or mask,     a ``Brush``
         learned
image    recipe                                          view, and one picture for each plane
verdict  recipe                                          what its last stroke did, in sentences
starts   recipe                                          samples where its last stroke gains most,
                                                         side by side
png      recipe                                          the image as a PNG, byte for byte
masks    layer, unit, threshold, first, interval,        a unit's top images, new ones from first
         concept                                         or of an interval, its mask outlined, and
                                                         that of a concept
ablate   layer, unit, indices                            images before and after, its top ones
move     folder, strengths, index, seed, layers          a sample as it is, moved along directions,
                                                         and along random ones as long
invert   image, space, steps                             a search for a person's own picture begins
search   token                                           some more steps of it: errors, both images
own      token, folder, strengths                        as ``move``, of what the search has found
words    model, text                                     units whose top images match the text
=======  ==============================================  ========================================
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from dashboard.rendering.directions import DirectionResponder
from dashboard.rendering.frames import Frame
from dashboard.rendering.inversion import InversionResponder
from dashboard.rendering.units import UnitResponder, strip_of
from dashboard.rendering.words import WordsResponder
from dissect.errors import ConfigError
from dissect.painting.brushes import Brush, Shape, find_brush, pick_brush
from dissect.painting.canvas import Canvas, changes, labels_to_png, to_png
from dissect.painting.checks import check_list, check_text
from dissect.painting.recipe import Painting
from dissect.painting.starts import N_TRIED, best_starts
from dissect.painting.strokes import DRAW, MOST_UNITS, REMOVE, decode_mask
from dissect.painting.suggestions import advise
from dissect.pictures import to_picture
from dissect.runs import open_run
from dissect.runs.replacing import replace_file
from dissect.settings.kinds import short

_LARGEST_PLAIN = 256  # largest side in pixels of a view sent as PNG
_BRUSHES = "painting/brushes.json"
_BRUSH_VERSION = 3
_MOST_BRUSHES = 500  # stored beside the run


class Responder:
    """Answers questions about one run.

    Args:
        run: Its folder.
        generator: Current place of its generator; None: the run's own spec.

    Raises:
        DissectError: a run that cannot be opened, or models that cannot be loaded.
    """

    def __init__(self, run: str, generator: str | None = None) -> None:
        self._run = open_run(run, generator=generator)
        self._canvas = Canvas(self._run)
        self._units = UnitResponder(self._canvas)
        self._stamp = [_BRUSH_VERSION, self._run.record["fingerprint"]]
        self._kept = _load(self._run.path / _BRUSHES, self._stamp)
        directions = DirectionResponder(self._canvas)
        inversions = InversionResponder(self._canvas, directions)
        self._questions = {
            "about": self._about,
            "brush": self._brush,
            "image": self._image,
            "verdict": self._verdict,
            "starts": self._starts,
            "png": self._png,
            "masks": self._units.masks,
            "ablate": self._units.ablate,
            "move": directions.move,
            "invert": inversions.begin,
            "search": inversions.go_on,
            "own": inversions.move,
            "words": WordsResponder(self._canvas).find,
        }

    def answer(self, question: Frame) -> Frame:
        """The answer to one question.

        Raises:
            DissectError: an error in the question, in one line.
        """
        given = dict(question.content)
        word = given.pop("ask", None)
        if not isinstance(word, str) or word not in self._questions:
            raise ConfigError(
                f"the question is {short(word)}; expected {', '.join(self._questions)}"
            )
        return self._questions[word](given)

    def _about(self, question: Mapping[str, object]) -> Frame:
        canvas = self._canvas
        blank = canvas.blank(seed=0, index=0, truncation=1.0, label=None)
        return Frame(
            {
                "generator": canvas.generator.name,
                "fingerprint": canvas.generator.fingerprint,
                "run": self._run.record["fingerprint"],
                "image_size": canvas.generator.image_size,
                "n_classes": canvas.generator.n_classes,
                "threads": blank.threads,
                "planes": list(canvas.vocabulary.planes),
            }
        )

    def _brush(self, question: Mapping[str, object]) -> Frame:
        mode, layer, concept = (question.get(name) for name in ("mode", "layer", "concept"))
        if concept is None:
            layer = check_text("layer", layer)
            units = check_list("units", question.get("units"), MOST_UNITS)
            return Frame(asdict(pick_brush(self._canvas, units, str(mode), layer=layer)))
        concept = check_text("concept", concept)
        layer = None if layer is None else check_text("layer", layer)
        learned = question.get("learned", False)
        if not isinstance(learned, bool):
            raise ConfigError(f"learned is {short(learned)}; expected true or false")
        shape = read_shape(question)
        found = self._found(concept, str(mode), layer, shape, learned and mode == DRAW)
        return Frame(found | {"fleeting": True})

    def _found(
        self, concept: str, mode: str, layer: str | None, shape: Shape | None, learned: bool
    ) -> dict[str, object]:
        """A brush that was tried before, or a new one, which is stored beside the run."""
        measured = sorted(
            path.name for path in (self._run.path / "effects").glob("[!.]*") if path.is_dir()
        )
        box, mask = (None, None) if shape is None else (shape.box, shape.mask)
        marked = None if mask is None else hashlib.sha256(mask).hexdigest()
        key = json.dumps([concept, mode, layer, measured, box, marked, learned])
        if key not in self._kept:
            brush = find_brush(
                self._canvas, concept, mode, layer=layer, shape=shape, learned=learned
            )
            while len(self._kept) >= _MOST_BRUSHES:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = asdict(brush)
            self._keep()
        return dict(self._kept[key])

    def _keep(self) -> None:
        target = self._run.path / _BRUSHES
        try:
            target.parent.mkdir(exist_ok=True)
            text = json.dumps({"of": self._stamp, "brushes": self._kept})
            replace_file(target, text.encode())
        except OSError:
            return  # a folder that cannot be written; it is tried again next time

    def _image(self, question: Mapping[str, object]) -> Frame:
        painting = Painting.from_json(question.get("recipe"))
        canvas = self._canvas
        painted = canvas.paint(painting)
        before = canvas.original(painting)
        vocabulary = canvas.vocabulary
        plain = canvas.generator.image_size <= _LARGEST_PLAIN
        view = to_png(painted.image) if plain else _to_webp(painted.image)
        found = changes(before, painted, vocabulary)
        content = {
            "type": "image/png" if plain else "image/webp",
            "planes": list(vocabulary.planes),
            "changes": [[one.concept, one.before, one.after] for one in found],
        }
        labels = [labels_to_png(painted.planes, vocabulary, name) for name in vocabulary.planes]
        return Frame(content, (view, *labels))

    def _verdict(self, question: Mapping[str, object]) -> Frame:
        painting = Painting.from_json(question.get("recipe"))
        if not painting.strokes:
            return Frame({"worked": None, "lines": []})
        advice = advise(self._canvas, painting)
        return Frame({"worked": advice.verdict.worked, "lines": advice.lines})

    def _starts(self, question: Mapping[str, object]) -> Frame:
        painting = Painting.from_json(question.get("recipe"))
        if not painting.strokes or painting.strokes[-1].concept is None:
            raise ConfigError("nothing is painted for a concept; choose one to find images for it")
        found = best_starts(self._canvas, painting.strokes[-1])
        content = {
            "indices": [start.index for start in found],
            "changes": [start.verdict.change for start in found],
            "tried": N_TRIED,
        }
        if not found:
            return Frame(content)
        indices = [start.index for start in found]
        return Frame(content, (strip_of(self._canvas, indices),))

    def _png(self, question: Mapping[str, object]) -> Frame:
        painting = Painting.from_json(question.get("recipe"))
        return Frame({}, (to_png(self._canvas.paint(painting).image),))


def read_shape(question: Mapping[str, object]) -> Shape | None:
    """The shape for testing a brush: ``box`` or ``mask`` (base64); None without both.

    Raises:
        ConfigError: an invalid shape.
    """
    box, mask = question.get("box"), question.get("mask")
    if box is None and mask is None:
        return None
    shape = Shape(
        box=tuple(box) if isinstance(box, list) else box,  # type: ignore[arg-type], checked below
        mask=None if mask is None else decode_mask(mask),
    )
    shape.stroke(REMOVE, "-", (0,), (), strength=1.0, concept="")  # raises for other types
    return shape


def _to_webp(image: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    to_picture(image).convert("RGB").save(buffer, "WEBP", quality=90, method=2)
    return buffer.getvalue()


def _load(path: Path, stamp: list[object]) -> dict[str, dict]:
    try:
        content = json.loads(path.read_text())
        brushes = content["brushes"] if content["of"] == stamp else {}
        return {str(key): asdict(Brush(**values)) for key, values in brushes.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # it is made again
