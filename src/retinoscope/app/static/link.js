// The state as the part of an address behind #: it stays in the browser and is never sent.

const fields = { image: "", title: "", question: "", prefix: "", patches: "", kept: "", act: "mean", first: 0, last: -1, seed: 0, overlay: "", token: -1, level: 0 };

export const runs = (numbers) => {
  const parts = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last && number === last[1] + 1) last[1] = number; else parts.push([number, number]);
  }
  return parts.map(([from, to]) => from === to ? `${from}` : `${from}-${to}`).join(".");
};

export const numbers = (text) => {
  const found = [];
  for (const part of text.split(".").filter(Boolean)) {
    const [from, to = from] = part.split("-").map(Number);
    if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to < from || to > 100000)
      throw new Error("patches");
    for (let number = from; number <= to; number++) found.push(number);
  }
  return found;
};

const ACTS = ["mean", "zero", "noise", "block"];

const keptText = (steps) => steps.map(({ act, first, last, seed, patches }) =>
  [act, first, last, seed, runs(patches)].join("_")).join("~");

const keptFrom = (text) => text.split("~").filter(Boolean).map((part) => {
  const [act, first, last, seed, patches] = part.split("_");
  const step = { act, first: Number(first), last: Number(last), seed: Number(seed), patches: numbers(patches ?? "") };
  const whole = [step.first, step.last, step.seed].every((number) => Number.isInteger(number) && number >= 0);
  if (!ACTS.includes(act) || !whole || !step.patches.length) throw new Error("kept");
  return step;
});

export function writeLink(state) {
  const parameters = new URLSearchParams();
  for (const [name, plain] of Object.entries(fields)) {
    const value = name === "patches" ? runs([...state.patches].sort((a, b) => a - b))
      : name === "kept" ? keptText(state.kept) : state[name];
    if (value !== plain) parameters.set(name, value);
  }
  return `#${parameters}`;
}

// The state that a link holds, or null where it holds none; throws where it makes no sense.
export function readLink(hash) {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  if (!parameters.has("image") || !parameters.has("question")) return null;
  const state = {};
  for (const [name, plain] of Object.entries(fields)) {
    const value = parameters.get(name);
    if (value === null) state[name] = plain;
    else if (typeof plain === "number") {
      if (!/^-?\d{1,9}$/.test(value)) throw new Error(name);
      state[name] = Number(value);
    } else state[name] = value;
  }
  if (!ACTS.includes(state.act)) throw new Error("act");
  if (!["", "rollout", "gradients"].includes(state.overlay)) throw new Error("overlay");
  state.patches = new Set(numbers(state.patches));
  state.kept = keptFrom(state.kept);
  return state;
}
