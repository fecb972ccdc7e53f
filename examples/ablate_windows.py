"""Which units draw the windows? Removes those that match best, and those that a search finds.

    dissect run scenes-stylegan2 --segmenter scenes --layers b16.conv1 --out runs/a
    python examples/ablate_windows.py runs/a

Works for any run and concept: --concept tree --units 10.
"""

import argparse

import dissect
from dissect.studies import measure


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare orders of units by what they remove.")
    parser.add_argument("run")
    parser.add_argument("--concept", default="window")
    parser.add_argument("--units", type=int, default=16)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--orders", default="iou,sweep,greedy,optimise")
    options = parser.parse_args()

    run = dissect.open_run(options.run)
    for order in options.orders.split(","):
        effect = measure(
            run,
            "ablate",
            concept=options.concept,
            n_units=options.units,
            order=order,
            n_samples=options.samples,
        ).effect
        summary = effect.record["summary"]
        target, random = summary["target"], summary["matched"] or summary["random"]
        low, high = target["net_removed_share_low"], target["net_removed_share_high"]
        print(
            f"{order:<7} {target['net_removed_share']:.2f} [{low:.2f}, {high:.2f}] of "
            f"{options.concept} net removed; {random['net_removed_share']:.2f} by random units "
            f"that change images as strongly; see {effect.path / 'sheet.png'}"
        )
        # The recipe goes wherever a generator goes: the same units are away in any image.
        generator = dissect.load_generator(run.config.generator)
        with dissect.intervene(generator, effect.edits):
            generator.synthesize(generator.sample([10**6], seed=run.config.seed))


if __name__ == "__main__":
    main()
