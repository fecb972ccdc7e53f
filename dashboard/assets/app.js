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
  return window.React.createElement("a", { href, onClick }, props.value);
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
      makeElement("span", "", swatch, makeElement("b", "", data.name)),
      makeElement("span", "quiet", data.place),
    ),
  );
  if (data.people) {
    const start = makeElement("span", "hidden", "People call it ");
    link.append(makeElement("span", "second", makeElement("span", "", start, `“${data.people}”`)));
  }
  link.append(makeElement("span", "numbers", bar, makeElement("span", "n", data.iou)));
  if (data.effect) link.append(makeElement("span", "measured", data.effect));
  link.href = data.href;
  link.addEventListener("click", (event) => followLink(event, data.href));
  return makeElement("li", "card", link);
}

// Lists of cards are filled when they come onto the page, or change.
(function () {
  const draw = (list) => list.replaceChildren(...JSON.parse(list.dataset.cards).map(drawCard));
  const look = (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    if (node.matches("ul[data-cards]")) draw(node);
    for (const list of node.querySelectorAll("ul[data-cards]")) draw(list);
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
    attributeFilter: ["data-cards"],
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
