// The clean answer word by word: how likely each token is with and without the intervention, and
// which of them are explained.

import { percent, tint } from "./colour.js";
import { make } from "./readings.js";

export function showWords(list, words, places, toggle) {
  const held = document.activeElement?.dataset?.place;
  list.replaceChildren(...words.map(({ word, before, after }, place) => {
    const changed = after !== null && after !== undefined;
    const numbers = changed ? `${percent(before)} → ${percent(after)}` : percent(before);
    const button = make("button", {
      type: "button", "aria-pressed": String(places.includes(place)), title: "Show what made this word",
      "aria-label": `${word.trim()}: ${numbers}`, onclick: () => toggle(place),
    }, make("bdi", {}, word.trim() || "␣"), make("small", {}, numbers));
    button.dataset.place = place;
    if (changed) button.style.setProperty("--moved", tint(0.6 * Math.max(-1, Math.min(1, after - before))));
    return button;
  }));
  // Numbers change under the fingers of whoever goes through the words by keys.
  if (held !== undefined) list.querySelector(`[data-place="${held}"]`)?.focus();
}
