// The image as it is shown, in full size and in halves of it: a canvas scales a large image down badly and slowly.

const MOST_PIXELS = 16_000_000; // some browsers show no more in one canvas
const SMALLEST = 512;

export class Photo {
  constructor(width, height, levels) {
    this.width = width;
    this.height = height;
    this.levels = levels;
  }

  /** The longest side that is asked for of an image of this size. */
  static longestSide(width, height) {
    const factor = Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
    return Math.max(1, Math.floor(Math.max(width, height) * factor));
  }

  /**
   * Decode an image file. `size` is that of the image on the server; null is returned for a file that this browser
   * does not decode to that shape (a format it does not know, or turns differently): the server's pixels are shown then.
   */
  static async decode(blob, { width, height }) {
    let full;
    try {
      full = await createImageBitmap(blob);
    } catch {
      return null;
    }
    if (Math.abs(full.width / full.height - width / height) > 1 / Math.min(width, height)) return null;
    if (full.width * full.height > MOST_PIXELS) {
      const side = Photo.longestSide(full.width, full.height);
      full = halved(full, side / Math.max(full.width, full.height));
    }
    const levels = [full];
    while (Math.max(levels.at(-1).width, levels.at(-1).height) > 2 * SMALLEST) levels.push(halved(levels.at(-1), 0.5));
    return new Photo(width, height, levels);
  }

  /** The smallest level that has at least `scale` pixels for each pixel of the image. */
  at(scale) {
    const enough = this.levels.filter((level) => level.width >= this.width * scale);
    return enough.at(-1) ?? this.levels[0];
  }
}

function halved(bitmap, factor) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * factor));
  canvas.height = Math.max(1, Math.round(bitmap.height * factor));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "medium";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}
