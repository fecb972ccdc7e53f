"""Networks of other libraries: what they mark is what their own library marks."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from segmenters import SegmenterError, load_segmenter
from segmenters.testing import check_segmenter

pytestmark = pytest.mark.usefixtures("one_thread")


def as_bytes(images):
    return ((images + 1) * 127.5).round()


def spread(labels):
    """How many labels there are: one everywhere would be the same by chance."""
    return len(labels.unique())


@torch.no_grad()
def test_smp_marks_what_its_own_preprocessing_and_network_mark(smp_folder, some_images):
    import segmentation_models_pytorch as smp
    from segmentation_models_pytorch.encoders._preprocessing import preprocess_input

    segmenter = load_segmenter(f"smp:{smp_folder}")
    images = interpolate(some_images, (64, 64))
    network = smp.from_pretrained(str(smp_folder)).eval()
    pixels = as_bytes(images).permute(0, 2, 3, 1).numpy().astype(np.uint8)
    prepared = preprocess_input(
        pixels, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], input_range=[0, 1]
    )
    expected = network(torch.from_numpy(prepared).permute(0, 3, 1, 2).float()).argmax(1) + 1
    found = segmenter.segment(images_of(pixels))[:, 0]
    assert spread(expected) > 10
    assert (found == expected).float().mean() > 0.9995  # sums of another order, in other batches

    resized = interpolate(some_images, (64, 64), mode="bilinear")
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    logits = interpolate(network(((resized + 1) / 2 - mean) / std), (96, 80), mode="bilinear")
    assert (segmenter.segment(some_images)[:, 0] == logits.argmax(1) + 1).float().mean() > 0.9995


def images_of(pixels):
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (96, 80)])
def test_segformer_marks_what_its_image_processor_says(segformer_folder, some_images, size):
    from transformers import SegformerForSemanticSegmentation, SegformerImageProcessor

    images = interpolate(some_images, size)
    processor = SegformerImageProcessor.from_pretrained(segformer_folder)
    network = SegformerForSemanticSegmentation.from_pretrained(segformer_folder).eval()
    given = processor(list(as_bytes(images)), return_tensors="pt")
    maps = processor.post_process_semantic_segmentation(network(**given), target_sizes=[size] * 3)
    expected = torch.stack(maps) + 1
    segmenter = load_segmenter(f"hf:{segformer_folder}")
    assert segmenter.vocabulary.planes == ("ade20k",)
    assert spread(expected) > 10
    assert (segmenter.segment(images)[:, 0] == expected).float().mean() > 0.9995


@torch.no_grad()
def test_mask2former_marks_what_its_image_processor_says(mask2former_folder, some_images):
    from transformers import Mask2FormerForUniversalSegmentation, Mask2FormerImageProcessor

    size = tuple(some_images.shape[2:])
    processor = Mask2FormerImageProcessor.from_pretrained(mask2former_folder)
    network = Mask2FormerForUniversalSegmentation.from_pretrained(mask2former_folder).eval()
    given = processor(list(as_bytes(some_images)), return_tensors="pt")
    said = network(pixel_values=given["pixel_values"])

    segmenter = load_segmenter(f"hf:{mask2former_folder}")
    assert segmenter.reading.read(some_images).shape == given["pixel_values"].shape
    assert segmenter.vocabulary.names == ("sky", "tree", "road", "car", "person")
    maps = processor.post_process_semantic_segmentation(said, target_sizes=[size] * 3)
    expected = torch.stack(maps) + 1
    assert spread(expected) > 1
    assert (segmenter.segment(some_images)[:, 0] == expected).float().mean() > 0.9995

    whole = load_segmenter(f"hf:{mask2former_folder},output=panoptic")
    segments = processor.post_process_panoptic_segmentation(
        said, label_ids_to_fuse=set(), target_sizes=[size] * 3
    )
    expected = torch.zeros(3, *size, dtype=torch.long)
    for k, one in enumerate(segments):
        for segment in one["segments_info"]:
            expected[k][one["segmentation"] == segment["id"]] = segment["label_id"] + 1
    assert spread(expected) > 1
    assert (whole.segment(some_images)[:, 0] == expected).float().mean() > 0.999
    assert whole.fingerprint != segmenter.fingerprint


@torch.no_grad()
def test_oneformer_is_asked_for_its_task_and_marks_what_its_processor_says(
    oneformer_folder, some_images
):
    from transformers import (
        AutoTokenizer,
        OneFormerForUniversalSegmentation,
        OneFormerImageProcessor,
        OneFormerProcessor,
    )

    size = tuple(some_images.shape[2:])
    processor = OneFormerProcessor(
        OneFormerImageProcessor.from_pretrained(oneformer_folder),
        AutoTokenizer.from_pretrained(oneformer_folder),
    )
    network = OneFormerForUniversalSegmentation.from_pretrained(oneformer_folder).eval()
    given = processor(list(as_bytes(some_images)), ["semantic"] * 3, return_tensors="pt")
    said = network(pixel_values=given["pixel_values"], task_inputs=given["task_inputs"])
    maps = processor.post_process_semantic_segmentation(said, target_sizes=[size] * 3)
    expected = torch.stack(maps) + 1
    semantic = load_segmenter(f"hf:{oneformer_folder}")
    assert spread(expected) > 1
    assert (semantic.segment(some_images)[:, 0] == expected).float().mean() > 0.9995
    panoptic = load_segmenter(f"hf:{oneformer_folder},output=panoptic")
    # Another task is another question.
    assert not torch.allclose(panoptic.score(some_images), semantic.score(some_images))


@torch.no_grad()
def test_torchvision_marks_what_its_transforms_and_network_mark(torchvision_file, some_images):
    from torchvision.models.segmentation import (
        LRASPP_MobileNet_V3_Large_Weights,
        lraspp_mobilenet_v3_large,
    )

    network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21).eval()
    network.load_state_dict(torch.load(torchvision_file, weights_only=True))
    prepared = LRASPP_MobileNet_V3_Large_Weights.DEFAULT.transforms()((some_images + 1) / 2)
    expected = interpolate(network(prepared)["out"], (96, 80), mode="bilinear").argmax(1)
    segmenter = load_segmenter(f"torchvision:lraspp_mobilenet_v3_large@{torchvision_file}")
    assert segmenter.vocabulary.names[:2] == ("aeroplane", "bicycle")  # background is none
    assert spread(expected) > 3
    assert (segmenter.segment(some_images)[:, 0] == expected).float().mean() > 0.9995


def test_what_other_libraries_made_keeps_all_laws(
    smp_folder, segformer_folder, mask2former_folder, torchvision_file, some_images
):
    for spec in (f"smp:{smp_folder}", f"hf:{segformer_folder}", f"hf:{mask2former_folder}"):
        assert len(check_segmenter(load_segmenter(spec))) == 10
    whole = load_segmenter(f"hf:{mask2former_folder},output=panoptic")
    assert len(check_segmenter(whole, by_score=False)) == 9
    small = f"torchvision:lraspp_mobilenet_v3_large@{torchvision_file},size=64"
    check_segmenter(load_segmenter(small), some_images)


def test_an_answer_has_the_same_bits_in_any_batch(smp_folder, some_images):
    segmenter = load_segmenter(f"smp:{smp_folder}")
    assert torch.equal(segmenter.score(some_images)[1:2], segmenter.score(some_images[1:2]))


def test_the_fingerprint_is_of_the_content_not_of_the_place(tmp_path, smp_folder, segformer_folder):
    for prefix, folder in (("smp", smp_folder), ("hf", segformer_folder)):
        other = load_segmenter(f"{prefix}:{copy(folder, tmp_path / prefix)}")
        here = load_segmenter(f"{prefix}:{folder}")
        assert other.fingerprint == here.fingerprint
        assert load_segmenter(f"{here.name},plane=p").fingerprint != here.fingerprint


@pytest.mark.slow
def test_each_of_them_drives_a_run(
    command, tmp_path, smp_folder, segformer_folder, mask2former_folder, torchvision_file
):
    small = f"torchvision:lraspp_mobilenet_v3_large@{torchvision_file},size=64"
    specs = (f"smp:{smp_folder}", f"hf:{segformer_folder}", f"hf:{mask2former_folder}", small)
    for k, spec in enumerate(specs):
        out = tmp_path / f"run{k}"
        done = command(
            "run", "scenes-stylegan2", "--segmenter", spec, "--layers", "b8.torgb", "--samples", 16,
            "--out", out,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told = json.loads((out / "run.json").read_text())["segmenter"]
        assert told["name"] == spec
        assert told["fingerprint"] == load_segmenter(spec).fingerprint
        assert len(told["vocabulary"]) == (150, 150, 5, 20)[k]


def copy(folder, target):
    shutil.copytree(folder, target)
    return target


@pytest.fixture(scope="module")
def one_class(tmp_path_factory):
    """A SegFormer of one class: the largest of one number is always the first."""
    from transformers import (
        SegformerConfig,
        SegformerForSemanticSegmentation,
        SegformerImageProcessor,
    )

    folder = tmp_path_factory.mktemp("hf") / "one"
    config = SegformerConfig(
        depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8,
        num_labels=1,
    )  # fmt: skip
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    SegformerImageProcessor().save_pretrained(folder)
    return folder


def test_mistakes_are_told_in_one_line_with_status_2(
    command, tmp_path, monkeypatch, smp_folder, segformer_folder, torchvision_file, one_class
):
    def refuse(*arguments, **settings):
        raise OSError("there is no network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path / "hub"))

    bare = copy(smp_folder, tmp_path / "bare")
    (bare / "albumentations_config_eval.json").unlink()
    cropped = copy(smp_folder, tmp_path / "cropped")
    (cropped / "albumentations_config_eval.json").write_text(
        json.dumps({"transform": {"transforms": [{"__class_fullname__": "CenterCrop"}]}})
    )
    unprepared = copy(segformer_folder, tmp_path / "unprepared")
    (unprepared / "preprocessor_config.json").unlink()
    coded = copy(segformer_folder, tmp_path / "coded")
    told = json.loads((coded / "config.json").read_text()) | {"auto_map": {"AutoModel": "m.Net"}}
    (coded / "config.json").write_text(json.dumps(told))
    wide = copy(segformer_folder, tmp_path / "wide")
    told = json.loads((wide / "config.json").read_text()) | {"decoder_hidden_size": 24}
    (wide / "config.json").write_text(json.dumps(told))
    emptied = copy(smp_folder, tmp_path / "emptied")
    (emptied / "model.safetensors").unlink()
    names = tmp_path / "names.txt"
    names.write_text("sky\nsea\n")
    nothing = tmp_path / "nothing.json"
    nothing.write_text(json.dumps(["background"] * 150))
    lraspp = "torchvision:lraspp_mobilenet_v3_large"

    for spec, message in {
        f"smp:{smp_folder},names={names}": "names 2 classes; expected 150, as the network has",
        f"smp:{smp_folder},names={tmp_path}/none.txt": "cannot read the names",
        f"smp:{smp_folder},names={nothing}": "names nothing but background",
        f"smp:{smp_folder},plan=x": "'plan=x' is not an option",
        f"smp:{smp_folder},size=0": "has size=0; expected pixels",
        f"smp:{smp_folder},reading=once": "has reading=once; expected auto or resize or tile",
        f"smp:{bare}": "does not say how images are prepared",
        f"smp:{cropped}": "prepares images with CenterCrop",
        f"smp:{emptied}": "holds no weights",
        f"smp:{segformer_folder}": "is of the architecture None",
        f"smp:{tmp_path}/nowhere": "there is no folder",
        f"smp:{torchvision_file}": "is a file; expected the folder",
        "smp:": "names nothing after the colon",
        "smp:tiny/unet": "can't be fetched",
        "hf:tiny/unet@v1": "can't be fetched",
        f"hf:{smp_folder}": "is none of transformers",
        f"hf:{unprepared}": "does not say how images are prepared",
        f"hf:{coded}": "code of its own, which is never run",
        f"hf:{wide}": "weights that its configuration asks for",
        f"hf:{one_class}": "one class and no background",
        f"hf:{segformer_folder},output=panoptic": "no panoptic output",
        lraspp: "can't be fetched from https://download.pytorch.org",
        f"{lraspp}@BEST": "has no weights 'BEST'",
        f"{lraspp}@{tmp_path}/no.pth": "cannot read the weights",
        f"torchvision:deeplabv3_mobilenet_v3_large@{torchvision_file}": "does not fit a DeepLabV3",
        f"torchvision:unet@{torchvision_file}": "is not a segmentation network of torchvision",
        "torchvison:fcn_resnet50": "cannot be imported",
    }.items():  # fmt: skip
        done = command("run", "scenes-stylegan2", "--segmenter", spec, "--samples", 16,
                       "--out", tmp_path / "out")  # fmt: skip
        assert done.returncode == 2, spec
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("dissect: ")]
        assert message in line, line
        assert done.stderr.rstrip().endswith(line), spec  # nothing after it


def test_a_missing_transformers_is_told_in_one_line(monkeypatch, segformer_folder):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(SegmenterError, match=r"pip install 'gan-dissection\[transformers\]'"):
        load_segmenter(f"hf:{segformer_folder}")


def test_a_pickle_that_holds_more_than_tensors_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"classifier.4.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(SegmenterError, match="as tensors alone") as caught:
        load_segmenter(f"torchvision:fcn_resnet50@{tmp_path / 'trap.pth'}")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "sprung").exists()


def test_they_are_listed(command):
    listed = json.loads(command("zoo", "--json").stdout)["segmenters"]
    assert {"smp:TARGET", "torchvision:TARGET", "hf:TARGET"} <= {entry["name"] for entry in listed}
    assert "hf:TARGET" in command("zoo").stdout
