// The image with its patches: drawing, and choosing by pointer and by keys.

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Grid {
  // `changed(patches)` is told of a new selection, `pointed(patch)` of the patch under the cursor.
  constructor(canvas, { changed, pointed }) {
    Object.assign(this, { canvas, changed, pointed });
    this.view = null; this.picture = null; this.patches = new Set(); this.kept = new Set(); this.scale = null;
    this.scores = null; this.level = 0; this.cursor = -1; this.drag = null;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", () => { this.drag = null; this.draw(); });
    canvas.addEventListener("keydown", (event) => this.key(event));
    for (const event of ["focus", "blur"]) canvas.addEventListener(event, () => this.draw());
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(canvas.parentElement);
    this.themed = () => this.draw();
    document.addEventListener("themechange", this.themed);
  }

  // The canvas goes away.
  end() { this.resized.disconnect(); document.removeEventListener("themechange", this.themed); }

  show(view, picture) {
    Object.assign(this, { view, picture, cursor: -1, drag: null, scores: null, level: view.cells[0][0] });
    this.at = new Map(view.cells.map((cell, index) => [cell.join(), index]));
    this.draw();
  }

  // Takes no input until the next picture is shown.
  hold() { Object.assign(this, { view: null, drag: null, cursor: -1 }); }

  keep(patches) { this.kept = new Set(patches); this.draw(); }
  select(patches) { this.patches = new Set(patches); this.draw(); }
  setLevel(level) { this.level = level; this.cursor = -1; this.draw(); }
  paint(scores, scale) { Object.assign(this, { scores, scale }); this.draw(); }
  shownPatches() { return this.view.cells.flatMap((cell, index) => cell[0] === this.level ? [index] : []); }

  draw() {
    if (!this.view) return;
    const { canvas, view } = this;
    const room = canvas.parentElement.clientWidth;
    const [width, height] = view.size;
    const zoom = Math.min(room / width, Math.max(260, innerHeight * 0.68) / height);
    const dense = devicePixelRatio || 1;
    canvas.style.width = `${Math.round(width * zoom)}px`;
    canvas.style.height = `${Math.round(height * zoom)}px`;
    canvas.width = Math.round(width * zoom * dense);
    canvas.height = Math.round(height * zoom * dense);
    this.zoom = zoom;
    const context = canvas.getContext("2d");
    context.scale(zoom * dense, zoom * dense);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.picture, 0, 0, width, height);
    const shown = this.shownPatches();
    this.fillScores(context, shown);
    this.drawLines(context, shown, 1 / zoom);
    this.drawKept(context, shown, 1 / zoom);
    this.drawSelection(context, shown, 1 / zoom);
    this.drawCursor(context, 1 / zoom);
  }

  fillScores(context, shown) {
    if (!this.scores) return;
    for (const index of shown) {
      const [x0, y0, x1, y1] = this.view.boxes[index];
      context.fillStyle = this.scale.colour(this.scores[index]);
      context.fillRect(x0, y0, x1 - x0, y1 - y0);
    }
  }

  drawLines(context, shown, pixel) {
    context.strokeStyle = "rgb(255 255 255 / .28)";
    context.lineWidth = 0.7 * pixel;
    for (const index of shown) {
      const [x0, y0, x1, y1] = this.view.boxes[index];
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
  }

  // What kept interventions touch is hatched: they stay in force while others are selected.
  drawKept(context, shown, pixel) {
    for (const index of shown) {
      if (!this.kept.has(index)) continue;
      const [x0, y0, x1, y1] = this.view.boxes[index];
      for (const [colour, width] of [["#101010", 3], ["#ffffff", 1.2]]) {
        context.strokeStyle = colour; context.lineWidth = width * pixel;
        context.beginPath(); context.moveTo(x0, y1); context.lineTo(x1, y0); context.stroke();
      }
    }
  }

  // A tint and an outline in light and dark, which show on any image and without colour.
  drawSelection(context, shown, pixel) {
    const chosen = new Set([...this.patches, ...(this.drag?.taking === false ? [] : this.dragged())]);
    if (this.drag?.taking === false) for (const index of this.dragged()) chosen.delete(index);
    const edges = new Path2D();
    for (const index of shown) {
      if (!chosen.has(index)) continue;
      const [x0, y0, x1, y1] = this.view.boxes[index];
      if (!this.scores) {
        context.fillStyle = "rgb(255 150 20 / .38)";
        context.fillRect(x0, y0, x1 - x0, y1 - y0);
      }
      const [level, row, column] = this.view.cells[index];
      const alone = (r, c) => !chosen.has(this.at.get(`${level},${r},${c}`) ?? -1);
      const line = (a, b, c, d) => { edges.moveTo(a, b); edges.lineTo(c, d); };
      if (alone(row - 1, column)) line(x0, y0, x1, y0);
      if (alone(row + 1, column)) line(x0, y1, x1, y1);
      if (alone(row, column - 1)) line(x0, y0, x0, y1);
      if (alone(row, column + 1)) line(x1, y0, x1, y1);
    }
    for (const [colour, width] of [["#101010", 4.5], ["#ffffff", 2]]) {
      context.strokeStyle = colour; context.lineWidth = width * pixel; context.lineCap = "square";
      context.stroke(edges);
    }
  }

  drawCursor(context, pixel) {
    if (this.cursor < 0) return;
    const [x0, y0, x1, y1] = this.view.boxes[this.cursor];
    context.strokeStyle = colourOf("--focus"); context.lineWidth = 3 * pixel;
    context.setLineDash([4 * pixel, 3 * pixel]);
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    context.setLineDash([]);
  }

  patchAt(event) {
    const frame = this.canvas.getBoundingClientRect();
    const x = (event.clientX - frame.left) / this.zoom, y = (event.clientY - frame.top) / this.zoom;
    return this.shownPatches().find((index) => {
      const [x0, y0, x1, y1] = this.view.boxes[index];
      return x >= x0 && x < x1 && y >= y0 && y < y1;
    }) ?? -1;
  }

  dragged() {
    if (!this.drag || this.drag.from === this.drag.to) return [];
    const [a, b] = [this.view.cells[this.drag.from], this.view.cells[this.drag.to]];
    const inside = (v, p, q) => v >= Math.min(p, q) && v <= Math.max(p, q);
    return this.shownPatches().filter((index) => {
      const [, row, column] = this.view.cells[index];
      return inside(row, a[1], b[1]) && inside(column, a[2], b[2]);
    });
  }

  press(event) {
    if (!this.view || event.button !== 0) return;
    const patch = this.patchAt(event);
    if (patch < 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = { from: patch, to: patch, taking: !event.shiftKey };
    this.point(patch);
  }

  move(event) {
    if (!this.view) return;
    const patch = this.patchAt(event);
    if (patch < 0) return;
    if (this.drag) this.drag.to = patch;
    if (patch !== this.cursor) this.point(patch);
  }

  release() {
    if (!this.drag) return;
    const { from, to, taking } = this.drag, patches = new Set(this.patches);
    if (from === to) patches.has(from) ? patches.delete(from) : patches.add(from);
    else for (const index of this.dragged()) taking ? patches.add(index) : patches.delete(index);
    this.drag = null;
    this.changed(patches);
  }

  key(event) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (!this.view || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.cursor < 0) this.cursor = this.shownPatches()[0];
    const patches = new Set(this.patches);
    if (event.key in steps) {
      const [level, row, column] = this.view.cells[this.cursor];
      const next = this.at.get([level, row + steps[event.key][0], column + steps[event.key][1]].join());
      if (event.shiftKey) { patches.add(this.cursor); if (next !== undefined) patches.add(next); this.changed(patches); }
      this.point(next ?? this.cursor);
    } else if (event.key === " " || event.key === "Enter") {
      patches.has(this.cursor) ? patches.delete(this.cursor) : patches.add(this.cursor);
      this.changed(patches);
      this.point(this.cursor);
    } else if (event.key === "Escape") this.changed(new Set());
    else return;
    event.preventDefault();
  }

  point(patch) { this.cursor = patch; this.draw(); this.pointed(patch); }
}
