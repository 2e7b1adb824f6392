// What the page hands to the networks and makes of their output, and its geometry: for test_browser_alone.py.
//
// node recorded.mjs EXAMPLE OPS JOB: JOB is a JSON file; answers go to standard output as JSON, arrays as base64.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [example, opsFile, jobFile] = process.argv.slice(2);
const of = (name) => import(pathToFileURL(join(example, name)).href);
const [geometry, { Ops }, { Model, Session }] = [await of("geometry.mjs"), await of("ops.mjs"), await of("pyiseg.mjs")];
const job = JSON.parse(readFileSync(jobFile, "utf8"));
const base64 = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");

/** Networks that give what the job says, and keep what they are given. */
function recordingModel(ops, params, outputs) {
  const given = { image: [], click_maps: [], previous_alpha: [] };
  const ort = {
    Tensor: class {
      constructor(type, data, dims) {
        Object.assign(this, { type, data, dims });
      }
    },
  };
  const record = (inputs) => {
    for (const [name, tensor] of Object.entries(inputs)) given[name].push(base64(tensor.data));
  };
  const imageNetwork = { run: async (inputs) => (record(inputs), {}) };
  const clickNetwork = {
    inputNames: ["click_maps", "previous_alpha"],
    run: async (inputs) => {
      record(inputs);
      const bytes = Buffer.from(outputs.shift(), "base64");
      return { alpha: { data: new Float32Array(new Uint8Array(bytes).buffer) } };
    },
  };
  const networks = { imageNetwork, clickNetwork };
  return { given, model: new Model(ort, ops, params, networks) };
}

async function session({ rgba, shape, params, outputs, steps }) {
  const ops = await Ops.compile(readFileSync(opsFile));
  params.exponents = Float32Array.from(params.sigmas, (sigma) => -1 / (2 * sigma * sigma));
  const { model, given } = recordingModel(ops, params, outputs);
  const opened = await Session.open(model, new Uint8Array(Buffer.from(rgba, "base64")), shape);
  const alphas = [];
  for (const [call, ...args] of steps) alphas.push(base64(await opened[call](...args)));
  const { grid, working } = opened.view;
  opened.close();
  return { ...given, alphas, grid, working };
}

function windowsOf({ fixed, args }) {
  const made = (fixed ? geometry.fixedWindows : geometry.windows)(...args);
  return { starts: base64(made.starts), weights: base64(made.weights), taps: made.taps };
}

function clicksOf({ view, clicks }) {
  const placed = geometry.gridClicks(view, clicks);
  return { placed: [...placed], kept: geometry.clicksInForce(placed) };
}

async function failing(work) {
  try {
    return await work();
  } catch (error) {
    return { error: `${error.name}: ${error.message}` };
  }
}

const kinds = { session, windows: windowsOf, clicks: clicksOf, view: ({ shape, sizes }) => geometry.fitView(shape, sizes) };
const answers = [];
for (const { kind, ...rest } of job) answers.push(await failing(() => kinds[kind](rest)));
process.stdout.write(JSON.stringify(answers));
