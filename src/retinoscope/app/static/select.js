// Selecting patches, and keeping what is done to them while others are selected.

import { follow } from "./follow.js";
import { page, remember, titleOf } from "./page.js";
import { $, question, tell } from "./questions.js";
import { Refusal } from "./server.js";
import { patches, prompt, state } from "./state.js";
import * as steps from "./steps.js";

const SETTLE = 180; // milliseconds without another change before the model is asked
let settling = 0;

export function setPatches(chosen, { at_once = false } = {}) {
  state.patches = new Set(chosen);
  page.stage.select(state.patches);
  const count = state.patches.size;
  $("count").textContent = count ? `${count} of ${page.looked.visual.length} patches selected` : "No patch selected";
  $("keep").disabled = !count;
  remember();
  clearTimeout(settling);
  settling = setTimeout(follow, at_once ? 0 : SETTLE);
}

// Steps that stay in force while the next selection is made.
export function keepOnly(kept) {
  state.kept = kept;
  page.stage.keep(kept.flatMap((step) => step.patches));
  steps.showSteps($("kept"), kept, titleOf, (index) => { keepOnly(kept.filter((_, i) => i !== index)); setPatches(state.patches); });
}

export function keep() {
  const action = steps.action(state);
  if (!action) return tell(new Refusal({ message: "Name the other image or the word first." }));
  if (state.kept.length >= page.model.most_kept)
    return tell(new Refusal({ message: `At most ${page.model.most_kept} interventions can be kept beside the present one.` }));
  keepOnly([...state.kept, { patches: patches(), action }]);
  setPatches([], { at_once: true });
}

export const choose = (how, more = {}) => question("select", "select",
  { prompt: prompt(), patches: patches(), how, ...more }, (result) => setPatches(result.patches, { at_once: true }));

export function showCursor(patch) {
  if (patch < 0 || !page.looked) return;
  const image = page.looked.images.findLast((one) => one.first <= patch);
  const [, row, column] = image.cells[patch - image.first];
  const { scores, scale } = page.stage;
  const value = scores ? `, ${scale.text(scores[patch])}` : "";
  const which = page.looked.images.length > 1 ? `Image ${page.looked.images.indexOf(image) + 1}, row` : "Row";
  $("cursor").textContent = `${which} ${row}, column ${column}${state.patches.has(patch) ? ", selected" : ""}${value}`;
}
