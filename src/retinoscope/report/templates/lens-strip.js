"use strict";
// Every patch (across) at every layer (upwards) in one picture, with the present place marked.

class Strip {
  constructor(canvas, sheet) {
    this.canvas = canvas;
    this.sheet = sheet;
    this.buffer = document.createElement("canvas");
    [this.buffer.width, this.buffer.height] = [sheet.tokens, sheet.layers];
  }

  // The colours change with what is painted, not with the place: keep them between draws.
  paint(values, scale) {
    const { tokens, layers } = this.sheet;
    const picture = new ImageData(tokens, layers);
    for (let layer = 0; layer < layers; layer++) for (let token = 0; token < tokens; token++) {
      const value = values[layer * tokens + token];
      if (Number.isNaN(value)) continue;
      const at = 4 * ((layers - 1 - layer) * tokens + token);
      const share = scale.share(value);
      picture.data.set([...(share < 0 ? LESS : MORE), Math.round(255 * density(share))], at);
    }
    this.buffer.getContext("2d").putImageData(picture, 0, 0);
  }

  draw(state) {
    const dots = devicePixelRatio || 1;
    const width = Math.round(this.canvas.parentElement.clientWidth * dots);
    this.band = Math.round(7 * dots);
    const height = this.band + Math.round(Math.min(260, Math.max(90, 6 * this.sheet.layers)) * dots);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
      this.canvas.style.height = `${height / dots}px`;
    }
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.buffer, 0, this.band, width, height - this.band);
    const step = [width / this.sheet.tokens, (height - this.band) / this.sheet.layers];
    context.fillStyle = "#8b8f94"; // a grey that is no value's colour, in light and dark
    this.sheet.onObject.forEach((name, token) => {
      if (name) context.fillRect(token * step[0], 0, Math.max(1, step[0]), this.band - 2 * dots);
    });
    const y = this.band + (this.sheet.layers - 1 - state.layer) * step[1];
    for (const [colour, wide] of [["#000", 3], ["#fff", 1.4]]) {
      context.strokeStyle = colour;
      context.lineWidth = wide * dots;
      context.strokeRect(0.5, y, width - 1, step[1]);
      if (state.token !== null) context.strokeRect(state.token * step[0], this.band, Math.max(2, step[0]), height - this.band);
    }
  }

  // [layer, token] below a pointer event.
  under(event) {
    const frame = this.canvas.getBoundingClientRect();
    const dots = this.canvas.height / frame.height;
    const inside = (value, count) => Math.max(0, Math.min(count - 1, Math.floor(value * count)));
    const down = ((event.clientY - frame.top) * dots - this.band) / (this.canvas.height - this.band);
    const token = inside((event.clientX - frame.left) / frame.width, this.sheet.tokens);
    return [this.sheet.layers - 1 - inside(down, this.sheet.layers), token];
  }
}
