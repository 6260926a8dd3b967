// What was done, step by step, as links: to undo, to do again, to go back to.

import { readLink } from "./link.js";
import { make } from "./readings.js";
import { sentence } from "./steps.js";

const TOGETHER = 700; // milliseconds within which two changes of one kind are one step
const MOST = 100;

export class Past {
  constructor(titleOf) { Object.assign(this, { titleOf, entries: [], at: -1, when: 0 }); }

  get canUndo() { return this.at > 0; }
  get canRedo() { return this.at < this.entries.length - 1; }

  // A new state; true where it is one.
  note(hash) {
    const now = this.entries[this.at];
    if (now?.hash === hash) return false;
    const text = told(now ? readLink(now.hash) : null, readLink(hash), this.titleOf);
    const joined = now?.text === text && this.at > 0 && performance.now() - this.when < TOGETHER;
    this.entries.splice(this.at + (joined ? 0 : 1));
    this.entries.push({ hash, text });
    this.entries.splice(0, this.entries.length - MOST);
    this.at = this.entries.length - 1;
    this.when = performance.now();
    return true;
  }

  go(at) { this.at = at; this.when = 0; return this.entries[at].hash; }

  show(list, go) {
    list.replaceChildren(...this.entries.map(({ text }, index) => make("li", {},
      make("button", { type: "button", className: "quiet", "aria-current": index === this.at ? "step" : "false", onclick: () => go(index) }, text))));
  }
}

const count = (patches) => `${patches.size} patch${patches.size === 1 ? "" : "es"}`;

// What tells one state from the one before, in a few words.
function told(before, after, titleOf) {
  const same = (...names) => before && names.every((name) => JSON.stringify(plain(before[name])) === JSON.stringify(plain(after[name])));
  if (!same("images")) return `Showed ${after.images.map(titleOf).join(" and ")}`;
  if (!same("question", "prefix")) return `Asked “${after.question}”`;
  if (!same("kept")) {
    if (after.kept.length > before.kept.length) return `Kept: ${sentence(after.kept.at(-1), titleOf)}`;
    return "Removed a kept intervention";
  }
  if (!same("patches")) return after.patches.size ? `Selected ${count(after.patches)}` : "Cleared the selection";
  if (!same("act")) return `Intervention: ${after.act}`;
  if (!same("first", "last", "heads")) return "Knockout: other layers or heads";
  if (!same("other", "layer", "word", "strength")) return `Intervention: ${after.act}, changed`;
  if (!same("places", "token")) return "Explained another word";
  if (!same("overlay")) return after.overlay ? `Overlay: ${after.overlay.replaceAll("_", " ")}` : "Overlay off";
  return "Changed what is shown";
}

const plain = (value) => value instanceof Set ? [...value] : value;
