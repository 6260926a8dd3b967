// The explorer's page: one state, which the address holds, and the controls that change it.

import { tint } from "./colour.js";
import { changeAction, changeOverlay, overlayRequest, readLenses, setAction, shown } from "./follow.js";
import { readLink } from "./link.js";
import { fresh, look, receive, submit, take, takeAway } from "./look.js";
import { page, past, remember, showPast } from "./page.js";
import { $, question, tell } from "./questions.js";
import { copied, make } from "./readings.js";
import { headsPicture, savePicture, saveTable, stagePicture } from "./saving.js";
import { choose, keep, setPatches, showCursor } from "./select.js";
import { Refusal, fetchModel } from "./server.js";
import { Stage } from "./stage.js";
import { patches, prompt, state } from "./state.js";
import * as steps from "./steps.js";

page.stage = new Stage($("stages"), { changed: (chosen) => setPatches(chosen), pointed: showCursor, removed: takeAway });

// ---- Links, Python, and going back.

const exported = () => question("export", "export", {
  prompt: prompt(), patches: patches(), action: state.patches.size ? steps.action(state) : null, kept: state.kept,
  lens: state.lens, overlay: shown.overlay ? overlayRequest() : null,
}, ({ code }) => { $("code").textContent = code; $("exported").showModal(); });

function restore() {
  let found = null;
  try { found = readLink(location.hash); }
  catch (error) {
    tell(new Refusal({ message: `This link does not make sense (${error.message}); starting afresh.` }));
  }
  if (!found) return false;
  const { model, looked } = page, top = model.layers - 1;
  const same = looked && JSON.stringify([found.images, found.question, found.prefix]) === JSON.stringify(Object.values(prompt()));
  Object.assign(state, found);
  state.last = state.last < 0 ? top : Math.min(state.last, top);
  state.first = Math.max(0, Math.min(state.first, state.last));
  state.layer = Math.max(0, Math.min(state.layer, top));
  if (state.act === "mean" && !model.mean_known) state.act = "zero";
  if (!model.lenses.includes(state.lens)) state.lens = "";
  $("lens-kind").value = state.lens;
  setAction();
  if (same) fresh(); else look();
  return true;
}

const go = (at) => { if (at >= 0 && at < past.entries.length) { location.hash = past.go(at); showPast(); } };

// Undo and redo by keys, where no text is being written.
function keys(event) {
  const letter = event.key.toLowerCase();
  if (!(event.ctrlKey || event.metaKey) || !["z", "y"].includes(letter)) return;
  if (event.target.matches?.("input:not([type=radio]):not([type=checkbox]):not([type=range]), textarea")) return;
  event.preventDefault();
  go(past.at + (letter === "y" || event.shiftKey ? 1 : -1));
}

// ---- Saving.

function legendLines() {
  const { overlay } = shown, lines = [`${page.model.model}: ${state.question}`];
  if (overlay) lines.push(`${state.overlay.replaceAll("_", " ")}${overlay.explains.length ? ` of ${overlay.explains.map((word) => `“${word.trim()}”`).join(" ")}` : ""}, ${overlay.scale.low} to ${overlay.scale.high}`, overlay.note);
  return lines;
}

const save = {
  stage: (kind) => savePicture("retinoscope-image", kind, stagePicture(page.stage.grids, legendLines())),
  heads: (kind) => kind === "csv"
    ? saveTable("retinoscope-heads", ["layer", "head", "attention"], shown.overlay.table.flatMap((row, layer) => row.map((value, head) => [layer, head, value])))
    : savePicture("retinoscope-heads", kind, headsPicture(shown.overlay.table, tint, $("heads-note").textContent)),
  scores: () => saveTable("retinoscope-scores", ["image", "patch", "level", "row", "column", "score"],
    page.looked.images.flatMap((image, number) => image.cells.map((cell, index) => [number, image.first + index, ...cell, shown.overlay.scores[image.first + index]]))),
  text: () => saveTable("retinoscope-text", ["position", "token", "attention"], page.looked.text.map(({ position, word }, index) => [position, word, shown.overlay?.text[index]])),
  words: () => saveTable("retinoscope-words", ["place", "token", "before", "after"], shown.words.map(({ word, before, after }, place) => [place, word, before, after])),
  bars: () => saveTable("retinoscope-next-token", ["token", "before", "after"], shown.bars.map(({ word, before, after }) => [word, before, after])),
  lens: () => saveTable("retinoscope-lens", ["lens", "layer", "rank", "word", "share", "entropy"],
    [["logit", shown.lens], [state.lens, shown.second]].flatMap(([name, reading]) => (reading?.layers ?? []).flatMap((layer, index) =>
      layer.map(({ word, share }, rank) => [name, index, rank, word, share, reading.entropy[index]])))),
};

// ---- Wiring.

const on = (name, event, then) => $(name).addEventListener(event, then);

function wireFiles() {
  on("ask", "submit", (event) => { event.preventDefault(); submit(); });
  on("file", "change", async (event) => { await receive(event.target.files[0]); event.target.value = ""; });
  document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    receive(event.dataTransfer.files[0]);
  });
}

function wireActions() {
  on("clear", "click", () => setPatches([], { at_once: true }));
  for (const how of ["grow", "invert", "register"]) on(how, "click", () => choose(how));
  on("random", "click", () => { state.seed += 1; choose("random", { seed: state.seed }); });
  on("keep", "click", keep);
  for (const radio of document.querySelectorAll("input[name=do]"))
    radio.addEventListener("change", () => changeAction({ act: radio.value }));
  on("first", "input", ({ target }) => changeAction({ first: Number(target.value), last: Math.max(state.last, Number(target.value)) }));
  on("last", "input", ({ target }) => changeAction({ last: Number(target.value), first: Math.min(state.first, Number(target.value)) }));
  for (const name of ["layer", "strength"]) on(name, "input", ({ target }) => changeAction({ [name]: Number(target.value) }));
  on("word", "change", ({ target }) => changeAction({ word: target.value.trim() }));
  on("other", "change", ({ target }) => changeAction({ other: target.value }));
}

function wireReadings() {
  on("overlay", "change", ({ target }) => changeOverlay({ overlay: target.value }));
  on("query", "change", ({ target }) => changeOverlay({ query: target.value }));
  on("keys-over", "change", ({ target }) => changeOverlay({ keys: target.value }));
  on("token", "change", ({ target }) => changeOverlay({ token: Number(target.value), places: [] }));
  on("attention-layer", "change", ({ target }) => changeOverlay({ attentionLayer: Number(target.value) }));
  on("attention-head", "change", ({ target }) => changeOverlay({ attentionHead: Number(target.value) }));
  on("under", "change", ({ target }) => changeOverlay({ under: Number(target.checked) }));
  on("level", "change", ({ target }) => { state.level = Number(target.value); page.stage.setLevel(state.level); remember(); });
  on("lens-kind", "change", ({ target }) => { state.lens = target.value; remember(); readLenses(); });
  on("copy-link", "click", ({ target }) => copied(target, location.href));
  on("export", "click", exported);
  on("copy-code", "click", ({ target }) => copied(target, $("code").textContent));
  on("undo", "click", () => go(past.at - 1));
  on("redo", "click", () => go(past.at + 1));
  for (const button of document.querySelectorAll(".save"))
    button.addEventListener("click", () => save[button.dataset.what](button.dataset.kind));
  document.addEventListener("keydown", keys);
  addEventListener("hashchange", restore);
}

function showModel() {
  const { model } = page;
  $("model").textContent = `${model.model} · ${model.family} · ${model.layers} layers`;
  for (const end of ["first", "last", "layer"]) $(end).max = model.layers - 1;
  $("mean-unknown").hidden = model.mean_known;
  document.querySelector("input[name=do][value=mean]").disabled = !model.mean_known;
  Object.assign(state, { last: model.layers - 1, act: model.mean_known ? "mean" : "zero" });
  for (const { key, title } of model.examples) page.titles.set(key, title);
  $("examples").replaceChildren(...model.examples.map(({ key, title, questions }) => {
    const button = make("button", { type: "button", title, onclick: () => take(key, title, questions[0] ?? model.question) },
      make("img", { src: `/api/images/${key}`, alt: title, loading: "lazy" }));
    button.dataset.key = key;
    return button;
  }));
  const numbered = (count, whole) => [make("option", { value: -1 }, whole), ...Array.from({ length: count }, (_, value) => make("option", { value }, `${value}`))];
  $("attention-layer").replaceChildren(...numbered(model.layers, "mean of all"));
  $("attention-head").replaceChildren(...numbered(model.heads, "mean of all"));
  $("heads-chosen").replaceChildren(...Array.from({ length: model.heads }, (_, head) => make("button", {
    type: "button", "aria-pressed": "false", "aria-label": `Head ${head}`,
    onclick: () => changeAction({ heads: state.heads.includes(head) ? state.heads.filter((one) => one !== head) : [...state.heads, head].sort((a, b) => a - b) }) }, `${head}`)));
  $("lens-kind").replaceChildren(make("option", { value: "" }, "none"), ...model.lenses.map((value) => make("option", { value }, value)));
  $("lens-label").hidden = !model.lenses.length;
  setAction();
}

async function start() {
  try { page.model = await fetchModel(); } catch (error) { return tell(error); }
  showModel();
  wireFiles();
  wireActions();
  wireReadings();
  const [first] = page.model.examples;
  if (!restore() && first) take(first.key, first.title, first.questions[0] ?? page.model.question);
}

start();
