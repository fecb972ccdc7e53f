"""The answers of people, in ``RUN/blind/answers.jsonl``: one line per answer, only appended.

Only this module writes the file. The last answer of a person for a unit counts. A line holds the
choices offered and the label at that time. So answers stay valid when a later version of this
package, or another seed, offers other choices. ``run.json`` does not list the file, so answers
never change whether a run is intact.

An answer file downloaded from the HTML page holds only the chosen concepts:

    {"kind": "gan-dissection blind answers", "version": 1, "run": FINGERPRINT, "seed": 0,
     "n_units": 60, "by": "", "answers": {"b16.conv1/3": "tree", …}}
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dissect.blind.options import BlindOptions
from dissect.blind.questions import BlindQuestion, blind_questions, find_question
from dissect.errors import ConfigError, RunError
from dissect.runs import Run
from dissect.runs.notes import checked_author
from segmenters.received import inside, read_bytes, reading

FOLDER, FILE = "blind", "answers.jsonl"
KIND, VERSION = "gan-dissection blind answers", 1
LARGEST_BYTES = 1 << 20
"""Version of the format of answer files."""
_LARGEST_KEPT = 64 << 20
_ADVICE = "delete blind/answers.jsonl and answer again"


@dataclass(frozen=True)
class Answer:
    """One answer of a person.

    Attributes:
        by: The person's name; "" if not given.
        layer, unit: The unit.
        label: The unit's label in the run when the question was shown.
        choices: The concepts offered.
        chosen: The chosen concept.
    """

    by: str
    layer: str
    unit: int
    label: str
    choices: tuple[str, ...]
    chosen: str

    @property
    def is_right(self) -> bool:
        """Whether the label was chosen."""
        return self.chosen == self.label


def keep_answers(run: Run, answers: Iterable[Answer]) -> None:
    """Append answers to the run's file.

    Raises:
        RunError: a folder that cannot be written, or a link to another place.
    """
    lines = [json.dumps(asdict(answer), ensure_ascii=True) + "\n" for answer in answers]
    with reading(run.path, RunError, "put a folder in its place"):
        file = inside(run.path, f"{FOLDER}/{FILE}")
    try:
        file.parent.mkdir(exist_ok=True)
        with file.open("a", encoding="utf-8") as out:
            out.write("".join(lines))  # one write: lines of two processes do not mix
    except OSError as error:
        raise RunError(
            f"{file} cannot be written ({error.strerror}); expected a run folder of your own"
        ) from error


def answers_of(run: Run) -> list[Answer]:
    """The answers that count: the last one of each person and unit, in the order of the first.

    Raises:
        RunError: a damaged file.
    """
    with reading(run.path, RunError, _ADVICE):
        file = inside(run.path, f"{FOLDER}/{FILE}")
    if not file.is_file():
        return []
    found: dict[tuple[str, str, int], Answer] = {}
    with reading(file, RunError, _ADVICE):
        for line in read_bytes(file, _LARGEST_KEPT).decode().splitlines():
            answer = _read(json.loads(line))
            found[answer.by, answer.layer, answer.unit] = answer
    return list(found.values())


def _read(content: Any) -> Answer:
    answer = Answer(**{**content, "choices": tuple(content["choices"])})
    texts = (answer.by, answer.layer, answer.label, answer.chosen, *answer.choices)
    if not all(isinstance(one, str) for one in texts) or type(answer.unit) is not int:
        raise ValueError("an answer has fields of other types")
    return answer


def answer(question: BlindQuestion, chosen: str, *, by: str = "") -> Answer:
    """An answer to a question.

    Raises:
        ConfigError: a concept that was not offered, or an invalid name.
    """
    if chosen not in question.choices:
        raise ConfigError(
            f"{chosen[:60]!r} is not among the choices for unit {question.unit} of "
            f"{question.layer}; expected one of {', '.join(question.choices)}"
        )
    return Answer(
        by=checked_author(by),
        layer=question.layer,
        unit=question.unit,
        label=question.label,
        choices=question.choices,
        chosen=chosen,
    )


def answer_file(run: Run, options: BlindOptions) -> dict[str, object]:
    """An answer file of a run without answers; the HTML page fills it."""
    return {
        "kind": KIND,
        "version": VERSION,
        "run": run.record["fingerprint"],
        "seed": options.seed,
        "n_units": options.n_units,
        "by": "",
        "answers": {},
    }


def read_answer_file(run: Run, path: str | Path) -> list[Answer]:
    """Answers from a file downloaded from the HTML page; they are not stored yet.

    Raises:
        ConfigError: a missing file, one of another run or version, an answer to another question.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); expected a file of answers"
        ) from error
    content = _parse(data)
    if content.get("kind") != KIND or content.get("version") != VERSION:
        raise ConfigError(
            f"{path} holds kind {str(content.get('kind'))[:60]!r}, version "
            f"{str(content.get('version'))[:9]}; expected {KIND!r}, version {VERSION}; download "
            "the answers from the page again"
        )
    if content.get("run") != run.record["fingerprint"]:
        raise ConfigError(
            f"{path} answers another run ({str(content.get('run'))[:12]}…); expected answers to "
            f"{run.path}, {run.record['fingerprint'][:12]}…"
        )
    given, by = content.get("answers"), content.get("by", "")
    if not isinstance(given, Mapping) or not isinstance(by, str):
        raise ConfigError(f"{path} is damaged; expected answers by unit; download them again")
    settings: dict[str, Any] = {name: content.get(name) for name in BlindOptions.declared}
    questions = blind_questions(run, BlindOptions(**settings))
    return [
        answer(find_question(questions, str(key)), str(chosen), by=by)
        for key, chosen in given.items()
    ]


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) <= LARGEST_BYTES:
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict):
            return content
    raise ConfigError(
        f"the answers are not a JSON object of at most {LARGEST_BYTES:,} bytes; expected a file "
        "downloaded from the page"
    )
