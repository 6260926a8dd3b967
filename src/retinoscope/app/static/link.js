// The state as the part of an address behind #: it stays in the browser and is never sent.

import { numbers, runs } from "./runs.js";
import { KEYS, OVERLAYS, PLAIN, QUERIES } from "./state.js";
import { ACTS, packed, unpacked } from "./steps.js";

const ascending = (values) => [...values].sort((a, b) => a - b);

// What is not a number or a text of its own: how it is written, and read.
const written = {
  images: [(keys) => keys.join("~"), (text) => text.split("~").filter(Boolean)],
  patches: [(chosen) => runs(ascending(chosen)), (text) => new Set(numbers(text))],
  heads: [(chosen) => runs(ascending(chosen)), numbers],
  places: [(chosen) => runs(ascending(chosen)), numbers],
  kept: [packed, unpacked],
  strength: [String, (text) => { if (!Number.isFinite(Number(text)) || text === "") throw new Error("strength"); return Number(text); }],
};
const NAMES = { images: "image", attentionLayer: "alayer", attentionHead: "ahead" };

export function writeLink(state) {
  const parameters = new URLSearchParams();
  for (const [name, plain] of Object.entries(PLAIN)) {
    const write = written[name]?.[0] ?? String;
    if (write(state[name]) !== write(plain)) parameters.set(NAMES[name] ?? name, write(state[name]));
  }
  return `#${parameters}`;
}

// The state that a link holds, or null where it holds none; throws where it makes no sense.
export function readLink(hash) {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  if (!parameters.has("image") || !parameters.has("question")) return null;
  const state = {};
  for (const [name, plain] of Object.entries(PLAIN)) {
    const value = parameters.get(NAMES[name] ?? name);
    if (value === null) state[name] = plain;
    else if (written[name]) state[name] = written[name][1](value);
    else if (typeof plain === "number") {
      if (!/^-?\d{1,9}$/.test(value)) throw new Error(name);
      state[name] = Number(value);
    } else state[name] = value;
  }
  for (const [name, allowed] of [["act", ACTS], ["overlay", OVERLAYS], ["query", QUERIES], ["keys", KEYS]])
    if (!allowed.includes(state[name])) throw new Error(name);
  return state;
}
