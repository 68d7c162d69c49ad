/* Rows and results as plain bytes, for programs without Arrow. predict.c and browser.c read and write them.
 *
 * All numbers are little-endian, and every part begins at a multiple of 8 bytes.
 *
 *     rows       "FOURROWS", a uint64: the number of rows; then for each input of the plan, in order,
 *                    a bit a row, least significant first: 1 if there is a value
 *                    the values as in Arrow: a bit for each boolean; for text rows + 1 offsets (int32), then the UTF-8
 *     results    "FOURDONE", a uint64: the number of rows; a uint32 a row: 0, or 1 + the string of the plan that says
 *                why the row has no answer; then for each output, in order,
 *                    its values, `width` a row: a byte for each boolean; for text an int32, the index of its label
 */
#ifndef FOURFOLD_ROWS_H
#define FOURFOLD_ROWS_H

#include "evaluator.h"

#define ROWS_MAX (1u << 28)

static const uint8_t rows_type_size[FF_TYPES] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 4};

static uint64_t rows_padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

/* Return the next part of the bytes and move the cursor behind it; NULL if too few bytes are left. */
static const uint8_t *rows_part(const uint8_t **cursor, uint64_t *left, uint64_t bytes) {
    const uint8_t *part = *cursor;
    if (bytes > *left || rows_padded(bytes) > *left) return NULL;
    *cursor += rows_padded(bytes);
    *left -= rows_padded(bytes);
    return part;
}

/* Find the columns in the bytes of rows, which must be at a multiple of 8. Returns the number of rows, or -1 if the
 * bytes are not rows of this plan. */
static int64_t rows_open(const ff_plan *plan, const void *bytes, size_t size, ff_column *columns) {
    static const char magic[] = "FOURROWS";
    const uint8_t *cursor = (const uint8_t *)bytes;
    uint64_t left = size, count, values_size, i;
    uint32_t input;
    const uint8_t *head = rows_part(&cursor, &left, 16);
    if (!head) return -1;
    for (i = 0; i < 8; i++) if (head[i] != (uint8_t)magic[i]) return -1;
    count = ((const uint64_t *)(const void *)head)[1];
    if (count > ROWS_MAX) return -1;
    for (input = 0; input < plan->inputs; input++) {
        uint32_t type = plan->input[input].type;
        const int32_t *offset;
        columns[input].first = 0;
        columns[input].text = NULL;
        columns[input].present = rows_part(&cursor, &left, (count + 7) / 8);
        values_size = type == FF_BOOL ? (count + 7) / 8 : (count + (type == FF_STRING)) * rows_type_size[type];
        columns[input].values = rows_part(&cursor, &left, values_size);
        if (!columns[input].present || !columns[input].values) return -1;
        if (type != FF_STRING) continue;
        offset = (const int32_t *)columns[input].values;
        if (offset[0] < 0) return -1;
        for (i = 0; i < count; i++) if (offset[i] > offset[i + 1]) return -1;
        columns[input].text = rows_part(&cursor, &left, (uint64_t)offset[count]);
        if (!columns[input].text) return -1;
    }
    return left ? -1 : (int64_t)count;
}

/* Return the bytes of an output's results. */
static uint64_t results_output_size(const ff_port *port, int64_t rows) {
    return rows_padded((uint64_t)rows * (port->width ? port->width : 1) * rows_type_size[port->type]);
}

/* Return the bytes of the results of so many rows. */
static uint64_t results_size(const ff_plan *plan, int64_t rows) {
    uint64_t size = 16 + rows_padded(4 * (uint64_t)rows);
    uint32_t output;
    for (output = 0; output < plan->outputs; output++) size += results_output_size(plan->output + output, rows);
    return size;
}

/* Predict the rows into `results_size` bytes at a multiple of 8. `outputs` has room for a pointer to each output. */
static void results_answer(const ff_plan *plan, const ff_column *columns, int64_t rows, void *results, void **outputs,
                           void *scratch) {
    static const char magic[] = "FOURDONE";
    uint8_t *cursor = (uint8_t *)results;
    uint64_t size = results_size(plan, rows), i;
    uint32_t *refused = (uint32_t *)(void *)(cursor + 16), output;
    for (i = 0; i < size; i++) cursor[i] = 0;
    for (i = 0; i < 8; i++) cursor[i] = (uint8_t)magic[i];
    ((uint64_t *)results)[1] = (uint64_t)rows;
    cursor += 16 + rows_padded(4 * (uint64_t)rows);
    for (output = 0; output < plan->outputs; output++) {
        outputs[output] = cursor;
        cursor += results_output_size(plan->output + output, rows);
    }
    ff_predict(plan, columns, outputs, rows, refused, scratch);
}

#endif
