"""Display of runs: one line in a terminal, a table of layers in a notebook."""

from dissect.runs.summary import Run, summarise
from segmenters.notebook import describe_object, html_table


class ShownRun:
    """Mixin that displays a ``Run``."""

    def __repr__(self: Run) -> str:
        config, n_layers = self.config, len(self.layers)
        facts = [
            f"{config.generator} seen by {config.segmenter}", f"{config.n_samples:,} samples",
            f"{n_layers} layer{'s' * (n_layers != 1)}",
            f"{sum(info.units for info in self.layers.values()):,} units",
        ]  # fmt: skip
        return describe_object("Run", str(self.path), facts)

    def _repr_html_(self: Run) -> str:
        summary = summarise(self)
        rows = [
            (
                name, layer["units"], layer["matches"], layer["named"],
                ", ".join(f"{concept} {n}" for concept, n in list(layer["concepts"].items())[:5]),
            )
            for name, layer in summary["layers"].items()
        ]  # fmt: skip
        models = f"{summary['generator']} seen by {summary['segmenter']}"
        return html_table(
            f"{self.path.name}: {models}, {summary['samples']:,} samples",
            ["layer", "units", "match", "named", "most frequent labels"],
            rows,
        )
