// What follows from the state: the intervention, the lenses, the overlay.

import { scaleOf } from "./colour.js";
import { showHeads, showText, strongestHeads } from "./heads.js";
import { showLegend } from "./legend.js";
import { page, remember } from "./page.js";
import { $, forget, question } from "./questions.js";
import { showAnswer, showBars, showLens } from "./readings.js";
import { asksAttention, patches, prompt, state } from "./state.js";
import * as steps from "./steps.js";
import { showWords } from "./words.js";

const SETTLE = 180; // milliseconds without another change before the model is asked
let acting = 0;

// What is shown, as tables that can be saved.
export const shown = { bars: [], words: [], lens: null, second: null, overlay: null };

// Offer to save a table, or not while it is empty.
function offer(what, there) {
  for (const button of document.querySelectorAll(`.save[data-what=${what}]`)) button.disabled = !there;
}

export function follow() {
  if (!page.looked) return;
  forget("change", "lens", "second");
  intervene();
  readLenses();
  if (asksAttention() && !state.under && (state.query === "patches" || state.keys === "selected")) askOverlay();
}

// ---- The intervention.

// What is done to the selection, and whether it is whole.
function done() {
  const action = steps.action(state);
  return { action, doing: state.patches.size > 0 && action !== null };
}

// All that is in force together.
function inForce() {
  const { action, doing } = done();
  return doing ? [...state.kept, { patches: patches(), action }] : state.kept;
}

export function intervene() {
  forget("change");
  const { action, doing } = done();
  if (!page.looked) return;
  if (state.under && asksAttention()) askOverlay();
  if (!doing && !state.kept.length) return showChange(null);
  // Where an action is not whole yet, what is kept stays in force alone.
  const request = { prompt: prompt(), patches: doing ? patches() : [], action: action ?? { type: "ablate", value: "zero" }, kept: state.kept };
  question("change", "intervene", request, showChange);
}

export function changeAction(change) {
  Object.assign(state, change);
  setAction();
  remember();
  clearTimeout(acting);
  acting = setTimeout(intervene, SETTLE);
}

export function showChange(result) {
  $("after-row").hidden = !result;
  $("bars-note").textContent = result ? "probability before and after" : "the likeliest, with probability";
  if (!page.looked) return;
  shown.bars = result ? result.moved : page.looked.top.map((t) => ({ word: t.word, before: t.probability }));
  shown.words = result ? result.words : page.looked.words;
  if (result) {
    showAnswer($("before"), result.before);
    showAnswer($("after"), result.after, result.before !== result.after);
  }
  showBars($("bars"), shown.bars);
  drawWords();
}

export function setAction() {
  const { act } = state;
  for (const radio of document.querySelectorAll("input[name=do]")) radio.checked = radio.value === act;
  $("layers").hidden = act !== "knockout";
  $("patching").hidden = act !== "patch";
  $("steering").hidden = act !== "steer";
  $("at").hidden = act !== "patch" && act !== "steer";
  $("layers-shown").textContent = state.first === state.last ? `${state.first}` : `${state.first} to ${state.last}`;
  for (const name of ["first", "last", "layer", "strength"]) $(name).value = state[name];
  $("at-shown").textContent = `${state.layer}`;
  $("strength-shown").textContent = `${state.strength}`;
  if ($("word").value !== state.word) $("word").value = state.word;
  $("other").value = state.other;
  $("heads-shown").textContent = state.heads.length ? state.heads.join(", ") : "all";
  for (const button of $("heads-chosen").children) button.setAttribute("aria-pressed", String(state.heads.includes(Number(button.textContent))));
}

// ---- The answer's words.

export function drawWords() { showWords($("words"), shown.words, state.places, togglePlace); }

function togglePlace(place) {
  const places = state.places.includes(place) ? state.places.filter((one) => one !== place)
    : [...state.places, place].sort((a, b) => a - b).slice(-page.model.most_words);
  Object.assign(state, { places, token: -1, query: "answer" });
  if (!state.overlay) state.overlay = "integrated_gradients";
  remember();
  drawWords();
  askOverlay();
}

// ---- Lenses.

export function readLenses() {
  const lenses = [["lens", "", "lens"], ["second", state.lens, "lens-2"]];
  for (const [kind, lens, table] of lenses) {
    const wanted = state.patches.size && (kind === "lens" || lens);
    shown[kind] = null;
    forget(kind);
    if (kind === "lens") offer("lens", false);
    if (!wanted) {
      $(table).replaceChildren();
      if (kind === "lens") $("lens-note").textContent = "select patches to read them";
      continue;
    }
    question(kind, "read", { prompt: prompt(), patches: patches(), lens }, (reading) => {
      $("lens-note").textContent = reading.patches === 1 ? "one patch: likeliest words with probability"
        : `${reading.patches} patches: the share whose likeliest word it is`;
      shown[kind] = reading;
      showLens($(table), reading);
      offer("lens", true);
    });
  }
  $("second-title").hidden = !(state.lens && state.patches.size);
  $("second-title").textContent = `${state.lens} lens`;
}

// ---- Overlays.

// Where attention is read from and summed up over, as positions.
const positions = { patches: () => patches().map((patch) => page.looked.visual[patch]), text: () => [state.text] };

export function overlayRequest() {
  const request = { prompt: prompt(), reading: state.overlay, places: state.places };
  const first = !state.places.length || (state.places.length === 1 && state.places[0] === 0);
  if (!asksAttention()) return { ...request, token: state.token < 0 || !first ? null : state.token };
  const queries = state.query === "answer" ? [] : positions[state.query](), force = state.under ? inForce() : [];
  if (state.overlay === "rollout") return { ...request, queries, steps: force };
  const keys = { patches: () => [], selected: positions.patches, text: () => page.looked.text.map((one) => one.position) }[state.keys]();
  return { ...request, queries, keys, steps: force, layer: state.attentionLayer < 0 ? null : state.attentionLayer, head: state.attentionHead < 0 ? null : state.attentionHead };
}

function setOverlay() {
  const attention = state.overlay === "attention", gradients = Boolean(state.overlay) && !asksAttention();
  const first = !state.places.length || (state.places.length === 1 && state.places[0] === 0);
  for (const [name, value] of [["overlay", state.overlay], ["query", state.query], ["keys-over", state.keys], ["token", state.token],
    ["attention-layer", state.attentionLayer], ["attention-head", state.attentionHead]]) $(name).value = value;
  $("token-label").hidden = !(gradients && first);
  for (const name of ["query-label", "under-label"]) $(name).hidden = !asksAttention();
  $("under").checked = Boolean(state.under);
  for (const name of ["attention-layer-label", "attention-head-label", "keys-label"]) $(name).hidden = !attention;
  $("text-card").hidden = !(attention || (state.overlay && state.query === "text" && asksAttention()));
}

export function askOverlay() {
  forget("overlay");
  setOverlay();
  if (!state.overlay || !page.looked) return clearOverlay("");
  if (asksAttention() && state.query === "patches" && !state.patches.size) return clearOverlay("Select the patches whose reading is shown.");
  if (asksAttention() && state.query === "text" && !page.looked.text.some((one) => one.position === state.text)) return clearOverlay("Choose a token of the prompt below.");
  question("overlay", "overlay", overlayRequest(), (result) => {
    const scale = scaleOf(result.scores, !asksAttention());
    page.stage.paint(result.scores, scale);
    shown.overlay = { ...result, scale };
    offer("text", true);
    showLegend(scale, result, page.looked.images);
    showAttention(result);
  });
}

function clearOverlay(hint) {
  page.stage.paint(null, null);
  shown.overlay = null;
  offer("text", false);
  $("legend").hidden = true;
  $("heads-card").hidden = true;
  $("overlay-hint").textContent = hint;
  if (page.looked) showText($("text"), page.looked.text, [], state.text, takeText);
}

function showAttention({ table, text }) {
  $("overlay-hint").textContent = "";
  $("heads-card").hidden = !table.length;
  showText($("text"), page.looked.text, text, state.query === "text" ? state.text : -1, takeText);
  if (!table.length) return;
  const over = { patches: "all patches", selected: "the selected patches", text: "the prompt's text" }[state.keys];
  $("heads-note").textContent = `share of each head's attention that goes to ${over}; strongest: ${strongestHeads(table)}`;
  showHeads($("heads"), table, { layer: state.attentionLayer, head: state.attentionHead },
    (layer, head) => changeOverlay({ attentionLayer: layer, attentionHead: head }));
}

const takeText = (position) => changeOverlay({ query: "text", text: position });

export function changeOverlay(change) {
  Object.assign(state, change);
  remember();
  askOverlay();
}
