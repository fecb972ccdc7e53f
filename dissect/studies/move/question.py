"""The settings of a study of moves of the latent."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissect.errors import ConfigError, SettingError
from dissect.settings import Settings, like, setting
from dissect.studies.names import default_name
from dissect.studies.unit_question import UnitQuestion

if TYPE_CHECKING:
    from dissect.edits.edit import Edit

MOVE = "move"


class MoveQuestion(Settings):
    """The changes when latents are moved.

    Raises:
        ConfigError: no moves, other edits, an unreadable recipe, a setting out of its range.
    """

    recipe: str | None = setting(
        "JSON file of moves, or the recipe.json of an effect", default=None, metavar="FILE"
    )
    moves: tuple[Any, ...] = setting(
        "moves that are made together, instead of a file", default=(), expected="moves"
    )
    n_samples: int = like(
        UnitQuestion, "n_samples", default=200, meaning="number of samples to measure"
    )
    draws: int = like(
        UnitQuestion, "draws", default=5, meaning="random directions of the same length, to "
        "compare with",
    )  # fmt: skip
    second: str | None = like(UnitQuestion, "second", default=None)

    def check(self) -> None:
        from dissect.edits.moves import Move  # takes numpy

        if (self.recipe is None) == (not self.moves):
            raise ConfigError(
                "a move was given no moves, or both moves and a recipe; expected one of the two; "
                "give --recipe FILE"
            )
        edits = self.moves if self.recipe is None else self._read(Path(self.recipe))
        odd = [edit for edit in edits if not isinstance(edit, Move)]
        if odd or not edits:
            found = getattr(odd[0], "kind", type(odd[0]).__name__) if odd else "nothing"
            raise ConfigError(
                f"the recipe holds {found!r}; expected moves alone; dissect ablate and insert "
                "measure units"
            )
        object.__setattr__(self, "moves", tuple(edits))

    def _read(self, path: Path) -> "list[Edit]":
        from dissect.edits.recipes import LARGEST_BYTES, read_recipe

        try:
            with path.open("rb") as file:
                data = file.read(LARGEST_BYTES + 1)
        except OSError as error:
            raise SettingError(
                "recipe", f"is {str(path)!r} ({error.strerror}); expected a JSON file of moves"
            ) from error
        return read_recipe(data)

    def to_json(self) -> dict[str, object]:
        """The settings as stored in recipe.json; the moves are among its edits."""
        question: dict[str, object] = {
            "moves": self.digest, "n_samples": self.n_samples, "draws": self.draws,
        }  # fmt: skip
        # Earlier versions had no second segmenter.
        return question if self.second is None else question | {"second": self.second}

    @property
    def digest(self) -> str:
        """SHA-256 over the moves."""
        from dissect.edits.recipes import to_json

        return hashlib.sha256(json.dumps(to_json(self.moves)).encode()).hexdigest()

    def folder_name(self) -> str:
        """The name of the effect if none is given."""
        spaces = dict.fromkeys(move.space for move in self.moves)
        return default_name(MOVE, *spaces, self.digest[:8])
