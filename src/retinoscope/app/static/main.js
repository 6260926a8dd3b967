// The explorer's page: one state, which the address holds, and the questions that follow from it.

import { scaleOf } from "./colour.js";
import { Grid } from "./grid.js";
import { showLegend } from "./legend.js";
import { readLink, writeLink } from "./link.js";
import { copied, make, showAnswer, showBars, showLens } from "./readings.js";
import { $, forget, question, say, tell } from "./questions.js";
import { Refusal, fetchModel, fetchPicture, upload } from "./server.js";
import * as steps from "./steps.js";

const SETTLE = 180; // milliseconds without another change before the model is asked

let model = null;
let looked = null;
const state = { image: "", title: "", question: "", prefix: "", patches: new Set(), kept: [], act: "mean", first: 0, last: 0, seed: 0, overlay: "", token: -1, level: 0 };
const grid = new Grid($("stage"), { changed: (patches) => setPatches(patches), pointed: showCursor });

const prompt = () => ({ image: state.image, question: state.question, prefix: state.prefix });
const patches = () => [...state.patches].sort((a, b) => a - b);
const remember = () => history.replaceState(null, "", writeLink(state));

// ---- Looking: a picture and a question.
// While a run is being recorded there is nothing to select on.
function setReady(result) {
  looked = result;
  for (const button of document.querySelectorAll(".stage button, #export, #keep, #kept button")) button.disabled = !result;
  $("stage").closest("section").setAttribute("aria-busy", String(!result));
}

function look() {
  forget("change", "lens", "overlay", "select");
  showAsked();
  setReady(null);
  grid.hold();
  remember();
  return question("look", "look", { prompt: prompt() }, async (result, signal) => {
    const picture = await fetchPicture(`/api/images/${encodeURIComponent(state.image)}`);
    if (signal.aborted) return;
    setReady(result);
    $("image-title").textContent = result.title;
    $("prompt").textContent = result.prompt;
    showAnswer($("before"), result.answer);
    showChange(null);
    $("token").replaceChildren(...result.top.map((t) => make("option", { value: t.token }, t.word)));
    if (state.token >= 0 && !result.top.some((t) => t.token === state.token)) state.token = -1;
    if (state.token >= 0) $("token").value = state.token;
    grid.show(result, picture);
    showLevels();
    const most = result.cells.length;
    keepOnly(state.kept.filter((step) => step.patches.every((patch) => patch < most)));
    setPatches([...state.patches].filter((patch) => patch < most), { at_once: true });
    askOverlay();
  });
}

function showLevels() {
  const levels = [...new Set(looked.cells.map((cell) => cell[0]))];
  if (!levels.includes(state.level)) state.level = levels[0];
  $("level-label").hidden = levels.length < 2;
  $("level").replaceChildren(...levels.map((level) => {
    const rows = looked.cells.filter((cell) => cell[0] === level);
    return make("option", { value: level }, `${level + 1}: ${rows.length} patches`);
  }));
  $("level").value = state.level;
  grid.setLevel(state.level);
}

function showAsked() {
  $("question").value = state.question;
  $("prefix").value = state.prefix;
  const example = model.examples.find((one) => one.key === state.image);
  for (const button of $("examples").children)
    button.setAttribute("aria-pressed", String(button.dataset.key === state.image));
  const asked = [model.question, ...(example?.questions ?? [])];
  $("questions").replaceChildren(...asked.map((value) => make("option", { value })));
  $("suggestions").replaceChildren(...asked.slice(0, 6).map((text) => make("button", {
    type: "button", onclick: () => { $("question").value = text; submit(); } }, text)));
  $("objects").classList.toggle("masks", Boolean(example?.objects.length));
  $("objects").replaceChildren(...(example?.objects ?? []).map((name, index) => make("button", {
    type: "button", onclick: () => choose("object", { object: index }) }, name)));
}

function submit() {
  const text = $("question").value.trim();
  if (!text || !state.image) return;
  Object.assign(state, { question: text, prefix: $("prefix").value.trim(), token: -1 });
  look();
}

function take(image, title, text) {
  Object.assign(state, { image, title, question: text ?? state.question ?? model.question, patches: new Set(), kept: [], token: -1 });
  look();
}

async function receive(file) {
  if (!file) return;
  if (file.size > model.upload_bytes)
    return tell(new Refusal({ message: `${file.name} has ${(file.size / 2 ** 20).toFixed(1)} MB; at most ${(model.upload_bytes / 2 ** 20).toFixed(0)} MB are accepted.` }));
  say("Sending the image");
  try {
    const { key, title } = await upload(file);
    // The same file again, after a restart: whatever the link says of it still holds.
    if (key === state.image) look();
    else take(key, title, $("question").value.trim() || model.question);
  } catch (error) {
    say("");
    tell(error);
  }
}

// ---- Selecting.

// Two clocks: a changed action must not stop what still follows from a fresh selection.
let settling = 0;
let acting = 0;

function setPatches(chosen, { at_once = false } = {}) {
  state.patches = new Set(chosen);
  grid.select(state.patches);
  const count = state.patches.size;
  $("count").textContent = count ? `${count} of ${looked.cells.length} patches selected` : "No patch selected";
  $("keep").disabled = !count;
  remember();
  clearTimeout(settling);
  settling = setTimeout(follow, at_once ? 0 : SETTLE);
}

// Steps that stay in force while the next selection is made.
function keepOnly(kept) {
  state.kept = kept;
  grid.keep(kept.flatMap((step) => step.patches));
  steps.showSteps($("kept"), kept, (index) => { keepOnly(kept.filter((_, i) => i !== index)); setPatches(state.patches); });
}

function keep() {
  if (state.kept.length >= model.most_kept)
    return tell(new Refusal({ message: `At most ${model.most_kept} interventions can be kept beside the present one.` }));
  const { act, first, last, seed } = state;
  keepOnly([...state.kept, { act, first, last, seed, patches: patches() }]);
  setPatches([], { at_once: true });
}

const choose = (how, more = {}) => question("select", "select",
  { prompt: prompt(), patches: patches(), how, ...more }, (result) => setPatches(result.patches, { at_once: true }));

function showCursor(patch) {
  if (patch < 0 || !looked) return;
  const [, row, column] = looked.cells[patch];
  const value = grid.scores ? `, ${grid.scale.text(grid.scores[patch])}` : "";
  $("cursor").textContent = `Row ${row + 1}, column ${column + 1}${state.patches.has(patch) ? ", selected" : ""}${value}`;
}

// ---- What follows from a selection: the intervention and the lens.

function follow() {
  if (!looked) return;
  forget("change", "lens");
  if (state.patches.size || state.kept.length) intervene();
  else showChange(null);
  if (!state.patches.size) {
    $("lens").replaceChildren();
    $("lens-note").textContent = "select patches to read them";
    return;
  }
  question("lens", "read", { prompt: prompt(), patches: patches() }, (reading) => {
    $("lens-note").textContent = reading.patches === 1 ? "one patch: likeliest words with probability"
      : `${reading.patches} patches: the share whose likeliest word it is`;
    showLens($("lens"), reading);
  });
}

function intervene() {
  if (!looked || !(state.patches.size || state.kept.length)) return;
  const request = { prompt: prompt(), patches: patches(), action: steps.action(state), kept: steps.asked(state.kept) };
  question("change", "intervene", request, showChange);
}

function showChange(result) {
  $("after-row").hidden = !result;
  $("bars-note").textContent = result ? "probability before and after" : "the likeliest, with probability";
  if (!result) {
    if (looked) showBars($("bars"), looked.top.map((t) => ({ word: t.word, before: t.probability })));
    return;
  }
  showAnswer($("before"), result.before);
  showAnswer($("after"), result.after, result.before !== result.after);
  showBars($("bars"), result.moved);
}

function setAction() {
  $("layers").disabled = state.act !== "block";
  $("layers-shown").textContent = state.first === state.last ? `${state.first}` : `${state.first} to ${state.last}`;
  $("first").value = state.first;
  $("last").value = state.last;
  for (const radio of document.querySelectorAll("input[name=do]")) radio.checked = radio.value === state.act;
}

function changeAction(change) {
  Object.assign(state, change);
  setAction();
  remember();
  clearTimeout(acting);
  acting = setTimeout(intervene, SETTLE);
}

// ---- Overlays.

function askOverlay() {
  forget("overlay");
  $("overlay").value = state.overlay;
  $("token-label").hidden = state.overlay !== "gradients";
  grid.paint(null, null);
  $("legend").hidden = true;
  if (!state.overlay || !looked) return;
  const request = { prompt: prompt(), reading: state.overlay, token: state.token < 0 ? null : state.token };
  question("overlay", "overlay", request, (result) => {
    const scale = scaleOf(result.scores, state.overlay === "gradients");
    grid.paint(result.scores, scale);
    showLegend(scale, result, looked.cells);
  });
}

// ---- Links and Python.

const exported = () => question("export", "export", {
  prompt: prompt(), patches: patches(), action: state.patches.size ? steps.action(state) : null, kept: steps.asked(state.kept),
  reading: state.overlay || null, token: state.token < 0 ? null : state.token,
}, ({ code }) => { $("code").textContent = code; $("exported").showModal(); });

function restore() {
  let found = null;
  try { found = readLink(location.hash); }
  catch (error) {
    tell(new Refusal({ message: `This link does not make sense (${error.message}); starting afresh.` }));
  }
  if (!found) return false;
  Object.assign(state, found);
  const top = model.layers - 1;
  state.last = state.last < 0 ? top : Math.min(state.last, top);
  state.first = Math.max(0, Math.min(state.first, state.last));
  if (state.act === "mean" && !model.mean_known) state.act = "zero";
  setAction();
  look();
  return true;
}

// ---- Wiring.
function wire() {
  $("ask").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  $("file").addEventListener("change", async (event) => { await receive(event.target.files[0]); event.target.value = ""; });
  document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    receive(event.dataTransfer.files[0]);
  });
  $("clear").addEventListener("click", () => setPatches([], { at_once: true }));
  $("grow").addEventListener("click", () => choose("grow"));
  $("keep").addEventListener("click", keep);
  $("invert").addEventListener("click", () => choose("invert"));
  $("register").addEventListener("click", () => choose("register"));
  $("random").addEventListener("click", () => { state.seed += 1; choose("random", { seed: state.seed }); });
  for (const radio of document.querySelectorAll("input[name=do]"))
    radio.addEventListener("change", () => changeAction({ act: radio.value }));
  $("first").addEventListener("input", (event) => changeAction({ first: Number(event.target.value), last: Math.max(state.last, Number(event.target.value)) }));
  $("last").addEventListener("input", (event) => changeAction({ last: Number(event.target.value), first: Math.min(state.first, Number(event.target.value)) }));
  $("overlay").addEventListener("change", (event) => { state.overlay = event.target.value; remember(); askOverlay(); });
  $("token").addEventListener("change", (event) => { state.token = Number(event.target.value); remember(); askOverlay(); });
  $("level").addEventListener("change", (event) => { state.level = Number(event.target.value); grid.setLevel(state.level); remember(); });
  $("copy-link").addEventListener("click", (event) => copied(event.target, location.href));
  $("export").addEventListener("click", exported);
  $("copy-code").addEventListener("click", (event) => copied(event.target, $("code").textContent));
  addEventListener("hashchange", restore);
}

function showModel() {
  $("model").textContent = `${model.model} · ${model.family} · ${model.layers} layers`;
  for (const end of ["first", "last"]) $(end).max = model.layers - 1;
  $("mean-unknown").hidden = model.mean_known;
  document.querySelector("input[name=do][value=mean]").disabled = !model.mean_known;
  Object.assign(state, { last: model.layers - 1, act: model.mean_known ? "mean" : "zero" });
  $("examples").replaceChildren(...model.examples.map((example) => make("button", {
    type: "button", title: example.title, onclick: () => take(example.key, example.title, example.questions[0] ?? model.question),
  }, make("img", { src: `/api/images/${example.key}`, alt: example.title, loading: "lazy" }))));
  [...$("examples").children].forEach((button, index) => { button.dataset.key = model.examples[index].key; });
  setAction();
}

async function start() {
  try { model = await fetchModel(); } catch (error) { return tell(error); }
  showModel();
  wire();
  const [first] = model.examples;
  if (!restore() && first) take(first.key, first.title, first.questions[0] ?? model.question);
}

start();
