// A client of `pyiseg serve` in plain JavaScript: open an image, click, keep the matte up to date by what changed.
//
//     node client.mjs http://127.0.0.1:8000/ photo.jpg matte.pgm 320,240 10,10,bg      (Node 20 or newer)
//
// The class runs in browsers too. There, and from Node 22 on, `follow` shows what other tabs do with the object.

async function ask(url, options) {
  const answer = await fetch(url, options);
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  return answer;
}

export class Selection {
  // server: URL with a slash at its end; file: the bytes of an image file, such as a File that was dropped on a page.
  static async open(server, file, name) {
    const query = new URLSearchParams({ name });
    const image = await (await ask(`${server}api/images?${query}`, { method: "POST", body: file })).json();
    const url = `${server}api/images/${image.id}`;
    return new Selection(url, image, await (await ask(`${url}/objects`, { method: "POST" })).json());
  }

  constructor(url, { width, height }, { id, version }) {
    Object.assign(this, { image: url, object: `${url}/objects/${id}`, width, height, id, version });
    this.alpha = new Uint8Array(width * height); // 255 where selected
  }

  // prompt: {click: [x, y, true]}, {box: [x0, y0, x1, y1]}, {scribble: [[x, y], …], fg: true} or {local: [x, y, true]}
  async add(prompt) {
    const step = await (await ask(`${this.object}/prompts`, { method: "POST", body: JSON.stringify(prompt) })).json();
    await this.lay(step, (await ask(`${this.object}/alpha?rect=${step.changed}`)).body);
    return step;
  }

  // Lays what a step changed over the matte: deflated rows of the rectangle.
  async lay({ changed: [top, left, bottom, right], version }, body) {
    const inflated = new Response(body.pipeThrough(new DecompressionStream("deflate")));
    const rows = new Uint8Array(await inflated.arrayBuffer());
    for (let y = top, width = right - left; y < bottom; y++)
      this.alpha.set(rows.subarray((y - top) * width, (y - top + 1) * width), y * this.width + left);
    this.version = version;
  }

  // Calls seen(step) after each step that someone makes from now on. The bytes of a step come right after its text.
  follow(seen) {
    const socket = new WebSocket(`${this.image.replace(/^http/, "ws")}/ws`);
    let step, last = Promise.resolve();
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") return void ({ step } = JSON.parse(data));
      const now = step;
      last = last.then(async () => {
        if (now?.id !== this.id || now.version <= this.version) return;
        await this.lay(now, data.stream());
        seen(now);
      });
    };
    return socket;
  }
}

const { argv } = globalThis.process ?? {};
if (argv && import.meta.url.endsWith(`/${argv[1]?.split(/[\\/]/).pop()}`)) {
  const { readFile, writeFile } = await import("node:fs/promises");
  const [server, photo, output, ...clicks] = argv.slice(2);
  const selection = await Selection.open(server, await readFile(photo), photo);
  for (const [x, y, label] of clicks.map((text) => text.split(","))) {
    const step = await selection.add({ click: [Number(x), Number(y), label !== "bg"] });
    console.log(`${x}, ${y}: changed ${step.changed} in ${step.ms} ms`);
  }
  await writeFile(output, [`P5 ${selection.width} ${selection.height} 255\n`, selection.alpha]);
}
