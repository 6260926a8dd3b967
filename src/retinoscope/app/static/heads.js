// Attention by layer and head as a table of coloured cells, and what the prompt's text gets.

import { percent, tint } from "./colour.js";
import { make } from "./readings.js";

const STRONGEST = 3;

// `chosen(layer, head)` is told of a cell; -1 is the mean over all.
export function showHeads(table, rows, { layer, head }, chosen) {
  const most = Math.max(...rows.flat().map((value) => value ?? 0)) || 1;
  const columns = Math.max(...rows.map((row) => row.length));
  const focused = document.activeElement?.closest?.("#heads");
  const cell = (value, row, column) => {
    if (value === null) return make("td");
    const at = row === layer && column === head;
    const button = make("button", { type: "button", tabIndex: -1, "aria-pressed": String(at),
      "aria-label": `Layer ${row}, head ${column}: ${percent(value)}`, title: `layer ${row}, head ${column}: ${percent(value)}`,
      onclick: () => chosen(at ? -1 : row, at ? -1 : column) });
    button.style.setProperty("--tint", tint(value / most));
    Object.assign(button.dataset, { row, column });
    return make("td", {}, button);
  };
  table.replaceChildren(
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "layer"),
      ...Array.from({ length: columns }, (_, index) => make("th", { scope: "col" }, `${index}`)))),
    make("tbody", {}, ...rows.map((row, index) => make("tr", {}, make("th", { scope: "row" }, `${index}`),
      ...row.map((value, column) => cell(value, index, column))))));
  const first = table.querySelector('[aria-pressed="true"]') ?? table.querySelector("button");
  if (first) { first.tabIndex = 0; if (focused) first.focus(); }
  table.onkeydown = walk;
}

// Arrow keys go from cell to cell; Tab leaves the table.
function walk(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const now = event.target.closest("button");
  if (!step || !now) return;
  event.preventDefault();
  const next = event.currentTarget.querySelector(
    `[data-row="${Number(now.dataset.row) + step[0]}"][data-column="${Number(now.dataset.column) + step[1]}"]`);
  if (!next) return;
  now.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

export function strongestHeads(rows) {
  const cells = rows.flatMap((row, layer) => row.map((value, head) => ({ value: value ?? 0, layer, head })));
  return cells.sort((a, b) => b.value - a.value).slice(0, STRONGEST)
    .map(({ value, layer, head }) => `layer ${layer} head ${head} (${percent(value)})`).join(", ");
}

// The prompt's text, each token coloured by what it gets and a button that makes it the query.
export function showText(list, tokens, weights, chosen, take) {
  const most = Math.max(...weights) || 1;
  list.replaceChildren(...tokens.map(({ position, word }, index) => {
    const button = make("button", { type: "button", "aria-pressed": String(position === chosen),
      "aria-label": `${word.trim() || "blank"}: ${weights.length ? percent(weights[index]) : "not read"}`,
      title: weights.length ? percent(weights[index]) : "", onclick: () => take(position) }, make("bdi", {}, word.trim() || "␣"));
    if (weights.length) button.style.setProperty("--tint", tint(weights[index] / most));
    return button;
  }));
}
