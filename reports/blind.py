"""The blind test as one HTML file that works without a server.

It contains images and concepts to choose from, but not the run's labels of the units. It saves
answers as a file that ``dissect blind RUN --answers FILE`` reads.
"""

import base64
import hashlib
import json
from importlib import resources

from dissect.blind.answers import answer_file
from dissect.blind.options import BlindOptions
from dissect.blind.questions import BlindQuestion, blind_questions
from dissect.errors import ConfigError
from dissect.runs import Run
from dissect.runs.strips import UNLABELLED
from reports.templating import template_environment
from segmenters.plain_text import escape_json


def blind_page(run: Run, options: BlindOptions) -> str:
    """The page as text.

    Args:
        run: A finished run with top images.
        options: Number of units, and the seed.

    Raises:
        ConfigError: see ``blind_questions``.
    """
    static = resources.files("reports").joinpath("static")
    script = static.joinpath("js", "blind.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sources = blind_pictures(run, questions := blind_questions(run, options))
    shown = [
        {"key": one.key, "choices": one.choices, "source": source}
        for one, source in zip(questions, sources, strict=True)
    ]
    form = json.dumps(answer_file(run, options), ensure_ascii=True)
    return (
        template_environment()
        .get_template("blind.html")
        .render(
            name=run.path.name,
            style=static.joinpath("blind.css").read_text(encoding="utf-8"),
            script=script,
            digest=f"sha256-{digest}",
            questions=shown,
            form=escape_json(form).replace("<", "\\u003c"),
        )
    )


def blind_pictures(run: Run, questions: list[BlindQuestion]) -> list[str]:
    """Each question's strip as a data address, with outlines of one colour for all units.

    Raises:
        RunError: damaged pictures.
    """
    return [
        "data:image/webp;base64," + base64.b64encode(blind_strip(run, one)).decode()
        for one in questions
    ]


def blind_strip(run: Run, question: BlindQuestion) -> bytes:
    """A unit's top images as WebP; the outline's colour does not depend on the label.

    Raises:
        RunError: damaged pictures.
        ConfigError: a run of an earlier version, whose outlines have the colour of the label.
    """
    (strip,) = run.strips(question.layer, [question.unit])
    if strip.mask is None:
        raise ConfigError(
            f"{run.path} has outlines in the colour of each unit's label, which would tell it; "
            "expected a run whose masks lie apart; make it again with this version"
        )
    return strip.outlined(UNLABELLED)
