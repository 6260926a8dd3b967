// Numbers as runs in a text, such as 5-28.40, and back; throws where that makes no sense.

export const runs = (numbers) => {
  const parts = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last && number === last[1] + 1) last[1] = number; else parts.push([number, number]);
  }
  return parts.map(([from, to]) => from === to ? `${from}` : `${from}-${to}`).join(".");
};

export const numbers = (text) => {
  const found = [];
  for (const part of text.split(".").filter(Boolean)) {
    const [from, to = from] = part.split("-").map(Number);
    if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to < from || to > 100000)
      throw new Error("patches");
    for (let number = from; number <= to; number++) found.push(number);
  }
  return found;
};
