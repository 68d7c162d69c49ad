// Drives evaluator.wasm (browser.c) in a browser, or in Node:
//
//     node browser.mjs evaluator.wasm model.plan rows results [bytes that tables of forests may take]
//
// rows and results are what rows.h says.

/** Opens a plan; gives a function from the bytes of rows to the bytes of results. */
export async function evaluator(wasm, plan, budget = 64 << 20) {
  const { instance } = await WebAssembly.instantiate(wasm, {});
  const inside = instance.exports;
  const put = (bytes) => {
    const at = inside.take(bytes.length) >>> 0;
    if (!at) throw new Error("no memory");
    new Uint8Array(inside.memory.buffer, at, bytes.length).set(bytes);
    return at;
  };
  const wrong = inside.open(put(plan), plan.length, budget) >>> 0;
  if (wrong) {
    const text = new Uint8Array(inside.memory.buffer, wrong, 160);
    throw new Error(new TextDecoder().decode(text.subarray(0, text.indexOf(0))));
  }
  return (rows) => {
    const at = inside.answer(put(rows), rows.length) >>> 0;
    if (!at) throw new Error("these are no rows of this plan, or there is no memory for them");
    return new Uint8Array(inside.memory.buffer, at, inside.size() >>> 0).slice();
  };
}

if (typeof process === "object" && process.argv.length > 5) {
  const { readFileSync, writeFileSync } = await import("node:fs");
  const [wasm, plan, rows, results, budget] = process.argv.slice(2);
  const answer = await evaluator(readFileSync(wasm), readFileSync(plan), budget ? Number(budget) : undefined);
  writeFileSync(results, answer(readFileSync(rows)));
}
