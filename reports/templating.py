"""The templates of pages: what is put into them is escaped, what is missing is an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def template_environment() -> Environment:
    """A fresh environment; each kind of page adds filters of its own."""
    return Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
