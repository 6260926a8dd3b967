// One convention for colours: nothing is the paper (or the image), more is orange, less is blue.
// Both are told apart by eyes that don't see red and green apart, and hold on light and dark.

const MORE = "221 132 16", LESS = "43 132 198";
const DENSEST = 0.88;

// A share of -1 to 1 as a colour that is transparent at 0.
export const tint = (share) => {
  const size = Math.min(1, Math.abs(share));
  return `rgb(${share < 0 ? LESS : MORE} / ${(DENSEST * size ** 0.85).toFixed(3)})`;
};

// How scores are coloured and read: `share` is where a score lies between nothing and the most.
export function scaleOf(scores, signed) {
  let most = 0;
  for (const score of scores) most = Math.max(most, Math.abs(score));
  most = most || 1;
  const share = (score) => score / most;
  const text = signed ? (score) => `${score >= 0 ? "+" : "−"}${Math.abs(score).toPrecision(2)} logits` : percent;
  return { colour: (score) => tint(share(score)), ends: [signed ? -1 : 0, 1], text, low: text(signed ? -most : 0), high: text(most) };
}

export function paintScale(canvas, [low, high]) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (let x = 0; x < canvas.width; x++) {
    context.fillStyle = tint(low + (high - low) * x / (canvas.width - 1));
    context.fillRect(x, 0, 1, canvas.height);
  }
}

export const percent = (p) => p >= 0.9995 ? "100 %" : p >= 0.0995 ? `${(100 * p).toFixed(1)} %`
  : p >= 0.00095 ? `${(100 * p).toFixed(2)} %` : p > 0 ? "< 0.1 %" : "0 %";
