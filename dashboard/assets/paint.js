/* The brush of the paint page: strokes on a canvas become a PNG mask in the store "paint-place". */
(function () {
  "use strict";
  const state = { size: 12, painting: false, last: null, mask: null, count: 0 };

  function canvas() {
    return document.getElementById("paint-canvas");
  }

  function position(event, element) {
    const box = element.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * element.width,
      y: ((event.clientY - box.top) / box.height) * element.height,
    };
  }

  // Whole pixels whose centre is within the brush, so that the mask has no soft border.
  function dab(context, at, colour) {
    const radius = state.size / 2;
    context.fillStyle = colour;
    for (let y = Math.floor(at.y - radius); y <= Math.ceil(at.y + radius); y++) {
      for (let x = Math.floor(at.x - radius); x <= Math.ceil(at.x + radius); x++) {
        const far = Math.hypot(x + 0.5 - at.x, y + 0.5 - at.y);
        if (far <= Math.max(radius, 0.71)) {
          context.clearRect(x, y, 1, 1);
          context.fillRect(x, y, 1, 1);
        }
      }
    }
  }

  function line(context, from, to, colour) {
    const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y)));
    for (let step = 0; step <= steps; step++) {
      const part = step / steps;
      const at = { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
      dab(context, at, colour);
    }
  }

  function draw(event) {
    const shown = canvas();
    const at = position(event, shown);
    const from = state.last || at;
    line(shown.getContext("2d"), from, at, "rgba(255, 64, 129, 0.6)");
    line(state.mask.getContext("2d"), from, at, "#000");
    state.last = at;
  }

  document.addEventListener("pointerdown", function (event) {
    if (event.target.id !== "paint-canvas" || event.button !== 0) return;
    event.preventDefault();
    if (document.getElementById("paint-everywhere").disabled) return;  // no brush is there yet
    const shown = event.target;
    shown.setPointerCapture(event.pointerId);
    state.mask = document.createElement("canvas");
    state.mask.width = shown.width;
    state.mask.height = shown.height;
    state.painting = true;
    state.last = null;
    draw(event);
  });

  document.addEventListener("pointermove", function (event) {
    if (state.painting && canvas()) draw(event);
    showRing(event);
  });

  // A ring as large as the brush goes with the pointer; the wheel makes it larger or smaller.
  function showRing(event) {
    const ring = document.getElementById("paint-ring");
    if (!ring) return;
    ring.hidden = event.target.id !== "paint-canvas";
    if (ring.hidden) return;
    const box = event.target.getBoundingClientRect();
    const across = (state.size / event.target.width) * box.width;
    ring.style.width = ring.style.height = across + "px";
    ring.style.left = event.clientX - box.left - across / 2 + "px";
    ring.style.top = event.clientY - box.top - across / 2 + "px";
  }
  document.addEventListener("pointerout", function (event) {
    if (event.target.id !== "paint-canvas") return;
    const ring = document.getElementById("paint-ring");
    if (ring) ring.hidden = true;
  });
  document.addEventListener(
    "wheel",
    function (event) {
      if (event.target.id !== "paint-canvas" || event.ctrlKey) return;
      event.preventDefault();
      const step = Math.max(1, Math.round(state.size / 8));
      const wanted = state.size + (event.deltaY < 0 ? step : -step);
      const value = Math.min(event.target.width, Math.max(1, wanted));
      state.size = value;
      window.dash_clientside.set_props("paint-size", { value: value });
      showRing(event);
    },
    { passive: false }
  );

  function finish(event) {
    if (!state.painting) return;
    state.painting = false;
    const png = state.mask.toDataURL("image/png").split(",")[1];
    state.count += 1;
    window.dash_clientside.set_props("paint-place", {
      data: { png: png, number: Date.now() + state.count },
    });
  }
  // Ctrl-Z and Ctrl-Shift-Z are the buttons of the picture, but not while one writes in a field.
  document.addEventListener("keydown", function (event) {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || !canvas()) return;
    if (event.target.closest("input:not([type=checkbox]), textarea")) return;
    const button = document.getElementById(event.shiftKey ? "paint-redo" : "paint-undo");
    if (!button || button.disabled) return;
    event.preventDefault();
    button.click();
  });

  document.addEventListener("pointerup", finish);
  document.addEventListener("pointercancel", finish);

  // What was painted is seen in the image as soon as that has come; until then it stays marked.
  document.addEventListener(
    "load",
    function (event) {
      if (event.target.id !== "paint-after" || state.painting) return;
      const shown = canvas();
      if (shown) shown.getContext("2d").clearRect(0, 0, shown.width, shown.height);
    },
    true
  );

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.paint = {
    size: function (value) {
      state.size = Number(value) || 1;
      return window.dash_clientside.no_update;
    },
    // The concept of the chip that was clicked.
    choose: function (clicks) {
      const cause = window.dash_clientside.callback_context.triggered_id;
      const clicked = (clicks || []).some(Boolean);
      return clicked && cause ? cause.name : window.dash_clientside.no_update;
    },
    press: function (concept, ids) {
      return ids.map(function (id) { return String(id.name === concept); });
    },
    // The sample of a picture that was clicked, as the run made it.
    start: function (clicks, origin) {
      const none = window.dash_clientside.no_update;
      const cause = window.dash_clientside.callback_context.triggered_id;
      if (!cause || !(clicks || []).some(Boolean)) return [none, none, none];
      return [Number(cause.name), origin.seed, origin.truncation];
    },
    unfold: function (concept) {
      return concept === "(by hand)" ? true : window.dash_clientside.no_update;
    },
    forget: function () {
      return null;
    },
    ready: function (brush) {
      return [!brush, !brush, !brush];
    },
    // Whether there is something to undo, to redo, to clear.
    undoable: function (history) {
      const { past = [], future = [], now = [] } = history || {};
      return [!past.length, !future.length, !now.length];
    },
    // How much of the edited image is uncovered, from the left.
    reveal: function (value) {
      const share = Math.min(100, Math.max(0, Number(value)));
      return { clipPath: "inset(0 " + (100 - share) + "% 0 0)" };
    },
    // Strokes are kept for the tab, with the run that they belong to.
    keep: function (history, run) {
      return history ? { run: run, history: history } : window.dash_clientside.no_update;
    },
    restore: function (time, kept, history, run) {
      const own = kept && kept.run === run && !history;
      return own ? kept.history : window.dash_clientside.no_update;
    },
    step: function (previous, next, random, index) {
      const cause = (window.dash_clientside.callback_context.triggered_id || "").toString();
      const now = Number(index) || 0;
      if (cause === "paint-previous") return Math.max(0, now - 1);
      if (cause === "paint-next") return now + 1;
      if (cause === "paint-random") return Math.floor(Math.random() * 1000000);
      return window.dash_clientside.no_update;
    },
    address: function (seed, index, truncation, label, concept, mode, layer, units) {
      if (!document.getElementById("paint-canvas")) return window.dash_clientside.no_update;
      const query = new URLSearchParams();
      const values = { seed: seed, index: index, truncation: truncation, label: label };
      Object.assign(values, { concept: concept, mode: mode, layer: layer, units: units });
      for (const [name, value] of Object.entries(values)) {
        if (value !== null && value !== undefined && (value !== "" || name === "concept")) {
          query.set(name, value);
        }
      }
      const wanted = window.location.pathname + "?" + query.toString();
      window.history.replaceState(window.history.state, "", wanted);
      return window.dash_clientside.no_update;
    },
  };
})();
