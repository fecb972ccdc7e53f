// What people said of units. It is part of a report only if they said something: whatever links to a
// unit gets its second label behind it, and the unit's own page all of its notes.
"use strict";

const people = new Map(run.labels.map(([layer, unit, text]) => [`${layer}/${unit}`, text]));

const second = (text) => h("span", { class: "second" }, h("span", { class: "said" }, "People call it "), `“${text}”`);

// "#layer/b16.conv1/unit/12" → "3/12"; undefined for what is no unit.
function unitKey(parts) {
  const [kind, name, what, unit] = parts;
  if (kind !== "layer" || what !== "unit" || !layerNumber.has(name)) return undefined;
  return `${layerNumber.get(name)}/${Number(unit)}`;
}

function labelLinks(root, labelled) {
  // Links with rel are the arrows to the units beside.
  for (const link of root.querySelectorAll('a[href^="#layer/"]:not([rel])')) {
    const parts = link.getAttribute("href").slice(1).split("/").map(decodeURIComponent);
    const text = people.get(unitKey(parts));
    if (text === undefined || labelled.has(link)) continue;
    labelled.add(link);
    const name = link.querySelector(".card-name");
    if (name) name.append(" ", second(text));
    else link.after(" ", second(text));
  }
}

async function sayOfUnit(key) {
  const heading = made.querySelector("h1");
  if (people.has(key)) heading.append(second(people.get(key)));
  const notes = (await report.load("notes", "data/notes.js"))[key];
  if (!notes || !heading.isConnected) return; // nobody said anything, or another page came meanwhile
  made.append(
    h("h2", {}, "What do people say about it?"),
    h("ul", { class: "notes" }, notes.map(([kind, text, author, day]) => h("li", {},
      h("div", { class: "quiet" }, h("span", {}, kind), author && h("span", {}, author), h("time", { datetime: day }, day)),
      h("p", { class: kind === "Label" ? "second" : false }, text)))));
}

function watchPages() {
  const labelled = new WeakSet();
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE) labelLinks(node, labelled);
    }
    const heading = made.querySelector("h1");
    const key = heading && unitKey(readAddress().parts);
    if (key === undefined || key === null || labelled.has(heading)) return;
    labelled.add(heading);
    sayOfUnit(key).catch((error) => made.append(h("p", { class: "empty" }, `${error.message} is missing or damaged, so what people said is not shown.`)));
  }).observe(document.getElementById("made"), { childList: true, subtree: true });
}
watchPages();
