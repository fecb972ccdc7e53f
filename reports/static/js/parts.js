// Parts of pages. Names come from a vocabulary that nobody checked: they are set as text, never as HTML.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

const two = (value) => (value === null || Number.isNaN(value) ? "–" : value.toFixed(2));
const four = (value) => (value === null || Number.isNaN(value) ? "–" : String(Number(value.toPrecision(3))));
const many = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

const layerHref = (number) => `#layer/${encodeURIComponent(run.layers[number].name)}`;
const unitHref = (number, unit) => `${layerHref(number)}/unit/${unit}`;
const conceptHref = (number) => `#concept/${encodeURIComponent(run.concepts[number].name)}`;
const effectHref = (name) => `#effect/${encodeURIComponent(name)}`;

// Of a generator of texts: what a unit stands for, and the text of a sample; otherwise nothing.
const standsFor = (number, unit) => run.unit_names?.[number]?.[unit] ?? null;
const promptOf = (sample) => run.prompts?.[sample] ?? null;

function swatch(colour) {
  return h("span", { class: "swatch", style: { background: colour }, "aria-hidden": "true" });
}

function conceptLink(number) {
  const concept = run.concepts[number];
  return h("a", { href: conceptHref(number), class: "concept-link" }, swatch(concept.colour), concept.name);
}

// A name as one word of a command line.
const quote = (name) => (/^[\w.:@+-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`);

// The rung of evidence that a unit stands on, as a dot of its colour and its word.
function rungMark(unit) {
  if (unit.rung === undefined || unit.rung === null) return null;
  const { name, colour } = run.rungs[unit.rung];
  return h("span", { class: "rung", style: { "--rung": colour } }, h("i"), name);
}

// "b16.conv1 unit 12, window, IoU 0.21": what every picture of a unit is called.
function finding(unit) {
  let named = unit.is_named ? run.concepts[unit.concept].name : "not named";
  if (unit.against !== undefined) named = run.concepts[unit.against].name;
  return `${run.layers[unit.layer].name} unit ${unit.unit}, ${named}, IoU ${two(unit.iou)}`;
}

// A bar from 0 to 1: the value, its interval, a tick at chance. Numbers stand beside it.
function bar(unit, colour) {
  const percent = (value) => `${100 * Math.max(0, Math.min(1, value || 0))}%`;
  return h(
    "span",
    { class: "bar", "aria-hidden": "true", style: { "--value": percent(unit.iou), "--colour": colour } },
    unit.low !== null && unit.low !== undefined &&
      h("i", { class: "interval", style: { left: percent(unit.low), right: percent(1 - unit.high) } }),
    unit.chance !== null && h("i", { class: "tick", style: { left: percent(unit.chance) } }),
  );
}

function hasPicture(number, unit) {
  const shown = run.layers[number].shown;
  return shown === true || (Array.isArray(shown) && shown.includes(unit));
}

const strip = (number, unit, what) =>
  `strips/${encodeURIComponent(run.layers[number].key)}/${unit}${what}.webp`;

// Sets picture and outline of images that are already in place, with sizes that do not change.
function setPictures(number, unit, images, masks) {
  const set = (picture, outline) => {
    for (const image of images) image.src = picture;
    for (const image of masks) {
      if (outline) image.src = outline;
      else image.remove();
    }
  };
  if (run.pictures === "inside") {
    loadLayer(number).then((layer) => {
      const [picture, outline] = layer.strips[unit];
      set(picture, outline);
    });
  } else {
    set(strip(number, unit, ""), run.layers[number].masks ? strip(number, unit, ".mask") : null);
  }
}

// The first images of a unit in a row.
function thumbnails(unit) {
  if (!hasPicture(unit.layer, unit.unit)) return h("div", { class: "thumbs none" }, "no images kept");
  const size = { width: 128 * run.top_images, height: 128, loading: "lazy", decoding: "async" };
  const text = `${finding(unit)}: images on which it fires most`;
  const picture = h("img", { ...size, alt: text });
  const mask = h("img", { ...size, alt: "", class: "mask" });
  const box = h("div", { class: "thumbs" }, picture, mask);
  setPictures(unit.layer, unit.unit, [picture], [mask]);
  return box;
}

// Every image of a unit by itself, cut from the strip by its position.
function tiles(unit, samples, values) {
  if (!hasPicture(unit.layer, unit.unit)) {
    return h("p", { class: "empty" }, "This report keeps no images of this unit.");
  }
  const images = [], masks = [];
  const shown = samples.filter((sample) => sample >= 0);
  const list = shown.map((sample, rank) => {
    const prompt = promptOf(sample);
    const said = prompt === null ? "" : `, “${prompt}”`;
    const at = `${(100 * rank) / Math.max(1, shown.length - 1)}% 0`;
    const size = { width: 128, height: 128, decoding: "async", style: { "object-position": at } };
    const picture = h("img", {
      ...size,
      alt: (rank ? `sample ${sample}` : `${finding(unit)}: the images on which it fires most, sample ${sample}`) + said,
    });
    const mask = h("img", { ...size, alt: "", class: "mask" });
    images.push(picture);
    masks.push(mask);
    return h(
      "li", {},
      h("div", { class: "tile" }, picture, mask),
      h("span", { class: "quiet" }, h("span", { class: "word" }, "sample "), sample), h("span", { class: "quiet" }, four(values[rank])),
      prompt !== null && h("span", { class: "prompt" }, prompt),
    );
  });
  setPictures(unit.layer, unit.unit, images, masks);
  return h("ol", { class: "tiles" }, list);
}

// Samples with the segmenter's own mask of a concept, cut from their strip.
function exampleTiles(number, example) {
  const concept = run.concepts[number];
  const count = example.samples.length;
  const inside = run.pictures_inside;
  const address = (what) => `concepts/${number}${what}.webp`;
  const list = example.samples.map((sample, rank) => {
    const at = `${(100 * rank) / Math.max(1, count - 1)}% 0`;
    const size = { width: 128, height: 128, loading: "lazy", decoding: "async", style: { "object-position": at } };
    const share = `${Number((100 * example.shares[rank]).toPrecision(2))} %`;
    return h(
      "li", {},
      h("div", { class: "tile" },
        h("img", { ...size, src: inside ? example.picture : address(""), alt: `${concept.name} in sample ${sample}, ${share} of the image` }),
        h("img", { ...size, src: inside ? example.mask : address(".mask"), alt: "", class: "mask" })),
      h("span", { class: "quiet" }, h("span", { class: "word" }, "sample "), sample), h("span", { class: "quiet" }, share));
  });
  return h("ol", { class: "tiles examples" }, list);
}

function card(unit) {
  const concept = run.concepts[unit.against === undefined ? unit.concept : unit.against];
  const name = run.layers[unit.layer].name;
  return h(
    "li", { class: unit.is_named ? "card" : "card weak" },
    h("a", { href: unitHref(unit.layer, unit.unit), class: "card-link" },
      h("span", { class: "card-name" }, h("b", {}, unit.showLayer ? `${name} unit ${unit.unit}` : `unit ${unit.unit}`, standsFor(unit.layer, unit.unit) !== null && ` “${standsFor(unit.layer, unit.unit)}”`)),
      thumbnails(unit)),
    h("div", { class: "card-facts" },
      h("span", { class: "card-concept" }, conceptLink(unit.concept),
        unit.note && h("span", { class: "quiet" }, unit.note)),
      h("span", { class: "n" }, h("span", { class: "quiet" }, "IoU "), h("b", {}, two(unit.iou)),
        unit.low !== null && h("span", { class: "quiet" }, ` [${two(unit.low)}, ${two(unit.high)}]`)),
      bar(unit, concept.colour),
      h("span", { class: "quiet card-more" }, h("span", {}, rungMark(unit), unit.information !== undefined && ` information ${two(unit.information)}`),
        h("span", {}, `chance ${two(unit.chance)}`))),
  );
}

// Many cards, a few at a time: the next ones when their place comes near, or by the button.
function cards(units, step = 48) {
  const list = h("ul", { class: "cards" });
  const more = h("button", { type: "button", class: "more" });
  let shown = 0;
  const observer = new IntersectionObserver((entries) => entries.some((e) => e.isIntersecting) && add(), {
    rootMargin: "600px",
  });
  function add() {
    const next = units.slice(shown, shown + step);
    list.append(...next.map(card));
    shown += next.length;
    more.hidden = shown >= units.length;
    more.textContent = `Show more of ${many(units.length, "unit")}, ${units.length - shown} to come`;
    observer.unobserve(more);
    if (!more.hidden) observer.observe(more); // tells at once whether it is still in view
  }
  more.addEventListener("click", add);
  add();
  return h("div", {}, list, more);
}

function table(heads, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": heads[0].text || heads[0] },
    h("table", {},
      h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: i ? "n" : false }, head)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, i) =>
        i ? h("td", { class: "n" }, cell) : h("th", { scope: "row" }, cell)))))));
}

// A table that is made when it is opened.
function behind(summary, make) {
  const details = h("details", {}, h("summary", {}, summary));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(make());
  });
  return details;
}
