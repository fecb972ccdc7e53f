import os
import shutil
import signal
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard import context, create_app
from dashboard.rendering import client as rendering
from dashboard.rendering.frames import Frame, FrameError, pack, read
from dashboard.rendering.process import Process, RenderError, SupersededError
from dashboard.rendering.renderers import AnswerCache, Renderers
from dissect.errors import ConfigError
from tests import patience

# A worker that needs no torch: it sleeps, dies or tells what it was asked.
TOY = """
import os, sys, time
from dashboard.rendering.frames import pack, read

def take(n):
    data = sys.stdin.buffer.read(n)
    if len(data) < n:
        raise SystemExit(0)
    return data

def send(content, parts=()):
    sys.stdout.buffer.write(pack(content, parts))
    sys.stdout.buffer.flush()

if sys.argv[1].endswith("broken"):
    open(sys.argv[1] + ".starts", "a").write("x")
    send({"problem": "no generator at hand"})
    raise SystemExit(0)
send({"ready": True})
while True:
    asked = read(take)
    word = asked.content["ask"]
    if word == "sleep":
        time.sleep(asked.content["seconds"])
    if "started" in asked.content:
        open(asked.content["started"], "w").close()
    while word == "wait" and not os.path.exists(asked.content["file"]):
        time.sleep(0.01)
    if word == "die":
        print("out of paint", file=sys.stderr, flush=True)
        raise SystemExit(3)
    if word == "mistake":
        send({"problem": "that was wrong"})
        continue
    send({"pid": os.getpid(), "word": word}, [b"x" * asked.content.get("bytes", 0), *asked.parts])
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "toyworker.py").write_text(textwrap.dedent(TOY))
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    return folder


@pytest.fixture
def process(toy, monkeypatch):
    # dashboard's own package would bring dash along only if somebody asked for it
    worker = Process(toy, module="toyworker")
    yield worker
    worker.close()


def ask(process, word="hello", view="tab", order=None, **more):
    return process.ask({"ask": word, **more}, view=view, order=order)


def taking(data):
    left = bytearray(data)

    def take(n_bytes):
        if len(left) < n_bytes:
            raise EOFError
        piece = bytes(left[:n_bytes])
        del left[:n_bytes]
        return piece

    return take


def test_a_frame_is_read_as_it_was_packed():
    frame = read(taking(pack({"a": [1, "ü"]}, [b"", b"\0\1"])))
    assert frame == Frame({"a": [1, "ü"]}, (b"", b"\0\1"))
    with pytest.raises(ValueError, match="JSON"):
        pack({"a": float("nan")})


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\2[]",
        b"\0\0\0\2{x",
        b'\0\0\0\x20{"content":{},"parts":[-1]      }',
        b'\0\0\0\x22{"content":{},"parts":[999999999]}',
    ],
)
def test_what_is_no_frame_is_refused_before_it_is_read(data):
    with pytest.raises(FrameError):
        read(taking(data))


def test_questions_are_answered_by_one_process_that_is_started_by_the_first(process):
    assert process.pid is None
    first = ask(process)
    assert first.content["pid"] == process.pid
    again = process.ask({"ask": "echo"}, [b"mask"], view="tab")
    assert (again.content["pid"], again.parts[1]) == (process.pid, b"mask")


def test_a_mistake_is_told_and_the_worker_lives_on(process):
    with pytest.raises(RenderError, match="that was wrong"):
        ask(process, "mistake")
    assert ask(process).content["pid"] == process.pid


def test_a_worker_that_dies_is_told_of_in_one_line_and_started_by_the_next_question(process):
    first = ask(process).content["pid"]
    with pytest.raises(RenderError, match=r"out of paint.*next request") as caught:
        ask(process, "die")
    assert "\n" not in str(caught.value)
    assert ask(process).content["pid"] != first


def test_a_worker_that_is_killed_at_work_is_told_of_too(process, tmp_path):
    pid = ask(process).content["pid"]
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(ask, process, "wait", started=str(tmp_path / "at work"), file="")
        while not (tmp_path / "at work").exists():
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(RenderError, match="signal 9"):
            working.result()
    assert ask(process).content["pid"] != pid


def test_a_worker_that_hangs_is_stopped(process):
    ask(process)
    with pytest.raises(RenderError, match="within"):
        process.ask({"ask": "sleep", "seconds": 30}, view="tab", seconds=0.2)
    assert process.pid is None


@pytest.mark.parametrize("came", [(2, 3, 1), (3, 2, 1), (1, 2, 3), (2, 1, 3)])
def test_of_the_questions_of_a_view_the_latest_wins_whichever_came_first_and_other_views_get_theirs(
    process, tmp_path, came
):
    ask(process)
    with ThreadPoolExecutor(5) as pool:
        working = pool.submit(ask, process, "wait", "tab", 0, file=str(tmp_path / "go"))
        while not process.busy:
            time.sleep(0.01)
        other = pool.submit(ask, process, "other", "second tab")
        waiting = {order: pool.submit(ask, process, str(order), "tab", order) for order in came}
        for stale in (1, 2):
            with pytest.raises(SupersededError):
                waiting[stale].result(timeout=patience.PAGE)  # before the present question is done
        assert not working.done()
        (tmp_path / "go").touch()
        assert other.result().content["word"] == "other"
        assert waiting[3].result().content["word"] == "3"
        assert working.result().content["word"] == "wait"


def test_what_one_request_asks_is_older_than_what_a_later_one_asks(planted_run):
    class Recorded:
        def ask(self, *question, view, order, seconds, generator):
            seen.append(order)

    seen, server = [], create_app(planted_run.path).server
    with server.app_context():
        context.current().service("renderers", Recorded)
        for _ in range(2):
            rendering.ask(planted_run.path.name, {}, view="tab")
    with server.app_context():
        rendering.ask(planted_run.path.name, {}, view="tab")
    first, second, later = seen
    assert first == second < later


def test_a_generator_that_is_not_at_hand_is_told_of_without_starting_again_and_again(
    toy, monkeypatch
):
    monkeypatch.setattr("dashboard.rendering.process._REMEMBERED", patience.PROCESS)
    worker = Process(toy / "broken", module="toyworker")
    for _ in range(2):
        with pytest.raises(RenderError, match="no generator at hand"):
            ask(worker)
    assert (toy / "broken.starts").read_text() == "x"
    assert worker.pid is None


def test_answers_are_bounded_in_bytes_and_those_used_longest_ago_go_first():
    answers = AnswerCache(10_000)
    for key in "abc":
        answers.put(key, Frame({}, (bytes(2000),)))
    assert answers.get("a") is not None
    answers.put("d", Frame({}, (bytes(2000),)))
    assert answers.get("b") is None
    assert answers.get("a") is not None
    answers.put("huge", Frame({}, (bytes(20_000),)))
    assert answers.get("huge") is None
    assert answers.n_bytes <= 10_000


def test_few_workers_live_at_once_and_the_same_question_is_answered_from_memory(
    toy, tmp_path, monkeypatch
):
    monkeypatch.setattr(Process.__init__, "__kwdefaults__", {"module": "toyworker"})
    renderers = Renderers(most_workers=2)
    seen = []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        answer = renderers.ask(tmp_path / name, "f", {"ask": "hello"}, view="tab")
        seen.append(answer.content["pid"])
    assert len(renderers.pids()) == 2
    assert seen[0] not in renderers.pids()
    assert (
        renderers.ask(tmp_path / "a", "f", {"ask": "hello"}, view="tab").content["pid"] == seen[0]
    )
    assert (
        renderers.ask(tmp_path / "a", "g", {"ask": "hello"}, view="tab").content["pid"] != seen[0]
    )
    renderers.close()
    assert renderers.pids() == []


def test_values_are_learned_where_that_is_asked_for_and_kept_apart(
    planted_run, tmp_path, monkeypatch
):
    from dashboard.rendering import answers
    from dissect.painting.brushes import Brush

    searched = []

    def find(canvas, concept, mode, *, layer, shape, learned):
        searched.append((mode, learned))
        how = "with learned values" if learned else "that match best"
        return Brush(concept, mode, "units", (0,), (1.0,), 1, 1.0, 0.5, how)

    monkeypatch.setattr(answers, "find_brush", find)
    shutil.copytree(planted_run.path, tmp_path / "planted")
    responder = answers.Responder(str(tmp_path / "planted"))

    def found(**question):
        given = {"ask": "brush", "concept": "red", "mode": "draw", "layer": None} | question
        return responder.answer(answers.Frame(given)).content["how"]

    assert found() == "that match best"
    assert [found(learned=True) for _ in range(2)] == ["with learned values"] * 2
    assert found() == "that match best"
    assert found(learned=True, mode="remove") == "that match best"  # nothing is inserted
    assert searched == [("draw", False), ("draw", True), ("remove", False)]
    with pytest.raises(ConfigError, match="expected true or false"):
        found(learned="yes")


def test_the_worker_of_a_run_answers_and_tells_of_mistakes(planted_run):
    renderers = Renderers()

    def of_run(**question):
        return renderers.ask(planted_run.path, "f", question, view="tab")

    about = of_run(ask="about").content
    assert (about["generator"], about["image_size"]) == ("planted", 32)
    strip = of_run(ask="masks", layer="units", unit=0, threshold=0.5)
    assert strip.parts[0][8:12] == b"WEBP"
    none = of_run(ask="masks", layer="units", unit=0, threshold=100).content["share"]
    assert 0 == none < strip.content["share"]
    new = of_run(ask="masks", layer="units", unit=0, first=0).content["indices"]
    assert min(new) >= planted_run.config.n_samples
    # Images of a higher interval have higher peaks, and none is in two of them.
    peaks, seen = [], []
    for interval in (99, 95, 90, 50, 0):
        shown = of_run(ask="masks", layer="units", unit=0, interval=interval).content
        assert len(shown["indices"]) == 4
        peaks += sorted(shown["peaks"], reverse=True)
        seen += shown["indices"]
    assert peaks == sorted(peaks, reverse=True)
    assert len(set(seen)) == len(seen)
    assert min(seen) >= planted_run.config.n_samples
    marked = of_run(ask="masks", layer="units", unit=0, threshold=0.5, concept="red")
    assert marked.parts != strip.parts
    few = of_run(ask="ablate", layer="units", unit=0, indices=seen[:2]).content
    assert few["indices"] == seen[:2]
    found = of_run(ask="ablate", layer="units", unit=0).content["changes"]
    assert [row[1:] for row in found if row[0] == "red"] == [[8 * 36, 0]]
    for question in (
        {"ask": "nothing"}, {"ask": ["about"]}, {}, {"ask": "image"}, {"ask": "image", "recipe": []},
        {"ask": "masks", "layer": "units", "unit": 99}, {"ask": "masks", "layer": "../units", "unit": 0},
        {"ask": "masks", "layer": "units", "unit": 0, "threshold": "x"},
        {"ask": "masks", "layer": "units", "unit": 0, "interval": 42},
        {"ask": "masks", "layer": "units", "unit": 0, "concept": "unicorn"},
        {"ask": "ablate", "layer": "units", "unit": 0, "indices": [-1]},
        {"ask": "ablate", "layer": "units", "unit": 0, "indices": list(range(9))},
        {"ask": "brush", "concept": "unicorn", "mode": "draw"}, {"ask": "brush", "units": [1]},
    ):  # fmt: skip
        with pytest.raises(RenderError) as caught:
            of_run(**question)
        assert "\n" not in str(caught.value)
    assert len(renderers.pids()) == 1
    renderers.close()
