/* The evaluator as WebAssembly, which browser.mjs drives: no library, and no memory but what it grows itself.
 *
 *     zig cc -target wasm32-freestanding -std=c99 -Os -ffp-contract=off -nostdlib -Wl,--no-entry -Wl,--strip-all \
 *         -I PLAN browser.c PLAN/evaluator.c -o evaluator.wasm
 */
#include "evaluator.h"
#include "rows.h"

#define EXPORT(name) __attribute__((export_name(#name)))
#define PAGE 65536u

extern unsigned char __heap_base; /* where the linker says that nothing lies any more */

static ff_plan plan;
static uintptr_t end; /* of what was taken; 0 before the first time */
static uint32_t written;

/* Memory that is never given back: a page that is done with a plan drops the whole instance. 0 where there is no more. */
EXPORT(take) void *take(size_t bytes) {
    uintptr_t at = end ? end : ((uintptr_t)&__heap_base + 63) / 64 * 64;
    uint64_t next = ((uint64_t)at + bytes + 63) / 64 * 64, have = (uint64_t)__builtin_wasm_memory_size(0) * PAGE;
    if (next > UINT32_MAX) return NULL;
    if (next > have && __builtin_wasm_memory_grow(0, (size_t)((next - have + PAGE - 1) / PAGE)) == SIZE_MAX) return NULL;
    end = (uintptr_t)next;
    return (void *)at;
}

static void *allocate(void *context, size_t bytes) {
    (void)context;
    return take(bytes);
}

/* Opens a plan that was copied to an address that `take` gave. Returns 0, or a text that says what is wrong. */
EXPORT(open) const char *open_plan(const void *bytes, size_t size, size_t budget) {
    return ff_open(&plan, bytes, size) || ff_prepare(&plan, allocate, NULL, budget) ? plan.error : NULL;
}

/* Answers rows that were copied to an address that `take` gave. Returns where the results are, or 0. */
EXPORT(answer) void *answer(const void *bytes, size_t size) {
    ff_column *columns = (ff_column *)take((plan.inputs + (size_t)1) * sizeof *columns);
    void **places = (void **)take((plan.outputs + (size_t)1) * sizeof *places), *results, *scratch;
    int64_t rows = columns && places ? rows_open(&plan, bytes, size, columns) : -1;
    if (rows < 0 || results_size(&plan, rows) > UINT32_MAX) return NULL;
    written = (uint32_t)results_size(&plan, rows);
    results = take(written);
    scratch = take(ff_scratch(&plan, rows));
    if (!results || !scratch) return NULL;
    results_answer(&plan, columns, rows, results, places, scratch);
    return results;
}

/* The bytes of the last results. */
EXPORT(size) uint32_t result_size(void) { return written; }
