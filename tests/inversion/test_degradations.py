"""Degradations: what they leave, that answers can be made consistent, and wrong specs."""

import numpy as np
import pytest
import torch
from PIL import Image

from dissect.errors import ConfigError
from dissect.inversion.degradations import parse_degradation
from dissect.inversion.images import find_images, read_square
from dissect.inversion.quality import mean_squared_error, psnr, ssim
from dissect.inversion.restore import baseline, noise_of, parse_task, total_variation

SPECS = ("none", "grey", "down:4", "hole:2,3,10,12", "noise:20", "blur:1.5", "jpeg:40")


@pytest.fixture
def images():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("spec", SPECS)
def test_shapes_repeat_and_gradients(images, spec):
    degradation = parse_degradation(spec)
    x = images.clone().requires_grad_()
    seen = degradation.apply(x)
    seen.square().sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    first, second = (degradation.observe(images, seed=3) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == seen.shape


@pytest.mark.parametrize("spec", ["grey", "down:4", "hole:2,3,10,12"])
def test_consistent_answers_degrade_to_what_was_seen(images, spec):
    degradation = parse_degradation(spec)
    seen = degradation.observe(images, seed=0)
    other = images.flip(0)
    answer = degradation.consistent(other, seen)
    again = degradation.observe(answer, seed=0)
    assert torch.allclose(again, seen, atol=1e-5)
    assert not torch.allclose(answer, images, atol=0.1)  # it is not simply the truth


def test_down_is_the_mean_of_blocks(images):
    seen = parse_degradation("down:4").apply(images)
    assert seen[1, 2, 3, 0].item() == pytest.approx(images[1, 2, 12:, :4].mean().item(), abs=1e-6)


def test_grey_is_the_luma_of_pillow():
    values = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    luma = np.asarray(Image.fromarray(values).convert("L"), dtype=float)
    image = torch.from_numpy(values).permute(2, 0, 1).float()[None] / 127.5 - 1
    ours = (parse_degradation("grey").apply(image)[0, 0].numpy() + 1) * 127.5
    assert np.abs(ours - luma).max() < 1.0  # Pillow rounds


def test_blur_is_scipys():
    from scipy.ndimage import gaussian_filter

    image = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    ours = parse_degradation("blur:1.5").apply(image)[0, 0].numpy()
    theirs = gaussian_filter(image[0, 0].numpy(), 1.5, mode="nearest", truncate=3.0)
    # Theirs ends after round(3σ) pixels, ours after the next whole number.
    assert np.abs(ours - theirs).max() < 2e-3


def test_noise_has_its_strength():
    flat = torch.zeros(4, 3, 64, 64)
    noisy = parse_degradation("noise:25").observe(flat, seed=0)
    assert noisy.std().item() * 127.5 == pytest.approx(25, rel=0.02)
    assert not torch.equal(noisy[0], noisy[1])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("grya", "did you mean 'grey'"),
        ("down", "needs a value behind a colon"),
        ("grey:3", "takes nothing behind a colon"),
        ("down:1", "a whole number from 2 to 64"),
        ("down:2.5", "a whole number from 2 to 64"),
        ("noise:x", "a number from 0 to 255"),
        ("hole:1,2,3", "expected hole:TOP,LEFT,BOTTOM,RIGHT"),
        ("mask:/nowhere.png", "cannot be read"),
    ],
)
def test_wrong_specs_are_one_line(spec, message):
    with pytest.raises(ConfigError, match=message) as error:
        parse_degradation(spec)
    assert "\n" not in str(error.value)


def test_a_hole_beyond_the_image(images):
    with pytest.raises(ConfigError, match="not inside the image"):
        parse_degradation("hole:0,0,20,20").observe(images, seed=0)


def test_masks_of_files(tmp_path, images):
    hidden = np.zeros((16, 16), np.uint8)
    hidden[4:8, 4:8] = 255
    Image.fromarray(hidden).save(tmp_path / "mask.png")
    mask = parse_degradation(f"mask:{tmp_path / 'mask.png'}")
    seen = mask.observe(images, seed=0)
    assert (seen[:, :, 4:8, 4:8] == 0).all()
    assert torch.equal(seen[:, :, 8:], images[:, :, 8:])
    with pytest.raises(ConfigError, match="16 × 16 pixels, the image 8 × 8"):
        mask.observe(images[:, :, :8, :8], seed=0)
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "empty.png")
    with pytest.raises(ConfigError, match="hides nothing"):
        parse_degradation(f"mask:{tmp_path / 'empty.png'}")


def test_quality_is_scikit_images(images):
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    first, second = images[:1], (images[:1] + 0.2 * images[1:]).clamp(-1, 1)
    a, b = (x[0].permute(1, 2, 0).numpy().astype(float) for x in (first, second))
    assert psnr(first, second).item() == pytest.approx(
        metrics.peak_signal_noise_ratio(a, b, data_range=2), rel=1e-4
    )
    theirs = metrics.structural_similarity(
        a, b, data_range=2, channel_axis=2, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    assert ssim(first, second).item() == pytest.approx(theirs, abs=2e-3)


def test_mse_is_in_units_of_the_range():
    assert mean_squared_error(torch.ones(1, 1, 4, 4), -torch.ones(1, 1, 4, 4)).item() == 1


@pytest.mark.parametrize(
    ("task", "spec"),
    [("colorize", "grey"), ("upscale:8", "down:8"), ("denoise", "none"), ("deblur:2", "blur:2"),
     ("inpaint:hole:0,0,4,4", "hole:0,0,4,4")],
)  # fmt: skip
def test_tasks(task, spec):
    assert parse_task(task).spec == spec


@pytest.mark.parametrize(
    ("task", "message"),
    [("colourise", "did you mean 'colorize'"), ("upscale", "needs a value"),
     ("inpaint", "needs a mask")],
)  # fmt: skip
def test_wrong_tasks(task, message):
    with pytest.raises(ConfigError, match=message):
        parse_task(task)


def test_baselines_know_the_plain_cases():
    ramp = torch.linspace(-1, 1, 16)[None, None, None].expand(1, 3, 16, 16).contiguous()
    hole = parse_degradation("hole:4,4,12,12")
    filled = baseline(hole.observe(ramp, seed=0), hole, 16, 3)
    assert (filled - ramp).abs().max() < 1e-3  # a ramp is harmonic
    noisy = parse_degradation("noise:25").observe(torch.zeros(1, 3, 32, 32), seed=0)
    smooth = baseline(noisy, parse_degradation("noise:25"), 32, 3)
    assert smooth.std() < 0.5 * noisy.std()
    grey = parse_degradation("grey")
    assert baseline(grey.apply(ramp), grey, 16, 3).shape == (1, 3, 16, 16)
    down = parse_degradation("down:4")
    assert baseline(down.apply(ramp), down, 16, 3).shape == (1, 3, 16, 16)


def save(image: Image.Image, path, **options):
    image.save(path, **options)
    return path


def test_images_of_people_are_read(tmp_path):
    left_right = np.zeros((8, 8, 3), np.uint8)
    left_right[:, 4:] = 200
    plain = read_square(save(Image.fromarray(left_right), tmp_path / "a.png"), 8)
    assert plain.shape == (1, 3, 8, 8)
    assert plain[0, 0, 0].tolist() == pytest.approx([-1] * 4 + [200 / 127.5 - 1] * 4)

    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = read_square(save(Image.fromarray(left_right), tmp_path / "b.png", exif=exif), 8)
    assert torch.allclose(turned, plain.flip(3))

    alpha = np.dstack([left_right, np.zeros((8, 8), np.uint8)])
    assert (read_square(save(Image.fromarray(alpha), tmp_path / "c.png"), 8) == 1).all()

    deep = Image.fromarray(left_right[:, :, 0].astype(np.uint16) << 8)
    deep_read = read_square(save(deep, tmp_path / "d.png"), 8)
    assert torch.allclose(deep_read[:, :1], plain[:, :1], atol=0.01)

    cmyk = read_square(save(Image.fromarray(left_right).convert("CMYK"), tmp_path / "e.tif"), 8)
    assert (cmyk - plain).abs().max() < 0.05

    wide = np.concatenate([left_right] * 3, axis=1)  # only the middle square is kept
    assert torch.allclose(read_square(save(Image.fromarray(wide), tmp_path / "f.png"), 8), plain)
    assert read_square(tmp_path / "a.png", 4).shape == (1, 3, 4, 4)
    assert read_square(tmp_path / "a.png", 16, grey=True).shape == (1, 1, 16, 16)


def test_wrong_images_are_one_line(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    for name, reason in (("a.png", "it holds none"), ("missing.png", "No such file or directory")):
        with pytest.raises(ConfigError, match=rf"cannot be read as an image \({reason}\)"):
            read_square(tmp_path / name, 8)
    big = Image.new("1", (10_000, 10_000))
    big.save(tmp_path / "big.png")
    with pytest.raises(ConfigError, match="10,000 × 10,000 pixels; expected at most 64,000,000"):
        read_square(tmp_path / "big.png", 8)


def test_images_of_a_folder(tmp_path):
    with pytest.raises(ConfigError, match="holds no image"):
        find_images(tmp_path)
    for name in ("b.png", "a.JPG", "c.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in find_images(tmp_path)] == ["a.JPG", "b.png"]
    assert find_images(tmp_path / "one.png") == [tmp_path / "one.png"]


def test_total_variation_is_scikit_images_and_noise_is_what_was_added():
    """The same minimum as an independent program's, at the σ that the noise has."""
    restoration = pytest.importorskip("skimage.restoration")
    line = torch.linspace(-1, 1, 48)
    clean = torch.sign(line[:, None] * line[None] - 0.1).expand(2, 3, -1, -1) * 0.5
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noisy = clean + torch.tensor([0.1, 0.3])[:, None, None, None] * noise
    assert noise_of(noisy).tolist() == pytest.approx([0.1, 0.3], rel=0.1)
    found = total_variation(noisy, torch.tensor([0.1, 0.3]))
    for one, seen, truth, weight in zip(found, noisy, clean, (0.1, 0.3), strict=True):
        theirs = torch.from_numpy(
            restoration.denoise_tv_chambolle(
                seen.numpy(), weight=weight, eps=1e-7, max_num_iter=2000, channel_axis=0
            )
        )
        assert (one - theirs).abs().mean() < 0.004
        assert (one - truth).square().mean() < 0.25 * (seen - truth).square().mean()
