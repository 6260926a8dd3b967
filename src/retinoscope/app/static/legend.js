// What an overlay's colours mean, and its strongest patches in numbers.

import { paintScale } from "./colour.js";
import { $ } from "./questions.js";

const STRONGEST = 5;

export function showLegend(scale, { scores, note, explains }, images) {
  paintScale($("scale"), scale.ends);
  $("low").textContent = scale.low;
  $("high").textContent = scale.high;
  $("legend-note").textContent = note;
  $("explains").textContent = explains.length ? `Of ${explains.map((word) => `“${word.trim()}”`).join(" ")}. ` : "";
  const places = images.flatMap(({ cells }, index) => cells.map(([, row, column]) =>
    `${images.length > 1 ? `image ${index + 1} ` : ""}row ${row} column ${column}`));
  const order = scores.map((score, index) => [score, index]).sort((a, b) => b[0] - a[0]).slice(0, STRONGEST);
  $("strongest").textContent = `Strongest: ${order.map(([score, index]) => `${places[index]} (${scale.text(score)})`).join(", ")}.`;
  $("legend").hidden = false;
}
