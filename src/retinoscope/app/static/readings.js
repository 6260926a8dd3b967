// Answers, bars and the lens table. Whatever a model says becomes text nodes, never markup.

import { percent } from "./colour.js";

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    name.startsWith("aria-") || name === "role" || name === "scope" ? node.setAttribute(name, value) : node[name] = value;
  node.append(...children);
  return node;
}

const word = (text) => text === "" ? make("bdi", { className: "empty" }, "(empty)") : make("bdi", { title: text }, text);

export function showAnswer(node, text, changed = false) {
  node.replaceChildren(text === "" ? make("span", { className: "empty" }, "(nothing)") : make("bdi", {}, text));
  node.classList.toggle("changed", changed);
}

function track(kind, share) {
  const fill = make("i");
  fill.style.setProperty("--p", share);
  return make("div", { className: `track ${kind}` }, fill);
}

const points = (difference) => `${difference < 0 ? "−" : "+"}${Math.abs(100 * difference).toFixed(1)} points`;

// Rows that could not be seen are left out, but never all.
const seen = (rows) => rows.filter(({ before, after = 0 }, index) => index < 2 || Math.max(before, after) >= 0.001);

// `rows` hold a word, `before`, and, where an intervention is in force, `after`.
export function showBars(node, rows) {
  const both = rows.some((row) => row.after !== undefined);
  const list = make("div", { role: "list" });
  for (const { word: text, before, after } of seen(rows)) {
    const tracks = make("div", { className: "tracks", "aria-hidden": "true" }, track("before", before));
    const numbers = make("div", { className: "numbers" });
    if (both) {
      tracks.append(track("after", after));
      numbers.append(`${percent(before)} → ${percent(after)}`, make("small", {}, points(after - before)));
    } else numbers.append(percent(before));
    list.append(make("div", { className: "bar", role: "listitem" }, word(text), tracks, numbers));
  }
  const key = make("div", { className: "key", "aria-hidden": "true" },
    make("span", {}, track("before", 1), "before"), make("span", {}, track("after", 1), "after"));
  node.replaceChildren(...(both ? [key, list] : [list]));
}

const brief = (share) => share < 0.005 ? "< 1 %" : `${(100 * share).toFixed(0)} %`;

export function showLens(table, reading) {
  const columns = Math.max(...reading.layers.map((layer) => layer.length));
  const titles = ["layer", ...Array.from({ length: columns }, (_, i) => `${i + 1}.`), "entropy"];
  const head = make("tr", {}, ...titles.map((title) => make("th", { scope: "col" }, title)));
  const rows = reading.layers.map((layer, index) => {
    const cells = Array.from({ length: columns }, (_, i) => {
      if (!layer[i]) return make("td");
      const cell = make("td", { className: "word" }, word(layer[i].word), make("small", {}, brief(layer[i].share)));
      cell.style.setProperty("--p", layer[i].share);
      return cell;
    });
    const entropy = reading.entropy[index];
    return make("tr", {}, make("th", { scope: "row" }, `${index}`), ...cells,
      make("td", {}, entropy === null ? "" : entropy.toFixed(2)));
  });
  table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
}

// Copies a text and says so on the button for a moment.
export async function copied(button, text) {
  const title = button.textContent;
  try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
  catch { button.textContent = "Not allowed; copy by hand"; }
  setTimeout(() => { button.textContent = title; }, 1500);
}
