// The page's one state: what is asked, selected, done and shown. The address holds all of it.

export const PLAIN = {
  images: [], question: "", prefix: "", patches: new Set(), kept: [],
  act: "mean", first: 0, last: -1, heads: [], seed: 0, other: "", word: "", layer: 0, strength: 2,
  overlay: "", places: [], token: -1, query: "answer", text: -1, keys: "patches", level: 0, lens: "",
  attentionLayer: -1, attentionHead: -1, under: 0,
};

export const OVERLAYS = ["", "attention", "rollout", "gradient_x_input", "integrated_gradients"];
export const QUERIES = ["answer", "patches", "text"];
export const KEYS = ["patches", "selected", "text"];

export const state = { ...PLAIN };
export const prompt = () => ({ images: state.images, question: state.question, prefix: state.prefix });
export const patches = () => [...state.patches].sort((a, b) => a - b);
export const asksAttention = () => state.overlay === "attention" || state.overlay === "rollout";
