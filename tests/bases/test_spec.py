import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissect import ConfigError, LayerError, LayerInfo, trace
from dissect.bases import BasisSpec, LayerSpec, open_bases
from dissect.runs.schema import layer_key
from dissect.tracing import resolve_layers


class Layers:
    """As much of a generator as resolving needs."""

    name = "made up"

    def __init__(self, *names):
        self.layers = {name: LayerInfo(4, 8, 8, "x") for name in names}


def resolved(generator, layers):
    return tuple(map(str, resolve_layers(generator, layers)))


def test_layers_come_in_the_generators_order_and_bases_in_the_order_given():
    generator = Layers("b4.conv1", "b8.conv0", "b8.conv1")
    assert resolved(
        generator, ["b8.conv0@pca:2", "b4.conv1@rotation:1", "b8.conv0", "b4.conv1@rotation:0"]
    ) == ("b4.conv1@rotation:1", "b4.conv1@rotation:0", "b8.conv0@pca:2", "b8.conv0")


def test_all_means_plain_layers_and_all_with_a_basis_every_layer_in_it():
    generator = Layers("a", "b")
    assert resolved(generator, "all") == ("a", "b")
    assert resolved(generator, "all@rotation:0") == ("a@rotation:0", "b@rotation:0")
    assert resolved(generator, ["all", "all@rotation:0", "b@rotation:00"]) == (
        "a", "a@rotation:0", "b", "b@rotation:0",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b16.conv1", ("b16.conv1", None)),
        ("b16.conv1@rotation:0", ("b16.conv1", "rotation:0")),
        ("b16.conv1@sae:x@y:z.safetensors", ("b16.conv1", "sae:x@y:z.safetensors")),
        ("odd@layer", ("odd@layer", None)),
        ("odd@layer@pca:3", ("odd@layer", "pca:3")),
        ("unknown@pca:3", ("unknown", "pca:3")),
    ],
)
def test_a_layer_parts_from_its_basis_at_the_first_mark_behind_a_layers_name(text, expected):
    spec = LayerSpec.parse(text, ["b16.conv1", "odd@layer"])
    assert (spec.layer, spec.basis and str(spec.basis)) == expected
    assert str(spec) == text
    assert LayerSpec.parse(str(spec), ["b16.conv1", "odd@layer"]) == spec


@pytest.mark.parametrize("layer", ["b16.conv1", "odd@layer", "@", "a@sae"])
@pytest.mark.parametrize("basis", ["rotation:0", "pca:3", "sae:x@y.safetensors"])
def test_a_spec_that_names_a_basis_is_read_without_the_names_of_layers(layer, basis):
    spec = LayerSpec.of_basis(f"{layer}@{basis}")
    assert (spec.layer, str(spec.basis)) == (layer, basis)
    with pytest.raises(ConfigError, match="names no basis"):
        LayerSpec.of_basis(layer)


@given(st.text(min_size=1, alphabet=st.characters(exclude_characters="\0")))
def test_a_path_of_any_characters_comes_back_whole(path):
    assert LayerSpec.parse(f"a.b@sae:{path}", ["a.b"]) == LayerSpec("a.b", BasisSpec("sae", path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("units@rotaton:0", "basis 'rotaton:0' is unknown; did you mean 'rotation'?"),
        ("units@", "basis '' is unknown; expected rotation:SEED, pca:COMPONENTS or sae:FILE"),
        ("units@ica:3", "basis 'ica:3' is unknown"),
        ("units@rotation", "'' behind the colon; expected rotation:SEED"),
        ("units@rotation:-1", "'-1' behind the colon"),
        ("units@rotation:18446744073709551616", "behind the colon"),
        ("units@pca:0", "'0' behind the colon; expected pca:COMPONENTS, a whole number of at least 1"),
        ("units@pca:many", "'many' behind the colon"),
        ("units@pca:²", "'²' behind the colon"),
        ("units@sae:", "names no file"),
        ("units@sae", "names no file"),
    ],
)  # fmt: skip
def test_a_wrong_basis_is_told_in_one_line(planted, text, message):
    with pytest.raises(ConfigError) as caught:
        resolve_layers(planted, [text])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_layer_is_told_without_its_basis(planted):
    with pytest.raises(LayerError, match=r"'unit' is not in planted; did you mean 'units'\?"):
        resolve_layers(planted, ["unit@rotation:0"])


def test_more_components_than_channels_are_refused(planted):
    assert open_bases(planted, resolve_layers(planted, "units@pca:9")) == {}
    with pytest.raises(ConfigError, match="asks for 10 components; expected at most 9"):
        open_bases(planted, resolve_layers(planted, "units@pca:10"))


def test_a_trace_keeps_channels_only(planted):
    with (
        pytest.raises(LayerError, match="expected its channels, 'units'"),
        trace(planted, ["units@rotation:0"]),
    ):
        pass


def test_the_key_of_a_layer_with_a_long_path_stays_a_file_name():
    short, long = "b16.conv1@pca:64", "b16.conv1@sae:" + "/some/folder" * 40
    assert layer_key(short) == "b16.conv1@pca%3A64"
    assert len(layer_key(long)) == 200
    assert layer_key(long) != layer_key(long + "x")
    assert "/" not in layer_key(long)
