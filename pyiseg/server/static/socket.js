// The connection that prompts go over and mattes come back on. Of a matte only the rectangle that changed travels.

import { ApiError, inflate, socketUrl } from "./api.js";
import { isEmpty } from "./rect.js";

const WAITS = [300, 1000, 2000, 5000, 10_000]; // before each new try, in ms
const PING = 20_000; // proxies close what is silent
const GONE = 4404;

const gone = () => new ApiError("NotFound", "The server has let this image go; open it again.", 404);

/**
 * Events: "connected" (detail: whether it had been lost before), "lost", "gone" (the server no longer has the image; detail:
 * whether it left while it was looked at),
 * "refused" (detail: why the server ends the connection, in its words), "step" ({step, values, other}: of this page or another one), "objects" (a list), "missed" (objects of which steps of
 * others were left out, because this connection is slow).
 */
export class ImageSocket extends EventTarget {
  constructor(imageId) {
    super();
    this.url = socketUrl(imageId);
    this.sequence = 0;
    this.waiting = new Map(); // requests by their number
    this.failures = 0;
    this.wasLost = false;
    this.closed = false;
    this.gone = false; // the image, from the server
    this.#connect();
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** Send a request; the answer is {step or preview, values, roundTrip in ms}, or null if it was skipped. */
  request(message) {
    if (this.gone) return Promise.reject(gone());
    if (!this.isOpen) {
      return Promise.reject(new ApiError("ConnectionError", "There is no connection to the server; it is being tried again."));
    }
    this.sequence += 1;
    const seq = this.sequence;
    return new Promise((resolve, reject) => {
      this.waiting.set(seq, { resolve, reject, sent: performance.now() });
      this.socket.send(JSON.stringify({ seq, ...message }));
    });
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    clearInterval(this.pinging);
    this.socket.close();
  }

  #connect() {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    const incoming = { expected: null }; // the message whose rectangle comes next
    let handled = Promise.resolve(); // unpacking takes its time; messages are handled in the order they came in
    socket.onopen = () => {
      this.failures = 0;
      this.pinging = setInterval(() => this.request({ ping: true }).catch(() => {}), PING);
      this.#tell("connected", this.wasLost);
      this.wasLost = false;
    };
    socket.onmessage = ({ data }) => {
      const received = performance.now();
      handled = handled.then(() => this.#take(data, received, incoming)).catch((error) => console.error(error));
    };
    socket.onclose = ({ code }) => this.#ended(code);
  }

  async #take(data, received, incoming) {
    if (typeof data !== "string") {
      const message = incoming.expected;
      incoming.expected = null;
      if (message) this.#answer(message, await inflate(data), received);
      return;
    }
    const message = JSON.parse(data);
    const changed = message.step?.changed ?? message.preview?.changed;
    if (changed && !isEmpty(changed)) incoming.expected = message;
    else this.#answer(message, null, received);
  }

  #answer(message, values, received) {
    if (message.objects) this.#tell("objects", message.objects);
    if (message.missed) this.#tell("missed", message.missed);
    if (message.step) this.#tell("step", { step: message.step, values, other: message.by === "other" });
    if (message.error && !("seq" in message) && message.error.type !== "NotFound") this.#tell("refused", message.error.message);
    const waiting = this.waiting.get(message.seq);
    if (!waiting) return;
    this.waiting.delete(message.seq);
    if (message.error) waiting.reject(new ApiError(message.error.type, message.error.message, message.error.status ?? 400));
    else if (message.skipped) waiting.resolve(null);
    else waiting.resolve({ ...message, values, roundTrip: received - waiting.sent });
  }

  #ended(code) {
    clearInterval(this.pinging);
    const reason = code === GONE
      ? gone()
      : new ApiError("ConnectionError", "The connection was lost before the server answered; this step may not have been made.");
    for (const { reject } of this.waiting.values()) reject(reason);
    this.waiting.clear();
    if (this.closed) return;
    if (code === GONE) {
      this.closed = this.gone = true;
      this.#tell("gone", !this.wasLost);
      return;
    }
    if (!this.wasLost) this.#tell("lost");
    this.wasLost = true;
    this.timer = setTimeout(() => this.#connect(), WAITS[Math.min(this.failures, WAITS.length - 1)]);
    this.failures += 1;
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
