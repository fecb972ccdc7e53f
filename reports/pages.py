"""The page itself: its HTML, and the data for its scripts."""

import base64
import hashlib
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from dissect.errors import ConfigError
from dissect.runs import Run
from dissect.runs.left_out import describe_left_out
from dissect.runs.notes import Noted
from dissect.runs.schema import layer_key
from dissect.runs.summary import compare_axes, describe_ladder, output_layers
from dissect.statistics.columns import Column, Place
from dissect.statistics.ladder import NAMED, RUNGS
from dissect.statistics.registry import columns_in, rows_of
from dissect.studies.causes import describe_causes
from reports import findings
from reports.assets import script_text, style_text
from reports.charts import best_cells, category_colours, layer_bars
from reports.compact import to_script_text
from reports.directions import direction_facts
from reports.facts import concept_pairs, short
from reports.measured import EffectFacts, effect_facts
from reports.naming import short_name
from reports.noted import given_labels, unit_rows
from reports.pictures import Pictures
from reports.templating import template_environment


@dataclass(frozen=True)
class Contents:
    """The contents of a report.

    Attributes:
        layers: Layers to show.
        shown: Layer → units with images.
    """

    layers: list[str]
    shown: dict[str, list[int]]

    @classmethod
    def of(cls, run: Run, layers: Sequence[str] | None, units: int | None) -> "Contents":
        """The contents for a run; ``units`` limits each layer's images to its clearest units.

        Raises:
            LayerError: a layer that the run did not read.
            ConfigError: no layer.
        """
        layers = list(run.layers) if layers is None else list(dict.fromkeys(layers))
        if not layers:
            raise ConfigError("layers is empty; expected at least one layer")
        shown = {}
        for layer in layers:
            every = list(range(len(run.units(layer))))
            kept = every if units is None else findings.clearest_units(run, layer, units)
            shown[layer] = kept if run.has_strips(layer) else []
        return cls(layers, shown)

    @cached_property
    def keys(self) -> dict[str, str]:
        """Layer → its name in paths."""
        return {layer: layer_key(layer) for layer in self.layers}


def concept_data(
    run: Run, layers: Sequence[str], examples: Sequence[object]
) -> dict[str, Sequence[object]]:
    """Data for the pages of concepts.

    Args:
        run: A run.
        layers: Layers to show.
        examples: Examples of each concept, from ``Pictures.examples``.

    Returns:
        ``pairs``: for each concept its units as rows: layer, unit, IoU, low, high, chance, named.
        ``examples``: as passed.
    """
    return {"pairs": _pairs(run, layers), "examples": examples}


def _pairs(run: Run, layers: Sequence[str]) -> list[list[list[object]]]:
    number = {layer: place for place, layer in enumerate(layers)}
    return [
        [
            [number[row.layer], row.unit]
            + [short(value) for value in (row.iou, row.iou_low, row.iou_high, row.chance)]
            + [int(row.named)]
            for row in rows_of(pairs)
        ]
        for pairs in concept_pairs(run, layers).values()
    ]


def page_text(
    run: Run,
    contents: Contents,
    pictures: Pictures,
    noted: Noted,
    *,
    inline: Mapping[str, str] | None,
) -> str:
    """The page, index.html.

    Args:
        run: A run.
        contents: What the report shows.
        pictures: Its images, already written.
        noted: People's notes on the shown layers.
        inline: Name → data to embed in the page, as script text; None if the data are in files
            beside it.
    """
    layers = contents.layers
    rows = findings.layer_rows(run, layers)
    concepts = findings.concept_rows(run, layers)
    effects = effect_facts(run)
    title = f"What the units of {short_name(run.record['generator']['name'])} match"
    ranked = findings.by_evidence(run, concepts)
    outputs = set(output_layers(run))
    given = {
        "title": title,
        "seed": run.config.seed,
        "floors": {
            "iou": run.config.min_iou,
            "over": run.config.min_over_chance,
            "q": run.config.fdr,
            "compat": run.config.compat,
        },
        "knows_names": run.label_rung >= NAMED,
        "label_rung": run.label_rung,
        "rungs": [{"name": one.name, "colour": one.colour} for one in RUNGS],
        "columns": [_column_given(one) for one in columns_in(Place.REPORT, run.table)],
        "top_images": _tiles(run, layers),
        "pictures": _where(contents, inline),
        "concepts": concepts,
        "trust_images": None if run.trust is None else run.trust.attrs["images"],
        "examples": run.has_concept_strips,
        "pictures_inside": inline is not None,
        "layers": [_layer_given(row, contents, pictures) for row in rows],
        "effects": [
            {"name": e.name, "concept": e.concept, "layers": e.layers, "text": e.text}
            for e in effects
        ],
        **given_labels(noted, layers),
        **_texts_given(run, layers),
    }
    said = bool(noted.notes)
    script, style = script_text(notes=said), style_text(notes=said)
    if inline is None:
        policy = "script-src 'self' file:; style-src 'self' file: 'unsafe-inline'"
        policy += "; img-src 'self' file: data:"
    else:
        policy = f"script-src '{_digest(script)}'; style-src 'unsafe-inline'; img-src data:"
    found = run.table[run.table.is_label & run.table.is_named]
    return (
        _environment()
        .get_template("report.html")
        .render(
            run=run,
            record=run.record,
            config=run.config,
            title=title,
            left_out=describe_left_out(run.record),
            policy=f"default-src 'none'; {policy}; base-uri 'none'; form-action 'none'",
            given=Markup(to_script_text(given)),  # noqa: S704 - no sign of HTML is left in it
            inline=None if inline is None else {k: Markup(v) for k, v in inline.items()},  # noqa: S704
            script=Markup(script) if inline is not None else None,  # noqa: S704
            style=Markup(style) if inline is not None else None,  # noqa: S704
            rows=rows,
            concepts=[concept for concept in ranked if concept["units"]],
            unnamed=[concept for concept in ranked if not concept["units"]],
            rungs=findings.rung_tiles(run, layers),
            axes=compare_axes(run, [name for name in layers if name not in outputs] or layers),
            found=sum(row["named"] for row in rows),
            n_units=sum(row["units"] for row in rows),
            n_layers=len(run.layers),
            bars=layer_bars(run, layers),
            ladder=f"{describe_ladder(run, layers)} {describe_causes(run)}",
            n_matches=sum(row["matches"] for row in rows),
            knows_names=run.label_rung >= NAMED,
            categories=category_colours(run),
            cells=best_cells(run, layers),
            clearest=findings.clearest(run, layers),
            stable=findings.stable_share(run.table[run.table.layer.isin(layers)]),
            n_distinct=int(found[found.layer.isin(layers)].concept.nunique()),
            doubtful=findings.doubtful(run, layers),
            effects=effects,
            directions=direction_facts(run),
            labels=noted.labels,
            n_noted=len(noted.notes),
            noted_rows=unit_rows(run, noted),
            sheets={e.name: pictures.sheet(e.name, e.sheet) for e in effects if e.sheet},
            pictures=pictures,
            tiles=_tiles(run, layers),
            cells_layers=layers,
            command=findings.run_command(run),
        )
    )


def _tiles(run: Run, layers: Sequence[str]) -> int:
    """Number of images in a strip: at most the run's number of samples."""
    return int(run.array(layers[0], "top_indices").shape[1])


def _where(contents: Contents, inline: Mapping[str, str] | None) -> str | None:
    if not any(contents.shown.values()):
        return None
    return "files" if inline is None else "inside"


def _texts_given(run: Run, layers: Sequence[str]) -> dict[str, object]:
    """Of a generator of texts: the text of each top image, and what units stand for."""
    tops = [run.array(layer, "top_indices").values.ravel() for layer in layers]
    samples = sorted({int(sample) for top in tops for sample in top if sample >= 0})
    texts = run.prompts_of(samples)
    given: dict[str, object] = {"prompts": dict(zip(samples, texts, strict=True))} if texts else {}
    names = [list(run.layers[layer].unit_names) for layer in layers]
    return given | ({"unit_names": names} if any(names) else {})


def _column_given(column: Column) -> dict[str, object]:
    """Data on a column of units for the page's scripts."""
    return {
        "key": column.report_key,
        "title": column.title,
        "full": column.heading_in_full,
        "meaning": column.meaning,
        "digits": column.digits,
        "falling": column.falling,
        "words": list(column.words),
    }


def _layer_given(
    row: findings.LayerFinding, contents: Contents, pictures: Pictures
) -> dict[str, object]:
    """Data on a layer that scripts need before the layer's own data are loaded."""
    kept = contents.shown[row["name"]]
    return {
        **{name: row[name] for name in ("name", "key", "units", "axes", "rotated")},
        "masks": pictures.outlined(row["name"]),
        "shown": True if len(kept) == row["units"] else kept or False,
    }


def _environment() -> Environment:
    environment = template_environment()
    environment.filters["two"] = lambda value: _number(value, 2)
    environment.filters["number"] = _number
    environment.filters["percent"] = _percent
    environment.filters["part"] = lambda value: quote(str(value), safe="!'()*-._~")
    environment.filters["shell"] = shlex.quote
    environment.globals |= {"curve": _curve, "none_value": math.nan}
    return environment


def _number(value: float | None, digits: int = 2, sign: str = "") -> str:
    return "–" if value is None or math.isnan(value) else f"{value:{sign},.{digits}f}"


def _percent(value: float | None) -> str:
    """A share as a CSS length, at most the bar's width."""
    share = 0.0 if value is None or math.isnan(value) else min(1.0, max(0.0, value))
    return f"{100 * share:.1f}%"


def _digest(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()


_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 560, 280, 48, 112, 24, 48
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("none", "8 4", "2 4", "8 4 2 4", "12 4", "4 2")


def _curve(effect: EffectFacts) -> dict[str, object]:
    """Positions of a curve's lines, bands, ticks and names, for an SVG of fixed size."""
    lines = effect.lines
    longest = max(1, *(max(line.n_units) for line in lines))
    most = max(1.0, *(value for line in lines for value in line.high if not math.isnan(value)))
    least = min(0.0, *(value for line in lines for value in line.low if not math.isnan(value)))
    ticks = [least + k * (most - least) / 4 for k in range(5)]

    def at(n_units: float, share: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * n_units / longest
        height = (_HEIGHT - _TOP - _BOTTOM) * (share - least) / (most - least)
        return f"{x:.1f},{_HEIGHT - _BOTTOM - height:.1f}"

    def points(n_units: list[int], shares: list[float]) -> list[str]:
        return [at(n, v) for n, v in zip(n_units, shares, strict=True) if not math.isnan(v)]

    drawn = []
    for number, line in enumerate(lines):
        low, high = points(line.n_units, line.low), points(line.n_units, line.high)
        middle = points(line.n_units, line.share)
        drawn.append(
            {
                "name": line.name,
                "points": " ".join(middle),
                "band": " ".join([*low, *high[::-1]]),
                "colour": _COLOURS[number],
                "dash": _DASHES[number],
                "end": tuple(map(float, middle[-1].split(","))),
            }
        )
    lowest = 0.0
    for line in sorted(drawn, key=lambda one: one["end"][1]):
        lowest = max(line["end"][1], lowest + 16)
        line["label_y"] = lowest + 4
    sizes = sorted({n for line in lines for n in line.n_units if n not in (1, 2) or longest <= 20})
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": _LEFT,
        "right": _WIDTH - _RIGHT,
        "lines": drawn,
        "sizes": [(n, *map(float, at(n, least).split(","))) for n in sizes],
        "shares": [(f"{tick:.2f}", float(at(0, tick).split(",")[1])) for tick in ticks],
    }
