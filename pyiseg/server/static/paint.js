// What the mattes look like: colors over the image, gray, or as a hole through which the image is seen.
// Each painter fills 32-bit pixels (little endian: alpha, blue, green, red) of a rectangle of one level.

import { columns } from "./rect.js";

const ACTIVE_TINT = 0.42;
const OTHER_TINT = 0.34;
const WHITE = 0xffffffff;

/** A color "#rrggbb" as a pixel of an opacity from 0 to 1. */
function pixel(color, opacity) {
  const value = parseInt(color.slice(1), 16);
  const [red, green, blue] = [value >> 16, (value >> 8) & 255, value & 255];
  return ((Math.round(opacity * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

const tints = new Map();

/** The pixel for each alpha: looked up, since it is needed for every pixel of the screen. */
function tint(color, opacity) {
  const key = `${color} ${opacity}`;
  if (!tints.has(key)) {
    tints.set(key, Uint32Array.from({ length: 256 }, (_, alpha) => pixel(color, (opacity * alpha) / 255)));
  }
  return tints.get(key);
}

/** Objects in their colors, the strongest of each pixel as in a label map, with an edge of two pixels around each. */
export function paintOverlay(pixels, rect, level, objects, active, edges) {
  const strongest = new Uint8Array(pixels.length);
  for (const object of objects) {
    if (!object.visible || !object.matte.levels) continue;
    const { width, height, alpha } = object.matte.levels[level];
    const colors = tint(object.color, object === active ? ACTIVE_TINT : OTHER_TINT);
    const outer = pixel(object.color, 1);
    let i = 0;
    for (let y = rect[0]; y < rect[2]; y += 1) {
      const up = y > 0 ? -width : 0;
      const down = y + 1 < height ? width : 0;
      for (let x = rect[1]; x < rect[3]; x += 1, i += 1) {
        const at = y * width + x;
        const value = alpha[at];
        if (value > strongest[i]) {
          strongest[i] = value;
          pixels[i] = colors[value];
        }
        if (!edges) continue;
        const inside = value >> 7;
        const left = x > 0 ? -1 : 0;
        const right = x + 1 < width ? 1 : 0;
        const around = (alpha[at + up] >> 7) + (alpha[at + down] >> 7) + (alpha[at + left] >> 7) + (alpha[at + right] >> 7);
        // White within the object's own color is seen on any image.
        if (inside && around < 4) pixels[i] = object === active ? WHITE : outer;
        else if (!inside && around > 0) pixels[i] = outer;
      }
    }
  }
}

/** One value for each alpha of one object; alpha 0 where it has no matte yet. */
function paintTable(pixels, rect, level, object, table) {
  const width = columns(rect);
  if (!object?.matte.levels) {
    pixels.fill(table[0]);
    return;
  }
  const from = object.matte.levels[level];
  let i = 0;
  for (let y = rect[0]; y < rect[2]; y += 1) {
    const start = y * from.width + rect[1];
    for (let x = 0; x < width; x += 1, i += 1) pixels[i] = table[from.alpha[start + x]];
  }
}

const GRAYS = Uint32Array.from({ length: 256 }, (_, alpha) => (0xff000000 | (alpha * 0x010101)) >>> 0);
const HOLES = Uint32Array.from({ length: 256 }, (_, alpha) => (alpha << 24) >>> 0);

export const paintMatte = (pixels, rect, level, object) => paintTable(pixels, rect, level, object, GRAYS);
export const paintHole = (pixels, rect, level, object) => paintTable(pixels, rect, level, object, HOLES);
