// The painted mattes, in tiles: only those that are seen are painted, and of those only what has changed.

import { atLevel, columns, grown, intersection, rows, union } from "./rect.js";

const SIDE = 512;
const MOST = 160; // tiles that are kept, 1 MB each

export class Tiles {
  /** `paint(canvas context, rectangle of the level, level, left and top of the tile)` paints a rectangle of a tile. */
  constructor(width, height, paint) {
    this.width = width;
    this.height = height;
    this.paint = paint;
    this.tiles = new Map();
    this.painted = 0; // pixels, for tests
  }

  /** Forget a rectangle of the image, or everything. */
  invalidate(rect = null) {
    for (const tile of this.tiles.values()) {
      if (!rect) {
        tile.dirty = tile.rect;
        continue;
      }
      // One pixel more: edges are painted from a pixel's neighbors.
      const changed = intersection(grown(atLevel(rect, tile.level), 1), tile.rect);
      if (changed) tile.dirty = tile.dirty ? union(tile.dirty, changed) : changed;
    }
  }

  /** Draw what is seen of a level; `view` has the scale and the place of the image on the canvas. */
  draw(context, view, level) {
    const size = 2 ** level;
    const whole = [0, 0, Math.ceil(this.height / size), Math.ceil(this.width / size)];
    const seen = intersection(atLevel(view.seen(), level), whole);
    if (!seen) return;
    for (let row = Math.floor(seen[0] / SIDE); row * SIDE < seen[2]; row += 1) {
      for (let column = Math.floor(seen[1] / SIDE); column * SIDE < seen[3]; column += 1) {
        const tile = this.#tile(level, row, column, whole);
        this.#paintDirty(tile);
        // Whole device pixels: between tiles that end within a pixel a seam would be seen.
        const [top, left, bottom, right] = tile.rect.map((at, i) => {
          const end = Math.min(at * size, i % 2 ? this.width : this.height);
          return Math.round((i % 2 ? view.left : view.top) + end * view.scale);
        });
        const [tileRows, tileColumns] = [rows(tile.rect), columns(tile.rect)];
        context.drawImage(tile.canvas, 0, 0, tileColumns, tileRows, left, top, right - left, bottom - top);
      }
    }
    this.#drop(level, seen);
  }

  #tile(level, row, column, whole) {
    const key = `${level} ${row} ${column}`;
    if (!this.tiles.has(key)) {
      const rect = intersection([row * SIDE, column * SIDE, (row + 1) * SIDE, (column + 1) * SIDE], whole);
      const canvas = document.createElement("canvas");
      canvas.width = columns(rect);
      canvas.height = rows(rect);
      this.tiles.set(key, { level, rect, dirty: rect, canvas, context: canvas.getContext("2d") });
    }
    return this.tiles.get(key);
  }

  #paintDirty(tile) {
    if (!tile.dirty) return;
    this.painted += rows(tile.dirty) * columns(tile.dirty);
    this.paint(tile.context, tile.dirty, tile.level, tile.rect[1], tile.rect[0]);
    tile.dirty = null;
  }

  #drop(level, seen) {
    if (this.tiles.size <= MOST) return;
    for (const [key, tile] of this.tiles) {
      if (tile.level !== level || !intersection(tile.rect, seen)) this.tiles.delete(key);
    }
  }
}
