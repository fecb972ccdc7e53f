"""The process that owns the generator and the segmenter of a run.

    python -m dashboard.rendering.worker RUN [GENERATOR]

It reads frames from stdin and answers on stdout, one at a time, until stdin ends: it ends with the
server, even during an answer. The first frame says that it is ready, or why it cannot start.
"""

import os
import sys
from typing import TYPE_CHECKING, BinaryIO

from dashboard import child_process
from dashboard.rendering.frames import Frame, pack, read
from dissect.errors import DissectError

if TYPE_CHECKING:
    from dashboard.rendering.answers import Responder


def main(run: str, generator: str | None = None) -> int:
    """Answer questions until stdin ends; returns the exit status."""
    # Output of libraries would break the frames, so it is redirected to the log.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    questions = sys.stdin.buffer
    child_process.end_with_parent()
    try:
        from dashboard.rendering.answers import Responder  # noqa: PLC0415 - torch takes a while

        responder = Responder(run, generator)
    except (DissectError, OSError) as error:
        _send(answers, Frame({"problem": str(error)}))
        return 0
    except Exception as error:
        _send(
            answers, Frame({"problem": f"the generator could not be loaded ({_first_line(error)})"})
        )
        raise
    _send(answers, Frame({"ready": True}))
    while True:
        try:
            question = read(_taking(questions))
        except EOFError:
            return 0
        _send(answers, _answer(responder, question))


def _answer(responder: "Responder", question: Frame) -> Frame:
    try:
        return responder.answer(question)
    except DissectError as error:
        return Frame({"problem": str(error)})
    except MemoryError:
        return Frame({"problem": "the renderer ran out of memory; ask for less at once"})
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return Frame({"problem": f"the renderer failed ({_first_line(error)}); its log says more"})


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def _send(answers: BinaryIO, frame: Frame) -> None:
    answers.write(pack(frame.content, frame.parts))
    answers.flush()


def _taking(questions: BinaryIO):  # noqa: ANN202 - see ``frames.read``
    def take(n_bytes: int) -> bytes:
        data = questions.read(n_bytes)
        if len(data) < n_bytes:
            raise EOFError
        return data

    return take


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:3]))
    except BrokenPipeError:
        sys.exit(0)  # the server is gone
