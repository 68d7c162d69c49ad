/* Feeds the evaluator bytes: a plan that may be hostile, and rows for it where it opens. Built with libFuzzer.
 *
 * An input is: uint32 bytes of the plan, uint32 choices, the plan, and the bytes that rows are made of. Everything lies in
 * memory of its exact size, so that the address sanitizer sees a step outside. What must hold besides: a plan gives a row
 * the same bits alone and among others, with tables for its forests and without; a label is one of its output's; and
 * neither memory nor time is out of proportion to the plan's size (main.py sets the limits).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator.h"

#define MUST(holds) do { if (!(holds)) { fprintf(stderr, "does not hold: %s, line %d\n", #holds, __LINE__); abort(); } } while (0)

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const size_t size_of[FF_TYPES] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 4};

/* All memory of one input. */
static void **kept;
static size_t keeps, room, total;

/* Memory is filled with other bytes each time, so that what is read before it is written shows as another answer. */
static void *keep(void *memory, size_t bytes) {
    static unsigned char filling = 0x5a;
    MUST(memory != NULL);
    memset(memory, filling += 0x33, bytes);
    if (keeps == room) {
        room = 2 * room + 64;
        kept = (void **)realloc(kept, room * sizeof *kept);
        MUST(kept != NULL);
    }
    total += bytes;
    return kept[keeps++] = memory;
}

static void *allocate(void *context, size_t bytes) {
    (void)context;
    return keep(malloc(bytes ? bytes : 1), bytes);
}

static void *scratch_of(size_t bytes) {
    void *memory = NULL;
    MUST(posix_memalign(&memory, 64, bytes ? bytes : 1) == 0);
    return keep(memory, bytes);
}

/* The bytes that rows are made of, again and again. */
typedef struct {
    const uint8_t *at;
    size_t size, next;
} tail;

static uint8_t take(tail *from) { return from->size ? from->at[from->next++ % from->size] : (uint8_t)(from->next++ * 37); }

static void fill(tail *from, void *to, size_t bytes) {
    uint8_t *out = (uint8_t *)to;
    while (bytes--) *out++ = take(from);
}

static void make_column(const ff_plan *plan, uint32_t input, int64_t rows, tail *from, ff_column *column) {
    uint32_t type = plan->input[input].type;
    size_t count, i;
    column->first = take(from) % 9;
    count = (size_t)(column->first + rows);
    column->present = NULL;
    if (take(from) % 3) {
        uint8_t *present = (uint8_t *)allocate(NULL, (count + 7) / 8);
        fill(from, present, (count + 7) / 8);
        column->present = present;
    }
    column->text = NULL;
    if (type == FF_STRING) {
        int32_t *offset = (int32_t *)allocate(NULL, (count + 1) * 4);
        offset[0] = 0;
        for (i = 0; i < count; i++) offset[i + 1] = offset[i] + take(from) % 24;
        column->values = offset;
        column->text = allocate(NULL, (size_t)offset[count]);
        if (take(from) % 2) fill(from, (void *)column->text, (size_t)offset[count]);
        else for (i = 0; i < (size_t)offset[count]; i++) ((char *)column->text)[i] = "ab cd.\xc3\xbc"[take(from) % 8];
        return;
    }
    column->values = allocate(NULL, type == FF_BOOL ? (count + 7) / 8 : count * size_of[type]);
    fill(from, (void *)column->values, type == FF_BOOL ? (count + 7) / 8 : count * size_of[type]);
}

static size_t width_of(const ff_port *port) { return port->width ? port->width : 1; }

static void **results_for(const ff_plan *plan, int64_t rows) {
    void **results = (void **)allocate(NULL, plan->outputs * sizeof *results);
    uint32_t o;
    for (o = 0; o < plan->outputs; o++) results[o] = allocate(NULL, (size_t)rows * width_of(plan->output + o) * size_of[plan->output[o].type]);
    return results;
}

static void answer(const ff_plan *plan, const ff_column *columns, void *const *results, int64_t rows, uint32_t *refused) {
    int64_t without = ff_predict(plan, columns, results, rows, refused, scratch_of(ff_scratch(plan, rows))), row, counted = 0;
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
    MUST(counted == without);
}

static int same(const ff_plan *plan, void *const *one, int64_t at, void *const *other, int64_t row) {
    uint32_t o;
    for (o = 0; o < plan->outputs; o++) {
        size_t bytes = width_of(plan->output + o) * size_of[plan->output[o].type];
        if (memcmp((const char *)one[o] + (size_t)at * bytes, (const char *)other[o] + (size_t)row * bytes, bytes)) return 0;
    }
    return 1;
}

static void ask(const ff_plan *fast, const ff_plan *plain, tail *from) {
    int64_t rows = 1 + take(from) % 40, row;
    ff_column *columns = (ff_column *)allocate(NULL, (fast->inputs + 1u) * sizeof *columns);
    ff_column *alone = (ff_column *)allocate(NULL, (fast->inputs + 1u) * sizeof *alone);
    uint32_t *refused = (uint32_t *)allocate(NULL, (size_t)rows * 4), *again = (uint32_t *)allocate(NULL, (size_t)rows * 4), i;
    void **all = results_for(fast, rows), **other = results_for(plain, rows), **one = results_for(fast, 1);
    for (i = 0; i < fast->inputs; i++) make_column(fast, i, rows, from, columns + i);
    answer(fast, columns, all, rows, refused);
    answer(plain, columns, other, rows, again);
    for (row = 0; row < rows; row++) {
        MUST(refused[row] == again[row]);
        MUST(refused[row] || same(fast, all, row, other, row));
    }
    row = take(from) % rows;
    for (i = 0; i < fast->inputs; i++) {
        alone[i] = columns[i];
        alone[i].first += row;
    }
    answer(fast, alone, one, 1, again);
    MUST(again[0] == refused[row]);
    MUST(again[0] || same(fast, one, 0, all, row));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint32_t head[2], end;
    ff_plan fast, plain;
    uint8_t *bytes;
    tail from;
    if (size < 8) return 0;
    memcpy(head, data, 8);
    data += 8;
    size -= 8;
    end = head[0] < size ? head[0] : (uint32_t)size;
    total = 0;
    bytes = (uint8_t *)allocate(NULL, end);
    memcpy(bytes, data, end);
    from.at = data + end;
    from.size = size - end;
    from.next = 0;
    if (ff_open(&fast, bytes, end)) MUST(strlen(fast.error) > 0 && strlen(fast.error) < FF_ERROR_BYTES);
    else {
        MUST(ff_open(&plain, bytes, end) == 0);
        MUST(ff_prepare(&plain, allocate, NULL, 0) == 0);
        MUST(ff_prepare(&fast, allocate, NULL, (size_t)1 << (head[1] % 23)) == 0);
        ask(&fast, &plain, &from);
    }
    MUST(total < ((size_t)64 << 20) + 4096 * size);
    while (keeps) free(kept[--keeps]);
    return 0;
}

/* Numbers are where plans are hostile: half of the changes are a 32-bit word that becomes an interesting one. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed) {
    static const uint32_t interesting[] = {
        0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 4095, 4096, 65535, 1u << 24, (1u << 24) + 1, 1u << 28,
        0x10000000, 0x20000000, 0x40000000, 0x7fefffff, 0x7ff00000, 0x7ff80000, 0x7fffffff, 0x80000000, 0xfff00000, 0xfffffffe, 0xffffffff,
    };
    uint32_t change = seed % 8, word, other;
    size_t at, from;
    if (change < 3 || size < 64) return LLVMFuzzerMutate(data, size, most);
    at = 8 + seed / 8 % ((size - 8) / 4) * 4;
    memcpy(&word, data + at, 4);
    from = 8 + (size_t)(seed / 64) % ((size - 8) / 4) * 4;
    memcpy(&other, data + from, 4);
    switch (change) {
    case 3: word += 1; break;
    case 4: word -= 1; break;
    case 5: word = other; break;
    default: word = interesting[seed / 8 % (sizeof interesting / sizeof *interesting)]; break;
    }
    memcpy(data + at, &word, 4);
    return size;
}
