"""The command ``trust``: whether a segmenter agrees with itself on a generator's images.

Heavy imports stand inside functions, so that ``--help`` answers at once.
"""

import argparse
import json

from dissect.commands.adding import Add, nothing_kept, print_json
from dissect.errors import ConfigError


def add_trust(add: Add) -> None:
    """Add the subcommand, with ``add(name, command, summary)``."""
    trust = add(
        "trust", _trust, "does a segmenter agree with itself, and another, on generated images?"
    )
    trust.add_argument("segmenter", metavar="SEGMENTER", help="as zoo lists them; join with +")
    trust.add_argument("generator", metavar="GENERATOR")
    trust.add_argument(
        "--against", metavar="SEGMENTER", help="another one, by the same names and by best match"
    )
    trust.add_argument("--samples", type=int, default=64, help="default: %(default)s")
    trust.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    trust.add_argument(
        "--label", type=int, help="class of every sample; each draws its own if left out"
    )
    trust.add_argument("--truncation", type=float, default=1.0, help="ψ; default: %(default)s")
    trust.add_argument(
        "--batch", type=int, default=32, help="samples of one forward pass; %(default)s"
    )
    trust.add_argument("--device", default="cpu", help="default: %(default)s")
    trust.add_argument("--rows", type=int, help="most to print; default: all that occur")


def _trust(options: argparse.Namespace) -> None:
    if options.samples < 1:
        raise ConfigError(
            f"--samples is {options.samples}; expected at least 1; 64 is a good start"
        )
    from dissect.config import RunConfig
    from dissect.counting.samples import check_device
    from dissect.counting.trust import measure_trust
    from dissect.generators import load_generator
    from dissect.terminal import describe_trust
    from segmenters import load_segmenter

    config = RunConfig(
        options.generator, options.segmenter, (), n_samples=max(16, options.samples),
        seed=options.seed, label=options.label, truncation=options.truncation, block=options.batch,
    )  # fmt: skip
    check_device(options.device)
    segmenter = load_segmenter(options.segmenter, device=options.device)
    other = options.against and load_segmenter(options.against, device=options.device)
    generator = load_generator(options.generator, device=options.device)
    with nothing_kept("nothing was measured to its end, nothing is kept"):
        found, comparison = measure_trust(
            segmenter, generator, config, n_samples=options.samples, other=other
        )
    table = found.table()
    if comparison is not None:
        table = table.merge(comparison.table(), on="concept", validate="one_to_one")
    if options.json:
        print_json(
            {
                "segmenter": segmenter.name,
                "against": None if other is None else other.name,
                "generator": generator.name,
                "samples": options.samples,
                "seed": options.seed,
                "concepts": json.loads(table.to_json(orient="records", double_precision=15)),
            }
        )
        return
    against = "" if other is None else f" · against {other.name}"
    print(
        f"{segmenter.name}{against} · {generator.name} · {options.samples:,} samples of seed "
        f"{options.seed}\n"
    )
    print(describe_trust(table, options.rows))
