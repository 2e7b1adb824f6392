// The server over HTTP. Every failure is an ApiError with the server's own words, which are made to be shown.

const BASE = new URL("api/", document.baseURI);

export class ApiError extends Error {
  constructor(type, message, status = 0) {
    super(message);
    this.type = type;
    this.status = status;
  }

  /** Whether the image, or the object, is not there (any more). */
  get isGone() {
    return this.status === 404 || this.type === "NotFound";
  }
}

export function socketUrl(imageId) {
  const url = new URL(`images/${encodeURIComponent(imageId)}/ws`, BASE);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url;
}

const unreachable = () => new ApiError("ConnectionError", "The server cannot be reached. Check that it runs, then try again.");

async function ask(method, path, { query = {}, body = undefined, type = undefined } = {}) {
  const url = new URL(path, BASE);
  for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, value);
  let response;
  try {
    response = await fetch(url, { method, body, headers: type ? { "Content-Type": type } : {} });
  } catch {
    throw unreachable();
  }
  if (!response.ok) throw answered(response, await response.text());
  return response;
}

/** The error that an answer tells. */
function answered({ status, statusText }, text) {
  let error = {};
  try {
    ({ error } = JSON.parse(text));
  } catch {
    // A proxy between us may answer in its own way.
  }
  return new ApiError(error?.type ?? "HTTPError", error?.message ?? `The server answered ${status} ${statusText}`.trim(), status);
}

/** Post a large file; `progress` is told the share that is sent, which fetch does not know. */
function upload(path, query, file, progress) {
  const url = new URL(path, BASE);
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  const request = new XMLHttpRequest();
  request.open("POST", url);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.addEventListener("progress", ({ loaded, total }) => progress(total ? loaded / total : 1));
  return new Promise((resolve, reject) => {
    request.onload = () => (request.status < 300 ? resolve(JSON.parse(request.responseText)) : reject(answered(request, request.responseText)));
    request.onerror = request.onabort = () => reject(unreachable());
    request.send(file);
  });
}

const json = async (...asked) => (await ask(...asked)).json();
const sendJson = (method, path, value) => json(method, path, { body: JSON.stringify(value), type: "application/json" });
const image = (id) => `images/${encodeURIComponent(id)}`;
const object = (id, objectId) => `${image(id)}/objects/${encodeURIComponent(objectId)}`;

export const getInfo = () => json("GET", "info");
export const getExample = async () => new File([await (await ask("GET", "../static/otter.jpg")).blob()], "otter.jpg");
export const openImage = (file, name, progress = () => {}) => upload("images", { name }, file, progress);
export const getImage = (id) => json("GET", image(id));
export const getPixels = async (id, longestSide) =>
  (await ask("GET", `${image(id)}/pixels`, { query: { max_side: longestSide } })).blob();

export const makeObject = (id, name, color, mask = undefined) =>
  json("POST", `${image(id)}/objects`, { query: { name, color }, body: mask, type: mask && "application/octet-stream" });
export const changeObject = (id, objectId, change) => sendJson("PATCH", object(id, objectId), change);
export const removeObject = (id, objectId) => ask("DELETE", object(id, objectId));
export const makePrompt = (id, objectId, prompt) => sendJson("POST", `${object(id, objectId)}/prompts`, prompt);
export const loadSession = (id, objectId, saved) => sendJson("POST", `${object(id, objectId)}/session`, saved);
export const loadProject = (id, saved) => sendJson("POST", `${image(id)}/project`, saved);

/** A rectangle of a matte, the whole of it if left out: {rect, values, version}. */
export async function getAlpha(id, objectId, rect = undefined) {
  const response = await ask("GET", `${object(id, objectId)}/alpha`, { query: { rect: rect?.join(",") } });
  return {
    rect: response.headers.get("X-Pyiseg-Rect").split(",").map(Number),
    version: Number(response.headers.get("X-Pyiseg-Version")),
    values: await inflate(await response.arrayBuffer()),
  };
}

/** A file to download: {blob, name}. Without an object it is of all objects. */
export async function download(id, objectId, query) {
  const response = await ask("GET", `${objectId ? object(id, objectId) : image(id)}/download`, { query });
  const named = /filename\*=UTF-8''([^;]+)/i.exec(response.headers.get("Content-Disposition") ?? ""); // the other is ASCII
  return { blob: await response.blob(), name: named ? decodeURIComponent(named[1]) : null };
}

export async function inflate(buffer) {
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
