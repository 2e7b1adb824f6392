// Rectangles as the server gives them: [top, left, bottom, right] in rows and columns, bottom and right excluded.

export const rows = (rect) => rect[2] - rect[0];
export const columns = (rect) => rect[3] - rect[1];
export const isEmpty = (rect) => rows(rect) <= 0 || columns(rect) <= 0;

export const union = (a, b) => [
  Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3]),
];

/** What two rectangles share, or null. */
export function intersection(a, b) {
  const shared = [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])];
  return isEmpty(shared) ? null : shared;
}

/** The rectangle of a level whose pixels are 2**level image pixels wide: all that the image's rectangle touches. */
export function atLevel(rect, level) {
  const size = 2 ** level;
  return [
    Math.floor(rect[0] / size), Math.floor(rect[1] / size), Math.ceil(rect[2] / size), Math.ceil(rect[3] / size),
  ];
}

export const grown = (rect, by) => [rect[0] - by, rect[1] - by, rect[2] + by, rect[3] + by];
