// Interventions that are kept while another one is made: all of them are in force together.

import { make } from "./readings.js";

const NAMES = { mean: "replaced by the mean token", zero: "replaced by zero", noise: "replaced by noise" };

// An action as the server takes it.
export const action = ({ act, first, last, seed }) => act === "block"
  ? { type: "block", first, last } : { type: "ablate", value: act, seed };

export const asked = (steps) => steps.map((step) => ({ patches: step.patches, action: action(step) }));

export const sentence = ({ act, first, last, patches }) =>
  `${patches.length} patch${patches.length === 1 ? "" : "es"} ${NAMES[act]
    ?? `blocked in ${first === last ? `layer ${first}` : `layers ${first} to ${last}`}`}`;

// The list of kept steps, each with a button that takes it away again.
export function showSteps(list, steps, remove) {
  list.hidden = !steps.length;
  list.replaceChildren(...steps.map((step, index) => make("li", {}, make("span", {}, sentence(step)),
    make("button", { type: "button", className: "quiet", "aria-label": `Remove: ${sentence(step)}`,
      onclick: () => remove(index) }, "Remove"))));
}
