"""The templates of pages: what is put into them is escaped, what is missing is an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from reports.naming import short_name


def template_environment() -> Environment:
    """A fresh environment; each kind of page adds filters of its own to ``short``, of names."""
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short_name
    return environment
