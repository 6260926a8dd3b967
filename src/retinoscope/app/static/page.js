// What all parts of the page share: the model, the run that is looked at, the stage.

import { Past } from "./past.js";
import { $ } from "./questions.js";
import { writeLink } from "./link.js";
import { state } from "./state.js";

export const page = { model: null, looked: null, stage: null, titles: new Map() };

export const titleOf = (key) => page.titles.get(key) ?? "another image";
export const past = new Past(titleOf);

// The state into the address, and into what can be undone.
export function remember() {
  const hash = writeLink(state);
  history.replaceState(null, "", hash);
  if (past.note(hash)) showPast();
}

export function showPast() {
  $("undo").disabled = !past.canUndo;
  $("redo").disabled = !past.canRedo;
  past.show($("past-list"), (at) => { location.hash = past.go(at); });
}
