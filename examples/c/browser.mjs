// Run evaluator.wasm (browser.c) in a browser, or in Node:
//
//     node browser.mjs evaluator.wasm model.plan rows results [bytes that tables of forests may take]
//
// rows.h describes the files of rows and results.

/** Open a plan; return a function from the bytes of rows to the bytes of results. */
export async function evaluator(wasm, plan, budget = 64 << 20) {
  const { instance } = await WebAssembly.instantiate(wasm, {});
  const exports = instance.exports;
  const copyIn = (bytes) => {
    const address = exports.take(bytes.length) >>> 0;
    if (!address) throw new Error("no memory");
    new Uint8Array(exports.memory.buffer, address, bytes.length).set(bytes);
    return address;
  };
  const error = exports.open(copyIn(plan), plan.length, budget) >>> 0;
  if (error) {
    const text = new Uint8Array(exports.memory.buffer, error, 160);
    throw new Error(new TextDecoder().decode(text.subarray(0, text.indexOf(0))));
  }
  return (rows) => {
    const address = exports.answer(copyIn(rows), rows.length) >>> 0;
    if (!address) throw new Error("these are no rows of this plan, or there is no memory for them");
    return new Uint8Array(exports.memory.buffer, address, exports.size() >>> 0).slice();
  };
}

if (typeof process === "object" && process.argv.length > 5) {
  const { readFileSync, writeFileSync } = await import("node:fs");
  const [wasm, plan, rows, results, budget] = process.argv.slice(2);
  const answer = await evaluator(readFileSync(wasm), readFileSync(plan), budget ? Number(budget) : undefined);
  writeFileSync(results, answer(readFileSync(rows)));
}
