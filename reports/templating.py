"""The Jinja templates of pages: values are escaped, and a missing value is an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from reports.naming import short_name


def template_environment() -> Environment:
    """A new environment with the filter ``short`` for names; each kind of page adds its own."""
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short_name
    return environment
