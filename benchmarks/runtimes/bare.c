/* Time the evaluator alone: bare PLAN ROWS SECONDS
 *
 * ROWS has the number of rows, then for each input of the plan three runs of bytes, each after its length: the values
 * (of text the offsets), the text, the bits that say which values are present. All counts are uint64, little-endian.
 * Prints the nanoseconds for a single row, and for a row among many.
 */
#define _POSIX_C_SOURCE 200112L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "evaluator.h"

static void *allocate(void *context, size_t bytes) {
    void *memory = NULL;
    (void)context;
    return posix_memalign(&memory, 64, bytes + 64) ? NULL : memory;
}

static void *read_all(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    void *bytes;
    if (!file) exit(2);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    bytes = allocate(NULL, *size + 64);
    if (fread(bytes, 1, *size, file) != *size) exit(2);
    fclose(file);
    return bytes;
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

int main(int count, char **arguments) {
    size_t size, rows_size;
    uint64_t offset = 8, rows, length;
    uint32_t i, o;
    ff_plan plan;
    void *bytes;
    char *data;
    ff_column *columns, *row_columns;
    void **results, *scratch;
    double seconds, started, best_one = 1e30, best_many = 1e30;
    if (count != 4) return 2;
    bytes = read_all(arguments[1], &size);
    data = (char *)read_all(arguments[2], &rows_size);
    seconds = atof(arguments[3]);
    if (ff_open(&plan, bytes, size) || ff_prepare(&plan, allocate, NULL, 64u << 20)) {
        fprintf(stderr, "%s\n", plan.error);
        return 1;
    }
    memcpy(&rows, data, 8);
    columns = (ff_column *)calloc(plan.inputs + 1u, sizeof *columns);
    row_columns = (ff_column *)calloc(plan.inputs + 1u, sizeof *row_columns);
    for (i = 0; i < plan.inputs; i++) {
        const void *runs[3];
        int run;
        for (run = 0; run < 3; run++) {
            void *copy;
            memcpy(&length, data + offset, 8);
            copy = length ? allocate(NULL, length) : NULL;
            if (length) memcpy(copy, data + offset + 8, length);
            runs[run] = copy;
            offset += 8 + length;
        }
        columns[i].values = runs[0];
        columns[i].text = runs[1];
        columns[i].present = (const uint8_t *)runs[2];
    }
    results = (void **)calloc(plan.outputs, sizeof *results);
    for (o = 0; o < plan.outputs; o++) results[o] = calloc(rows * (plan.output[o].width + 1u), 8);
    scratch = allocate(NULL, ff_scratch(&plan, (int64_t)rows));
    for (started = now(); now() - started < seconds * 1e9;) {
        double elapsed = now();
        ff_predict(&plan, columns, results, (int64_t)rows, NULL, scratch);
        elapsed = (now() - elapsed) / (double)rows;
        if (elapsed < best_many) best_many = elapsed;
    }
    for (started = now(); now() - started < seconds * 1e9;) {
        uint64_t row, row_count = rows < 1000 ? rows : 1000;
        double elapsed = now();
        for (row = 0; row < row_count; row++) {
            memcpy(row_columns, columns, plan.inputs * sizeof *row_columns);
            for (i = 0; i < plan.inputs; i++) row_columns[i].first = (int64_t)row;
            ff_predict(&plan, row_columns, results, 1, NULL, scratch);
        }
        elapsed = (now() - elapsed) / (double)row_count;
        if (elapsed < best_one) best_one = elapsed;
    }
    printf("{\"one\": %.1f, \"many\": %.3f}\n", best_one, best_many);
    return 0;
}
