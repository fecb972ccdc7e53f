"""Which units of two generators fire at the same pixels of the same samples?

Between unit u of one and v of another, over all cells of the maps of n samples:

    r(u, v) = Pearson's correlation of a_u(i, x) and b_v(i, x)

and its chance level r₀, the same with b of the other sample of a pair (i, i ± 1): the correlation
of two units that know only where things usually are. A pair is *matched* if each is the other's
best and (r - r₀) / (1 - r₀) ≥ 0.5.

The generators must get the same latents. The result is most informative for snapshots of one
network: networks that were trained separately draw other images from a latent, and no units match.

References:
    Li et al., Convergent Learning: Do Different Neural Networks Learn the Same Representations?,
    ICLR workshop 2016 (matching units by correlation).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from dissect.bases import Basis
from dissect.counting.samples import make_latent
from dissect.errors import ConfigError
from dissect.generators.base import Generator
from dissect.latents import Latent
from dissect.progress import ProgressBar
from dissect.runs.compare import LayerFinding, LayerRow, labels
from dissect.runs.read import Run
from dissect.statistics.scores import over_chance
from dissect.tracing import trace

MATCHED = 0.5
"""Least (r - r₀) / (1 - r₀) of a matched pair."""
_PAIR = 2  # samples per forward pass: each gives the other's chance level


@dataclass(frozen=True)
class UnitMatching:
    """Units of the first run and their matches in another.

    Attributes:
        position: Position of the other run in the comparison.
        n_samples: Number of samples of both generators.
        best: A row for each compared unit of the first run: ``layer``, ``unit``,
            ``concept``, then ``other_layer``, ``other_unit``, ``other_concept`` of its best
            partner, ``correlation``, ``chance``, and ``matched``. Concepts are "" for none.
        n_other: Number of compared units of the other run.
    """

    position: int
    n_samples: int
    best: pd.DataFrame
    n_other: int

    @property
    def matched(self) -> pd.DataFrame:
        """The matched pairs, in descending order of correlation."""
        found = self.best[self.best.matched]
        return found.sort_values("correlation", ascending=False, kind="stable")


def match_units(
    runs: Sequence[Run],
    generators: Sequence[Generator],
    layers: Sequence[LayerRow],
    *,
    position: int,
    n_samples: int,
    progress: bool = False,
) -> UnitMatching:
    """Correlate units of the first run with those of another, between aligned layers.

    Args:
        runs: The compared runs.
        generators: Their generators; only the first and the one at ``position`` are used.
        layers: Aligned layers; compares maps of equal size, in channels or in their basis.
        position: Position of the other run.
        n_samples: Samples from 0 on, an even number.
        progress: Show a progress bar.

    Raises:
        ConfigError: an odd number of samples, or generators that get other latents.
    """
    if n_samples < 2 * _PAIR or n_samples % _PAIR:
        raise ConfigError(
            f"match is {n_samples} samples; expected an even number of at least {2 * _PAIR}"
        )
    pair = (0, position)
    _check_latents([runs[p] for p in pair], [generators[p] for p in pair])
    bases = [{t: runs[p].basis(t) for t, spec in runs[p].specs.items() if spec.basis} for p in pair]
    groups = [
        [[f for f in row.cells[p] if (f.height, f.width) == size] for p in pair]
        for row in layers
        for size in dict.fromkeys((f.height, f.width) for f in row.cells[0])
    ]
    groups = [group for group in groups if all(group)]
    sums = [_Correlation() for _ in groups]
    bar = ProgressBar(
        total=n_samples, desc="matching units", unit="image", disable=None if progress else True
    )
    with bar:
        for start in range(0, n_samples, _PAIR):
            indices = list(range(start, start + _PAIR))
            maps = [
                _maps(runs[p], generators[p], indices, bases[side], [g[side] for g in groups])
                for side, p in enumerate(pair)
            ]
            for total, one, other in zip(sums, *maps, strict=True):
                total.add(one, other)
            bar.update(_PAIR)
    tables = [labels(runs[p]).set_index(["layer", "unit"]).concept for p in pair]
    parts = [_best(group, total, tables) for group, total in zip(groups, sums, strict=True)]
    best = pd.concat(parts, ignore_index=True) if parts else _empty()
    return UnitMatching(position, n_samples, best, sum(f.units for g in groups for f in g[1]))


class _Correlation:
    """Sums of products of two groups of units, around the values of the first sample."""

    def __init__(self) -> None:
        self.n, self.shift = 0, None

    def add(
        self, one: Float[np.ndarray, "image unit cell"], other: Float[np.ndarray, "image unit cell"]
    ) -> None:
        if self.shift is None:
            self.shift = [maps[0].mean(axis=1, keepdims=True) for maps in (one, other)]
            self.sums = [np.zeros(len(maps[0])) for maps in (one, other)]
            self.squares = [np.zeros(len(maps[0])) for maps in (one, other)]
            self.own = np.zeros((len(one[0]), len(other[0])))
            self.swapped = np.zeros_like(self.own)
        a, b = (maps - shift for maps, shift in zip((one, other), self.shift, strict=True))
        for side, maps in enumerate((a, b)):
            self.sums[side] += maps.sum(axis=(0, 2))
            self.squares[side] += (maps**2).sum(axis=(0, 2))
        for i in range(len(a)):
            self.own += a[i] @ b[i].T
            self.swapped += a[i] @ b[len(b) - 1 - i].T
        self.n += a.shape[0] * a.shape[2]

    def result(self) -> tuple[Float[np.ndarray, "unit other"], Float[np.ndarray, "unit other"]]:
        """r and its chance level; NaN where a unit does not vary."""
        means = [s / self.n for s in self.sums]
        spreads = []
        for mean, squares in zip(means, self.squares, strict=True):
            variance = squares / self.n - mean**2
            variance[variance <= 1e-12 * squares / self.n] = 0
            spreads.append(np.sqrt(np.maximum(variance, 0)))
        whole = np.outer(*spreads)
        found = []
        for products in (self.own, self.swapped):
            covariance = products / self.n - np.outer(*means)
            ratio = np.divide(covariance, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
            found.append(np.clip(ratio, -1, 1))
        return found[0], found[1]


def _check_latents(runs: Sequence[Run], generators: Sequence[Generator]) -> None:
    """Compares the samples themselves, not the settings."""
    latents = [
        make_latent_of(run, generator) for run, generator in zip(runs, generators, strict=True)
    ]
    a, b = latents
    same = a.data.shape == b.data.shape and torch.equal(a.data, b.data)
    if same and (a.label is not None or b.label is not None):
        same = a.label is not None and b.label is not None and torch.equal(a.label, b.label)
    if not same or runs[0].config.truncation != runs[1].config.truncation:
        given = " and ".join(
            f"{g.name} takes {a.space}{list(a.data.shape[1:])} of seed {r.config.seed} at "
            f"truncation {r.config.truncation:g}"
            for r, g, a in zip(runs, generators, latents, strict=True)
        )
        raise ConfigError(f"{given}; expected the same latents to match units; leave out --match")


def make_latent_of(run: Run, generator: Generator) -> Latent:
    """The first latents of a run, before truncation."""
    return generator.sample([0, 1], seed=run.config.seed, label=run.config.label)


@torch.no_grad()
def _maps(
    run: Run,
    generator: Generator,
    indices: list[int],
    bases: Mapping[str, Basis],
    groups: Sequence[Sequence[LayerFinding]],
) -> list[Float[np.ndarray, "image unit cell"]]:
    """For each group of layers, all units in sequence: float64 (image, unit, cell)."""
    layers = list(dict.fromkeys(finding.layer for group in groups for finding in group))
    if not layers:  # the runs have no maps of equal size
        return []
    with trace(generator, layers, bases=bases) as recorded:
        generator.synthesize(make_latent(generator, run.config, indices))
    found = []
    for group in groups:
        maps = [recorded[finding.layer].flatten(2).cpu().double() for finding in group]
        found.append(torch.cat(maps, dim=1).numpy())
    return found


def _best(
    group: Sequence[Sequence[LayerFinding]], total: _Correlation, tables: Sequence[pd.Series]
) -> pd.DataFrame:
    correlation, chance = total.result()
    known = np.nan_to_num(correlation, nan=-2.0)
    own, other = ([(f.layer, u) for f in side for u in range(f.units)] for side in group)
    partner = known.argmax(axis=1)
    rows = np.arange(len(own))
    r, r0 = correlation[rows, partner], chance[rows, partner]
    mutual = known.argmax(axis=0)[partner] == rows
    table = pd.DataFrame(own, columns=["layer", "unit"])
    table["concept"] = tables[0].reindex(own).to_numpy()
    chosen = [other[p] for p in partner]
    table["other_layer"] = [layer for layer, _ in chosen]
    table["other_unit"] = [unit for _, unit in chosen]
    table["other_concept"] = tables[1].reindex(chosen).to_numpy()
    table["correlation"], table["chance"] = r, r0
    table["matched"] = mutual & (over_chance(r, r0) >= MATCHED)
    return table[np.isfinite(r)]


def _empty() -> pd.DataFrame:
    names = ["layer", "unit", "concept", "other_layer", "other_unit", "other_concept"]
    return pd.DataFrame({**{n: [] for n in names}, "correlation": [], "chance": []}).assign(
        matched=np.zeros(0, bool)
    )
