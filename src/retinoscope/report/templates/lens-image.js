"use strict";
// The image with its patches: draws them, and tells which patch is where.

class PatchImage {
  constructor(canvas, sheet) {
    this.canvas = canvas;
    this.sheet = sheet;
    this.base = document.createElement("canvas");
    this.extents = sheet.views.map((tokens) => this.extent(tokens));
  }

  // What must be seen: the image, and patches that reach beyond it (padding).
  extent(tokens) {
    const [x0, y0, x1, y1] = [0, 1, 2, 3].map((side) => tokens.map((t) => this.sheet.boxes[4 * t + side]));
    const [width, height] = this.sheet.size;
    const least = (values, other) => values.reduce((a, b) => Math.min(a, b), other);
    const most = (values, other) => values.reduce((a, b) => Math.max(a, b), other);
    return [least(x0, 0), least(y0, 0), most(x1, width), most(y1, height)];
  }

  fit(view) {
    const [x0, y0, x1, y1] = this.extents[view];
    const width = this.canvas.parentElement.clientWidth;
    const scale = Math.min(width / (x1 - x0), Math.max(240, innerHeight * 0.54) / (y1 - y0));
    const dots = devicePixelRatio || 1;
    const size = [Math.round((x1 - x0) * scale), Math.round((y1 - y0) * scale)];
    const [w, h] = size.map((length) => Math.round(length * dots));
    if (this.canvas.width !== w || this.canvas.height !== h) {
      [this.canvas.width, this.canvas.height] = [w, h];
      [this.canvas.style.width, this.canvas.style.height] = size.map((length) => `${length}px`);
    }
    this.scale = scale * dots;
    this.origin = [x0, y0];
  }

  // A patch's place on the canvas, on whole dots, so that neighbours meet without a seam.
  place(token) {
    const box = this.sheet.boxes.subarray(4 * token, 4 * token + 4);
    const at = (value, side) => Math.round((value - this.origin[side % 2]) * this.scale);
    const [x0, y0, x1, y1] = [0, 1, 2, 3].map((side) => at(box[side], side));
    return [x0, y0, x1 - x0, y1 - y0];
  }

  // All but the cursor is kept from draw to draw: moving over a big image must be quick.
  draw(state, values, scale) {
    this.fit(state.view);
    const { width, height } = this.canvas;
    const { view, layer, paint, opacity, grid, outlines } = state;
    const key = JSON.stringify([view, layer, paint, opacity, grid, outlines, width, height, this.ready()]);
    if (key !== this.drawn || values !== this.values) this.drawBase(state, values, scale);
    [this.drawn, this.values] = [key, values];
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.drawImage(this.base, 0, 0);
    if (state.token !== null && this.sheet.viewOf[state.token] === view) this.drawCursor(context, state);
  }

  drawBase(state, values, scale) {
    [this.base.width, this.base.height] = [this.canvas.width, this.canvas.height];
    const context = this.base.getContext("2d");
    const painted = state.paint !== "none" && state.opacity > 0;
    this.drawImage(context, painted);
    if (painted) this.drawPatches(context, state, values, scale);
    if (state.grid) this.drawGrid(context, state);
    if (state.outlines) this.drawOutlines(context);
  }

  ready() {
    return this.sheet.image.complete && this.sheet.image.naturalWidth > 0;
  }

  drawImage(context, grey) {
    if (!this.ready()) return;
    const [x, y] = this.origin.map((start) => -start * this.scale);
    // Grey below the colours: otherwise the picture's own colours read as values.
    context.filter = grey ? "grayscale(1)" : "none";
    context.drawImage(this.sheet.image, x, y, this.sheet.size[0] * this.scale, this.sheet.size[1] * this.scale);
    context.filter = "none";
  }

  drawPatches(context, state, values, scale) {
    const start = state.layer * this.sheet.tokens;
    for (const token of this.sheet.views[state.view]) {
      const value = values[start + token];
      if (Number.isNaN(value)) continue;
      context.fillStyle = tint(scale.share(value), state.opacity);
      context.fillRect(...this.place(token));
    }
  }

  drawGrid(context, state) {
    const tokens = this.sheet.views[state.view];
    if (!tokens.length || this.place(tokens[0])[2] < 7) return;
    context.strokeStyle = "rgba(255, 255, 255, .22)";
    context.lineWidth = 1;
    context.beginPath();
    for (const token of tokens) {
      const [x, y, w, h] = this.place(token);
      context.rect(x + 0.5, y + 0.5, w, h);
    }
    context.stroke();
  }

  drawOutlines(context) {
    const dots = devicePixelRatio || 1;
    for (const object of this.sheet.objects) for (const polygon of object.polygons) {
      const path = new Path2D();
      for (const [x, y] of polygon) path.lineTo((x - this.origin[0]) * this.scale, (y - this.origin[1]) * this.scale);
      path.closePath();
      for (const [colour, width] of [["#000", 3.4], ["#fff", 1.6]]) {
        context.strokeStyle = colour;
        context.lineWidth = width * dots;
        context.stroke(path);
      }
    }
  }

  drawCursor(context, state) {
    const [x, y, w, h] = this.place(state.token);
    const dots = devicePixelRatio || 1;
    for (const [colour, width] of [["#000", 5], [state.locked ? "#ff9d1e" : "#fff", 2.4]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * dots;
      context.strokeRect(x, y, w, h);
    }
  }

  // The patch below a pointer event, or null.
  under(event, view) {
    const frame = this.canvas.getBoundingClientRect();
    const dots = this.canvas.width / frame.width;
    const x = (event.clientX - frame.left) * dots / this.scale + this.origin[0];
    const y = (event.clientY - frame.top) * dots / this.scale + this.origin[1];
    const { boxes } = this.sheet;
    const hit = this.sheet.views[view].find((t) =>
      x >= boxes[4 * t] && x < boxes[4 * t + 2] && y >= boxes[4 * t + 1] && y < boxes[4 * t + 3]);
    return hit ?? null;
  }

  // The nearest patch in a direction, [dx, dy]; the same patch at the edge.
  beside(token, [dx, dy], view) {
    const centre = (t) => [0, 1].map((side) => (this.sheet.boxes[4 * t + side] + this.sheet.boxes[4 * t + side + 2]) / 2);
    const [x, y] = centre(token);
    let [found, least] = [token, Infinity];
    for (const other of this.sheet.views[view]) {
      const [ox, oy] = centre(other);
      const along = (ox - x) * dx + (oy - y) * dy;
      const across = Math.abs((ox - x) * dy) + Math.abs((oy - y) * dx);
      if (along > 1e-3 && along + 4 * across < least) [found, least] = [other, along + 4 * across];
    }
    return found;
  }
}
