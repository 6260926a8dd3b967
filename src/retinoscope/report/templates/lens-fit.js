"use strict";
// How many of the top words fit the table whole, and with what beside them. Probabilities go first,
// then the type becomes smaller, and only then are there fewer words.

const TYPES = [13.4, 12, 11]; // pixels
const SMALLEST = 9;
const SIDES = 10; // a cell's padding
const GAP = 5; // between a word and its probability
const LAYER = 50;
const ENTROPY = 69;
const NARROW = 480; // below it the entropy makes room for a word
const USUAL = 0.97; // the share of words that get the room they need; longer ones are set smaller
const LONG = 8; // type sizes: nobody's words get more room than some fifteen letters take

class Fit {
  constructor(sheet, element) {
    this.sheet = sheet;
    this.family = getComputedStyle(element).fontFamily;
    const context = document.createElement("canvas").getContext("2d");
    context.font = `700 100px ${this.family}`;
    const per = (text) => context.measureText(text).width / 100; // widths in type sizes
    this.widths = sheet.vocabulary.map((word) => per(shown(word)));
    this.share = 0.85 * per("< 0.1 %");
    // The room that most words need; one for all ranks, since the eye goes down the columns.
    const every = Float32Array.from(sheet.top, (word) => this.widths[word]).sort();
    this.usual = Math.min(LONG, every[Math.floor(USUAL * (every.length - 1))]);
  }

  // What is shown in a table of a width: how many words, their type, which have a probability.
  choose(width) {
    const entropy = width >= NARROW;
    const free = width - LAYER - (entropy ? ENTROPY : 0);
    for (let count = this.sheet.best; count > 0; count--) {
      for (const [type, shares] of [[TYPES[0], count], [TYPES[0], 1], ...TYPES.slice(1).flatMap((small) => [[small, 1], [small, 0]])]) {
        const widths = Array.from({ length: count }, (_, k) => this.cell(type, k < shares));
        const needed = widths.reduce((a, b) => a + b, 0);
        if (needed <= free || (count === 1 && type === TYPES.at(-1) && !shares))
          return { count, type, shares, entropy, widths: widths.map((one) => one * Math.max(1, free / needed)) };
      }
    }
    return null;
  }

  cell(type, share) {
    return SIDES + type * (this.usual + (share ? this.share : 0)) + (share ? GAP : 0);
  }

  // The type in which a word fits a cell; one that is too long in the smallest is broken in two.
  type(word, { type, widths, shares }, rank) {
    const free = widths[rank] - SIDES - (rank < shares ? GAP + this.share * type : 0);
    return Math.max(SMALLEST, Math.min(type, free / this.widths[word]));
  }
}
