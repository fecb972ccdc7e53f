"""CLIP read from files: the numbers of open_clip itself, dense vectors by their laws, words as planes."""

import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional

open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed")

from segmenters import SegmenterError, load_segmenter  # noqa: E402
from segmenters.clip import bare, split_words  # noqa: E402
from segmenters.clip_models import load_clip  # noqa: E402
from segmenters.testing import check_segmenter  # noqa: E402
from tests.segmenters.clip_folders import TOWERS, write_folder  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module", params=list(TOWERS))
def folder(request, tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("clip") / request.param, request.param)


def pixels(n, size, *, seed=0):
    return torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, (n, 3, size, size), np.uint8)
    )


@pytest.mark.parametrize("size", [48, 64, 100])
def test_images_and_texts_have_the_vectors_of_open_clip(folder, size):
    clip = load_clip(str(folder))
    network, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    network.eval()
    # Smooth pictures, since the library resizes bytes and rounds them.
    smooth = (
        functional.interpolate(pixels(2, 4).float(), (size, size), mode="bicubic")
        .clamp(0, 255)
        .byte()
    )
    images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in smooth]
    with torch.no_grad():
        own = network.encode_image(torch.stack([preprocess(i) for i in images]), normalize=True)
        found = clip.encode_images(smooth.float() / 127.5 - 1)
        assert (own * found).sum(dim=1).min() > 0.999
        assert (own[0] - own[1]).norm() > 10 * (own - found).norm(dim=1).max()
        texts = ["a window", "a house at night"]
        tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(texts)
        expected = network.encode_text(tokens, normalize=True)
    assert torch.allclose(clip.encode_texts(texts), expected, atol=1e-6)
    assert clip.scale == pytest.approx(float(network.logit_scale.detach().exp()))


def test_templates_are_averaged_as_vectors_of_length_one(folder):
    clip = load_clip(str(folder))
    both = clip.encode_texts(["{} of a door", "a door"]).mean(dim=0)
    alone = clip.encode_texts(["a door"], templates=("{{}} of {}", "{}"))[0]
    assert torch.allclose(alone, both / both.norm(), atol=1e-6)


def test_vectors_of_images_have_gradients_and_do_not_depend_on_the_batch(folder):
    clip = load_clip(str(folder))
    images = (pixels(3, 40).float() / 127.5 - 1).requires_grad_()
    vectors = clip.encode_images(images)
    vectors[1].sum().backward()
    assert images.grad[1].abs().sum() > 0
    assert images.grad[[0, 2]].abs().sum() == 0
    alone = clip.encode_images(images[1:2].detach())
    assert torch.allclose(alone[0], vectors[1].detach(), atol=1e-5)


def test_dense_vectors_of_a_convolutional_tower_have_the_image_s_own_as_their_mean(tmp_path):
    clip = load_clip(str(write_folder(tmp_path / "c", "convolutional")))
    images = pixels(2, 64).float() / 127.5 - 1
    mean = functional.normalize(clip.dense(images).mean(dim=(2, 3)), dim=1)
    assert torch.allclose(mean, clip.encode_images(images), atol=1e-5)
    rows = clip.dense(images).shape[-1]
    assert clip.dense(images, zoom=4).shape[-2:] == (4 * rows, 4 * rows)


def test_dense_vectors_of_a_transformer_are_those_of_its_class_token_where_all_tokens_agree(
    tmp_path,
):
    # The last block sees one token alone. If the class token's input there is put into every place,
    # and it attends to itself alone too, each place has the vector that its pooled output has.
    folder = write_folder(tmp_path / "v", "vit")
    clip = load_clip(str(folder))
    visual = clip.network.visual
    with torch.no_grad():
        visual.class_embedding.zero_()
        visual.positional_embedding.zero_()
        visual.conv1.weight.zero_()
    images = pixels(1, 32).float() / 127.5 - 1
    dense = functional.normalize(clip.dense(images), dim=1)
    assert dense.shape[-2:] == (4, 4)
    assert torch.allclose(
        dense, clip.encode_images(images)[:, :, None, None].expand_as(dense), atol=1e-5
    )


def test_dense_vectors_of_clip_s_resnet_are_its_pooling_of_one_place(tmp_path):
    clip = load_clip(str(write_folder(tmp_path / "r", "resnet")))
    pool = clip.network.visual.attnpool
    maps = []
    handle = pool.register_forward_pre_hook(lambda _, given: maps.append(given[0]))
    images = pixels(1, 64).float() / 127.5 - 1
    clip.encode_images(images)
    handle.remove()
    with torch.no_grad():
        pool.positional_embedding.zero_()
    place = maps[0][:, :, 1:2, 0:1]
    alone = pool(place.expand_as(maps[0]))  # the same everywhere: attention cannot choose
    assert torch.allclose(clip.dense(images)[:, :, 1, 0], alone, atol=1e-4)


def test_a_transformer_reads_an_enlarged_image_in_tiles(tmp_path):
    clip = load_clip(str(write_folder(tmp_path / "v", "vit")))
    images = pixels(2, 32).float() / 127.5 - 1
    dense = clip.dense(images, zoom=2)
    assert dense.shape == (2, 24, 64, 64)
    assert torch.allclose(clip.dense(images[1:], zoom=2), dense[1:], atol=1e-4)


class TestWords:
    def test_keep_all_laws_of_segmenters(self, tmp_path):
        folder = write_folder(tmp_path / "c", "convolutional")
        segmenter = load_segmenter(
            f"clip:a window|the door|trees,model={folder},zoom=2,background=0.2"
        )
        assert segmenter.vocabulary.names == ("window", "door", "trees")
        assert len(check_segmenter(segmenter)) >= 10

    def test_are_none_where_every_softmax_is_below_the_threshold_or_another_word_is_nearer(
        self, tmp_path
    ):
        folder = write_folder(tmp_path / "c", "convolutional")
        images = pixels(3, 128).float() / 127.5 - 1
        clip = load_clip(str(folder))
        words = ["a window", "a door", "a tree", "an image"]
        texts = clip.encode_texts(words, templates=clip.known_templates())
        places = functional.normalize(clip.dense(images, zoom=2), dim=1)
        logits = clip.scale * torch.einsum("behw,te->bthw", places, texts)
        logits = functional.interpolate(logits, (128, 128), mode="bilinear")
        share, best = logits.softmax(dim=1).max(dim=1)
        order = logits.mean(dim=(0, 2, 3)).argsort().tolist()  # the nearest word comes last
        for other in (order[0], order[-1]):
            named = [k for k in range(4) if k != other]
            threshold = round(float(share.quantile(0.5)), 6)
            spec = f"clip:{'|'.join(words[k] for k in named)},other={words[other]},model={folder}"
            labels = load_segmenter(f"{spec},zoom=2,background={threshold}").segment(images)[:, 0]
            places_of = torch.tensor([named.index(k) + 1 if k in named else 0 for k in range(4)])
            expected = torch.where(share >= threshold, places_of[best], 0)
            assert (labels == expected).float().mean() > 0.99
            if other == order[0]:
                assert 0.2 < (expected > 0).float().mean() < 0.8

    def test_are_split_at_bars_and_lose_their_articles(self):
        assert split_words(" a  window|the sky |trees", "") == ["a window", "the sky", "trees"]
        assert [bare(w) for w in ("a window", "the sky", "trees", "a")] == [
            "window",
            "sky",
            "trees",
            "a",
        ]

    @pytest.mark.parametrize(
        ("spec", "said"),
        [
            ("clip:a door||a window", "different ones with"),
            ("clip:a door|the door", "different ones with"),
            ("clip:a door,background=1", "background=1; expected a number from 0"),
            ("clip:a door,zoom=0", "zoom=0; expected a number from 1"),
            ("clip:a door,model=nowhere", "nothing is downloaded"),
            ("clip:a door,colour=red", "is not an option"),
        ],
    )
    def test_that_cannot_be_used_are_refused_in_one_line(self, spec, said):
        with pytest.raises(SegmenterError, match=said) as caught:
            load_segmenter(spec)
        assert "\n" not in str(caught.value)


class TestFiles:
    def test_an_architecture_with_a_file_of_its_weights(self, tmp_path):
        folder = write_folder(tmp_path / "v", "vit")
        model = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
        (tmp_path / "a-tower-of-tests.json").write_text(json.dumps(model))
        open_clip.add_model_config(tmp_path / "a-tower-of-tests.json")
        state = load_file(folder / "open_clip_model.safetensors")
        torch.save(state, tmp_path / "w.pt")
        clip = load_clip(f"a-tower-of-tests@{tmp_path / 'w.pt'}")
        assert torch.equal(clip.network.visual.conv1.weight, state["visual.conv1.weight"])
        assert clip.reading.mean == open_clip.OPENAI_DATASET_MEAN

    def test_folders_that_do_not_fit_are_refused_in_one_line(self, tmp_path):
        folder = write_folder(tmp_path / "v", "vit")
        config = folder / "open_clip_config.json"
        plain = json.loads(config.read_text())
        for change, said in (
            ({"vision_cfg": plain["model_cfg"]["vision_cfg"] | {"width": 48}}, "fit each other"),
            ({"text_cfg": {"hf_model_name": "roberta-base"}}, "would be downloaded"),
            ({"text_cfg": None}, "has no model_cfg with"),
        ):
            config.write_text(json.dumps(plain | {"model_cfg": plain["model_cfg"] | change}))
            with pytest.raises(SegmenterError, match=said) as caught:
                load_clip(str(folder))
            assert "\n" not in str(caught.value)
        config.write_text(json.dumps(plain))
        (folder / "open_clip_model.safetensors").unlink()
        with pytest.raises(SegmenterError, match="has no weights"):
            load_clip(str(folder))
        config.unlink()
        with pytest.raises(SegmenterError, match=r"has no open_clip_config\.json"):
            load_clip(str(folder))
        torch.save({}, tmp_path / "w.pt")
        with pytest.raises(SegmenterError, match="not an architecture of open_clip"):
            load_clip(f"RN5@{tmp_path / 'w.pt'}")

    def test_a_file_with_code_is_not_run(self, tmp_path):
        class Hostile:
            def __reduce__(self):
                return (open, (str(tmp_path / "ran"), "w"))

        torch.save({"a": Hostile()}, tmp_path / "w.pt")
        with pytest.raises(SegmenterError, match="tensors alone"):
            load_clip(f"RN50@{tmp_path / 'w.pt'}")
        assert not (tmp_path / "ran").exists()

    def test_the_level_of_logging_stays_as_it_was(self, tmp_path):
        level = logging.getLogger().level
        load_clip(str(write_folder(tmp_path / "v", "vit")))
        assert logging.getLogger().level == level
