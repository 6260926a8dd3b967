// Colour maps that eyes can read which don't see red and green apart: viridis for shares, and
// blue through white to orange for signed scores.

const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
  [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];
const SIGNED = [[5, 78, 150], [67, 140, 196], [168, 206, 231], [247, 247, 247], [253, 196, 132], [230, 127, 27], [150, 70, 4]];

const between = (stops, share) => {
  const place = Math.max(0, Math.min(1, share)) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  return stops[low].map((from, c) => Math.round(from + (place - low) * (stops[low + 1][c] - from)));
};

// How scores are coloured and read: `share` is where a score lies on the scale, 0 to 1.
export function scaleOf(scores, signed) {
  let most = 0;
  for (const score of scores) most = Math.max(most, Math.abs(score));
  most = most || 1;
  const stops = signed ? SIGNED : VIRIDIS;
  const share = (score) => signed ? (score / most + 1) / 2 : score / most;
  const text = signed ? (score) => `${score >= 0 ? "+" : "−"}${Math.abs(score).toPrecision(2)} logits` : percent;
  return { colour: (score) => `rgb(${between(stops, share(score))})`, stops, text, low: text(signed ? -most : 0), high: text(most) };
}

export function paintScale(canvas, stops) {
  const context = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = `rgb(${between(stops, x / (canvas.width - 1))})`;
    context.fillRect(x, 0, 1, canvas.height);
  }
}

export const percent = (p) => p >= 0.9995 ? "100 %" : p >= 0.0995 ? `${(100 * p).toFixed(1)} %`
  : p >= 0.00095 ? `${(100 * p).toFixed(2)} %` : p > 0 ? "< 0.1 %" : "0 %";
