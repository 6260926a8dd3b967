// What an overlay's colours mean, and its strongest patches in numbers.

import { paintScale } from "./colour.js";
import { $ } from "./questions.js";

const STRONGEST = 5;

export function showLegend(scale, { scores, note }, cells) {
  paintScale($("scale"), scale.stops);
  $("low").textContent = scale.low;
  $("high").textContent = scale.high;
  $("legend-note").textContent = note;
  const order = scores.map((score, index) => [score, index]).sort((a, b) => b[0] - a[0]).slice(0, STRONGEST);
  $("strongest").textContent = `Strongest: ${order.map(([score, index]) =>
    `row ${cells[index][1] + 1} column ${cells[index][2] + 1} (${scale.text(score)})`).join(", ")}.`;
  $("legend").hidden = false;
}
