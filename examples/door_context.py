"""A door in a wall, not in the sky: the same units inserted at many places, by what was there.

    dissect run scenes-stylegan2 --segmenter scenes --samples 500 --out runs/a
    python examples/door_context.py runs/a --layer b8.conv1 --value q0.99

Works for any run and concept: --concept tree --units 10.
"""

import argparse

import dissect
from dissect.studies import measure


def main() -> None:
    parser = argparse.ArgumentParser(description="Group what units insert by what was there.")
    parser.add_argument("run")
    parser.add_argument("--concept", default="door")
    parser.add_argument("--layer", help="default: the one whose units tell most of the concept")
    parser.add_argument("--units", type=int, default=20)
    parser.add_argument("--value", default="mean")
    parser.add_argument("--samples", type=int, default=100)
    options = parser.parse_args()

    effect = measure(
        dissect.open_run(options.run),
        "context",
        concept=options.concept,
        layer=options.layer,
        n_units=options.units,
        value=options.value,
        n_samples=options.samples,
    ).effect
    summary = effect.record["summary"]
    print(f"boxes of {summary['side']} pixels, units {summary['units']} of {summary['layer']}")
    for row in summary["contexts"]:
        if row["added_share"] is None:  # nothing but the concept was there
            continue
        marked = " (few boxes)" if row["few"] else ""
        print(
            f"{row['context']:<12} {row['added_share']:.2f} "
            f"[{row['added_share_low']:.2f}, {row['added_share_high']:.2f}] becomes "
            f"{options.concept}, {row['random']['added_share']:.2f} by random units; image changes "
            f"by {row['change']:.3f}; {row['places']} boxes{marked}"
        )
    print(f"see {effect.path / 'sheet.png'} and {effect.path / 'contexts.svg'}")


if __name__ == "__main__":
    main()
