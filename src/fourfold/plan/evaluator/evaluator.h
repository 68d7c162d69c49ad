/* Fourfold's evaluator: computes a plan, the same bits on every processor.
 *
 * A plan is a trained model with its transforms as flat arrays (docs/spec/plan.md). This header and evaluator.c are all
 * that a program needs to answer with one: C99, no library but what the compiler itself brings, no allocation but
 * through the caller's function, no state but what the caller holds.
 *
 *     ff_plan plan;
 *     ff_open(&plan, bytes, size);                          validates: nothing is believed before
 *     ff_prepare(&plan, allocate, context, budget);         dictionaries, and tables that make forests fast
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
#define FF_ERROR_BYTES 160 /* the most bytes of a message, with its ending zero */

/* How a column's values lie in memory, as in Arrow. */
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

/* One input column. Row i of the call is value first + i of the column. */
typedef struct {
    const void *values;     /* the values; of strings, the offsets */
    const void *text;       /* of strings, their bytes */
    const uint8_t *present; /* a bit a value, 0 where it is missing; NULL where none is */
    int64_t first;
} ff_column;

/* A run of one of the plan's arrays. */
typedef struct {
    const void *at;
    uint64_t count;
} ff_section;

/* What the plan says of an input or an output. */
typedef struct {
    uint32_t type;   /* ff_type; FF_STRING on an output: an int32 place among its labels is written, see ff_label */
    uint32_t name;   /* a string of the plan */
    uint32_t first;  /* output: the first number register, or the code register of a label */
    uint32_t width;  /* output: how many registers, 0 for a label */
    uint32_t labels; /* output: where the labels begin, in strings, words or numbers after its type; of numbers,
                        1 where they are a tensor though there may be one only */
    uint32_t count;  /* output: how many labels */
} ff_port;

struct ff_dictionary;
struct ff_forest;
struct ff_reader;

/* An open plan. The members are for reading. */
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
    uint32_t lanes; /* the rows that are computed side by side */
    uint32_t slots;     /* of the widest forest */
    uint32_t workspace; /* bytes that the largest step needs */
    /* what ff_prepare made; in the order of the steps that use them */
    struct ff_dictionary *dictionary;
    struct ff_forest *forest;
    struct ff_reader *reader;
    uint32_t dictionaries, forests, readers;
    uint32_t bags, bag_width[FF_MAX_BAGS]; /* columns of each bag */
    char error[FF_ERROR_BYTES]; /* what is wrong, after a call that failed */
} ff_plan;

typedef void *(*ff_allocate)(void *context, size_t bytes);

/* Validates a plan of `size` bytes at an address that 8 divides; the bytes must stay as long as the plan is used.
 * Returns 0, or -1 with a message in plan->error. */
int ff_open(ff_plan *plan, const void *bytes, size_t size);

/* Makes what speeds the plan up, in memory that `allocate` gives and the caller frees when the plan is done with.
 * `budget`: the bytes that tables of forests may take; 0 for none. Answers have the same bits with any.
 * Returns 0, or -1 with a message in plan->error where `allocate` returned NULL. */
int ff_prepare(ff_plan *plan, ff_allocate allocate, void *context, size_t budget);

/* The bytes of scratch, at an address that 64 divides, that a call of so many rows needs. */
size_t ff_scratch(const ff_plan *plan, int64_t rows);

/* Answers `rows` rows. `results` has a pointer for each output: to rows × width values of its type.
 * refused[i] becomes 0, or 1 + the string of the plan that says why row i has no answer (its results are then any
 * values); refused may be NULL. Returns how many rows were refused. */
int64_t ff_predict(const ff_plan *plan, const ff_column *columns, void *const *results, int64_t rows,
                   uint32_t *refused, void *scratch);

/* A string of the plan, not ended by a zero. */
const char *ff_string(const ff_plan *plan, uint32_t index, size_t *length);

/* The label that an output of type FF_STRING wrote. */
const char *ff_label(const ff_plan *plan, uint32_t output, int32_t code, size_t *length);

/* The value of an elementary function of the evaluator by its number (docs/spec/plan.md), for tests. */
double ff_elementary(uint32_t function, double x, double y);

#ifdef __cplusplus
}
#endif
#endif
