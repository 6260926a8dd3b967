// Looking: pictures and a question, and what the page shows of a run before anything is done.

import { askOverlay, setAction, showChange } from "./follow.js";
import { page, remember, titleOf } from "./page.js";
import { $, forget, question, say, tell } from "./questions.js";
import { make, showAnswer } from "./readings.js";
import { choose, keepOnly, setPatches } from "./select.js";
import { Refusal, fetchPicture, upload } from "./server.js";
import { prompt, state } from "./state.js";

// While a run is being recorded there is nothing to select on.
function setReady(result) {
  page.looked = result;
  for (const button of document.querySelectorAll(".stage button, #export, #keep, #kept button, .save")) button.disabled = !result;
  $("stage-card").setAttribute("aria-busy", String(!result));
}

export function look() {
  forget("change", "lens", "second", "overlay", "select");
  showAsked();
  setReady(null);
  page.stage.hold();
  remember();
  return question("look", "look", { prompt: prompt() }, async (result, signal) => {
    const sources = result.images.map(({ key }) => fetchPicture(`/api/images/${encodeURIComponent(key)}`));
    const pictures = await Promise.all(sources);
    if (signal.aborted) return;
    setReady(result);
    for (const { key, title } of result.images) page.titles.set(key, title);
    $("image-title").textContent = result.images.map((one) => one.title).join(" and ");
    $("prompt").textContent = result.prompt;
    $("token").replaceChildren(make("option", { value: -1 }, "the answer's own"), ...result.top.map((t) => make("option", { value: t.token }, t.word)));
    if (!result.top.some((t) => t.token === state.token)) state.token = -1;
    state.places = state.places.filter((place) => place < result.words.length);
    page.stage.show(result.images, pictures);
    showLevels();
    fresh();
  });
}

// The state over a run that is there already.
export function fresh() {
  const most = page.looked.visual.length;
  showAnswer($("before"), page.looked.answer);
  setAction();
  showChange(null);
  page.stage.setLevel(state.level);
  keepOnly(state.kept.filter((step) => step.patches.every((patch) => patch < most)));
  setPatches([...state.patches].filter((patch) => patch < most), { at_once: true });
  askOverlay();
}

function showLevels() {
  const cells = page.looked.images.flatMap((image) => image.cells);
  const levels = [...new Set(cells.map((cell) => cell[0]))];
  if (!levels.includes(state.level)) state.level = levels[0];
  $("level-label").hidden = levels.length < 2;
  $("level").replaceChildren(...levels.map((level) =>
    make("option", { value: level }, `${level + 1}: ${cells.filter((cell) => cell[0] === level).length} patches`)));
  $("level").value = state.level;
}

const exampleOf = (key) => page.model.examples.find((one) => one.key === key);

export function showAsked() {
  $("question").value = state.question;
  $("prefix").value = state.prefix;
  for (const button of $("examples").children)
    button.setAttribute("aria-pressed", String(state.images.includes(button.dataset.key)));
  const asked = [...new Set([page.model.question, ...state.images.flatMap((key) => exampleOf(key)?.questions ?? [])])];
  $("questions").replaceChildren(...asked.map((value) => make("option", { value })));
  $("suggestions").replaceChildren(...asked.slice(0, 6).map((text) => make("button", {
    type: "button", onclick: () => { $("question").value = text; submit(); } }, text)));
  const objects = state.images.flatMap((key, image) => (exampleOf(key)?.objects ?? []).map((name, object) => ({ name, image, object })));
  $("objects").classList.toggle("masks", objects.length > 0);
  $("objects").replaceChildren(...objects.map(({ name, image, object }) => make("button", {
    type: "button", onclick: () => choose("object", { image, object }) }, state.images.length > 1 ? `${name} (${image + 1})` : name)));
  showOthers();
}

// Pictures from which states can be patched.
function showOthers() {
  const others = [...page.titles].filter(([key]) => !state.images.includes(key));
  if (state.other && !others.some(([key]) => key === state.other)) others.unshift([state.other, titleOf(state.other)]);
  $("other").replaceChildren(make("option", { value: "" }, "choose one"), ...others.map(([value, title]) => make("option", { value }, title)));
  $("other").value = state.other;
}

export function submit() {
  const text = $("question").value.trim();
  if (!text || !state.images.length) return;
  Object.assign(state, { question: text, prefix: $("prefix").value.trim(), token: -1, places: [] });
  look();
}

// Look at a picture: in place of what is shown, or beside it.
export function take(image, title, text) {
  page.titles.set(image, title);
  const beside = $("beside").checked && state.images.length > 0;
  if (beside && state.images.length >= page.model.most_images)
    return tell(new Refusal({ message: `A prompt shows at most ${page.model.most_images} images here; take one away first.` }));
  const afresh = { images: beside ? [...state.images, image] : [image], patches: new Set(), kept: [], token: -1, places: [], text: -1 };
  Object.assign(state, afresh, beside ? {} : { question: text ?? (state.question || page.model.question) });
  look();
}

export function takeAway(index) {
  Object.assign(state, { images: state.images.filter((_, i) => i !== index), patches: new Set(), kept: [], places: [], text: -1 });
  look();
}

export async function receive(file) {
  if (!file) return;
  const { upload_bytes } = page.model;
  if (file.size > upload_bytes)
    return tell(new Refusal({ message: `${file.name} has ${(file.size / 2 ** 20).toFixed(1)} MB; at most ${(upload_bytes / 2 ** 20).toFixed(0)} MB are accepted.` }));
  say("Sending the image");
  try {
    const { key, title } = await upload(file);
    page.titles.set(key, title);
    // The same file again, after a restart: whatever the link says of it still holds.
    if (state.images.includes(key)) look();
    else take(key, title, $("question").value.trim() || page.model.question);
  } catch (error) {
    say("");
    tell(error);
  }
}
