"use strict";
// What is looked at, and how controls, pointer, keys and the address change it.

const state = { layer: 0, token: null, locked: false, paint: "top", word: "", view: 0, opacity: 1, outlines: true, grid: true, compare: "own" };
const get = (id) => document.getElementById(id);
let panes = [];
let timer = null;

// Whether the right side shows how far it is from the left.
const changes = () => panes.length > 1 && state.compare === "change" && !["none", "differs"].includes(state.paint);

function recolour() {
  const [left, right] = panes;
  const fields = state.paint === "differs" ? panes.map(() => differing(left.sheet, right.sheet))
    : panes.map(({ sheet }) => quantity(sheet, state.paint, state.word));
  const scale = scaleOf(state.paint, fields);
  panes.forEach((pane, i) => Object.assign(pane, { values: fields[i], scale }));
  if (changes()) {
    right.values = fields[1].map((value, i) => value - fields[0][i]);
    right.scale = changeScaleOf(state.paint, right.values);
    get("change-low").textContent = right.scale.low;
    get("change-high").textContent = right.scale.high;
  }
  for (const pane of panes) pane.strip.paint(pane.values, pane.scale);
  get("legend-low").textContent = scale.low;
  get("legend-high").textContent = scale.high;
  const seeks = state.paint === "word" || state.paint === "rank";
  const blank = state.paint === "none" || (seeks && !state.word);
  get("legend").classList.toggle("blank", blank);
  get("legend-change").hidden = blank || !changes();
  get("legend-text").textContent = explain(seeks);
  document.querySelectorAll("#chips button").forEach((chip) =>
    chip.setAttribute("aria-pressed", String(seeks && normal(chip.textContent) === normal(state.word))));
}

function explain(seeks) {
  if (state.paint === "differs") return "Whether the two sides have another top word.";
  if (state.paint === "letters") return "Whether the top word is letters alone, two or more.";
  if (!seeks) return "";
  if (!state.word) return "Type a word to paint every patch by it.";
  const { sheet } = panes[0];
  const best = panes.map((pane) => known(pane.sheet, state.word));
  if (best.includes("exact")) return "Exact: this word was kept for every patch and layer.";
  if (best.includes("top")) return `From the top ${sheet.best} words alone (all spellings of it, with and without a space): no colour where it is not among them.`;
  return `No patch has this word among its top ${sheet.best} at any layer.`;
}

let asked = false;
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    for (const pane of panes) {
      pane.image.draw(state, pane.values, pane.scale);
      pane.strip.draw(state);
      pane.words.draw(state);
      pane.means.textContent = means(pane);
    }
    get("layer").value = state.layer;
    get("layer").setAttribute("aria-valuetext", layerName());
    get("layer-name").textContent = layerName();
    get("best").hidden = !panes[0].sheet.reason || state.layer === panes[0].sheet.opens;
  });
}

function layerName() {
  const { layers, opens, reason } = panes[0].sheet;
  const note = state.layer === 0 ? "into the language model" : state.layer === opens ? reason : "";
  return `${state.layer} of ${layers - 1}${note ? ` (${note})` : ""}`;
}

// Numbers beside the colours: what the painted value is here, and on average on objects and off them.
function means({ sheet, values, scale }) {
  const start = state.layer * sheet.tokens;
  const mean = (wanted) => {
    const found = [];
    for (let t = 0; t < sheet.tokens; t++) if (wanted(t) && !Number.isNaN(values[start + t])) found.push(values[start + t]);
    if (!found.length) return null;
    const average = found.reduce((a, b) => a + b, 0) / found.length;
    const text = (scale.mean ?? scale.text)(average);
    const all = state.paint === "word" && known(sheet, state.word) !== "exact";
    return all ? `${text} (${found.length} patches)` : text;
  };
  const lead = scale.changes ? "mean change" : "mean";
  const parts = [];
  if (state.token !== null && !Number.isNaN(values[start + state.token])) parts.push(`here ${scale.text(values[start + state.token])}`);
  sheet.objects.forEach((object, i) => {
    const value = mean((t) => sheet.objectTokens[i].has(t));
    if (value) parts.push(`${lead} on ${object.name} ${value}`);
  });
  const rest = mean((t) => !sheet.onObject[t]);
  if (rest) parts.push(`${sheet.objects.length ? "elsewhere" : lead} ${rest}`);
  return parts.join(" · ") || "\u00a0";
}

function change(values, { announce = false } = {}) {
  const recoloured = ["paint", "word", "compare"].some((name) => name in values && values[name] !== state[name]);
  Object.assign(state, values);
  if (recoloured) recolour();
  redraw();
  if (announce && state.token !== null) get("announce").textContent = panes.map(({ words }) => words.sentence(state)).join(". ");
  remember();
}

let remembering = null;
function remember() {
  clearTimeout(remembering);
  remembering = setTimeout(() => {
    const parts = new URLSearchParams({ layer: state.layer, paint: state.paint });
    if (state.word) parts.set("word", state.word);
    if (state.locked) parts.set("patch", state.token);
    if (state.view) parts.set("view", state.view);
    if (state.compare !== "own") parts.set("compare", state.compare);
    // Some browsers refuse this for files on disk; the page works without.
    try { history.replaceState(null, "", `#${parts}`); } catch { clearTimeout(remembering); }
  }, 250);
}

function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const { sheet } = panes[0];
  const whole = (name, count) => {
    const value = Number(parts.get(name));
    return parts.has(name) && Number.isInteger(value) && value >= 0 && value < count ? value : null;
  };
  const patch = whole("patch", sheet.tokens);
  const paints = [...get("paint").options].map((option) => option.value);
  const word = parts.get("word") ?? sheet.objects.map((o) => o.name).find((name) => known(sheet, name) === "exact") ?? "";
  change({
    layer: whole("layer", sheet.layers) ?? sheet.opens,
    token: patch ?? sheet.objects[0]?.tokens[Math.floor(sheet.objects[0].tokens.length / 2)] ?? null,
    locked: patch !== null,
    view: whole("view", sheet.views.length) ?? 0,
    word,
    compare: panes.length > 1 && parts.get("compare") === "change" ? "change" : "own",
    paint: paints.includes(parts.get("paint")) ? parts.get("paint") : word ? "word" : "top",
  });
  if (state.token !== null) state.view = sheet.viewOf[state.token];
  get("paint").value = state.paint;
  get("word").value = state.word;
  get("view").value = state.view;
  if (panes.length > 1) get("compare").value = state.compare;
}

function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => change({ layer: (state.layer + 1) % panes[0].sheet.layers }), 450) : null;
  get("play").textContent = on ? "⏸" : "▶";
  get("play").setAttribute("aria-pressed", String(on));
}

function wireControls() {
  const layers = panes[0].sheet.layers;
  const input = (id, use) => get(id).addEventListener("input", (event) => use(event.target));
  input("layer", (field) => { play(false); change({ layer: Number(field.value) }); });
  input("paint", (field) => { change({ paint: field.value }); if (field.value === "word" || field.value === "rank") get("word").focus(); });
  input("word", (field) => seek(field.value));
  if (panes.length > 1) input("compare", (field) => change({ compare: field.value }));
  input("opacity", (field) => change({ opacity: Number(field.value) }));
  input("view", (field) => change({ view: Number(field.value), token: null, locked: false }));
  for (const id of ["outlines", "grid"]) input(id, (field) => change({ [id]: field.checked }));
  get("best").textContent = `best: ${panes[0].sheet.opens}`;
  get("best").addEventListener("click", () => { play(false); change({ layer: panes[0].sheet.opens }, { announce: true }); });
  get("play").addEventListener("click", () => play(timer === null));
  get("controls").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input[type=search], select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { "[": -1, "]": 1 }[event.key];
    if (step) { play(false); change({ layer: Math.max(0, Math.min(layers - 1, state.layer + step)) }, { announce: true }); }
    if (event.key === "p") play(timer === null);
    if (event.key === "Escape") change({ locked: false });
  });
}

function seek(word) {
  const paint = word && state.paint !== "rank" ? "word" : state.paint;
  get("paint").value = paint;
  change({ word, paint });
}

function wirePane(pane) {
  const { image, strip } = pane;
  const canvas = image.canvas;
  canvas.addEventListener("pointermove", (event) => {
    if (state.locked) return;
    const token = image.under(event, state.view);
    if (token !== null && token !== state.token) change({ token });
  });
  canvas.addEventListener("click", (event) => {
    const token = image.under(event, state.view);
    if (token === null) return;
    change({ locked: !(state.locked && token === state.token), token }, { announce: true });
  });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const from = state.token ?? image.sheet.views[state.view][0];
    if (way) change({ token: state.token === null ? from : image.beside(from, way, state.view) }, { announce: true });
    else if (event.key === "Enter" || event.key === " ") change({ locked: !state.locked, token: from }, { announce: true });
    else return;
    event.preventDefault();
  });
  const jump = (event) => {
    const [layer, token] = strip.under(event);
    play(false);
    change({ layer, token, locked: true, view: image.sheet.viewOf[token] }, { announce: true });
    get("view").value = state.view;
  };
  strip.canvas.addEventListener("pointerdown", (event) => { strip.canvas.setPointerCapture(event.pointerId); jump(event); });
  strip.canvas.addEventListener("pointermove", (event) => { if (event.buttons) jump(event); });
}

function fillChoices({ tracked, vocabulary, views, cells, objects }) {
  const add = (parent, kind, text, values = {}) => {
    const element = Object.assign(document.createElement(kind), values);
    element.textContent = text;
    parent.append(element);
    return element;
  };
  const names = new Set(objects.map((object) => object.name));
  const first = [...tracked].sort((a, b) => names.has(b) - names.has(a)).slice(0, 12);
  for (const word of first) add(get("chips"), "button", word, { type: "button" }).addEventListener("click", () => {
    get("word").value = word;
    seek(word);
  });
  const offered = new Set([...tracked, ...vocabulary.slice(0, 1500).map((word) => word.trim())].filter(Boolean));
  for (const word of offered) add(get("words"), "option", "", { value: word });
  get("view-control").hidden = views.length < 2;
  views.forEach((tokens, i) => {
    const tiles = new Set(tokens.map((token) => cells[3 * token]));
    add(get("view"), "option", `${tiles.size > 1 ? `${tiles.size} tiles` : `tile ${[...tiles][0]}`} (${tokens.length} patches)`, { value: i });
  });
}

async function start() {
  const headers = JSON.parse(get("headers").textContent);
  const sections = [...document.querySelectorAll(".pane")];
  const sheets = await Promise.all(headers.map((header, i) => unpack(header, sections[i].querySelector(".block").textContent)));
  panes = sheets.map((sheet, i) => ({
    sheet,
    image: new PatchImage(sections[i].querySelector("canvas.image"), sheet),
    strip: new Strip(sections[i].querySelector("canvas.strip"), sheet),
    words: new Words(sections[i], sheet, i ? sheets[0] : null, (layer) => { play(false); change({ layer }); }),
    means: sections[i].querySelector(".means"),
  }));
  drawLegend(get("legend-bar"), 0);
  drawLegend(get("change-bar"), -1);
  fillChoices(sheets[0]);
  recolour();
  wireControls();
  panes.forEach(wirePane);
  recall();
  addEventListener("hashchange", recall);
  sheets.forEach((sheet) => sheet.image.decode().then(redraw, redraw));
  new ResizeObserver(redraw).observe(document.querySelector(".panes"));
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  get("failure").hidden = false;
  get("failure").textContent = `This page could not be drawn (${error}). It needs a browser of 2023 or newer.`;
});
