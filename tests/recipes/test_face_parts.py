"""The recipe that made the faces segmenter: labels, augmentation, training, resuming."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes.face_parts import __main__ as recipe
from recipes.face_parts import train as training_module
from recipes.face_parts.augment import augment, mirror
from recipes.face_parts.labels import SHARD_SIZE, Labelled, label_samples
from recipes.face_parts.train import Training, train
from segmenters import faces

VOCABULARY = faces.VOCABULARY


pytestmark = pytest.mark.usefixtures("one_thread")


class _PlainGenerator:
    """Sample i is an image of the one colour i."""

    fingerprint = "0" * 64

    def __init__(self, size: int = 4) -> None:
        self.size = size

    def sample(self, indices: range, *, seed: int) -> torch.Tensor:
        return torch.tensor(list(indices))

    def synthesize(self, latent: torch.Tensor) -> torch.Tensor:
        level = (latent % 256) / 127.5 - 1
        return level.view(-1, 1, 1, 1).expand(-1, 3, self.size, self.size)


class _ForgetfulTeacher:
    """Marks everything as person; finds no face in images of colour 7; stops after a while."""

    def __init__(self, patience: int) -> None:
        self.n_asked = 0
        self.patience = patience

    def label(self, image: np.ndarray) -> np.ndarray | None:
        if self.n_asked == self.patience:
            raise KeyboardInterrupt
        self.n_asked += 1
        return None if image[0, 0, 0] == 7 else np.ones((2, 4, 4), np.uint8)


class TestRecipe:
    def test_mirrors_labels_back_to_where_they_were(self) -> None:
        images = torch.rand(2, 3, 4, 4)
        planes = torch.randint(0, len(VOCABULARY) + 1, (2, 2, 4, 4))
        once, twice = mirror(images, planes), mirror(*mirror(images, planes))
        assert twice[0].equal(images)
        assert twice[1].equal(planes)
        eyes = planes == VOCABULARY["left eye"].id
        assert eyes.flip(-1).equal(once[1] == VOCABULARY["right eye"].id)

    def test_augmentation_moves_labels_with_their_pixels(self) -> None:
        # A white nose on black: wherever it goes, its label must go too, unless a patch covers it.
        planes = torch.zeros(64, 2, 64, 64, dtype=torch.int64)
        planes[:, 0] = VOCABULARY["background"].id
        planes[:, 1, 24:40, 24:40] = VOCABULARY["nose"].id
        white = planes[:, 1:] > 0
        images = torch.where(white, 0.9, -0.9).expand(-1, 3, -1, -1)
        moved, labels = augment(images, planes, random=torch.Generator().manual_seed(0))
        nose = labels[:, 1] == VOCABULARY["nose"].id
        bright = moved.mean(1)
        assert 0.5 < nose.sum() / white.sum() < 1.5
        assert bright[nose].mean() - bright[~nose].mean() > 0.8
        assert set(labels[:, 0].unique().tolist()) == {VOCABULARY["background"].id}

    def test_labels_go_on_where_they_stopped_and_leave_out_missed_faces(
        self, tmp_path: Path
    ) -> None:
        n_samples = SHARD_SIZE + 20
        arguments = {"seed": 0, "n_samples": n_samples, "work": tmp_path}
        with pytest.raises(KeyboardInterrupt):
            label_samples(_PlainGenerator(), _ForgetfulTeacher(SHARD_SIZE + 5), **arguments)
        teacher = _ForgetfulTeacher(patience=n_samples)
        data = label_samples(_PlainGenerator(), teacher, **arguments)
        assert teacher.n_asked == 20
        assert data.n_asked == n_samples
        assert len(data) == n_samples - 3  # samples 7, 263 and 519 have the colour 7
        assert data.images[7].unique().item() == 8
        assert not list(tmp_path.rglob("*.partial"))

    @pytest.mark.slow
    def test_goes_the_whole_way_and_writes_weights_that_load(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class BlindTeacher:
            name = "a blind teacher"

            def label(self, image: np.ndarray) -> np.ndarray:
                nose = np.full(image.shape[:2], VOCABULARY["nose"].id, np.uint8)
                return np.stack([np.ones_like(nose), nose])

        scale = recipe.Scale(
            n_training=2, n_held_out=3, training=Training(n_epochs=1, batch_size=2)
        )
        monkeypatch.setattr(recipe, "load_generator", lambda name: _PlainGenerator(size=64))
        monkeypatch.setattr(recipe, "Teacher", BlindTeacher)
        monkeypatch.setattr(recipe, "SMOKE", scale)
        before = faces.WEIGHTS.read_bytes()
        assert recipe.main(["--smoke", "--work", str(tmp_path)]) == 0
        assert faces.WEIGHTS.read_bytes() == before
        made = faces.load(weights=tmp_path / "smoke" / "faces.safetensors")
        card = (tmp_path / "smoke" / "faces.md").read_text(encoding="utf-8")
        assert made.fingerprint in card
        assert "a blind teacher" in card
        assert "| nose | part |" in card
        assert "| 3 images of seed 102 |" in card
        assert "0 of 5 images" in card

    def test_without_the_teacher_says_what_to_install_in_one_line(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(recipe, "load_generator", lambda name: _PlainGenerator())
        monkeypatch.setitem(sys.modules, "mediapipe", None)
        assert recipe.main(["--smoke", "--work", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert "pip install 'gan-dissection[faces-teacher]'" in said
        assert said.count("\n") == 1

    def test_training_killed_and_resumed_gives_the_same_bytes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        random = torch.Generator().manual_seed(0)
        shape = (2, 1, 64, 64)
        objects = torch.randint(1, 3, shape, generator=random)
        parts = torch.randint(3, len(VOCABULARY) + 1, shape, generator=random)
        data = Labelled(
            images=torch.randint(0, 256, (2, 3, 64, 64), generator=random, dtype=torch.uint8),
            planes=torch.cat([objects, parts], 1).to(torch.uint8),
            n_asked=2,
        )
        config = Training(n_epochs=2, batch_size=2)
        straight = train(data, config, work=tmp_path / "straight").state_dict()
        calls = []

        def stop_in_the_second_epoch(
            *batch: torch.Tensor, random: torch.Generator
        ) -> tuple[torch.Tensor, torch.Tensor]:
            if calls:
                raise KeyboardInterrupt
            calls.append(1)
            return augment(*batch, random=random)

        with monkeypatch.context() as patch:
            patch.setattr(training_module, "augment", stop_in_the_second_epoch)
            with pytest.raises(KeyboardInterrupt):
                train(data, config, work=tmp_path / "killed")
        resumed = train(data, config, work=tmp_path / "killed").state_dict()
        assert all(straight[name].equal(resumed[name]) for name in straight)
