/* Rows and results as plain bytes, for programs that have no Arrow: what predict.c and browser.c read and write.
 *
 * All numbers are little-endian, and every part begins at a multiple of 8 bytes.
 *
 *     rows       "FOURROWS", a uint64: how many; then for each input of the plan, in its order,
 *                    a bit a row, least significant first: 1 where there is a value
 *                    the values as in Arrow: a bit each of booleans; of text rows + 1 offsets (int32), then the UTF-8
 *     results    "FOURDONE", a uint64: how many; a uint32 a row: 0, or 1 + the string of the plan that says why the row
 *                has no answer; then for each output, in its order,
 *                    the values, as many a row as it is wide: a byte each of booleans; of text an int32, which label
 */
#ifndef FOURFOLD_ROWS_H
#define FOURFOLD_ROWS_H

#include "evaluator.h"

#define ROWS_MOST (1u << 28)

static const uint8_t rows_size_of[FF_TYPES] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 4};

static uint64_t rows_padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

/* Takes a part off the bytes that are left; NULL where there are too few. */
static const uint8_t *rows_part(const uint8_t **at, uint64_t *left, uint64_t bytes) {
    const uint8_t *part = *at;
    if (bytes > *left || rows_padded(bytes) > *left) return NULL;
    *at += rows_padded(bytes);
    *left -= rows_padded(bytes);
    return part;
}

/* Finds the columns in bytes that lie at a multiple of 8. Returns how many rows there are, or -1 where these are none. */
static int64_t rows_open(const ff_plan *plan, const void *bytes, size_t size, ff_column *columns) {
    static const char magic[] = "FOURROWS";
    const uint8_t *at = (const uint8_t *)bytes;
    uint64_t left = size, count, i;
    uint32_t input;
    const uint8_t *head = rows_part(&at, &left, 16);
    if (!head) return -1;
    for (i = 0; i < 8; i++) if (head[i] != (uint8_t)magic[i]) return -1;
    count = ((const uint64_t *)(const void *)head)[1];
    if (count > ROWS_MOST) return -1;
    for (input = 0; input < plan->inputs; input++) {
        uint32_t type = plan->input[input].type;
        const int32_t *offset;
        columns[input].first = 0;
        columns[input].text = NULL;
        columns[input].present = rows_part(&at, &left, (count + 7) / 8);
        columns[input].values = rows_part(&at, &left, type == FF_BOOL ? (count + 7) / 8 : (count + (type == FF_STRING)) * rows_size_of[type]);
        if (!columns[input].present || !columns[input].values) return -1;
        if (type != FF_STRING) continue;
        offset = (const int32_t *)columns[input].values;
        if (offset[0] < 0) return -1;
        for (i = 0; i < count; i++) if (offset[i] > offset[i + 1]) return -1;
        columns[input].text = rows_part(&at, &left, (uint64_t)offset[count]);
        if (!columns[input].text) return -1;
    }
    return left ? -1 : (int64_t)count;
}

static uint64_t results_of(const ff_port *port, int64_t rows) {
    return rows_padded((uint64_t)rows * (port->width ? port->width : 1) * rows_size_of[port->type]);
}

/* The bytes that the results of so many rows take. */
static uint64_t results_size(const ff_plan *plan, int64_t rows) {
    uint64_t size = 16 + rows_padded(4 * (uint64_t)rows);
    uint32_t output;
    for (output = 0; output < plan->outputs; output++) size += results_of(plan->output + output, rows);
    return size;
}

/* Answers the rows into `results_size` bytes at a multiple of 8. `places` has room for a pointer for each output. */
static void results_answer(const ff_plan *plan, const ff_column *columns, int64_t rows, void *results, void **places, void *scratch) {
    static const char magic[] = "FOURDONE";
    uint8_t *at = (uint8_t *)results;
    uint64_t size = results_size(plan, rows), i;
    uint32_t *refused = (uint32_t *)(void *)(at + 16), output;
    for (i = 0; i < size; i++) at[i] = 0;
    for (i = 0; i < 8; i++) at[i] = (uint8_t)magic[i];
    ((uint64_t *)results)[1] = (uint64_t)rows;
    at += 16 + rows_padded(4 * (uint64_t)rows);
    for (output = 0; output < plan->outputs; output++) {
        places[output] = at;
        at += results_of(plan->output + output, rows);
    }
    ff_predict(plan, columns, places, rows, refused, scratch);
}

#endif
