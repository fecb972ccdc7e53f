// The page of units: facets with counts, and units that are ticked for what is done with several.

// The facet and value that was clicked last: dash may draw a facet anew, and the focus stays there.
const clicked = { name: null, key: null, scrolled: 0 };

// A list of values with how many units each would give; the store of the same name holds the value.
function drawFacet(box) {
  const { name, title, value, options } = JSON.parse(box.dataset.facet);
  const heading = makeElement("h2", "facet-title", title);
  heading.id = `units-facet-${name}`;
  const list = makeElement("div", "facet-values");
  list.setAttribute("role", "group");
  list.setAttribute("aria-labelledby", heading.id);
  list.dataset.roving = "button";
  for (const { key, label, count, colour } of options) {
    const words = makeElement("span", "facet-label", label);
    if (colour) words.prepend(withStyle(makeElement("span", "swatch"), { background: colour }));
    const button = makeElement("button", "facet-value", words, makeElement("span", "n", count));
    button.type = "button";
    button.dataset.value = key;
    button.setAttribute("aria-pressed", String(key === value));
    // What is chosen already gives way to all.
    const next = key === value ? options[0].key : key;
    button.addEventListener("click", () => {
      Object.assign(clicked, { name, key, scrolled: list.scrollTop });
      window.dash_clientside.set_props(`units-${name}`, { data: next });
    });
    list.append(button);
  }
  box.replaceChildren(heading, list);
  if (clicked.name !== name) return;
  list.scrollTop = clicked.scrolled;
  const nowhere = !document.activeElement || !document.activeElement.isConnected || document.activeElement === document.body;
  const again = [...list.children].find((one) => one.dataset.value === clicked.key);
  clicked.name = null;
  if (again && nowhere) again.focus({ preventScroll: true });
}

// Units that are ticked, of one run, until another run is looked at: key → layer, unit, concept.
const picked = { run: null, units: new Map() };

function addPick(card, data) {
  const { layer, unit, concept } = data.pick;
  const key = `${layer}:${unit}`;
  const box = document.createElement("input");
  box.type = "checkbox";
  box.className = "pick";
  box.tabIndex = -1; // the list is one stop of the keyboard: Space ticks the card that has the focus
  box.checked = picked.units.has(key);
  box.setAttribute("aria-label", `Choose ${layer} unit ${unit}`);
  box.addEventListener("change", () => {
    if (box.checked) picked.units.set(key, { layer, unit, concept });
    else picked.units.delete(key);
    document.querySelectorAll("[data-picks]").forEach(drawPicks);
  });
  card.append(box);
}

document.addEventListener("keydown", (event) => {
  if (event.key !== " " || !event.target.matches(".card > a")) return;
  const box = event.target.parentElement.querySelector(".pick");
  if (!box) return;
  event.preventDefault();
  box.click();
});

// The bar that says how many are ticked and what can be done with them.
function drawPicks(bar) {
  const { run, home } = JSON.parse(bar.dataset.picks);
  if (picked.run !== run) {
    picked.run = run;
    picked.units.clear();
    document.querySelectorAll(".pick").forEach((box) => (box.checked = false));
  }
  const units = [...picked.units.values()];
  const told = bar.querySelector("[role=status]") || makeElement("span", "");
  told.setAttribute("role", "status");
  told.textContent = units.length ? `${units.length} chosen` : "";
  bar.hidden = !units.length;
  if (!units.length) return bar.replaceChildren(told);
  const linkTo = (label, page, values) => {
    const link = makeElement("a", "action", label);
    const href = `${home}/${page}?${new URLSearchParams(values)}`;
    link.href = href;
    link.addEventListener("click", (event) => followLink(event, href));
    return link;
  };
  const names = units.map(({ layer, unit }) => `${encodeURIComponent(layer)}:${unit}`).join(",");
  const parts = [linkTo("Compare or list them", "chosen", { units: names })];
  const { layer, concept } = units[0];
  if (units.every((one) => one.layer === layer)) {
    const numbers = units.map(({ unit }) => unit).join(", ");
    const values = { layer, units: numbers, ...(concept ? { concept } : {}) };
    parts.push(
      linkTo("Ablate", "effects", { kind: "ablate", ...values }),
      linkTo("Insert", "effects", { kind: "insert", ...values }),
      linkTo("Paint with them", "paint", { layer, units: numbers, concept: "" }),
    );
  } else {
    parts.push(makeElement("span", "quiet", "Ablate and insert take units of one layer."));
  }
  const clear = makeElement("button", "action", "Choose none");
  clear.type = "button";
  clear.addEventListener("click", () => {
    picked.units.clear();
    document.querySelectorAll(".pick").forEach((box) => (box.checked = false));
    drawPicks(bar);
    document.querySelector("[data-cards] a")?.focus();
  });
  bar.replaceChildren(told, ...parts, clear);
}
