import itertools
import json

import pytest

from dashboard import Settings, create_app
from dashboard.media import digest_of
from dashboard.security import COOKIE, FailureLimit
from dashboard.store import RunStore
from dissect.errors import ConfigError
from tests import patience

TOKEN = "a-token-of-enough-letters"
UP = (
    "..",
    "../..",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "\\..\\",
    "\x00",
    "-1",
    "1e9",
)


@pytest.fixture
def digest(runs_dir):
    return digest_of(RunStore(runs_dir).open("planted"))


@pytest.fixture
def guarded(runs_dir):
    return create_app(runs_dir, Settings(host="0.0.0.0", token=TOKEN)).server


def test_a_strip_is_the_one_of_the_run_and_kept_for_good(client, digest, planted_run):
    address = f"/media/strip/planted/{digest}/0/3.webp"
    found = client.get(address)
    assert found.data == planted_run.strip("units", 3)
    assert found.mimetype == "image/webp"
    assert "immutable" in found.headers["Cache-Control"]
    again = client.get(address, headers={"If-None-Match": found.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("part", [*UP, "99", "x"])
def test_no_part_of_a_strips_address_leads_anywhere_else(client, digest, place, part):
    parts = ["planted", digest, "0", "3"]
    parts[place] = part
    found = client.get(f"/media/strip/{'/'.join(parts)}.webp")
    # What fits no route is a page of the app, which knows no such page either.
    assert found.status_code == 404 or found.mimetype == "text/html"
    assert found.mimetype != "image/webp"
    assert b"root:" not in found.data


@pytest.mark.parametrize("part", UP)
def test_assets_and_suites_stay_in_their_folders(client, part):
    for start in ("/assets/", "/_dash-component-suites/dash/", "/_dash-component-suites/os/"):
        found = client.get(start + part + "/app.py")
        assert b"create_app" not in found.data
        assert b"Traceback" not in found.data


def _routed(client, path, search=""):
    """What the app shows at an address, as JSON text."""
    body = {
        "output": ".._pages_content.children..._pages_store.data..",
        "outputs": [
            {"id": "_pages_content", "property": "children"},
            {"id": "_pages_store", "property": "data"},
        ],
        "inputs": [
            {"id": "_pages_location", "property": "pathname", "value": path},
            {"id": "_pages_location", "property": "search", "value": search},
        ],
        "changedPropIds": ["_pages_location.pathname"],
    }
    client.get("/")  # dash routes once the first page was asked for
    return client.post("/_dash-update-component", json=body)


@pytest.mark.parametrize(
    ("template", "usual"),
    [
        ("/run/{}", "planted"),
        ("/run/{}/units", "planted"),
        ("/run/planted/concept/{}", "red"),
        ("/run/{}/layer/units/unit/3", "planted"),
        ("/run/planted/layer/{}/unit/3", "units"),
        ("/run/planted/layer/units/unit/{}", "3"),
        ("/compare?a={}&b=planted", "planted"),
    ],
)
def test_every_part_of_a_pages_address_is_looked_up(client, template, usual):
    path, _, search = template.partition("?")

    def ask(part):
        found = _routed(client, path.format(part), search and "?" + search.format(part))
        assert found.status_code == 200
        return found.get_data(as_text=True)

    assert "failed" not in ask(usual)
    for part in [*UP, "nope", "%3Cscript%3E", "²", "9" * 400]:
        text = ask(part)
        assert '"className":"failed"' in text or "expected" in text or "Page not found" in text
        assert "Traceback" not in text
        assert "root:" not in text


def test_query_strings_of_any_kind_give_a_page(client):
    for search in ("?iou=x&sort=../..&view=a&view=b&most=1e99", "?self=1&visit=2&values=3", "?=&&"):
        text = _routed(client, "/run/planted/units", search).get_data(as_text=True)
        assert "of 9 units" in text


ANYTHING = (
    None,
    True,
    -1,
    1e300,
    "../../etc/passwd",
    "<script>",
    [],
    [[]],
    {},
    {"a": {}},
    "x" * 5000,
)


def test_values_of_any_kind_in_the_payload_of_any_callback_are_no_fault(client):
    client.get("/")
    callbacks = client.get("/_dash-dependencies").get_json()
    asked = [c for c in callbacks if not c["clientside_function"]]
    assert len(asked) >= 4
    for callback, value in itertools.product(asked, ANYTHING):
        found = client.post("/_dash-update-component", json=_payload(callback, value))
        text = found.get_data(as_text=True)
        if found.status_code == 500:  # dash's own router takes no address but a text
            assert "_pages_content" in callback["output"], (callback["output"], value)
            assert text == "this failed; the log of the server says why\n"
        else:
            assert found.status_code in (200, 204), (callback["output"], value, text)
        assert "Traceback" not in text
        assert "root:" not in text


def _payload(callback, value):
    def part(one):
        name = one["id"]
        if name.startswith("{"):
            keys = json.loads(name).items()
            name = {key: value if isinstance(value, str) else "x" for key, value in keys}
        return {"id": name, "property": one["property"], "value": value}

    outputs = []
    for output in callback["output"].strip(".").split("..."):
        name, _, prop = output.rpartition(".")
        outputs.append({"id": part({"id": name, "property": ""})["id"], "property": prop})
    return {
        "output": callback["output"],
        "outputs": outputs if callback["output"].startswith("..") else outputs[0],
        "inputs": [part(one) for one in callback["inputs"]],
        "state": [part(one) for one in callback["state"]],
        "changedPropIds": [],
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b'{"output": 1}', b'{"output": "no.such", "inputs": []}'],
)
def test_a_payload_that_is_none_is_told_in_one_line(client, body):
    found = client.post("/_dash-update-component", data=body, content_type="application/json")
    assert found.status_code >= 400
    assert found.data.count(b"\n") == 1
    assert b"Traceback" not in found.data


def test_a_payload_that_is_too_large_is_refused(client):
    body = b'"' + b"x" * 9_000_000 + b'"'
    found = client.post("/_dash-update-component", data=body, content_type="application/json")
    assert found.status_code == 413


def test_nothing_is_answered_without_the_token_but_the_health_route(guarded):
    client = guarded.test_client()
    for address in (
        "/",
        "/_dash-layout",
        "/_dash-dependencies",
        "/assets/app.js",
        "/media/strip/x/y/0/0.webp",
    ):
        assert client.get(address).status_code == 401
    assert client.post("/_dash-update-component", json={}).status_code == 401
    assert client.get("/healthz").data == b"ok\n"


def test_the_token_is_kept_as_a_cookie_that_scripts_and_other_sites_cannot_use(guarded):
    client = guarded.test_client()
    found = client.get("/?token=" + TOKEN, environ_overrides={"PATH_INFO": "//evil.example/"})
    assert found.status_code == 303
    assert found.headers["Location"] == "/evil.example/"
    cookie = found.headers["Set-Cookie"]
    assert cookie.startswith(COOKIE)
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert client.get("/_dash-layout").status_code == 200


def test_after_a_thousand_wrong_tokens_the_right_one_has_to_wait_too(runs_dir, monkeypatch):
    # A busy machine takes more than a minute for a thousand requests.
    monkeypatch.setattr("dashboard.security._WITHIN", patience.PROCESS)
    server = create_app(runs_dir, Settings(token=TOKEN)).server
    inside, outside = server.test_client(), server.test_client()
    inside.get("/?token=" + TOKEN)
    statuses = [outside.get(f"/?token={number}{TOKEN}").status_code for number in range(1000)]
    assert statuses == [401] * 10 + [429] * 990
    assert outside.get("/?token=" + TOKEN).status_code == 429
    assert inside.get("/_dash-layout").status_code == 200


def test_failures_are_forgotten_after_a_minute_and_counted_for_each_address():
    now = [0.0]
    limit = FailureLimit(lambda: now[0])
    for _ in range(10):
        limit.add("a")
    assert limit.reached("a")
    assert not limit.reached("b")
    now[0] = 61.0
    assert not limit.reached("a")
    for number in range(5000):
        limit.add(str(number))
    assert not limit.reached("a")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::2]", "["])
def test_another_name_for_this_machine_is_not_answered(client, host):
    assert client.get("/", headers={"Host": host}).status_code in (400, 421)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}],
)
def test_another_site_may_not_make_a_browser_ask(client, headers):
    assert client.post("/_dash-update-component", json={}, headers=headers).status_code == 403


def test_scripts_run_by_their_hash_only_and_nothing_comes_from_elsewhere(client):
    found = client.get("/")
    policy = dict(
        part.split(" ", 1) for part in found.headers["Content-Security-Policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy["script-src"]
    assert "http" not in found.headers["Content-Security-Policy"]
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    text = found.get_data(as_text=True)
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "//cdn" not in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "0.0.0.0"}, "--token-file"),
        ({"host": "example.org"}, "--behind-proxy"),
        ({"token": "short"}, "at least 16"),
        ({"port": "8050"}, "port is '8050'; expected a whole number from 0 to 65,535"),
        ({"tokn": TOKEN}, "did you mean 'token'"),
        ({"models": "no/such/folder"}, "models is 'no/such/folder', which is not a folder"),
    ],
)
def test_an_open_door_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Settings(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "::1"},
        {"host": "0.0.0.0", "token": TOKEN},
        {"host": "0.0.0.0", "behind_proxy": True},
    ],
)
def test_a_door_with_a_keeper_is_not(settings):
    assert TOKEN not in repr(Settings(**settings))


def test_serve_tells_mistakes_in_one_line(command, tmp_path):
    for arguments in (
        (tmp_path / "none",),
        (tmp_path, "--host", "0.0.0.0"),
        (tmp_path, "--port", "99999"),
    ):
        done = command("serve", *arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "expected" in done.stderr


def test_a_token_is_read_from_a_file_or_the_environment_and_never_from_the_command_line(
    command, tmp_path, monkeypatch
):
    import os

    served = []
    monkeypatch.setattr("dashboard.serve", lambda runs, settings, **_: served.append(settings))
    monkeypatch.setenv("DISSECT_TOKEN", TOKEN)
    assert command("serve", tmp_path).returncode == 0
    assert "DISSECT_TOKEN" not in os.environ  # what the server starts does not inherit it
    (tmp_path / "token").write_text("another-token-of-letters\n")
    assert command("serve", tmp_path, "--token-file", tmp_path / "token").returncode == 0
    assert command("serve", tmp_path).returncode == 0
    assert [settings.token for settings in served] == [TOKEN, "another-token-of-letters", None]
    for given in (("--token", TOKEN), ("--token-file", tmp_path / "none")):
        done = command("serve", tmp_path, *given)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "expected" in done.stderr
        assert TOKEN not in done.stderr
    assert len(served) == 3


def test_a_run_of_somebody_else_imports_nothing_whatever_page_asks_for_its_models(
    runs_dir, tmp_path, monkeypatch
):
    from dashboard.rendering.renderers import RenderError, Renderers

    # As an archive would come: a module beside the runs, where the server is started.
    (tmp_path / "given.py").write_text("open('imported', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    file = runs_dir / "planted" / "run.json"
    for kind in ("generator", "segmenter"):
        record = json.loads(file.read_text())
        record["config"][kind] = "given:factory"
        file.write_text(json.dumps(record))
        renderers = Renderers()
        with pytest.raises(RenderError, match="was not made here; expected you to say"):
            renderers.ask(runs_dir / "planted", kind, {"ask": "about"}, view="tab")
        renderers.close()
        assert not (tmp_path / "imported").exists()
