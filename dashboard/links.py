"""Addresses of pages. Names may contain any character; each one is one part of the path."""

from urllib.parse import quote, urlencode


def run_href(run_id: str, page: str = "") -> str:
    """A page of a run; its overview if none is named."""
    return f"/run/{_part(run_id)}" + (f"/{page}" if page else "")


def unit_href(run_id: str, layer: str, unit: int) -> str:
    """A unit."""
    return f"/run/{_part(run_id)}/layer/{_part(layer)}/unit/{int(unit)}"


def concept_href(run_id: str, concept: str) -> str:
    """A concept over all layers."""
    return f"/run/{_part(run_id)}/concept/{_part(concept)}"


def compare_href(a: str, b: str) -> str:
    """Two runs side by side."""
    return "/compare?" + urlencode({"a": a, "b": b})


def _part(name: str) -> str:
    # A part of only dots would be read as a relative path.
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")
