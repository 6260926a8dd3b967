"use strict";
// Viridis in nine stops: even steps to the eye, and to eyes that don't see red and green apart.

const STOPS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
  [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];

// Blue through white to orange, for changes: less, the same, more.
const SIGNED_STOPS = [[5, 78, 150], [67, 140, 196], [168, 206, 231], [247, 247, 247], [253, 196, 132],
  [230, 127, 27], [150, 70, 4]];

const tableOf = (stops) => Array.from({ length: 256 }, (_, i) => {
  const place = i / 255 * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  return stops[low].map((from, c) => Math.round(from + (place - low) * (stops[low + 1][c] - from)));
});

// A colour map: a share of 0 to 1 as [r, g, b] and as CSS, and how much it should catch the eye.
function colours(stops, strength) {
  const table = tableOf(stops);
  const css = table.map((colour) => `rgb(${colour.join()})`);
  const step = (share) => Math.max(0, Math.min(255, Math.round(share * 255)));
  return { rgb: (share) => table[step(share)], css: (share) => css[step(share)], strength };
}

const VALUES = colours(STOPS, (share) => share);
const CHANGES = colours(SIGNED_STOPS, (share) => Math.abs(2 * share - 1));

const percent = (p) => p >= 0.9995 ? "100 %" : p >= 0.0995 ? `${(100 * p).toFixed(0)} %`
  : p >= 0.00095 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %";

// What a painted value reads as, and where it lies from 0 to 1 on the colour scale.
function scaleOf(paint, fields) {
  let high = 0;
  for (const field of fields) for (const value of field) if (value > high) high = value;
  const made = (parts) => ({ ...VALUES, ...parts });
  if (paint === "entropy") {
    const top = high || 1;
    return made({ share: (v) => v / top, text: (v) => `${v.toFixed(2)} nats`, low: "0", high: `${top.toFixed(1)} nats` });
  }
  if (paint === "rank") {
    const top = Math.log1p(high) || 1;
    return made({ share: (v) => 1 - Math.log1p(v) / top, text: (v) => `rank ${v}`, mean: (v) => `rank ${v.toFixed(1)}`,
      low: `rank ${high}`, high: "rank 0 (top)" });
  }
  if (paint === "letters")
    return made({ share: (v) => v, text: (v) => v > 0.5 ? "a word" : "no word", low: "no", high: "yes", mean: percent });
  if (paint === "differs")
    return made({ share: (v) => v, text: (v) => v > 0.5 ? "another word" : "the same word", low: "the same", high: "another", mean: percent });
  const top = paint === "top" ? 1 : high || 1;
  return made({ share: (v) => v / top, text: percent, low: "0 %", high: percent(top) });
}

// The same for a difference of two values, whose middle is no change.
function changeScaleOf(paint, field) {
  let most = 0;
  for (const value of field) if (Math.abs(value) > most) most = Math.abs(value);
  most = most || 1;
  const signed = (v, digits, unit) => `${v < 0 ? "−" : "+"}${Math.abs(v).toFixed(digits)} ${unit}`;
  const text = {
    entropy: (v) => signed(v, 2, "nats"),
    rank: (v) => signed(v, Number.isInteger(v) ? 0 : 1, "ranks"),
  }[paint] ?? ((v) => signed(100 * v, 1, "points"));
  // Ranks run over the whole vocabulary, and fewer is more.
  const share = paint === "rank"
    ? (v) => (1 - Math.sign(v) * Math.log1p(Math.abs(v)) / Math.log1p(most)) / 2
    : (v) => (v / most + 1) / 2;
  const ends = paint === "rank" ? [most, -most] : [-most, most];
  return { ...CHANGES, share, text, low: text(ends[0]), high: text(ends[1]) };
}

function drawLegend(canvas, css) {
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = css(x / (canvas.width - 1));
    context.fillRect(x, 0, 1, canvas.height);
  }
}
