// The ops of ops.cpp on memory of their own: typed arrays that live in the module, and calls with their addresses.

/** A typed array in the module's memory. `view` is a fresh view of it: growing memory takes old ones away. */
class Place {
  constructor(ops, Type, length) {
    this.ops = ops;
    this.Type = Type;
    this.length = length;
    this.address = ops.exports.allocate(Type.BYTES_PER_ELEMENT * length) >>> 0;
    if (this.address === 0) throw new RangeError(`no memory for ${Type.BYTES_PER_ELEMENT * length} bytes`);
  }

  get view() {
    return new this.Type(this.ops.exports.memory.buffer, this.address, this.length);
  }

  release() {
    this.ops.exports.release(this.address);
  }
}

export class Ops {
  constructor(instance) {
    this.exports = instance.exports;
    this.exports._initialize();
  }

  /** Compile ops.wasm from its bytes. */
  static async compile(bytes) {
    return new Ops((await WebAssembly.instantiate(bytes, {})).instance);
  }

  /** Bytes that the module has now; it grows and never shrinks. */
  get memory() {
    return this.exports.memory.buffer.byteLength;
  }

  empty(Type, length) {
    return new Place(this, Type, length);
  }

  copyOf(array) {
    const place = this.empty(array.constructor, array.length);
    place.view.set(array);
    return place;
  }

  /** Call an op: places stand for their addresses. */
  run(name, ...args) {
    this.exports[name](...args.map((arg) => (arg instanceof Place ? arg.address : arg)));
  }

  /** What `work` returns, with a scope whose places are released after it: {empty, copyOf}. */
  scoped(work) {
    const places = [];
    const keep = (place) => {
      places.push(place);
      return place;
    };
    try {
      return work({
        empty: (Type, length) => keep(this.empty(Type, length)),
        copyOf: (array) => keep(this.copyOf(array)),
      });
    } finally {
      for (const place of places) place.release();
    }
  }
}
