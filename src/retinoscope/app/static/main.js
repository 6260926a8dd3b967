// The explorer's page: one state, which the address holds, and the questions that follow from it.

import { paintScale, scaleOf } from "./colour.js";
import { Grid } from "./grid.js";
import { readLink, writeLink } from "./link.js";
import { make, showAnswer, showBars, showLens } from "./readings.js";
import { $, forget, question, say, tell } from "./questions.js";
import { Refusal, fetchModel, upload } from "./server.js";

const SETTLE = 180; // milliseconds without another change before the model is asked

let model = null;
let looked = null;
const state = { image: "", title: "", question: "", prefix: "", patches: new Set(), act: "mean", first: 0, last: 0, seed: 0, overlay: "", token: -1, level: 0 };
const grid = new Grid($("stage"), { changed: (patches) => setPatches(patches), pointed: showCursor });

const prompt = () => ({ image: state.image, question: state.question, prefix: state.prefix });
const action = () => state.act === "block"
  ? { type: "block", first: state.first, last: state.last }
  : { type: "ablate", value: state.act, seed: state.seed };
const patches = () => [...state.patches].sort((a, b) => a - b);
const remember = () => history.replaceState(null, "", writeLink(state));

// ---- Looking: a picture and a question.
const loaded = (source) => new Promise((resolve, reject) => {
  const image = new Image();
  image.onload = () => resolve(image);
  image.onerror = () => reject(new Refusal({ message: "The picture can't be shown; it is no longer held. Drop it in again." }));
  image.src = source;
});

// While a run is being recorded there is nothing to select on.
function setReady(result) {
  looked = result;
  for (const button of document.querySelectorAll(".stage button, #export")) button.disabled = !result;
  $("stage").closest("section").setAttribute("aria-busy", String(!result));
}

function look() {
  forget("change", "lens", "overlay", "select");
  showAsked();
  setReady(null);
  grid.hold();
  remember();
  return question("look", "look", { prompt: prompt() }, async (result) => {
    const picture = await loaded(`/api/images/${encodeURIComponent(state.image)}`);
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
  Object.assign(state, { image, title, question: text ?? state.question ?? model.question, patches: new Set(), token: -1 });
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
  remember();
  clearTimeout(settling);
  settling = setTimeout(follow, at_once ? 0 : SETTLE);
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
  if (!state.patches.size) {
    showChange(null);
    $("lens").replaceChildren();
    $("lens-note").textContent = "select patches to read them";
    return;
  }
  intervene();
  question("lens", "read", { prompt: prompt(), patches: patches() }, (reading) => {
    $("lens-note").textContent = reading.patches === 1 ? "one patch: likeliest words with probability"
      : `${reading.patches} patches: the share whose likeliest word it is`;
    showLens($("lens"), reading);
  });
}

function intervene() {
  if (!looked || !state.patches.size) return;
  question("change", "intervene", { prompt: prompt(), patches: patches(), action: action() }, showChange);
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
    paintScale($("scale"), scale.stops);
    $("low").textContent = scale.low;
    $("high").textContent = scale.high;
    $("legend-note").textContent = result.note;
    const order = result.scores.map((score, index) => [score, index]).sort((a, b) => b[0] - a[0]).slice(0, 5);
    $("strongest").textContent = `Strongest: ${order.map(([score, index]) =>
      `row ${looked.cells[index][1] + 1} column ${looked.cells[index][2] + 1} (${scale.text(score)})`).join(", ")}.`;
    $("legend").hidden = false;
  });
}

// ---- Links and Python.

async function copied(button, text) {
  const title = button.textContent;
  try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
  catch { button.textContent = "Not allowed; copy by hand"; }
  setTimeout(() => { button.textContent = title; }, 1500);
}

const exported = () => question("export", "export", {
  prompt: prompt(), patches: patches(), action: state.patches.size ? action() : null,
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
