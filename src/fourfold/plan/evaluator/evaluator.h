/* Fourfold's evaluator computes a plan, with the same bits on every processor.
 *
 * A plan is a trained model with its transforms as flat arrays (docs/spec/plan.md). This header and evaluator.c are all
 * that a program needs to predict with one. They are C99, use no library except the compiler's own, allocate only
 * through the caller's function, and keep no state except in the caller's memory.
 *
 *     ff_plan plan;
 *     ff_open(&plan, bytes, size);                          checks everything, once
 *     ff_prepare(&plan, allocate, context, budget);         builds dictionaries, and tables for forests
 *     ff_predict(&plan, columns, results, rows, refused, scratch);
 *
 * One ff_plan may answer in any number of threads at once, each with a scratch of its own.
 */
#ifndef FOURFOLD_EVALUATOR_H
#define FOURFOLD_EVALUATOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FF_VERSION 1u
#define FF_MAX_BAGS 64u
#define FF_ERROR_BYTES 160 /* of a message, with the zero byte at its end */

/* The layout of a column's values in memory, as in Arrow. */
enum ff_type {
    FF_BOOL = 0, /* a bit a value, least significant first */
    FF_INT8 = 1,
    FF_INT16 = 2,
    FF_INT32 = 3,
    FF_INT64 = 4,
    FF_UINT8 = 5,
    FF_UINT16 = 6,
    FF_UINT32 = 7,
    FF_UINT64 = 8,
    FF_FLOAT32 = 9,
    FF_FLOAT64 = 10,
    FF_STRING = 11 /* int32 offsets into UTF-8 */
};
#define FF_TYPES 12u

/* An input column. Row i of the call is value first + i of the column. */
typedef struct {
    const void *values;     /* the values; of strings the offsets */
    const void *text;       /* of strings their bytes */
    const uint8_t *present; /* a bit for each value, 0 where it is missing; NULL if none is missing */
    int64_t first;
} ff_column;

/* The declaration of an input or an output. */
typedef struct {
    uint32_t type;   /* ff_type; an output of type FF_STRING gets int32 indices of its labels, see ff_label */
    uint32_t name;   /* a string of the plan */
    uint32_t first;  /* output: the first number register, or the code register of a label */
    uint32_t width;  /* output: the number of registers, 0 for a label */
    uint32_t labels; /* output: of a label, where the labels begin, in strings, words or numbers by its type; of
                        numbers, 1 if they are a tensor even though there may be only one */
    uint32_t count;  /* output: the number of labels */
} ff_port;

struct ff_dictionary;
struct ff_forest;
struct ff_reader;

/* An open plan. Callers only read its members. */
typedef struct {
    const uint8_t *bytes;
    uint32_t inputs, outputs, steps; /* steps: words of the program */
    uint32_t registers, codes;
    uint32_t strings, words, nodes;
    uint64_t numbers;
    const ff_port *input, *output;
    const uint32_t *step, *word, *string;
    const double *number;
    const struct ff_node *node;
    const uint8_t *text;
    uint32_t lanes; /* how many rows are computed side by side */
    uint32_t slots;     /* of the widest forest */
    uint32_t workspace; /* bytes that the largest step needs */
    uint64_t row_cost, text_cost; /* the most that a row, and each byte of its texts, costs, in about nanoseconds */
    const volatile int *stop; /* NULL, or what a caller sets to something else than 0 to end calls in other threads */
    /* built by ff_prepare, in the order of the steps that use them */
    struct ff_dictionary *dictionary;
    struct ff_forest *forest;
    struct ff_reader *reader;
    uint32_t dictionaries, forests, readers;
    uint32_t bags, bag_width[FF_MAX_BAGS]; /* columns of each bag */
    char error[FF_ERROR_BYTES]; /* the message of a call that failed */
} ff_plan;

typedef void *(*ff_allocate)(void *context, size_t bytes);

/* Check a plan of `size` bytes and open it. The bytes must be at a multiple of 8, and stay while the plan is used.
 * Returns 0, or -1 with a message in plan->error. */
int ff_open(ff_plan *plan, const void *bytes, size_t size);

/* Build dictionaries and tables, in memory from `allocate`, which the caller frees after the last use of the plan.
 * `budget` is the number of bytes that tables of forests may take, 0 for none. It does not change the bits of answers.
 * Returns 0, or with a message in plan->error -1 if `allocate` returned NULL, -2 if the plan's texts were chosen so that
 * looking one up takes long. */
int ff_prepare(ff_plan *plan, ff_allocate allocate, void *context, size_t budget);

/* Return the bytes of scratch memory, at a multiple of 64, that a call with so many rows needs. */
size_t ff_scratch(const ff_plan *plan, int64_t rows);

/* Predict `rows` rows. `results` has a pointer for each output, to rows × width values of its type. refused[i] becomes
 * 0, or 1 + the string of the plan that says why row i has no answer (its results are then undefined); `refused` may be
 * NULL. Returns the number of refused rows; -1 if plan->stop ended the call. */
int64_t ff_predict(const ff_plan *plan, const ff_column *columns, void *const *results, int64_t rows,
                   uint32_t *refused, void *scratch);

/* Return a string of the plan; no zero byte ends it. */
const char *ff_string(const ff_plan *plan, uint32_t index, size_t *length);

/* Return the label for a code that an output of type FF_STRING wrote. */
const char *ff_label(const ff_plan *plan, uint32_t output, int32_t code, size_t *length);

/* Compute an elementary function by its number (docs/spec/plan.md), for tests. */
double ff_elementary(uint32_t function, double x, double y);

#ifdef __cplusplus
}
#endif
#endif
