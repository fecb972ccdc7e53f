// What the dashboard does in the browser without asking the server.

window.dash_clientside = Object.assign({}, window.dash_clientside, {
  dissect: {
    // The values of controls into the address, without a new page: NAME of an id "page-NAME".
    writeQuery(...given) {
      const defaults = given[given.length - 1] || {};
      const query = new URLSearchParams();
      for (const { id, value } of window.dash_clientside.callback_context.inputs_list.flat()) {
        const name = id.slice(id.indexOf("-") + 1);
        const empty = value === null || value === undefined || value === "" || value === false;
        if (!empty && value !== defaults[name]) query.set(name, value === true ? "1" : value);
      }
      const text = query.toString();
      const address = window.location.pathname + (text ? "?" + text : "");
      window.history.replaceState(window.history.state, "", address);
      return window.dash_clientside.no_update;
    },
    // The header of a table that was clicked into the controls, which stand in the address.
    sortedBy(requests, headers, sort, reverse) {
      const none = window.dash_clientside.no_update;
      const [order] = ((requests || []).find((one) => one) || {}).sortModel || [];
      if (!order || !headers[order.colId]) return [none, none];
      const [name, rising] = headers[order.colId];
      const turned = (order.sort === "asc") !== rising;
      return name === sort && turned === reverse ? [none, none] : [name, turned];
    },
    // More cards below those that are there, which are left alone: dash would draw them again.
    appendCards(cards) {
      const list = document.querySelector("#units-grid ul.cards");
      if (cards && list) list.append(...cards.map(drawCard));
      return window.dash_clientside.no_update;
    },
    // The size of the pictures, without drawing them again.
    cardSize: (size) => `units-body size-${size}`,
    // The two runs that are ticked; the latest pair is kept where there are not two.
    compareTicked(ticks, href) {
      const picks = window.dash_clientside.callback_context.inputs_list[0];
      const [a, b, more] = picks.filter(({ value }) => value).map(({ id }) => id.run);
      if (!b || more) return window.dash_clientside.no_update;
      return "/compare?" + new URLSearchParams({ a, b }).toString();
    },
    // Images with and without a unit, in the same place: which of the two is hidden.
    showAblated(on, source) {
      const shown = Boolean(on && source);
      return [!shown, shown];
    },
    // Bars that are still there, by what they tell of.
    moveBars(readings) {
      for (const [name, [value, most, told]] of Object.entries(readings || {})) {
        const own = CSS.escape(name);
        const bar = document.querySelector(`[data-progress="${own}"]`);
        const steps = document.querySelector(`[data-steps="${own}"]`);
        if (!bar || !steps) continue;
        bar.max = Number(most);
        if (value === null) bar.removeAttribute("value");
        else bar.value = Number(value);
        if (steps.textContent !== told) steps.textContent = told;
      }
      return window.dash_clientside.no_update;
    },
  },
});

// Follows a link that dash does not know of, without loading the app anew.
function followLink(event, href) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  window.history.pushState({}, "", href);
  window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
  window.scrollTo(0, 0);
}

// A link in a table.
window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {};
window.dashAgGridComponentFunctions.UnitLink = function (props) {
  if (!props.data) return null;
  const { href } = props.data;
  const onClick = (event) => followLink(event, href);
  // The table is one stop of the keyboard: arrows go over its cells, Enter opens a link.
  return window.React.createElement("a", { href, onClick, tabIndex: -1 }, props.value);
};
window.dashAgGridComponentFunctions.RungMark = function (props) {
  if (!props.data) return null;
  const { createElement } = window.React;
  const style = { "--rung": props.data.rungColour };
  return createElement("span", { className: "rung", style },
    createElement("span", { className: "rung-dot" }), props.value);
};

// Cards of units, from the data in their list (components/units.py). All text is put in as text.
function makeElement(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function withStyle(element, style) {
  for (const [name, value] of Object.entries(style)) element.style.setProperty(name, value);
  return element;
}

function drawCard(data) {
  const image = makeElement("img", "strip-image");
  Object.assign(image, { alt: data.alt, width: data.width, height: 128 });
  image.dataset.src = data.src;
  const swatch = withStyle(makeElement("span", "swatch"), { background: data.colour });
  const bar = withStyle(makeElement("span", "bar"), data.bar);
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", data.chance);
  if (data.interval.left) bar.append(withStyle(makeElement("span", "interval"), data.interval));
  const link = makeElement(
    "a",
    "",
    makeElement("span", "strip", image),
    makeElement(
      "span",
      "names",
      makeElement("span", "", swatch, makeElement(data.certain ? "b" : "span", "", data.name)),
      makeElement("span", "quiet", data.place),
    ),
  );
  if (data.people) {
    const start = makeElement("span", "hidden", "People call it ");
    link.append(makeElement("span", "second", makeElement("span", "", start, `“${data.people}”`)));
  }
  const rung = makeElement("span", "rung", makeElement("span", "rung-dot"), data.rung[0]);
  rung.style.setProperty("--rung", data.rung[1]);
  link.append(makeElement("span", "numbers", rung, bar, makeElement("span", "n", data.iou)));
  if (data.effect) link.append(makeElement("span", "measured", data.effect));
  link.href = data.href;
  link.addEventListener("click", (event) => followLink(event, data.href));
  const card = makeElement("li", "card", link);
  if (data.pick) addPick(card, data); // units.js
  return card;
}

// A heat map of concepts and layers, from the data in its place (components/layers.py).
function drawHeat(box) {
  const data = JSON.parse(box.dataset.heat);
  const linkTo = (className, href, ...children) => {
    const link = makeElement("a", className, ...children);
    link.href = href;
    link.addEventListener("click", (event) => followLink(event, href));
    return link;
  };
  const head = makeElement("tr", "", makeElement("td", "heat-name"), makeElement("td", "heat-units"));
  for (const layer of data.layers) {
    const cell = makeElement("th", "", linkTo("", layer.href, makeElement("span", "", layer.name)));
    cell.scope = "col";
    cell.title = layer.name;
    head.append(cell);
  }
  const body = makeElement("tbody", "");
  for (const row of data.rows) {
    const swatch = withStyle(makeElement("span", "swatch"), { background: row.colour });
    const name = makeElement("th", "heat-name", linkTo("", row.href, swatch, row.name));
    name.scope = "row";
    name.title = row.name;
    const count = makeElement("td", "heat-units n", row.units ? linkTo("", row.list, String(row.units)) : "·");
    count.title = `${row.units} units are named after ${row.name}`;
    const line = makeElement("tr", "", name, count);
    row.cells.forEach((cell) => {
      if (!cell) return line.append(makeElement("td", "heat-none", "–"));
      const link = linkTo("heat-cell", cell.href, makeElement("span", "", cell.iou.replace(/^0/, "")));
      withStyle(link, { "--p": Math.min(1, Math.max(0, cell.value / data.most)) });
      if (cell.rung) {
        link.classList.add("on");
        link.style.setProperty("--rung", cell.rung);
      }
      link.title = `${row.name}, ${cell.told}`;
      link.setAttribute("aria-label", link.title);
      line.append(makeElement("td", "", link));
    });
    body.append(line);
  }
  const table = makeElement("table", "heat-table", makeElement("thead", "", head), body);
  table.dataset.roving = "a";
  table.setAttribute("aria-label", data.label);
  const hint = "Darker is a higher IoU; a coloured rule is the rung of a unit that is named after it. Arrow keys move, Enter opens.";
  const told = makeElement("p", "heat-told quiet", hint);
  const tell = ({ target }) => {
    const cell = target.closest(".heat-cell");
    told.textContent = cell ? cell.title : hint;
  };
  for (const name of ["mouseover", "focusin"]) table.addEventListener(name, tell);
  table.addEventListener("mouseleave", () => (told.textContent = hint));
  box.replaceChildren(table, told);
}

// Lists of cards and heat maps are drawn when they come onto the page, or change.
(function () {
  const DRAWN = {
    cards: (list) => list.replaceChildren(...JSON.parse(list.dataset.cards).map(drawCard)),
    heat: drawHeat,
    facet: (box) => drawFacet(box), // units.js, as the next two
    picks: (bar) => drawPicks(bar),
    unfold: (box) => (box.open = window.innerWidth > Number(box.dataset.unfold)),
  };
  const draw = (box) => Object.keys(DRAWN).forEach((name) => name in box.dataset && DRAWN[name](box));
  const chosen = Object.keys(DRAWN).map((name) => `[data-${name}]`).join();
  const look = (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    if (node.matches(chosen)) draw(node);
    for (const box of node.querySelectorAll(chosen)) draw(box);
  };
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "attributes") draw(change.target);
      else change.addedNodes.forEach(look);
    }
  }).observe(document.documentElement, {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: Object.keys(DRAWN).map((name) => `data-${name}`),
  });
})();

// Lists and maps of many links are one stop of the keyboard each (a roving tabindex): arrows, Home
// and End move among what data-roving selects. "/" goes to the search.
(function () {
  let seeking = false;
  const itemsOf = (box) => [...box.querySelectorAll(box.dataset.roving)];
  // Changes only new items and the stop itself, so that a long list may grow.
  function settle(box) {
    const items = itemsOf(box);
    const before = box.querySelector('[data-roved][tabindex="0"]');
    const kept = items.find((item) => item === document.activeElement) || before || items[0];
    if (before && before !== kept) before.tabIndex = -1;
    for (const item of items) {
      if ("roved" in item.dataset && item !== kept) continue;
      item.tabIndex = item === kept ? 0 : -1;
      item.dataset.roved = "";
    }
  }
  const boxesOf = (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE) return [];
    const around = node.closest("[data-roving]");
    return [...(around ? [around] : []), ...node.querySelectorAll("[data-roving]")];
  };
  new MutationObserver((changes) => {
    const boxes = new Set();
    for (const { target, addedNodes } of changes) {
      if (target.closest && target.closest("[data-roving]")) boxes.add(target.closest("[data-roving]"));
      addedNodes.forEach((node) => boxesOf(node).forEach((box) => boxes.add(box)));
    }
    boxes.forEach(settle);
    if (seeking) {
      const search = document.getElementById("units-search");
      if (search) {
        seeking = false;
        search.focus();
      }
    }
  }).observe(document.documentElement, { childList: true, subtree: true });

  function nearest(items, from, down) {
    const place = from.getBoundingClientRect();
    const middle = place.left + place.width / 2;
    let best = null, least = Infinity;
    for (const item of items) {
      const { top, bottom, left, width } = item.getBoundingClientRect();
      const away = down ? top - place.bottom : place.top - bottom;
      if (away < -4 || (!width && !top)) continue;
      const cost = 1000 * away + Math.abs(left + width / 2 - middle);
      if (cost < least) [best, least] = [item, cost];
    }
    return best;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target, key } = event;
    if (key === "/" && !target.closest("input, textarea, select, [contenteditable]")) {
      const units = document.querySelector('nav[aria-label="Run"] a[href$="/units"]');
      const search = document.querySelector("#units-search, #runs-search, #notes-search");
      if (!search && !units) return;
      event.preventDefault();
      if (search) search.focus();
      else {
        seeking = true; // the field comes with the page of units
        units.click();
      }
      return;
    }
    if (key === "Enter" && target.matches(".ag-cell")) target.querySelector("a")?.click();
    const box = target.closest("[data-roving]");
    if (!box || !target.matches(box.dataset.roving)) return;
    const items = itemsOf(box);
    const at = items.indexOf(target);
    const next = {
      ArrowRight: () => items[at + 1],
      ArrowLeft: () => items[at - 1],
      ArrowDown: () => nearest(items, target, true),
      ArrowUp: () => nearest(items, target, false),
      Home: () => items[0],
      End: () => items[items.length - 1],
    }[key];
    if (!next) return;
    event.preventDefault();
    const found = next();
    if (!found) return;
    target.tabIndex = -1;
    found.tabIndex = 0;
    found.focus();
  });
  document.addEventListener("focusin", ({ target }) => {
    const box = target.closest("[data-roving]");
    if (!box || target.tabIndex === 0 || !target.matches(box.dataset.roving)) return;
    itemsOf(box).forEach((item) => (item.tabIndex = item === target ? 0 : -1));
  });
})();

// A button that is off while its answer is awaited gives the focus back when it is on again.
(function () {
  let left = null;
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      if (target.disabled) {
        if (target === document.activeElement) left = target;
      } else if (target === left) {
        left = null;
        const nowhere = [null, document.body].includes(document.activeElement);
        if (nowhere && target.isConnected) target.focus({ preventScroll: true });
      }
    }
  }).observe(document.documentElement, {
    subtree: true,
    attributes: true,
    attributeFilter: ["disabled"],
  });

  // What is chosen in a list is marked when one comes to it: what is typed takes its place, where
  // "grass" and "window" would be "grasswindow", which is in no list.
  document.addEventListener("focusin", ({ target }) => {
    if (!target.matches(".mantine-Select-input") || target.readOnly) return;
    setTimeout(() => target === document.activeElement && target.select());
  });
})();

// dcc.Upload takes no label for its field, and draws that later than the page.
new MutationObserver((changes) => {
  const added = changes.flatMap(({ addedNodes }) => [...addedNodes]);
  for (const node of added.filter((one) => one.nodeType === Node.ELEMENT_NODE)) {
    const fields = [...node.querySelectorAll("input[type=file]")];
    if (node.matches("input[type=file]")) fields.push(node);
    for (const field of fields) {
      field.setAttribute("aria-label", field.parentElement.textContent.trim());
    }
  }
}).observe(document.documentElement, { childList: true, subtree: true });

// A strip of square images becomes a grid of them, each cut out by its place.
document.addEventListener(
  "load",
  ({ target }) => {
    if (!target.matches || !target.matches("img.shots-source")) return;
    const grid = target.parentElement.querySelector(".shots");
    const count = Math.max(1, Math.round(target.naturalWidth / target.naturalHeight));
    grid.style.setProperty("--strip", `url("${target.currentSrc || target.src}")`);
    grid.dataset.count = count;
    if (grid.childElementCount !== count) {
      grid.replaceChildren(...Array.from({ length: count }, (_, place) =>
        withStyle(makeElement("span", "shot"), {
          "background-size": `${100 * count}% 100%`,
          "background-position": `${count > 1 ? (100 * place) / (count - 1) : 0}% 0`,
        })));
    }
  },
  true,
);

// Pictures are fetched when they come near the screen: dash's img has no "loading".
(function () {
  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        if (target.dataset.src) target.src = target.dataset.src;
      }
    },
    { rootMargin: "400px" },
  );
  const look = (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    if (node.matches("img[data-src]")) near.observe(node);
    for (const image of node.querySelectorAll("img[data-src]")) near.observe(image);
  };
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "attributes") {
        // A card that now shows another unit.
        change.target.removeAttribute("src");
        near.unobserve(change.target);
        near.observe(change.target);
      } else change.addedNodes.forEach(look);
    }
  }).observe(document.documentElement, {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: ["data-src"],
  });
})();
