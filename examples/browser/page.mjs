// The page: shows the picture with what is not selected darkened, and hands clicks to worker.mjs.
const [file, remove, undo, redo, save, status, canvas] = [
  "file", "remove", "undo", "redo", "save", "status", "canvas",
].map((id) => document.getElementById(id));
const context = canvas.getContext("2d", { willReadFrequently: true });
const worker = new Worker("worker.mjs", { type: "module" });
const waiting = new Map();
let lastId = 0;
let picture = null; // ImageData
let alpha = null; // Uint8Array, one a pixel

worker.onmessage = ({ data }) => {
  const { resolve, reject } = waiting.get(data.id);
  waiting.delete(data.id);
  if (data.error) reject(new Error(data.error));
  else resolve(data);
};
worker.onerror = (event) => {
  status.textContent = `The worker failed: ${event.message || "a file is missing"}`;
};

function ask(call, args = []) {
  return new Promise((resolve, reject) => {
    waiting.set(++lastId, { resolve, reject });
    worker.postMessage({ id: lastId, call, args });
  });
}

/** Do something in the worker and show what came of it, or what went wrong. */
async function perform(words, call, args) {
  status.textContent = `${words} …`;
  const [began, on] = [performance.now(), picture];
  try {
    const answer = await ask(call, args);
    if (on !== picture) return; // another one was opened meanwhile
    ({ alpha } = answer);
    const selects = answer.state.clicks;
    status.textContent = `${words}: ${Math.round(performance.now() - began)} ms. Clicks: ${selects}.`;
    undo.disabled = save.disabled = selects === 0;
    redo.disabled = answer.state.undone === 0;
    show();
  } catch (error) {
    status.textContent = error.message;
  }
}

function show() {
  const shown = new ImageData(new Uint8ClampedArray(picture.data), picture.width);
  const { data } = shown;
  for (let i = 0; i < alpha.length; ++i) {
    const bright = 0.3 + (0.7 * alpha[i]) / 255;
    for (let c = 0; c < 3; ++c) data[4 * i + c] *= bright;
  }
  context.putImageData(shown, 0, 0);
}

async function open(blob) {
  try {
    const bitmap = await createImageBitmap(blob);
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    context.fillStyle = "white"; // what is transparent lies over white, as in the library
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0);
    picture = context.getImageData(0, 0, canvas.width, canvas.height);
    alpha = new Uint8Array(canvas.width * canvas.height);
  } catch (error) {
    status.textContent = `This picture cannot be opened: ${error.message}`;
    return;
  }
  undo.disabled = redo.disabled = save.disabled = true;
  await perform("Opened", "open", [picture.data, [picture.height, picture.width]]);
}

function click(event, fg) {
  event.preventDefault();
  if (picture === null) return;
  const box = canvas.getBoundingClientRect();
  const at = (offset, length, pixels) => Math.min(Math.max(Math.floor((offset / length) * pixels), 0), pixels - 1);
  const x = at(event.clientX - box.left, box.width, canvas.width);
  const y = at(event.clientY - box.top, box.height, canvas.height);
  perform(fg ? "Selected" : "Removed", "click", [x, y, fg]);
}

function saveCutout() {
  const cut = document.createElement("canvas");
  cut.width = picture.width;
  cut.height = picture.height;
  const pixels = new ImageData(new Uint8ClampedArray(picture.data), picture.width);
  for (let i = 0; i < alpha.length; ++i) pixels.data[4 * i + 3] = alpha[i];
  cut.getContext("2d").putImageData(pixels, 0, 0);
  cut.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "cutout.png";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

file.onchange = () => file.files.length > 0 && open(file.files[0]);
canvas.onclick = (event) => click(event, !(event.shiftKey || remove.checked));
canvas.oncontextmenu = (event) => click(event, false);
undo.onclick = () => perform("Undone", "undo");
redo.onclick = () => perform("Redone", "redo");
save.onclick = saveCutout;
document.ondragover = (event) => event.preventDefault();
document.ondrop = (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length > 0) open(event.dataTransfer.files[0]);
};
ask("ready").then(
  () => picture === null && (status.textContent = "Ready."),
  (error) => (status.textContent = `The model cannot be loaded: ${error.message}`),
);
