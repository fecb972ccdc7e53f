"""How many units does a concept take? One plot for several generators, or for several concepts.

    python examples/compare_generators.py runs/stylegan2 runs/pggan --concepts window
    python examples/compare_generators.py runs/stylegan2 --concepts window,door,tree

Units are removed in the order in which they match, from the layer that knows most of the concept.
"""

import argparse
from pathlib import Path

import dissect
from dissect.studies.drawing.curves import SIZES, draw_curves, effect_curve
from dissect.studies.originals import Originals, open_models
from dissect.studies.pixels import Treatment, check_present
from dissect.studies.ranking import best_layer, rank_by_match


def main() -> None:
    parser = argparse.ArgumentParser(description="Plot net removed shares over numbers of units.")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--concepts", default="window")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--most", type=int, default=max(SIZES), help="units at the plot's end")
    parser.add_argument("--out", default="curves.svg")
    options = parser.parse_args()

    lines = {}
    for path in options.runs:
        run = dissect.open_run(path)
        bases = {layer: run.basis(layer) for layer, spec in run.specs.items() if spec.basis}
        originals = Originals(*open_models(run), run.config, n_samples=options.samples, bases=bases)
        for concept in options.concepts.split(","):
            check_present(originals, concept)
            layer = best_layer(run, concept)
            order = rank_by_match(run, layer, concept, by="excess")[: options.most]
            curve = effect_curve(originals, Treatment(layer), order, progress=True)
            name = f"{concept}, {run.path.name}" if len(options.runs) > 1 else concept
            lines[name] = curve[curve.concept == concept]
            last = lines[name].iloc[-1]
            print(f"{name}: {last.net_removed_share:.2f} by {last.n_units} units of {layer}")
    plot = draw_curves(
        lines, value="net_removed_share", title="How many units does a concept take?",
        label="share of its pixels net removed, units by excess information",
    )  # fmt: skip
    Path(options.out).write_text(plot)
    print(f"open {options.out}")


if __name__ == "__main__":
    main()
