// Charts of one unit, drawn when its page opens.
"use strict";

const LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]; // Okabe and Ito; names say the same
const DASHES = ["none", "8 4", "2 4", "8 4 2 4"];
// Drawn at the size at which it is shown, so that letters keep theirs on small screens.
const FRAME = { width: innerWidth < 720 ? 352 : 520, height: 280, left: 48, right: 112, top: 24, bottom: 48 };

// Round numbers between two ends.
function ticks(low, high, about = 5) {
  const step = 10 ** Math.floor(Math.log10((high - low) / about || 1));
  const nice = [1, 2, 5, 10].map((k) => k * step).find((k) => (high - low) / k <= about) || step;
  const found = [];
  for (let k = Math.ceil(low / nice - 1e-9); k * nice <= high + nice * 1e-9; k++) {
    found.push(Number((k * nice).toPrecision(6)));
  }
  return found;
}

function frame({ low, high, most, x, y, title }) {
  const { width, height, left, right, top, bottom } = FRAME;
  const span = high > low ? high - low : 1;
  const at = (value) => left + ((width - left - right) * (value - low)) / span;
  const up = (value) => height - bottom - ((height - top - bottom) * value) / most;
  const text = (attributes, label) => s("text", attributes, label);
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": title },
    ticks(0, most, 4).map((tick) => [
      s("path", { d: `M${left} ${up(tick)}H${width - right}`, class: "rule" }),
      text({ x: left - 8, y: up(tick) + 4, class: "tick-text", "text-anchor": "end" }, String(tick)),
    ]),
    ticks(low, high, 5).map((tick) =>
      text({ x: at(tick), y: height - bottom + 20, class: "tick-text", "text-anchor": "middle" }, String(tick))),
    text({ x: left + (width - left - right) / 2, y: height - 8, class: "axis", "text-anchor": "middle" }, x),
    text({ x: left, y: 12, class: "axis", "text-anchor": "start" }, y));
  return { svg, at, up };
}

// Names beside the chart, in the order of the lines' peaks and as near to their heights as there is
// room, each with a piece of its line.
function labels(svg, lines) {
  lines.sort((a, b) => a.y - b.y);
  const left = FRAME.width - FRAME.right + 8;
  const lowest = FRAME.height - FRAME.bottom;
  let last = FRAME.top - 8;
  lines.forEach((line, i) => {
    last = Math.max(last + 16, Math.min(line.y, lowest - 16 * (lines.length - 1 - i)));
    const shown = line.name.length > 11 ? `${line.name.slice(0, 10)}…` : line.name;
    svg.append(
      s("path", { d: `M${left} ${last}h16`, class: "line", stroke: line.colour, "stroke-dasharray": line.dash }),
      s("text", { x: left + 20, y: last + 4, class: "line-name" }, shown, s("title", {}, line.name)));
  });
}

// IoU at every threshold, for the concepts of which the unit tells most.
function thresholdChart(distributions, threshold) {
  const { edges, curves } = distributions;
  const highest = Math.max(0.05, ...curves.flatMap((curve) => curve.values.filter((v) => !Number.isNaN(v))));
  const chart = frame({
    low: edges[0], high: edges[edges.length - 1], most: highest * 1.05,
    x: "threshold, activation", y: "IoU",
    title: `IoU against threshold: ${curves.map((c) => `${run.concepts[c.concept].name} ${two(c.iou)}`).join(", ")}`,
  });
  const ends = curves.map((curve, rank) => {
    const points = edges.map((edge, i) => [chart.at(edge), chart.up(curve.values[i])])
      .filter((point) => !Number.isNaN(point[1]));
    if (!points.length) return null;
    chart.svg.append(s("polyline", {
      points: points.map((p) => p.map((v) => v.toFixed(1)).join()).join(" "),
      class: "line", stroke: LINES[rank], "stroke-dasharray": DASHES[rank],
    }));
    const y = Math.min(...points.map((point) => point[1]));
    return { y, name: run.concepts[curve.concept].name, colour: LINES[rank], dash: DASHES[rank] };
  });
  const x = chart.at(Math.max(edges[0], Math.min(threshold, edges[edges.length - 1])));
  chart.svg.append(
    s("path", { d: `M${x} ${FRAME.top}V${FRAME.height - FRAME.bottom}`, class: "threshold" }),
    s("text", { x: x + 4, y: FRAME.top + 12, class: "tick-text" }, `used ${four(threshold)}`));
  labels(chart.svg, ends.filter(Boolean));
  return chart.svg;
}

function thresholdTable({ edges, curves }) {
  return table(["threshold", ...curves.map((c) => run.concepts[c.concept].name)],
    edges.map((edge, i) => [four(edge), ...curves.map((curve) => curve.values[i].toFixed(3).replace("NaN", "–"))]));
}

// How values are spread, inside the concept and outside. Bins are narrow where values are high, so
// what is drawn is density; what lies beyond the first and the last edge has no width and is told.
function spreadChart({ edges, inside, outside }, concept, threshold) {
  const dense = (shares) => edges.slice(1).map((edge, i) => (edge > edges[i] ? shares[i + 1] / (edge - edges[i]) : 0));
  const parts = [
    { name: "elsewhere", values: dense(outside), colour: "currentColor", dash: "4 3" },
    { name: concept.name, values: dense(inside), colour: LINES[0], dash: "none" },
  ];
  const most = Math.max(1e-6, ...parts.flatMap((part) => part.values));
  const chart = frame({
    low: edges[0], high: edges[edges.length - 1], most: most * 1.05,
    x: "activation", y: "share of pixels for each unit of activation",
    title: `How activations are spread inside ${concept.name} and elsewhere`,
  });
  const ends = parts.map((part) => {
    let path = `M${chart.at(edges[0])} ${chart.up(0)}`;
    part.values.forEach((value, i) => {
      path += `V${chart.up(value).toFixed(1)}H${chart.at(edges[i + 1]).toFixed(1)}`;
    });
    path += `V${chart.up(0)}`;
    chart.svg.append(s("path", {
      d: path, class: "spread", stroke: part.colour, fill: part.colour, "stroke-dasharray": part.dash,
    }));
    return { ...part, y: chart.up(Math.max(...part.values)) };
  });
  const x = chart.at(Math.max(edges[0], Math.min(threshold, edges[edges.length - 1])));
  chart.svg.append(s("path", { d: `M${x} ${FRAME.top}V${FRAME.height - FRAME.bottom}`, class: "threshold" }));
  labels(chart.svg, ends);
  return chart.svg;
}

function spreadTable({ edges, inside, outside }, concept) {
  const percent = (share) => `${(100 * share).toFixed(2)} %`;
  const name = (i) => (i === 0 ? `up to ${four(edges[0])}`
    : i === edges.length ? `above ${four(edges[i - 1])}` : `${four(edges[i - 1])} to ${four(edges[i])}`);
  return table(["activation", concept.name, "elsewhere"],
    inside.map((share, i) => [name(i), percent(share), percent(outside[i])]));
}
