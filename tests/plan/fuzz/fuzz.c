/* Feed the evaluator plans that may be hostile, and rows if a plan opens. Built with libFuzzer.
 *
 * An input is: uint32 bytes of the plan, uint32 choices, the plan, and the bytes from which rows are made. Everything
 * is in memory of its exact size, so that the address sanitizer sees an access outside. These must hold too: a row
 * gets the same bits alone and among others, with tables for forests and without; a label is one of its output's; and
 * memory and time are in proportion to the plan's size (main.py sets the limits).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator.h"

#define MUST(holds)                                                                                                    \
    do {                                                                                                               \
        if (holds) break;                                                                                              \
        fprintf(stderr, "does not hold: %s, line %d\n", #holds, __LINE__);                                             \
        abort();                                                                                                       \
    } while (0)

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const size_t type_size[FF_TYPES] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 4};

/* The memory of one input. */
static void **kept;
static size_t kept_count, kept_room, total_bytes, plan_bytes;

/* Keep memory until the input is done. It is filled with other bytes each time, so that a read before the first write
 * shows as a different answer. */
static void *keep_memory(void *memory, size_t bytes) {
    static unsigned char filling = 0x5a;
    MUST(memory != NULL);
    memset(memory, filling += 0x33, bytes);
    if (kept_count == kept_room) {
        kept_room = 2 * kept_room + 64;
        kept = (void **)realloc(kept, kept_room * sizeof *kept);
        MUST(kept != NULL);
    }
    total_bytes += bytes;
    return kept[kept_count++] = memory;
}

static void *allocate(void *context, size_t bytes) {
    (void)context;
    return keep_memory(malloc(bytes ? bytes : 1), bytes);
}

/* Allocate the memory of one call, which ends with it: a plan's bags have up to 2^24 entries of 14 bytes, so it has a
 * limit of its own. */
static void *allocate_scratch(size_t bytes) {
    void *memory = NULL;
    MUST(bytes < ((size_t)288 << 20) + 4096 * plan_bytes);
    MUST(posix_memalign(&memory, 64, bytes ? bytes : 1) == 0);
    keep_memory(memory, bytes);
    total_bytes -= bytes;
    return memory;
}

/* The bytes from which rows are made, repeated without end. */
typedef struct {
    const uint8_t *at;
    size_t size, next;
} byte_source;

static uint8_t take_byte(byte_source *source) {
    return source->size ? source->at[source->next++ % source->size] : (uint8_t)(source->next++ * 37);
}

static void take_bytes(byte_source *source, void *to, size_t bytes) {
    uint8_t *out = (uint8_t *)to;
    while (bytes--) *out++ = take_byte(source);
}

/* Make a column of an input's type. */
static void make_column(const ff_plan *plan, uint32_t input, int64_t rows, byte_source *source, ff_column *column) {
    uint32_t type = plan->input[input].type;
    size_t count, i;
    column->first = take_byte(source) % 9;
    count = (size_t)(column->first + rows);
    column->present = NULL;
    if (take_byte(source) % 3) {
        uint8_t *present = (uint8_t *)allocate(NULL, (count + 7) / 8);
        take_bytes(source, present, (count + 7) / 8);
        column->present = present;
    }
    column->text = NULL;
    if (type == FF_STRING) {
        int32_t *offset = (int32_t *)allocate(NULL, (count + 1) * 4);
        offset[0] = 0;
        for (i = 0; i < count; i++) offset[i + 1] = offset[i] + take_byte(source) % 24;
        column->values = offset;
        column->text = allocate(NULL, (size_t)offset[count]);
        if (take_byte(source) % 2) take_bytes(source, (void *)column->text, (size_t)offset[count]);
        else
            for (i = 0; i < (size_t)offset[count]; i++)
                ((char *)column->text)[i] = "ab cd.\xc3\xbc"[take_byte(source) % 8];
        return;
    }
    column->values = allocate(NULL, type == FF_BOOL ? (count + 7) / 8 : count * type_size[type]);
    take_bytes(source, (void *)column->values, type == FF_BOOL ? (count + 7) / 8 : count * type_size[type]);
}

static size_t port_width(const ff_port *port) { return port->width ? port->width : 1; }

static void **allocate_results(const ff_plan *plan, int64_t rows) {
    void **results = (void **)allocate(NULL, plan->outputs * sizeof *results);
    uint32_t o;
    for (o = 0; o < plan->outputs; o++)
        results[o] = allocate(NULL, (size_t)rows * port_width(plan->output + o) * type_size[plan->output[o].type]);
    return results;
}

/* Predict rows, and check the count of refused rows and the labels. */
static void check_answer(const ff_plan *plan, const ff_column *columns, void *const *results, int64_t rows,
                         uint32_t *refused) {
    int64_t refused_count = ff_predict(plan, columns, results, rows, refused, allocate_scratch(ff_scratch(plan, rows))),
            row, counted = 0;
    uint32_t o;
    size_t length;
    for (row = 0; row < rows; row++) {
        counted += refused[row] != 0;
        MUST(refused[row] <= plan->strings);
        for (o = 0; !refused[row] && o < plan->outputs; o++) {
            int32_t code;
            if (plan->output[o].type != FF_STRING) continue;
            code = ((const int32_t *)results[o])[row];
            MUST(code >= 0 && (uint32_t)code < plan->output[o].count);
            if (ff_label(plan, o, code, &length) && length) MUST(ff_label(plan, o, code, &length)[length - 1] >= -128);
        }
    }
    MUST(counted == refused_count);
}

/* Return whether two rows of results have the same bits. */
static int has_same_bits(const ff_plan *plan, void *const *first, int64_t first_row, void *const *second,
                         int64_t second_row) {
    uint32_t o;
    for (o = 0; o < plan->outputs; o++) {
        size_t bytes = port_width(plan->output + o) * type_size[plan->output[o].type];
        if (memcmp((const char *)first[o] + (size_t)first_row * bytes,
                   (const char *)second[o] + (size_t)second_row * bytes, bytes))
            return 0;
    }
    return 1;
}

/* Predict rows with tables and without, together and alone, and compare the answers. */
static void check_rows(const ff_plan *fast, const ff_plan *plain, byte_source *source) {
    int64_t rows = 1 + take_byte(source) % 40, row;
    ff_column *columns = (ff_column *)allocate(NULL, (fast->inputs + 1u) * sizeof *columns);
    ff_column *alone = (ff_column *)allocate(NULL, (fast->inputs + 1u) * sizeof *alone);
    uint32_t *refused = (uint32_t *)allocate(NULL, (size_t)rows * 4),
             *refused_again = (uint32_t *)allocate(NULL, (size_t)rows * 4), i;
    void **results = allocate_results(fast, rows), **plain_results = allocate_results(plain, rows),
         **alone_results = allocate_results(fast, 1);
    for (i = 0; i < fast->inputs; i++) make_column(fast, i, rows, source, columns + i);
    check_answer(fast, columns, results, rows, refused);
    check_answer(plain, columns, plain_results, rows, refused_again);
    for (row = 0; row < rows; row++) {
        MUST(refused[row] == refused_again[row]);
        MUST(refused[row] || has_same_bits(fast, results, row, plain_results, row));
    }
    row = take_byte(source) % rows;
    for (i = 0; i < fast->inputs; i++) {
        alone[i] = columns[i];
        alone[i].first += row;
    }
    check_answer(fast, alone, alone_results, 1, refused_again);
    MUST(refused_again[0] == refused[row]);
    MUST(refused_again[0] || has_same_bits(fast, alone_results, 0, results, row));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint32_t head[2], end;
    ff_plan fast, plain;
    uint8_t *bytes;
    byte_source source;
    if (size < 8) return 0;
    memcpy(head, data, 8);
    data += 8;
    size -= 8;
    end = head[0] < size ? head[0] : (uint32_t)size;
    total_bytes = 0;
    plan_bytes = end;
    bytes = (uint8_t *)allocate(NULL, end);
    memcpy(bytes, data, end);
    source.at = data + end;
    source.size = size - end;
    source.next = 0;
    if (ff_open(&fast, bytes, end)) MUST(strlen(fast.error) > 0 && strlen(fast.error) < FF_ERROR_BYTES);
    else {
        MUST(ff_open(&plain, bytes, end) == 0);
        int status = ff_prepare(&plain, allocate, NULL, 0);
        MUST(status == 0 || status == -2); /* texts that collide */
        MUST(ff_prepare(&fast, allocate, NULL, (size_t)1 << (head[1] % 23)) == status);
        if (!status) check_rows(&fast, &plain, &source);
    }
    MUST(total_bytes < ((size_t)64 << 20) + 4096 * size);
    while (kept_count) free(kept[--kept_count]);
    return 0;
}

/* Mutate an input. Hostile plans have hostile numbers, so half of the mutations replace a 32-bit word. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned int seed) {
    static const uint32_t interesting[] = {
        0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 4095, 4096, 65535, 1u << 24,
        (1u << 24) + 1, 1u << 28, 0x10000000, 0x20000000, 0x40000000, 0x7fefffff, 0x7ff00000, 0x7ff80000, 0x7fffffff,
        0x80000000, 0xfff00000, 0xfffffffe, 0xffffffff,
    };
    uint32_t kind = seed % 8, word, other;
    size_t at, from;
    if (kind < 3 || size < 64) return LLVMFuzzerMutate(data, size, room);
    at = 8 + seed / 8 % ((size - 8) / 4) * 4;
    memcpy(&word, data + at, 4);
    from = 8 + (size_t)(seed / 64) % ((size - 8) / 4) * 4;
    memcpy(&other, data + from, 4);
    switch (kind) {
    case 3: word += 1; break;
    case 4: word -= 1; break;
    case 5: word = other; break;
    default: word = interesting[seed / 8 % (sizeof interesting / sizeof *interesting)]; break;
    }
    memcpy(data + at, &word, 4);
    return size;
}
