// The pages that are made from data: a layer, a unit, a concept. Each returns a title and its content.
"use strict";

const crumbs = (...links) => h("nav", { class: "crumbs", "aria-label": "Where this page is" }, links.map((link, i) => [i > 0 && " › ", link]));

const ORDERS = {
  excess: ["what it tells beyond chance", (a, b) => down(a.excess, b.excess)],
  ...Object.fromEntries(run.columns.filter(({ falling }) => falling !== null).map(({ key, full, falling }) =>
    [key, [full, falling ? (a, b) => down(a[key], b[key]) : (a, b) => up(a[key], b[key])]])),
  concept: ["concept", (a, b) => run.concepts[a.concept].name.localeCompare(run.concepts[b.concept].name) || down(a.excess, b.excess)],
  unit: ["number", (a, b) => a.unit - b.unit],
};
const SHOWN = { all: "all units", yes: "named", no: "not named" };
const MOST_BARS = 20;

function down(a, b) {
  return (b === null ? -1 : b) - (a === null ? -1 : a);
}

function up(a, b) {
  return (a === null ? 2 : a) - (b === null ? 2 : b);
}

// A value of a column as people read it.
function shown({ digits, words }, value) {
  if (!digits) return value ? "yes" : "no";
  if (value === null || value === undefined) return "–";
  if (words.length) return words[value];
  const places = Number(digits.slice(1, -1));
  return digits.endsWith("f") ? value.toFixed(places) : String(Number(value.toPrecision(places)));
}

const interval = (unit) => `${two(unit.low)} – ${two(unit.high)}`;

// Layer: which concepts it knows, and all of its units.
async function layerPage(number, options, change) {
  const layer = await loadLayer(number);
  const info = run.layers[number];
  const units = layer.concept.map((_, unit) => unitOf(layer, number, unit));
  const found = units.filter((unit) => unit.is_named);
  const counts = new Map();
  for (const unit of found) counts.set(unit.concept, (counts.get(unit.concept) || 0) + 1);
  const order = options.sort in ORDERS ? options.sort : "excess";
  const state = options.show in SHOWN ? options.show : "all";
  const wanted = conceptNumber.has(options.concept) ? conceptNumber.get(options.concept) : null;
  const chosen = units
    .filter((unit) => wanted === null || unit.concept === wanted)
    .filter((unit) => state === "all" || unit.is_named === (state === "yes"))
    .sort((a, b) => ORDERS[order][1](a, b) || a.unit - b.unit);

  const select = (label, name, values, current) =>
    h("label", {}, `${label} `, h("select", { name, onchange: (event) => change({ ...options, [name]: event.target.value }) },
      values.map(([value, text]) => h("option", { value, selected: value === current }, text))));
  const concepts = [...new Set(units.map((unit) => unit.concept))].sort((a, b) => a - b);
  const form = h("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
    select("Sort by", "sort", Object.entries(ORDERS).map(([k, v]) => [k, v[0]]), order),
    select("Concept", "concept", [["", "all"], ...concepts.map((c) => [run.concepts[c].name, run.concepts[c].name])],
      wanted === null ? "" : run.concepts[wanted].name),
    select("Show", "show", Object.entries(SHOWN), state),
    h("output", { "aria-live": "polite" }, `${chosen.length.toLocaleString("en")} of ${many(layer.units, "unit")}`));

  return {
    title: info.name,
    content: [
      crumbs(h("a", { href: "#layers" }, "Layers"), info.name),
      h("h1", {}, info.name),
      h("p", { class: "lead" },
        `${found.length.toLocaleString("en")} of ${many(layer.units, "unit")} of this layer (maps of ${layer.height} × ${layer.width}) ${run.knows_names ? "are named, after" : "match a concept better than chance, of"} ${many(counts.size, "concept")}. `,
        info.rotated !== null && `In a random rotation of the layer ${info.rotated} are.`),
      h("p", {}, info.axes),
      h("h2", {}, "How many units are named after each concept?"),
      counts.size ? conceptBars(number, counts, wanted, (c) =>
        change({ ...options, concept: c === wanted ? "" : run.concepts[c].name }))
        : h("p", { class: "empty" }, "No unit of this layer is named after a concept."),
      h("h2", { id: "units" }, "Which units are these?"),
      h("p", {}, `Each with the images on which it fires most; the outline is where it is above its threshold. The line through a bar is the 95 % interval of the IoU, the tick its chance level${run.pictures ? "" : "; this report has no images"}.`),
      form,
      chosen.length ? cards(chosen) : h("p", { class: "empty" }, "No unit is like that. ",
        h("button", { type: "button", onclick: () => change({}) }, "Show all units")),
      behind("The same as a table", () => unitTable(chosen)),
    ],
  };
}

function conceptBars(number, counts, wanted, choose) {
  const ordered = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const most = ordered[0][1];
  const line = ([concept, count]) => {
    const { name, category, colour } = run.concepts[concept];
    return h("li", {},
      h("button", { type: "button", "aria-pressed": String(concept === wanted), onclick: () => choose(concept),
        "aria-label": `${name}, ${category}: ${many(count, "unit")}. Show only these`, title: "show only these" },
      h("span", { class: "count-name" }, name, h("span", { class: "quiet" }, ` ${category}`)),
      h("span", { class: "count-bar" }, h("i", { style: { width: `${(100 * count) / most}%`, background: colour } })),
      h("span", { class: "n" }, count)));
  };
  const list = h("ol", { class: "counts" }, ordered.slice(0, MOST_BARS).map(line));
  const rest = ordered.slice(MOST_BARS);
  if (!rest.length) return list;
  const more = h("button", { type: "button", class: "more", onclick: () => {
    list.append(...rest.map(line));
    more.remove();
  } }, `Show ${many(rest.length, "more concept")}`);
  return h("div", {}, list, more);
}

function unitTable(units) {
  const cells = (column, unit) => column.key === "iou" ? [shown(column, unit.iou), interval(unit)] : [shown(column, unit[column.key])];
  return table(
    ["Unit", "concept", ...run.columns.flatMap(({ key, title }) => (key === "iou" ? [title, "95 %"] : [title]))],
    units.map((unit) => [
      h("a", { href: unitHref(unit.layer, unit.unit) }, `unit ${unit.unit}`), run.concepts[unit.concept].name,
      ...run.columns.flatMap((column) => cells(column, unit)),
    ]));
}

// Unit: everything that is known of it.
async function unitPage(number, unit) {
  const layer = await loadLayer(number);
  const info = run.layers[number];
  const word = standsFor(number, unit);
  if (!(unit >= 0 && unit < layer.units)) return missingPage(`${info.name} has no unit ${unit}; it has 0 to ${layer.units - 1}`);
  const facts = unitOf(layer, number, unit);
  const concept = run.concepts[facts.concept];
  const spread = unitDistributions(layer, unit);
  const step = (to, text) => to >= 0 && to < layer.units
    ? h("a", { href: unitHref(number, to), rel: text === "←" ? "prev" : "next", "aria-label": `unit ${to}` }, `${text} ${to}`) : null;
  const match = `IoU ${two(facts.iou)} [${two(facts.low)}, ${two(facts.high)}], chance ${two(facts.chance)}`;
  const fact = (name, value, meaning) => h("div", { title: meaning }, h("dt", {}, name), h("dd", {}, value));
  return {
    title: `${info.name} unit ${unit}`,
    content: [
      crumbs(h("a", { href: "#layers" }, "Layers"), h("a", { href: layerHref(number) }, info.name), `unit ${unit}`),
      h("div", { class: "heading" }, h("h1", {}, `${info.name} unit ${unit}`, word !== null && h("span", { class: "stands-for" }, ` “${word}”`)), rungMark(facts), h("span", { class: "steps" }, step(unit - 1, "←"), step(unit + 1, "→"))),
      h("p", { class: "lead" }, facts.is_named
        ? [run.knows_names ? "It is named after " : "It matches ", conceptLink(facts.concept), `: ${match}.`]
        : [facts.rung >= 1 ? "It is not named. It matches " : "It is not named. Nearest is ", conceptLink(facts.concept), `, ${match}: ${whyNot(facts)}.`]),
      word !== null && h("p", {}, `Its map is the share of attention that each place pays to “${word}”.`),
      h("h2", {}, "Where does it fire most?"),
      h("p", {}, `The ${many(layer.samples[unit].length, "sample")} with its highest activations${info.masks ? `; outlined where it is above ${four(facts.threshold)}` : ""}. Below each: which sample of seed ${run.seed}, and the activation.`),
      tiles(facts, layer.samples[unit], layer.values[unit]),
      h("dl", { class: "facts" },
        run.columns.map((column) => column.key === "iou"
          ? fact("IoU, 95 % interval", `${two(facts.iou)} [${two(facts.low)}, ${two(facts.high)}]`, column.meaning)
          : fact(column.full, shown(column, facts[column.key]), column.meaning))),
      h("div", { class: "pair" },
        h("section", {}, h("h2", {}, "At which threshold does it match best?"), thresholdChart(spread, facts.threshold),
          behind("IoU at each threshold", () => thresholdTable(spread))),
        h("section", {}, h("h2", {}, `Does it tell ${concept.name} from the rest?`), spreadChart(spread, concept, facts.threshold),
          h("p", { class: "quiet small" }, `Beyond the ends: up to ${four(spread.edges[0])} lie ${Math.round(100 * spread.inside[0])} % of ${concept.name} and ${Math.round(100 * spread.outside[0])} % elsewhere.`),
          behind("Shares of pixels as a table", () => spreadTable(spread, concept)))),
      h("h2", {}, "Which concepts does it match?"),
      table(["Concept", "IoU", "chance"], layer.best[unit].map(([c, iou, chance]) => [conceptLink(c), two(iou), two(chance)])),
      h("h2", {}, "Which units fire together with it?"),
      coactiveUnits(layer, number, unit),
      h("h2", {}, "What does it cause?"),
      effectsOf((effect) => (effect.layers[info.name] || []).includes(unit),
        `No measured set of units holds this one. dissect ablate RUN --concept ${quote(concept.name)} --layer ${quote(info.name)} measures what units do.`),
    ],
  };
}

// Which of the rules a unit fails.
function whyNot(facts) {
  const { iou, over, q, compat } = run.floors;
  if (!(facts.iou > iou)) return `an IoU of at most ${iou} is no match`;
  if (compat) return "it tells too little of it";
  if (!(facts.over > over)) return "too near what it would reach by chance";
  if (!facts.halves) return "the two halves of the samples name different concepts";
  if (facts.rung >= 1 && facts.top_low <= 0.5) return "in too few of its top images the concept fills half of what it outlines";
  if (facts.rung >= 1 && !facts.selective) return "another concept is too close behind";
  if (facts.rung >= 1) return "random mixtures of the layer tell as much";
  return `so few samples do not rule out chance (q ${four(facts.q)}, at most ${q} is asked for)`;
}

function coactiveUnits(layer, number, unit) {
  if (layer.coactive === null) {
    return h("p", { class: "empty" }, "This run did not count co-activation; one made with ", h("code", {}, "--coactivation"), " does.");
  }
  if (!layer.coactive[unit].length) return h("p", { class: "empty" }, "No unit of this layer rises and falls with it.");
  return h("div", {},
    h("p", {}, "Units of the layer whose mean activation rises and falls with its own over the images; r is the correlation."),
    h("ul", { class: "cards" }, layer.coactive[unit].map(([other, r]) =>
      card({ ...unitOf(layer, number, other), note: ` r ${r.toFixed(2)}` }))));
}

function effectsOf(choose, none) {
  const found = run.effects.filter(choose);
  if (!found.length) return h("p", { class: "empty" }, none);
  return h("ul", {}, found.map((effect) =>
    h("li", {}, h("a", { href: effectHref(effect.name) }, effect.name), `: ${effect.text}`)));
}

// Concept: its units over all layers.
async function conceptPage(number) {
  const concept = run.concepts[number];
  const data = await loadConcepts();
  const pairs = data.pairs[number].map(([layer, unit, iou, low, high, chance, named]) => ({
    layer, unit, iou, low, high, chance, concept: named < 0 ? number : named, is_named: named >= 0, showLayer: true,
    against: named === number ? undefined : number, own: named === number,
    note: named < 0 ? " nearest" : "",
  }));
  const own = pairs.filter((pair) => pair.own);
  const others = pairs.filter((pair) => !pair.own).slice(0, 12);
  const most = Math.max(1, ...concept.counts);
  return {
    title: concept.name,
    content: [
      crumbs(h("a", { href: "#concepts" }, "Concepts"), concept.name),
      h("h1", {}, swatch(concept.colour), concept.name),
      h("p", { class: "lead" }, `A concept of the category ${concept.category} on ${(100 * concept.area).toFixed(1)} % of the pixels. ${many(concept.units, "unit")} ${concept.units === 1 ? "is" : "are"} named after it.`),
      h("h2", {}, "What does the segmenter take for it?"),
      exampleMasks(number, data.examples[number]),
      trustOf(concept),
      h("h2", {}, "Which layers know it?"),
      h("ol", { class: "counts" }, run.layers.map((layer, i) => h("li", {},
        h("a", { href: `${layerHref(i)}?concept=${encodeURIComponent(concept.name)}`, "aria-label": `${layer.name}: ${concept.counts[i]} of ${many(layer.units, "unit")}` },
          h("span", { class: "count-name" }, layer.name),
          h("span", { class: "count-bar" }, h("i", { style: { width: `${(100 * concept.counts[i]) / most}%`, background: concept.colour } })),
          h("span", { class: "n" }, `${concept.counts[i]} of ${layer.units}`))))),
      h("h2", {}, "Which units are named after it?"),
      own.length ? [
        h("p", {}, concept.units > own.length ? `The clearest ${own.length} of ${concept.units}, over all layers. ` : "Over all layers, the clearest first. ",
          "The outlines show what each unit takes for it."),
        cards(own, 24)] : h("p", { class: "empty" }, "No unit is named after it."),
      others.length > 0 && [
        h("h2", {}, "Which other units tell of it?"),
        h("p", {}, `They are named after something else, or nothing. IoU and chance here are those with ${concept.name}; the outline is that of their own concept.`),
        h("ul", { class: "cards" }, others.map(card))],
      behind("The same as a table", () => table(["Unit", "named", "IoU", "95 %", "chance"], pairs.map((pair) => [
        h("a", { href: unitHref(pair.layer, pair.unit) }, `${run.layers[pair.layer].name} unit ${pair.unit}`),
        pair.is_named ? run.concepts[pair.concept].name : "–", two(pair.iou), `${two(pair.low)} – ${two(pair.high)}`, two(pair.chance)]))),
      h("h2", {}, "What causes it?"),
      effectsOf((effect) => effect.concept === concept.name, `Nothing was measured yet; dissect ablate RUN --concept ${quote(concept.name)} does.`),
    ],
  };
}

function exampleMasks(number, example) {
  const none = (text) => h("p", { class: "empty" }, text);
  if (!run.examples) return none("This run keeps no masks of the segmenter; one made by a newer version does.");
  if (example === 0) return none("This file keeps no masks of concepts that label none of its units; a report in a folder does.");
  if (example === null) return none("It is nowhere in the few samples that masks were kept of.");
  return [
    h("p", {}, `Of the first ${many(run.trust_images, "sample")} of seed ${run.seed} those in which its mask is largest; the outline is the segmenter’s mask. Below each: which sample, and how much of the image it covers.`),
    exampleTiles(number, example)];
}

// How far the masks of a concept agree with themselves, where the run measured it.
function trustOf(concept) {
  if (run.trust_images === null) return h("p", { class: "quiet" }, "This run did not measure how far masks are to be trusted.");
  if (!concept.trust) return h("p", { class: "quiet" }, "How far its masks are to be trusted is not known: they were seen in no sample that was looked at.");
  const { flip, shift, rescale, images } = concept.trust;
  return h("p", {}, `Its masks agree with themselves to ${two(flip)} when the image is mirrored, to ${two(shift)} when it is shifted by a sixteenth, and to ${two(rescale)} when it is enlarged by a quarter: IoU over ${images} of ${many(run.trust_images, "sample")}. A unit is known no better than the masks it is compared with.`);
}

function missingPage(text) {
  return { title: "Not here", content: [h("h1", {}, "That page is not in this report"), h("p", {}, text), h("p", {}, h("a", { href: "#summary" }, "To the summary"))] };
}
