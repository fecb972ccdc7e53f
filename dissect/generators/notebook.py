"""Display of generators: one line in a terminal, a table of layers in a notebook."""

from typing import TYPE_CHECKING

from segmenters.notebook import describe_object, html_table

if TYPE_CHECKING:
    from dissect.generators.base import Generator


class ShownGenerator:
    """Mixin that displays a generator's layers; the class must have the protocol's members."""

    def __repr__(self: "Generator") -> str:
        size, n_layers = self.image_size, len(self.layers)
        classes = [f"{self.n_classes} classes"] if self.n_classes else []
        facts = [
            f"{size} × {size} pixels", *classes, f"spaces {' '.join(self.spaces)}",
            f"{n_layers} layer{'s' * (n_layers != 1)}",
        ]  # fmt: skip
        return describe_object(type(self).__name__, self.name, facts)

    def _repr_html_(self: "Generator") -> str:
        rows = [
            (name, info.units, f"{info.height} × {info.width}")
            for name, info in self.layers.items()
        ]
        size, spaces = self.image_size, ", ".join(self.spaces)
        title = f"{self.name} ({self.family}): {size} × {size} pixels, spaces {spaces}"
        return html_table(title, ["layer", "units", "size"], rows)
