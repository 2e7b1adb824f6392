// Runs a session beside the page, so that the page stays alive meanwhile. Messages: {id, call, args} and back {id,
// alpha, clicks} or {id, error}; the first is {id, call: "open", args: [rgba, shape]}.
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

let session = null;

async function answer({ call, args }) {
  if (call === "open") {
    const opened = await Session.open(await model, ...args);
    session?.close();
    session = opened;
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
      self.postMessage({ id: data.id, alpha, clicks: session.clicks }, [alpha.buffer]);
    } catch (error) {
      self.postMessage({ id: data.id, error: String(error) });
    }
  });
};
