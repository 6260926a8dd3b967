"use strict";
// The table of a patch's top words at every layer. Words go in as text, never as markup.

class Words {
  // `beside` is the sheet that this one is compared with, or null.
  constructor(section, sheet, beside, onLayer) {
    this.sheet = sheet;
    this.beside = beside;
    this.heading = section.querySelector(".patch");
    this.frame = section.querySelector(".table");
    this.head = section.querySelector("th.head");
    this.fit = new Fit(sheet, this.frame);
    this.hasEntropy = section.querySelector("th.entropy");
    const columns = section.querySelector("colgroup");
    this.columns = Array.from({ length: sheet.best }, () => columns.insertBefore(document.createElement("col"), columns.lastElementChild));
    const body = section.querySelector("tbody");
    this.rows = Array.from({ length: sheet.layers }, (_, layer) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = layer;
      row.append(head);
      const cells = Array.from({ length: sheet.best }, () => {
        const cell = document.createElement("td");
        const [word, share] = [document.createElement("bdi"), document.createElement("small")];
        cell.append(word, share);
        row.append(cell);
        return { cell, word, share };
      });
      const entropy = document.createElement("td");
      entropy.className = "entropy";
      row.append(entropy);
      row.addEventListener("click", () => onLayer(layer));
      return { row, cells, entropy };
    });
    // The last layer on top, as the eye goes from the answer down to the input.
    body.append(...this.rows.map(({ row }) => row).reverse());
  }

  // The columns that fit now; kept until the table is of another width.
  arrange() {
    const width = this.frame.clientWidth;
    if (this.width === width) return;
    this.width = width;
    this.chosen = this.fit.choose(width);
    const { count, type, shares, entropy, widths } = this.chosen;
    this.frame.style.setProperty("--type", `${type}px`);
    this.head.colSpan = count;
    const rest = count < this.sheet.best ? `, ${count} of ${this.sheet.best}` : "";
    this.head.textContent = `top words${rest}; ${shares === count ? "their probability" : "bars: their probability"}`;
    this.columns.forEach((column, k) => {
      column.hidden = k >= count;
      column.style.width = `${widths[k] ?? 0}px`;
    });
    this.hasEntropy.hidden = !entropy;
    for (const row of this.rows) {
      row.cells.forEach(({ cell, share }, k) => { cell.hidden = k >= count; share.hidden = k >= shares; });
      row.entropy.hidden = !entropy;
    }
  }

  draw(state) {
    this.arrange();
    this.heading.textContent = state.token === null ? "Move over the image" : this.name(state.token);
    this.rows.forEach(({ row, cells, entropy }, layer) => {
      row.classList.toggle("now", layer === state.layer);
      if (state.token === null) return;
      const at = layer * this.sheet.tokens + state.token;
      entropy.textContent = (this.sheet.entropy[at] / 65535 * this.sheet.entropyMax).toFixed(1);
      cells.forEach(({ cell, word, share }, k) => {
        const index = this.sheet.top[at * this.sheet.best + k];
        const p = Math.exp(-this.sheet.surprise[at * this.sheet.best + k] / this.sheet.logStep);
        word.textContent = shown(this.sheet.vocabulary[index]);
        word.style.fontSize = k < this.chosen.count ? `${this.fit.type(index, this.chosen, k).toFixed(1)}px` : "";
        const other = k === 0 && this.beside && this.best(this.beside, at) !== this.best(this.sheet, at);
        cell.title = `${word.textContent} ${percent(p)}${other ? `; on the left ${shown(this.best(this.beside, at))}` : ""}`;
        cell.classList.toggle("other", Boolean(other));
        share.textContent = percent(p);
        cell.style.setProperty("--p", p.toFixed(3));
        cell.classList.toggle("sought", Boolean(state.word) && this.sheet.plain[index] === normal(state.word));
      });
    });
  }

  best(sheet, at) { return sheet.vocabulary[sheet.top[at * sheet.best]]; }

  name(token) {
    const [tile, row, column] = this.sheet.cells.subarray(3 * token, 3 * token + 3);
    const tiles = this.sheet.tiled ? `tile ${tile}, ` : "";
    const object = this.sheet.onObject[token];
    return `${tiles}row ${row}, column ${column}${object ? ` · on ${object}` : ""}`;
  }

  // One sentence of the present place, for those who don't see the table.
  sentence(state) {
    const at = (state.layer * this.sheet.tokens + state.token) * this.sheet.best;
    const words = [0, 1, 2].filter((k) => k < this.sheet.best).map((k) =>
      `${this.sheet.vocabulary[this.sheet.top[at + k]]} ${percent(Math.exp(-this.sheet.surprise[at + k] / this.sheet.logStep))}`);
    return `${this.sheet.condition}: ${this.name(state.token)}, layer ${state.layer}: ${words.join(", ")}`;
  }
}

// A leading space tells a new word from a piece of one, so it is shown.
const shown = (word) => word === "" ? "(empty)" : word.replace(/^ +| +$/g, (spaces) => "\u2423".repeat(spaces.length));
