/* A program that answers with a plan: all that it takes to put a model into a C program.
 *
 *     cc -std=c99 -O3 -ffp-contract=off -I PLAN predict.c PLAN/evaluator.c -o predict
 *     ./predict model.plan rows results [bytes that tables of forests may take]
 *
 * PLAN is the folder of evaluator.c; rows and results are what rows.h says. A program of your own would fill the
 * columns itself: an `ff_column` points at arrays of numbers, wherever they lie.
 */
#include <stdio.h>
#include <stdlib.h>

#include "evaluator.h"
#include "rows.h"

/* All memory of the program, to be freed at its end; what ff_prepare asks for is kept for as long as the plan is used. */
typedef struct kept {
    struct kept *next;
} kept;

static void *allocate(void *context, size_t bytes) {
    kept **all = (kept **)context, *made = bytes < SIZE_MAX - 128 ? (kept *)malloc(bytes + 128) : NULL;
    if (!made) return NULL;
    made->next = *all;
    *all = made;
    return (void *)(((uintptr_t)made + 127) & ~(uintptr_t)63); /* at an address that 64 divides */
}

static int fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

static void *read_file(kept **all, const char *name, size_t *size) {
    FILE *file = fopen(name, "rb");
    void *bytes = NULL;
    long end = -1;
    if (file && !fseek(file, 0, SEEK_END)) end = ftell(file);
    if (end >= 0 && !fseek(file, 0, SEEK_SET)) bytes = allocate(all, (size_t)end);
    if (bytes && fread(bytes, 1, (size_t)end, file) != (size_t)end) bytes = NULL;
    if (file) fclose(file);
    *size = (size_t)end;
    return bytes;
}

static int write_file(const char *name, const void *bytes, size_t size) {
    FILE *file = fopen(name, "wb");
    int whole = file && fwrite(bytes, 1, size, file) == size;
    return file && !fclose(file) && whole ? 0 : -1;
}

static int predict(kept **all, char **word, size_t budget) {
    ff_plan plan;
    ff_column *columns;
    void *bytes, *given, *results, *scratch, **places;
    size_t size, given_size;
    int64_t rows;
    bytes = read_file(all, word[1], &size);
    given = read_file(all, word[2], &given_size);
    if (!bytes || !given) return fail(bytes ? word[2] : word[1], "cannot be read");
    if (ff_open(&plan, bytes, size) || ff_prepare(&plan, allocate, all, budget)) return fail(word[1], plan.error);
    columns = (ff_column *)allocate(all, plan.inputs * sizeof *columns);
    places = (void **)allocate(all, plan.outputs * sizeof *places);
    if (!columns || !places) return fail(word[1], "there is no memory for it");
    rows = rows_open(&plan, given, given_size, columns);
    if (rows < 0) return fail(word[2], "these are no rows of this plan");
    results = results_size(&plan, rows) < SIZE_MAX ? allocate(all, (size_t)results_size(&plan, rows)) : NULL;
    scratch = allocate(all, ff_scratch(&plan, rows));
    if (!results || !scratch) return fail(word[2], "there is no memory for so many rows");
    results_answer(&plan, columns, rows, results, places, scratch);
    return write_file(word[3], results, (size_t)results_size(&plan, rows)) ? fail(word[3], "cannot be written") : 0;
}

int main(int count, char **word) {
    kept *all = NULL, *next;
    int status;
    if (count < 4) return fail("usage", "predict PLAN ROWS RESULTS [BUDGET]");
    status = predict(&all, word, count > 4 ? (size_t)strtoul(word[4], NULL, 10) : (size_t)64 << 20);
    for (; all; all = next) {
        next = all->next;
        free(all);
    }
    return status;
}
