// Questions to the model: a newer one of the same kind takes the older one's place, and what is
// going on, or goes wrong, is told in one place.

import { Refusal, ask } from "./server.js";

export const $ = (id) => document.getElementById(id);

const running = new Map();

const card = (kind) => ({ look: $("answer-card"), change: $("answer-card"), lens: $("lens-card"), overlay: $("legend") })[kind];
const busy = (kind, is) => card(kind)?.setAttribute("aria-busy", String(is));

// What is going on, for all; the running seconds for eyes only, since a screen reader would never rest.
export function say(doing, seconds = "") {
  $("status").hidden = !doing;
  if ($("doing").textContent !== doing) $("doing").textContent = doing;
  $("seconds").textContent = seconds;
}

export async function question(kind, verb, request, then) {
  running.get(kind)?.abort();
  const control = new AbortController();
  running.set(kind, control);
  busy(kind, true);
  try {
    const result = await ask(verb, request, { signal: control.signal, progress: say });
    if (running.get(kind) === control) { $("notice").hidden = true; await then(result, control.signal); }
  } catch (error) {
    if (error.name !== "AbortError") tell(error);
  } finally {
    if (running.get(kind) === control) {
      running.delete(kind);
      busy(kind, false);
    }
    if (!running.size) say("");
  }
}

export function forget(...kinds) {
  for (const kind of kinds) {
    running.get(kind)?.abort();
    running.delete(kind);
    busy(kind, false);
  }
}

export function tell(error) {
  if (!(error instanceof Refusal)) throw error;
  $("notice").textContent = error.message;
  $("notice").hidden = false;
}
