"""Folders from the hub: a small server on this machine answers as the hub does."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from segmenters import SegmenterError, load_segmenter
from segmenters.hub import find_folder

COMMITS = {"main": "a" * 40, "v1": "b" * 40}
TEMPLATE = "/{repo_id}/resolve/{revision}/{filename}"


def digest(file):
    return hashlib.sha1(file.read_bytes()).hexdigest()


@pytest.fixture
def hub(smp_folder, tmp_path, monkeypatch):
    """One repository, ``tiny/unet``, with two revisions. Gives the paths that were asked for."""
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_HEAD(self):
            self.answer(with_body=False)

        def do_GET(self):
            self.answer(with_body=True)

        def answer(self, *, with_body):
            path = self.path.partition("?")[0]
            asked.append(path)
            status, headers, body = 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
            about = "/api/models/tiny/unet/revision/"
            if path.startswith(about):
                headers = {"X-Error-Code": "RevisionNotFound"}
                commit = COMMITS.get(path.removeprefix(about))
                if commit:
                    files = [{"rfilename": f.name} for f in smp_folder.iterdir()]
                    told = {"id": "tiny/unet", "sha": commit, "siblings": files}
                    status, headers, body = 200, {}, json.dumps(told).encode()
            elif path.startswith("/api/models/tiny/unet/tree/"):
                files = [
                    {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": digest(f)}
                    for f in smp_folder.iterdir()
                ]
                status, headers, body = 200, {}, json.dumps(files).encode()
            elif path.startswith("/tiny/unet/resolve/"):
                commit, name = path.split("/")[-2:]
                file = smp_folder / name
                status, body = 200, file.read_bytes()
                headers = {"ETag": f'"{digest(file)}"', "X-Repo-Commit": commit}
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(key, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    constants = "huggingface_hub.constants."
    monkeypatch.setattr(constants + "ENDPOINT", address)
    monkeypatch.setattr(constants + "HUGGINGFACE_CO_URL_TEMPLATE", address + TEMPLATE)
    monkeypatch.setattr(constants + "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield asked
    server.shutdown()
    server.server_close()


def test_an_id_is_fetched_once_and_read_without_a_network_afterwards(hub, smp_folder, monkeypatch):
    fetched = load_segmenter("smp:tiny/unet@v1")
    local = load_segmenter(f"smp:{smp_folder}")
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(fetched.segment(images), local.segment(images))
    assert any("b" * 40 in path for path in hub)
    assert not any("a" * 40 in path for path in hub)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    before = len(hub)
    again = load_segmenter("smp:tiny/unet@v1")
    assert again.fingerprint == fetched.fingerprint
    assert len(hub) == before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("tiny/other", "does not exist, or is private"),
        ("tiny/unet@v9", "has no such revision"),
        ("tiny/un--et", "is not an id"),
    ],
)
def test_what_the_hub_does_not_have_is_told_in_one_line(hub, target, message):
    with pytest.raises(SegmenterError, match=message) as caught:
        find_folder(target, patterns=("*.json",))
    assert "\n" not in str(caught.value)


def test_offline_an_id_that_was_never_fetched_is_told_in_one_line(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SegmenterError, match="can't be fetched") as caught:
        find_folder("tiny/unet", patterns=("*.json",))
    assert "\n" not in str(caught.value)
    assert hub == []
