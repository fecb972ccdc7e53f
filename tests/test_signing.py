"""Records that only this user can have written."""

import hashlib
import hmac
import json
import stat
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissect.signing import STATE_VARIABLE, SignatureError, seal, signature, state_folder, unseal

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    return tmp_path / "state"


@given(st.dictionaries(st.text(), VALUES), st.text())
def test_what_was_sealed_is_read_again_for_its_purpose_only(record, purpose):
    sealed = seal(record, purpose=purpose)
    assert unseal(sealed, purpose=purpose) == record
    with pytest.raises(SignatureError, match="not signed by this user"):
        unseal(sealed, purpose=purpose + "x")


def test_the_signature_is_hmac_sha256_with_a_key_that_only_the_user_can_read(state):
    found = signature("text", purpose="job")
    key = (state / "key").read_bytes()
    assert len(key) == 32
    assert stat.S_IMODE((state / "key").stat().st_mode) == 0o600
    assert found == hmac.new(key, b"3:jobtext", hashlib.sha256).hexdigest()
    assert [path.name for path in state.iterdir()] == ["key"]


def test_a_purpose_cannot_be_moved_into_the_text(state):
    assert signature("bc", purpose="a") != signature("c", purpose="ab")


def test_of_many_that_need_a_key_at_once_all_use_the_same(state):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: signature("x", purpose=""), range(32)))) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_signs_nothing(state, mode):
    sealed = seal({}, purpose="job")
    (state / "key").chmod(mode)
    for use in (lambda: seal({}, purpose="job"), lambda: unseal(sealed, purpose="job")):
        with pytest.raises(SignatureError, match="others may read it") as caught:
            use()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_signs_nothing(state, content):
    state.mkdir()
    (state / "key").touch(mode=0o600)
    (state / "key").write_bytes(content)
    with pytest.raises(SignatureError, match="damaged"):
        signature("x", purpose="")


def test_a_link_in_the_place_of_the_key_is_not_followed(state, tmp_path):
    state.mkdir()
    (tmp_path / "known").touch(mode=0o600)
    (tmp_path / "known").write_bytes(b"x" * 32)
    (state / "key").symlink_to(tmp_path / "known")
    with pytest.raises(OSError, match="symbolic links"):
        signature("x", purpose="")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"record": {}}', b"\xff", b" " * 2_000_000,
     json.dumps({"record": {}, "signature": "0" * 64}).encode(),
     json.dumps({"record": {}, "signature": 3}).encode(),
     json.dumps({"record": {}, "signature": "ä"}).encode()],
)  # fmt: skip
def test_a_file_of_any_kind_is_refused_in_one_line(content):
    with pytest.raises(SignatureError, match="not signed by this user"):
        unseal(content, purpose="job")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems name other folders")
def test_the_folder_is_the_one_of_the_user_unless_it_is_moved(monkeypatch, tmp_path):
    monkeypatch.delenv(STATE_VARIABLE)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "gan-dissection"
