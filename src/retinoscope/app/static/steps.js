// Actions: what is done to a selection. Steps are selections with an action that stay in force
// while another one is made.

import { make } from "./readings.js";
import { numbers, runs } from "./runs.js";

export const ACTS = ["mean", "zero", "noise", "knockout", "patch", "steer"];
const NAMES = { mean: "replaced by the mean token", zero: "replaced by zero", noise: "replaced by noise" };

// The state's action as the server takes it; null where something is still to be named.
export function action({ act, first, last, heads, seed, other, word, layer, strength }) {
  if (act === "knockout") return { type: "knockout", first, last, heads };
  if (act === "patch") return other ? { type: "patch", image: other, layer } : null;
  if (act === "steer") return word ? { type: "steer", word, layer, strength } : null;
  return { type: "ablate", value: act, seed };
}

const range = (first, last) => first === last ? `layer ${first}` : `layers ${first} to ${last}`;

export function sentence({ action: one, patches }, titleOf) {
  const what = {
    ablate: () => NAMES[one.value],
    knockout: () => `knocked out for the last position in ${range(one.first, one.last)}${one.heads.length ? `, heads ${one.heads.join(", ")}` : ""}`,
    patch: () => `patched from ${titleOf(one.image)} at layer ${one.layer}`,
    steer: () => `steered to “${one.word}” at layer ${one.layer}, strength ${one.strength}`,
  }[one.type]();
  return `${patches.length} patch${patches.length === 1 ? "" : "es"} ${what}`;
}

// The list of kept steps, each with a button that takes it away again.
export function showSteps(list, steps, titleOf, remove) {
  list.hidden = !steps.length;
  list.replaceChildren(...steps.map((step, index) => make("li", {}, make("span", {}, sentence(step, titleOf)),
    make("button", { type: "button", className: "quiet", "aria-label": `Remove: ${sentence(step, titleOf)}`,
      onclick: () => remove(index) }, "Remove"))));
}

// Steps as a text in a link, and back; throws where they make no sense.
export const packed = (steps) => steps.length ? JSON.stringify(steps.map((step) => [runs(step.patches), step.action])) : "";

const whole = (...values) => values.every((value) => Number.isInteger(value) && value >= 0);
const known = {
  ablate: (one) => one.value in NAMES && whole(one.seed),
  knockout: (one) => whole(one.first, one.last) && Array.isArray(one.heads) && whole(...one.heads),
  patch: (one) => typeof one.image === "string" && whole(one.layer),
  steer: (one) => typeof one.word === "string" && whole(one.layer) && Number.isFinite(one.strength),
};

export function unpacked(text) {
  if (!text) return [];
  return JSON.parse(text).map(([patches, one]) => {
    const step = { patches: numbers(patches), action: one };
    if (!Object.hasOwn(known, one.type) || !known[one.type](one) || !step.patches.length) throw new Error("kept");
    return step;
  });
}
