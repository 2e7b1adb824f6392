// What happened, in words: for the status line and for screen readers.

const verb = (fg) => (fg ? "selects" : "removes");
const times = (ms) => (ms < 10 ? ms.toFixed(1) : Math.round(ms).toString());

/** One prompt, numbered from 1. */
export function describe(prompt, number = null) {
  const numbered = number === null ? "" : ` ${number}`;
  if (prompt.click) return `Click${numbered} ${verb(prompt.click[2])} at ${prompt.click[0]}, ${prompt.click[1]}`;
  if (prompt.local) return `Local click${numbered} ${verb(prompt.local[2])} at ${prompt.local[0]}, ${prompt.local[1]}`;
  if (prompt.box) {
    const [x0, y0, x1, y1] = prompt.box;
    return `Box${numbered} selects from ${x0}, ${y0} to ${x1}, ${y1}`;
  }
  if (prompt.scribble) {
    const [[x, y]] = prompt.scribble;
    return `Scribble${numbered} ${verb(prompt.fg !== false)} from ${x}, ${y}`;
  }
  return "Mask to begin with";
}

/** Whether a prompt selects or removes. */
export const isForeground = (prompt) => (prompt.click ?? prompt.local)?.[2] ?? prompt.fg !== false;

export function percent(share) {
  const value = share * 100;
  if (value === 0) return "0 %";
  return value < 1 ? "under 1 %" : `${Math.round(value)} %`;
}

export const timing = (server, roundTrip) => `${times(server)} ms server, ${times(roundTrip)} ms round trip`;

export function megapixels(width, height) {
  const millions = (width * height) / 1e6;
  return `${width} × ${height}${millions >= 1 ? ` · ${millions.toFixed(millions < 10 ? 1 : 0)} MP` : ""}`;
}

export const megabytes = (bytes) => (bytes < 1e5 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
