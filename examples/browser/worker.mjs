// Runs a session beside the page, so that the page stays alive meanwhile. Messages: {id, call, args}, where call is
// "ready", "open" with [rgba, [H, W]] or a method of Session; and back {id, alpha, state} or {id, error}.
import * as ort from "./ort/ort.wasm.min.mjs";
import { Model, Session } from "./pyiseg.mjs";

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
// More than one thread needs a page that is isolated from other origins: see serve.py.
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 4) : 1;
const model = Model.load({
  ort,
  folder: new URL("./model/", import.meta.url),
  opsUrl: new URL("./ops.wasm", import.meta.url),
});
model.catch(() => {}); // each call that needs it says so
let session = null;

async function answer({ call, args }) {
  if (call === "ready") return (await model) && new Uint8Array();
  if (call === "open") {
    session?.close();
    session = null; // so that no click lands on the image before, should this one not open
    session = await Session.open(await model, ...args);
    return session.alpha;
  }
  if (session === null) throw new Error("no image was opened yet");
  return session[call](...args);
}

let last = Promise.resolve();
self.onmessage = ({ data }) => {
  // One after the other: a click is predicted from the one before it.
  last = last.then(async () => {
    try {
      const alpha = await answer(data);
      const state = { clicks: session?.clicks.length ?? 0, undone: session?.undone.length ?? 0 };
      self.postMessage({ id: data.id, alpha, state }, [alpha.buffer]);
    } catch (error) {
      self.postMessage({ id: data.id, error: error.message });
    }
  });
};
