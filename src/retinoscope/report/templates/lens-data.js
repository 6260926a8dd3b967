"use strict";
// A packed sheet made usable: typed arrays, and what can be painted as one number per layer and patch.

async function unpack(header, base64) {
  const stream = new Blob([bytes(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const kinds = { Float32Array, Int32Array, Uint16Array, Uint32Array };
  const sheet = { ...header };
  for (const [name, [kind, offset, length]] of Object.entries(header.arrays))
    sheet[name] = new kinds[kind](buffer, offset, length);
  sheet.image = new Image();
  sheet.image.src = header.image;
  sheet.onObject = new Array(header.tokens).fill(null);
  header.objects.forEach((object) => object.tokens.forEach((token) => {
    sheet.onObject[token] = sheet.onObject[token] ? `${sheet.onObject[token]}, ${object.name}` : object.name;
  }));
  sheet.objectTokens = header.objects.map((object) => new Set(object.tokens));
  sheet.viewOf = new Int32Array(header.tokens);
  header.views.forEach((tokens, view) => tokens.forEach((token) => { sheet.viewOf[token] = view; }));
  sheet.tiled = sheet.cells.some((tile, i) => i % 3 === 0 && tile > 0);
  sheet.plain = header.vocabulary.map(normal);
  sheet.letters = header.vocabulary.map((word) => /^\p{L}[\p{L}\p{M}'’-]+$/u.test(word.trim()));
  return sheet;
}

function bytes(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
  return found;
}

const normal = (word) => word.trim().toLocaleLowerCase();

// A value per layer and patch, [layers * tokens]; NaN where the sheet does not hold it.
function quantity(sheet, paint, word) {
  const { layers, tokens, best } = sheet;
  const values = new Float32Array(layers * tokens);
  const p = (step) => Math.exp(-step / sheet.logStep);
  if (paint === "top") return values.map((_, i) => p(sheet.surprise[i * best]));
  if (paint === "entropy") return values.map((_, i) => sheet.entropy[i] / 65535 * sheet.entropyMax);
  if (paint === "letters") return values.map((_, i) => sheet.letters[sheet.top[i * best]] ? 1 : 0);
  if (paint === "none" || !word) return values.fill(NaN);
  const kept = sheet.tracked.findIndex((tracked) => normal(tracked) === normal(word));
  if (kept >= 0) {
    const start = kept * layers * tokens;
    if (paint === "rank") return values.map((_, i) => sheet.trackedRank[start + i]);
    return values.map((_, i) => p(sheet.trackedSurprise[start + i]));
  }
  const wanted = new Set();
  sheet.plain.forEach((plain, index) => { if (plain === normal(word)) wanted.add(index); });
  for (let i = 0; i < values.length; i++) {
    let sum = NaN;
    for (let k = 0; k < best; k++) {
      if (!wanted.has(sheet.top[i * best + k])) continue;
      if (paint === "rank") { sum = k; break; }
      sum = (Number.isNaN(sum) ? 0 : sum) + p(sheet.surprise[i * best + k]);
    }
    values[i] = sum;
  }
  return values;
}

// 1 where two sheets have another top word, by layer and patch: spaces count, spelling as it stands.
function differing(one, other) {
  const values = new Float32Array(one.layers * one.tokens);
  return values.map((_, i) =>
    one.vocabulary[one.top[i * one.best]] === other.vocabulary[other.top[i * other.best]] ? 0 : 1);
}

// How a word is known: "exact" (kept for every patch), "top" (among the top words), or "none".
function known(sheet, word) {
  if (sheet.tracked.some((tracked) => normal(tracked) === normal(word))) return "exact";
  return sheet.plain.includes(normal(word)) ? "top" : "none";
}
