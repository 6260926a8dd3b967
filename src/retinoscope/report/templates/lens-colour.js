"use strict";
// Viridis in nine stops: even steps to the eye, and to eyes that don't see red and green apart.

const STOPS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
  [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];

const TABLE = Array.from({ length: 256 }, (_, i) => {
  const place = i / 255 * (STOPS.length - 1);
  const low = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[low].map((from, c) => Math.round(from + (place - low) * (STOPS[low + 1][c] - from)));
});

const CSS = TABLE.map((colour) => `rgb(${colour.join()})`);

const step = (share) => Math.max(0, Math.min(255, Math.round(share * 255)));
const shade = (share) => TABLE[step(share)];
const shadeCss = (share) => CSS[step(share)];

const percent = (p) => p >= 0.9995 ? "100 %" : p >= 0.0995 ? `${(100 * p).toFixed(0)} %`
  : p >= 0.00095 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %";

// What a painted value reads as, and where it lies from 0 to 1 on the colour scale.
function scaleOf(paint, fields) {
  let high = 0;
  for (const field of fields) for (const value of field) if (value > high) high = value;
  if (paint === "entropy") {
    const top = high || 1;
    return { share: (v) => v / top, text: (v) => `${v.toFixed(2)} nats`, low: "0", high: `${top.toFixed(1)} nats` };
  }
  if (paint === "rank") {
    const top = Math.log1p(high) || 1;
    return { share: (v) => 1 - Math.log1p(v) / top, text: (v) => `rank ${v}`, low: `rank ${high}`, high: "rank 0 (top)" };
  }
  if (paint === "letters")
    return { share: (v) => v, text: (v) => v > 0.5 ? "a word" : "no word", low: "no", high: "yes", mean: percent };
  const top = paint === "top" ? 1 : high || 1;
  return { share: (v) => v / top, text: percent, low: "0 %", high: percent(top) };
}

function drawLegend(canvas) {
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = shadeCss(x / (canvas.width - 1));
    context.fillRect(x, 0, 1, canvas.height);
  }
}
