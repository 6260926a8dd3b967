// The prompt's images side by side, each a grid of its own; patches are numbered through all.

import { Grid } from "./grid.js";
import { make } from "./readings.js";

export class Stage {
  // `changed(patches)` is told of a new selection, `pointed(patch)` of the patch under the cursor,
  // `removed(index)` of an image that shall go.
  constructor(list, { changed, pointed, removed }) {
    Object.assign(this, { list, changed, pointed, removed });
    this.grids = []; this.patches = new Set(); this.scores = null; this.scale = null;
  }

  show(images, pictures) {
    this.scores = null;
    this.list.classList.toggle("several", images.length > 1);
    for (const grid of this.grids) grid.end();
    const canvases = images.map((image, index) => make("canvas", {
      id: index ? `stage-${index + 1}` : "stage", tabIndex: 0, role: "application",
      "aria-roledescription": "patch grid", "aria-describedby": "keys",
      "aria-label": images.length > 1 ? `Patches of image ${index + 1}, ${image.title}` : "Patches of the image",
    }));
    this.list.replaceChildren(...images.map((image, index) => make("figure", { className: "shown" },
      ...(images.length > 1 ? [make("figcaption", {}, make("span", {}, `${index + 1}. ${image.title}`),
        make("button", { type: "button", className: "quiet", "aria-label": `Take image ${index + 1} away`, onclick: () => this.removed(index) }, "Take away"))] : []),
      canvases[index])));
    this.grids = images.map((image, index) => new Grid(canvases[index], {
      changed: (own) => this.changed(this.merged(image, own)),
      pointed: (patch) => this.pointed(patch < 0 ? patch : image.first + patch),
    }));
    this.grids.forEach((grid, index) => grid.show(images[index], pictures[index]));
    this.select(this.patches);
  }

  // A new selection in one image, with that of the others.
  merged({ first, cells }, own) {
    const rest = [...this.patches].filter((patch) => patch < first || patch >= first + cells.length);
    return new Set([...rest, ...[...own].map((patch) => first + patch)]);
  }

  each(then) { for (const grid of this.grids) then(grid, (patches) => local(grid, patches)); }

  // Takes no input until the next pictures are shown.
  hold() { this.each((grid) => grid.hold()); }
  keep(patches) { this.each((grid, own) => grid.keep(own(patches))); }
  select(patches) { this.patches = new Set(patches); this.each((grid, own) => grid.select(own(patches))); }
  setLevel(level) { this.each((grid) => grid.setLevel(level)); }
  paint(scores, scale) {
    Object.assign(this, { scores, scale });
    this.each((grid) => grid.paint(scores?.slice(grid.view.first, grid.view.first + grid.view.cells.length) ?? null, scale));
  }
}

const local = ({ view }, patches) => view === null ? [] : [...patches].map((patch) => patch - view.first)
  .filter((patch) => patch >= 0 && patch < view.cells.length);
