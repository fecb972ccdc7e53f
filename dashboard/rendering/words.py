"""Answers about words: units whose top images match a text."""

from collections.abc import Mapping
from functools import lru_cache

from dashboard.rendering.frames import Frame
from dissect.errors import ConfigError
from dissect.painting.canvas import Canvas
from dissect.painting.checks import check_text
from dissect.text.scorer import TextScorer
from dissect.text.unit_labels import TOP_IMAGES, Seen, look_at, search_units
from segmenters.clip_models import ClipModel, describe_unknown, known_texts, load_clip

N_IMAGES = 512
"""Number of the run's first samples among which a unit's top images are found."""
MOST_SHOWN = 24
"""Number of units in an answer."""


class WordsResponder:
    """Answers questions about words.

    Args:
        canvas: Models of the run.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._opened = lru_cache(maxsize=1)(self._open)

    def find(self, question: Mapping[str, object]) -> Frame:
        """Units whose top images match a text, the clearest first; see ``answers``.

        Raises:
            DissectError: no such model, or a text with a word that it does not know.
        """
        name, text = (check_text(one, question.get(one)) for one in ("model", "text"))
        clip, scorer, seen = self._opened(name)
        unknown = describe_unknown(clip, [text])
        if unknown is not None:
            raise ConfigError(unknown)
        others = known_texts(clip, self._canvas.vocabulary.names)
        n_images = len(seen.vectors)
        top = min(TOP_IMAGES, max(1, n_images // 4))
        found = search_units(seen, scorer, text, others, top=top)
        first = found.head(MOST_SHOWN)
        units = zip(first.layer.tolist(), first.unit.tolist(), first.z.tolist(), strict=True)
        return Frame(
            {
                "model": clip.name,
                "images": n_images,
                "top": top,
                "count": len(found),
                "units": [list(one) for one in units],
            }
        )

    def _open(self, name: str) -> tuple[ClipModel, TextScorer, Seen]:
        """A model, and what it sees in the run's images; takes seconds."""
        canvas = self._canvas
        clip = load_clip(name, device=canvas.generator.device)
        scorer = TextScorer(clip, templates=clip.known_templates())
        return clip, scorer, look_at(canvas.run, canvas.generator, scorer, N_IMAGES)
