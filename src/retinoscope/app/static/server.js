// Talks to the server: one question at a time of each kind, told as lines of JSON.

export class Refusal extends Error {
  constructor({ kind, message }) { super(message); this.kind = kind; }
}

const broken = { kind: "Connection", message: "The explorer's server does not answer. Is it still running?" };

async function reached(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(broken);
  }
}

async function refusal(response) {
  try { return new Refusal(await response.json()); }
  catch { return new Refusal({ kind: "Refused", message: `The server answered with status ${response.status}.` }); }
}

export async function fetchModel() {
  const response = await reached("/api/model");
  if (!response.ok) throw await refusal(response);
  return response.json();
}

export async function upload(file) {
  const response = await reached("/api/images", {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream", "X-File-Name": encodeURIComponent(file.name) },
    body: file,
  });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

// Asks the model; `progress` is told what is going on and for how long. Throws a Refusal.
export async function ask(verb, request, { signal, progress }) {
  const response = await reached(`/api/${verb}`, {
    method: "POST", signal,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(request),
  });
  if (!response.ok) throw await refusal(response);
  try {
    for await (const event of lines(response.body)) {
      if (event.event === "result") return event.result;
      if (event.event === "error") throw new Refusal(event);
      if (event.event === "queued" && event.ahead) progress(`Waiting for the model, ${event.ahead} before this`);
      if (event.event === "progress") progress(event.doing, `${event.seconds.toFixed(1)} s`);
    }
  } catch (error) {
    if (error instanceof Refusal || error.name === "AbortError") throw error;
    throw new Refusal(broken);
  }
  throw new Refusal(broken);
}

export const fetchPicture = (source) => new Promise((resolve, reject) => {
  const image = new Image();
  image.onload = () => resolve(image);
  image.onerror = () => reject(new Refusal({ message: "The picture can't be shown; it is no longer held. Drop it in again." }));
  image.src = source;
});
