// Pictures as SVG and PNG, tables as CSV: made here, from what is on the page.

import { make } from "./readings.js";

function download(name, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// A word that would begin a formula gets an apostrophe, which spreadsheets take for "this is text".
const field = (value) => {
  const formula = typeof value === "string" && /^[=+\-@\t\r\n]/.test(value);
  const text = value === null || value === undefined ? "" : `${formula ? "'" : ""}${value}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

export const csv = (heads, rows) => [heads, ...rows].map((row) => row.map(field).join(",")).join("\n") + "\n";
export const saveTable = (name, heads, rows) => download(`${name}.csv`, "text/csv", csv(heads, rows));

export async function savePicture(name, kind, svg) {
  if (kind === "svg") return download(`${name}.svg`, "image/svg+xml", svg.text);
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg.text)}`;
  await image.decode();
  const canvas = make("canvas", { width: 2 * svg.width, height: 2 * svg.height });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  download(`${name}.png`, "image/png", await new Promise((done) => canvas.toBlob(done, "image/png")));
}

const escaped = (text) => text.replace(/[&<>"]/g, (letter) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[letter]);
const styleOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const label = (x, y, text, size = 12) => `<text x="${x}" y="${y}" font-family="system-ui, sans-serif" font-size="${size}" fill="${styleOf("--ink")}">${escaped(text)}</text>`;
const drawn = (width, height, parts) => ({ width, height, text:
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">` +
  `<rect width="${width}" height="${height}" fill="${styleOf("--paper")}"/>${parts.join("")}</svg>` });

const WIDTH = 480, GAP = 12, LINE = 18;

// The images beside each other: what is painted over them, what is selected, and what it means.
export function stagePicture(grids, lines) {
  const parts = [];
  let x = GAP, tallest = 0;
  for (const { view, picture, patches, kept, scores, scale, level } of grids) {
    const [width, height] = view.size, zoom = WIDTH / width;
    tallest = Math.max(tallest, height * zoom);
    const inner = [`<image width="${width}" height="${height}" preserveAspectRatio="none" href="${asData(picture)}"/>`];
    view.boxes.forEach(([x0, y0, x1, y1], index) => {
      if (view.cells[index][0] !== level) return;
      const box = `x="${x0}" y="${y0}" width="${x1 - x0}" height="${y1 - y0}"`;
      if (scores) inner.push(`<rect ${box} fill="${scale.colour(scores[index])}"/>`);
      if (patches.has(index)) inner.push(`<rect ${box} fill="none" stroke="#101010" stroke-width="${3 / zoom}"/><rect ${box} fill="none" stroke="#fff" stroke-width="${1.4 / zoom}"/>`);
      if (kept.has(index)) inner.push(`<path d="M${x0} ${y1}L${x1} ${y0}" stroke="#fff" stroke-width="${1.4 / zoom}"/>`);
    });
    parts.push(`<g transform="translate(${x} ${GAP}) scale(${zoom})">${inner.join("")}</g>`);
    x += WIDTH + GAP;
  }
  const shown = lines.flatMap((line) => wrapped(line, Math.floor((x - 2 * GAP) / 6.4)));
  shown.forEach((line, index) => parts.push(label(GAP, tallest + 2 * GAP + LINE * (index + 0.7), line)));
  return drawn(x, tallest + 3 * GAP + LINE * shown.length, parts);
}

function wrapped(text, letters) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if (lines.at(-1) && lines.at(-1).length + word.length >= letters) lines.push("");
    lines[lines.length - 1] += (lines.at(-1) ? " " : "") + word;
  }
  return lines;
}

function asData(picture) {
  const canvas = make("canvas", { width: picture.naturalWidth, height: picture.naturalHeight });
  canvas.getContext("2d").drawImage(picture, 0, 0);
  return canvas.toDataURL("image/png");
}

const CELL = 22, MARGIN = 46;

export function headsPicture(rows, tint, title) {
  const most = Math.max(...rows.flat().map((value) => value ?? 0)) || 1;
  const columns = Math.max(...rows.map((row) => row.length));
  const parts = [label(GAP, 18, title, 13), label(GAP, 38, "layer, head", 11)];
  rows.forEach((row, y) => {
    parts.push(label(GAP + 8, MARGIN + y * CELL + 15, `${y}`, 11));
    row.forEach((value, x) => {
      if (value !== null) parts.push(`<rect x="${MARGIN + x * CELL}" y="${MARGIN + y * CELL}" width="${CELL - 2}" height="${CELL - 2}" fill="${tint(value / most)}" stroke="${styleOf("--line")}"/>`);
    });
  });
  for (let x = 0; x < columns; x++) parts.push(label(MARGIN + x * CELL + 5, MARGIN + rows.length * CELL + 12, `${x}`, 11));
  return drawn(Math.max(MARGIN + columns * CELL + GAP, 8 * title.length), MARGIN + rows.length * CELL + 22, parts);
}
