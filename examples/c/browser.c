/* The evaluator as WebAssembly, for browser.mjs. It needs no library, and grows its own memory.
 *
 *     zig cc -target wasm32-freestanding -std=c99 -Os -ffp-contract=off -nostdlib -Wl,--no-entry -Wl,--strip-all \
 *         -I PLAN browser.c PLAN/evaluator.c -o evaluator.wasm
 */
#include "evaluator.h"
#include "rows.h"

#define EXPORT(name) __attribute__((export_name(#name)))
#define PAGE 65536u

extern unsigned char __heap_base; /* the linker sets its address: behind it memory is free */

static ff_plan plan;
static uintptr_t end; /* of the memory in use; 0 at first */
static uint32_t written;

/* Allocate memory that is never freed: a page drops the whole instance when it needs the plan no more. Returns 0 if
 * there is no memory. */
EXPORT(take) void *take(size_t bytes) {
    uintptr_t address = end ? end : ((uintptr_t)&__heap_base + 63) / 64 * 64;
    uint64_t next = ((uint64_t)address + bytes + 63) / 64 * 64,
             available = (uint64_t)__builtin_wasm_memory_size(0) * PAGE;
    if (next > UINT32_MAX) return NULL;
    if (next > available && __builtin_wasm_memory_grow(0, (size_t)((next - available + PAGE - 1) / PAGE)) == SIZE_MAX)
        return NULL;
    end = (uintptr_t)next;
    return (void *)address;
}

static void *allocate(void *context, size_t bytes) {
    (void)context;
    return take(bytes);
}

/* Open a plan that was copied to memory from `take`. Returns 0, or the text of an error. */
EXPORT(open) const char *open_plan(const void *bytes, size_t size, size_t budget) {
    return ff_open(&plan, bytes, size) || ff_prepare(&plan, allocate, NULL, budget) ? plan.error : NULL;
}

/* Predict rows that were copied to memory from `take`. Returns the address of the results, or 0. */
EXPORT(answer) void *answer(const void *bytes, size_t size) {
    ff_column *columns = (ff_column *)take((plan.inputs + (size_t)1) * sizeof *columns);
    void **outputs = (void **)take((plan.outputs + (size_t)1) * sizeof *outputs), *results, *scratch;
    int64_t rows = columns && outputs ? rows_open(&plan, bytes, size, columns) : -1;
    if (rows < 0 || results_size(&plan, rows) > UINT32_MAX) return NULL;
    written = (uint32_t)results_size(&plan, rows);
    results = take(written);
    scratch = take(ff_scratch(&plan, rows));
    if (!results || !scratch) return NULL;
    results_answer(&plan, columns, rows, results, outputs, scratch);
    return results;
}

/* Return the bytes of the last results. */
EXPORT(size) uint32_t result_size(void) { return written; }
