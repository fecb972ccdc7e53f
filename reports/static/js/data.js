// Data: what the page holds itself, and layers that come when they are asked for. From a file nothing
// can be fetched, so a layer is a script that hands itself over: report.data("name", {...}).
"use strict";

const report = (() => {
  const held = new Map();
  const waiting = new Map();

  function data(name, value) {
    held.set(name, value);
    for (const ready of waiting.get(name) || []) ready.resolve(value);
    waiting.delete(name);
  }

  function load(name, address) {
    if (held.has(name)) return Promise.resolve(held.get(name));
    const inside = document.getElementById(`data:${name}`);
    if (inside) {
      data(name, JSON.parse(inside.textContent));
      return Promise.resolve(held.get(name));
    }
    return new Promise((resolve, reject) => {
      const others = waiting.get(name);
      if (others) {
        others.push({ resolve, reject });
        return;
      }
      waiting.set(name, [{ resolve, reject }]);
      const script = document.createElement("script");
      script.src = address;
      script.onerror = () => {
        for (const one of waiting.get(name) || []) one.reject(new Error(address));
        waiting.delete(name);
        script.remove();
      };
      document.head.append(script);
    });
  }

  return { data, load };
})();

const run = JSON.parse(document.getElementById("run").textContent);
const layerNumber = new Map(run.layers.map((layer, number) => [layer.name, number]));
const conceptNumber = new Map(run.concepts.map((concept, number) => [concept.name, number]));

function loadLayer(number) {
  const layer = run.layers[number];
  return report.load(`layer/${layer.key}`, `data/layers/${encodeURIComponent(layer.key)}.js`);
}

function loadConcepts() {
  return report.load("concepts", "data/concepts.js");
}

// 16-bit shares of one, 65535 where there is none; `count` of them from `start` on.
function decode(text, start, count) {
  // Whole groups of three bytes begin every 4 letters: take those that hold what is asked for.
  const first = Math.floor((2 * start) / 3);
  const bytes = atob(text.slice(4 * first, 4 * Math.ceil((2 * (start + count)) / 3)));
  const values = new Array(count);
  for (let i = 0; i < count; i++) {
    const at = 2 * (start + i) - 3 * first;
    const code = bytes.charCodeAt(at) + 256 * bytes.charCodeAt(at + 1);
    values[i] = code === 65535 ? NaN : code / 65534;
  }
  return values;
}

function unitDistributions(layer, unit) {
  const n = layer.n_edges;
  const width = layer.high[unit] - layer.low[unit];
  const edges = decode(layer.edges, unit * n, n).map((share) => layer.low[unit] + share * width);
  const kept = layer.best[unit].length;
  const curves = layer.best[unit].map((best, rank) => ({
    concept: best[0],
    iou: best[1],
    chance: best[2],
    values: decode(layer.curves, (unit * kept + rank) * n, n),
  }));
  const spread = (text) =>
    decode(text, unit * (n + 1), n + 1).map((share) => share * layer.most[unit]);
  return { edges, curves, inside: spread(layer.inside), outside: spread(layer.outside) };
}

// A layer's numbers of one unit, by name.
function unitOf(layer, number, unit) {
  const found = { layer: number, unit, concept: layer.concept[unit] };
  for (const [key, values] of Object.entries(layer.numbers)) found[key] = values[unit];
  for (const { key, digits } of run.columns) if (!digits) found[key] = Boolean(found[key]);
  found.is_named = found.rung >= run.label_rung;
  return found;
}
