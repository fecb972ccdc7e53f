// Which page an address names, and the controls that are on all of them.
"use strict";

const STATIC = ["summary", "layers", "concepts", "effects", "directions", "methods"].filter((name) => document.getElementById(name));
const main = document.querySelector("main");
const made = document.getElementById("made");
const pages = new Map(STATIC.map((name) => [name, document.getElementById(name)]));
let turn = 0;

// "#layer/b16.conv1/unit/12?sort=iou" → parts and options.
function readAddress() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const options = Object.fromEntries(new URLSearchParams(query || ""));
  const parts = path.split("/").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return { parts, options };
}

function change(options) {
  const kept = Object.entries(options).filter(([, value]) => value);
  const query = new URLSearchParams(kept).toString();
  const path = location.hash.split("?")[0];
  history.replaceState(null, "", query ? `${path}?${query}` : path);
  const active = document.activeElement;
  const name = active && active.getAttribute("name");
  const label = active && active.getAttribute("aria-label");
  const scroll = window.scrollY;
  show({ keep: true }).then(() => {
    // The controls are new ones: whoever used one stays at it.
    const next = [...made.querySelectorAll("select, button")].find((one) =>
      name ? one.name === name : label && one.getAttribute("aria-label") === label);
    if (next) next.focus({ preventScroll: true });
    window.scrollTo(0, scroll);
  });
}

function choosePage({ parts, options }) {
  const [kind, name, what, unit] = parts;
  if (kind === "layer" && layerNumber.has(name)) {
    const number = layerNumber.get(name);
    return what === "unit" ? unitPage(number, Number(unit)) : layerPage(number, options, change);
  }
  if (kind === "layer") return missingPage(`It has no layer ${name}.`);
  if (kind === "concept" && conceptNumber.has(name)) return conceptPage(conceptNumber.get(name));
  if (kind === "concept") return missingPage(`It has no concept ${name}.`);
  return missingPage(`Nothing has the address ${location.hash}.`);
}

async function show({ keep = false } = {}) {
  const own = ++turn;
  const address = readAddress();
  const kind = address.parts[0] || "summary";
  const target = kind === "effect" ? "effects" : kind;
  const fixed = pages.get(target);
  for (const [name, page] of pages) page.hidden = name !== target;
  for (const link of document.querySelectorAll("#pages a")) {
    const current = link.hash === `#${target}` || (link.hash === "#layers" && kind === "layer") || (link.hash === "#concepts" && kind === "concept");
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  made.hidden = Boolean(fixed);
  if (fixed) {
    made.replaceChildren();
    document.title = run.title;
    const place = kind === "effect" ? document.getElementById(`effect:${address.parts[1]}`) : null;
    if (place) place.scrollIntoView();
    else window.scrollTo(0, 0);
    if (location.hash) focusHeading(place || fixed);
    return;
  }
  made.setAttribute("aria-busy", "true");
  let page;
  try {
    page = await choosePage(address);
  } catch (error) {
    page = { title: "Not to be read", content: [h("h1", {}, "This part of the report could not be read"),
      h("p", {}, `${error.message} is missing or damaged. The folder must stay whole: index.html needs data and strips beside it.`)] };
  }
  if (own !== turn) return; // another page was asked for meanwhile
  made.removeAttribute("aria-busy");
  made.replaceChildren(...page.content.flat(Infinity).filter(Boolean));
  document.title = `${page.title} · ${run.title}`;
  if (!keep) {
    window.scrollTo(0, 0);
    focusHeading(made);
  }
}

// Whoever reads by ear hears where they are.
function focusHeading(page) {
  const heading = page.querySelector("h1, h2, h3");
  if (!heading) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

const masks = document.getElementById("masks");
function toggleMasks() {
  const off = document.documentElement.classList.toggle("no-masks");
  masks.setAttribute("aria-pressed", String(!off));
}
masks.addEventListener("click", toggleMasks);
masks.hidden = !run.examples && !run.layers.some((layer) => layer.masks);

const theme = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
function setTheme(name) {
  document.documentElement.style.colorScheme = name;
  theme.setAttribute("aria-pressed", String(name === "dark"));
}
theme.setAttribute("aria-pressed", String(dark.matches));
theme.addEventListener("click", () => setTheme(theme.getAttribute("aria-pressed") === "true" ? "light" : "dark"));
dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
theme.hidden = false;

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "m" && !masks.hidden) toggleMasks();
  const way = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const link = way && !event.target.closest(".scroll") && made.querySelector(`a[rel="${way}"]`);
  if (link) location.hash = link.hash;
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // it is no page
  main.focus();
});

document.documentElement.classList.add("scripted");
addEventListener("hashchange", () => show());
show();
