"""Plotly figures. app.css sets the colours of text and lines, so that they follow the theme."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from dash import dcc, html
from dash.development.base_component import Component
from jaxtyping import Float

from dashboard.components.attributes import aria

_CONFIG: Any = {"displaylogo": False, "displayModeBar": False, "showSendToCloud": False}


def figure(name: str, content: go.Figure, label: str) -> Component:
    """A figure with a text description."""
    graph = dcc.Graph(id=name, figure=content, config=_CONFIG, className="graph", responsive=True)
    return html.Div(graph, role="img", **aria(label=label))


def iou_curves(
    edges: Float[np.ndarray, " edge"],
    curves: Sequence[tuple[str, str, Float[np.ndarray, " edge"]]],
    threshold: float,
) -> go.Figure:
    """IoU against the threshold: a line for each ``(name, colour, iou)``, labelled at its peak."""
    content = _blank("threshold (activation)", "IoU")
    for index, (name, colour, iou) in enumerate(curves):
        dash = ("solid", "dash", "dot")[index % 3]
        line = {"color": colour, "width": 3, "dash": dash}
        hover = f"{name}<br>above %{{x:.3g}}: IoU %{{y:.2f}}<extra></extra>"
        content.add_scatter(x=edges, y=iou, mode="lines", name=name, line=line, hovertemplate=hover)
    content.add_vline(x=threshold, line={"width": 1, "dash": "dot", "color": "#808080"})
    content.update_layout(showlegend=True)
    content.update_yaxes(rangemode="tozero")
    return content


def histograms(
    centres: Float[np.ndarray, " bin"],
    shares: Sequence[tuple[str, str, Float[np.ndarray, " bin"]]],
    threshold: float,
) -> go.Figure:
    """Share of pixels per bin of activation for ``(name, colour, share)``, as steps."""
    content = _blank("activation", "share of pixels (log)")
    for index, (name, colour, share) in enumerate(shares):
        line = {"color": colour, "width": 3, "shape": "hvh", "dash": ("solid", "dot")[index % 2]}
        hover = f"{name}<br>near %{{x:.3g}}: %{{y:.2%}}<extra></extra>"
        values = np.where(share > 0, share, np.nan)
        content.add_scatter(
            x=centres, y=values, mode="lines", name=name, line=line, hovertemplate=hover
        )
    content.add_vline(x=threshold, line={"width": 1, "dash": "dot", "color": "#808080"})
    content.update_layout(showlegend=True)
    content.update_yaxes(type="log", tickformat="~%", dtick=1)
    return content


def _blank(x: str, y: str) -> go.Figure:
    axis = {"fixedrange": True, "zeroline": False, "gridcolor": "rgba(128,128,128,0.25)"}
    return go.Figure(
        layout={
            "height": 280,
            "margin": {"l": 56, "r": 16, "t": 32, "b": 48},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "size": 13},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "xaxis": axis | {"title": {"text": x}},
            "yaxis": axis | {"title": {"text": y}},
        }
    )
