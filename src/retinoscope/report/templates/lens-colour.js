"use strict";
// One convention for colours: nothing is the paper (or the image), more is orange, less is blue.

const MORE = [221, 132, 16], LESS = [43, 132, 198];
const DENSEST = 0.88;

// How opaque a share of -1 to 1 is.
const density = (share) => DENSEST * Math.min(1, Math.abs(share)) ** 0.85;
const tint = (share, strength = 1) =>
  `rgb(${(share < 0 ? LESS : MORE).join(" ")} / ${(strength * density(share)).toFixed(3)})`;

const percent = (p) => p >= 0.9995 ? "100 %" : p >= 0.0995 ? `${(100 * p).toFixed(0)} %`
  : p >= 0.00095 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %";

// What a painted value reads as, and where it lies between nothing (0) and the most (1).
function scaleOf(paint, fields) {
  let high = 0;
  for (const field of fields) for (const value of field) if (value > high) high = value;
  if (paint === "entropy") {
    const top = high || 1;
    return { share: (v) => v / top, text: (v) => `${v.toFixed(2)} nats`, low: "0", high: `${top.toFixed(1)} nats` };
  }
  if (paint === "rank") {
    const top = Math.log1p(high) || 1;
    return { share: (v) => 1 - Math.log1p(v) / top, text: (v) => `rank ${v}`, mean: (v) => `rank ${v.toFixed(1)}`,
      low: `rank ${high}`, high: "rank 0 (top)" };
  }
  if (paint === "letters")
    return { share: (v) => v, text: (v) => v > 0.5 ? "a word" : "no word", low: "no", high: "yes", mean: percent };
  if (paint === "differs")
    return { share: (v) => v, text: (v) => v > 0.5 ? "another word" : "the same word", low: "the same", high: "another", mean: percent };
  const top = paint === "top" ? 1 : high || 1;
  return { share: (v) => v / top, text: percent, low: "0 %", high: percent(top) };
}

// The same for a difference of two values, from -1 to 1.
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
    ? (v) => -Math.sign(v) * Math.log1p(Math.abs(v)) / Math.log1p(most)
    : (v) => v / most;
  const ends = paint === "rank" ? [most, -most] : [-most, most];
  return { changes: true, share, text, low: text(ends[0]), high: text(ends[1]) };
}

// The scale's colours, from the share at its left end to 1.
function drawLegend(canvas, from) {
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = tint(from + (1 - from) * x / (canvas.width - 1));
    context.fillRect(x, 0, 1, canvas.height);
  }
}
