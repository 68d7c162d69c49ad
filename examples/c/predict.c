/* Predict with a plan: all that a C program needs to use a model.
 *
 *     cc -std=c99 -O3 -ffp-contract=off -I PLAN predict.c PLAN/evaluator.c -o predict
 *     ./predict model.plan rows results [bytes that tables of forests may take]
 *
 * PLAN is the folder of evaluator.c; rows.h describes the files of rows and results. Your own program would fill the
 * columns itself: an `ff_column` points at arrays of numbers anywhere in memory.
 */
#include <stdio.h>
#include <stdlib.h>

#include "evaluator.h"
#include "rows.h"

/* The memory of the program, which is freed at its end. What ff_prepare allocates must live as long as the plan. */
typedef struct memory_block {
    struct memory_block *next;
} memory_block;

static void *allocate(void *context, size_t bytes) {
    memory_block **blocks = (memory_block **)context;
    memory_block *block = bytes < SIZE_MAX - 128 ? (memory_block *)malloc(bytes + 128) : NULL;
    if (!block) return NULL;
    block->next = *blocks;
    *blocks = block;
    return (void *)(((uintptr_t)block + 127) & ~(uintptr_t)63); /* at an address that 64 divides */
}

static int fail(const char *name, const char *message) {
    fprintf(stderr, "%s: %s\n", name, message);
    return 1;
}

static void *read_file(memory_block **blocks, const char *name, size_t *size) {
    FILE *file = fopen(name, "rb");
    void *bytes = NULL;
    long end = -1;
    if (file && !fseek(file, 0, SEEK_END)) end = ftell(file);
    if (end >= 0 && !fseek(file, 0, SEEK_SET)) bytes = allocate(blocks, (size_t)end);
    if (bytes && fread(bytes, 1, (size_t)end, file) != (size_t)end) bytes = NULL;
    if (file) fclose(file);
    *size = (size_t)end;
    return bytes;
}

static int write_file(const char *name, const void *bytes, size_t size) {
    FILE *file = fopen(name, "wb");
    int is_complete = file && fwrite(bytes, 1, size, file) == size;
    return file && !fclose(file) && is_complete ? 0 : -1;
}

static int predict(memory_block **blocks, char **arguments, size_t budget) {
    ff_plan plan;
    ff_column *columns;
    void *bytes, *row_file, *results, *scratch, **outputs;
    size_t size, row_file_size;
    int64_t rows;
    bytes = read_file(blocks, arguments[1], &size);
    row_file = read_file(blocks, arguments[2], &row_file_size);
    if (!bytes || !row_file) return fail(bytes ? arguments[2] : arguments[1], "cannot be read");
    if (ff_open(&plan, bytes, size) || ff_prepare(&plan, allocate, blocks, budget))
        return fail(arguments[1], plan.error);
    columns = (ff_column *)allocate(blocks, plan.inputs * sizeof *columns);
    outputs = (void **)allocate(blocks, plan.outputs * sizeof *outputs);
    if (!columns || !outputs) return fail(arguments[1], "there is no memory for it");
    rows = rows_open(&plan, row_file, row_file_size, columns);
    if (rows < 0) return fail(arguments[2], "these are no rows of this plan");
    results = results_size(&plan, rows) < SIZE_MAX ? allocate(blocks, (size_t)results_size(&plan, rows)) : NULL;
    scratch = allocate(blocks, ff_scratch(&plan, rows));
    if (!results || !scratch) return fail(arguments[2], "there is no memory for so many rows");
    results_answer(&plan, columns, rows, results, outputs, scratch);
    if (write_file(arguments[3], results, (size_t)results_size(&plan, rows)))
        return fail(arguments[3], "cannot be written");
    return 0;
}

int main(int count, char **arguments) {
    memory_block *blocks = NULL, *next;
    int status;
    if (count < 4) return fail("usage", "predict PLAN ROWS RESULTS [BUDGET]");
    status = predict(&blocks, arguments, count > 4 ? (size_t)strtoul(arguments[4], NULL, 10) : (size_t)64 << 20);
    for (; blocks; blocks = next) {
        next = blocks->next;
        free(blocks);
    }
    return status;
}
