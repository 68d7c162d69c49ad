/* Fourfold's evaluator: one C99 file. See evaluator.h for its use and docs/spec/plan.md for the format of a plan.
 *
 * Contents
 *     1  the processor that this needs, and small things
 *     2  elementary functions
 *     3  the format: sections, steps, nodes
 *     4  opening a plan: everything is checked, once
 *     5  dictionaries: text to code
 *     6  forests: tables of masks, and the walk
 *     7  the other steps
 *     8  predicting
 *
 * Why the bits are the same everywhere: a row is computed in one fixed order of operations, each of them an addition,
 * subtraction, multiplication, division, square root, comparison or conversion that IEEE 754 defines to the last bit.
 * Nothing here calls a mathematical library. Rows lie side by side ("lanes"), so that a compiler may compute several at
 * once; no operation ever mixes two lanes, so neither their number nor their place can show in an answer.
 *
 * Compile with -std=c99 -ffp-contract=off and without -ffast-math; on 32-bit x86 also with -msse2 -mfpmath=sse.
 */
#include "evaluator.h"

/* ------------------------------------------------------------------------------------------------------------------
 * 1  The processor that this needs, and small things
 * ------------------------------------------------------------------------------------------------------------------ */

#if defined(__FAST_MATH__)
#error "the evaluator must not be compiled with -ffast-math: the bits of its answers would depend on the compiler"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "the evaluator needs sums that are rounded to double at once: on 32-bit x86, -msse2 -mfpmath=sse"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the evaluator reads plans where they lie, and they are little-endian"
#endif
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#endif
#pragma STDC FP_CONTRACT OFF

typedef char ff_double_has_64_bits[sizeof(double) == 8 ? 1 : -1];
typedef char ff_float_has_32_bits[sizeof(float) == 4 ? 1 : -1];

static double ff_from_bits(uint64_t bits) {
    union { uint64_t bits; double value; } both;
    both.bits = bits;
    return both.value;
}

static uint64_t ff_to_bits(double value) {
    union { uint64_t bits; double value; } both;
    both.value = value;
    return both.bits;
}

#define FF_NAN ff_from_bits(UINT64_C(0x7ff8000000000000))
#define FF_INFINITY ff_from_bits(UINT64_C(0x7ff0000000000000))

static int ff_is_nan(double x) { return x != x; }
static int ff_is_finite(double x) { return (ff_to_bits(x) >> 52 & 0x7ff) != 0x7ff; }
static double ff_round32(double x) { return (double)(float)x; }

/* Own copies of memcpy and memset, since a device or a browser may have no library. */
static void ff_copy(void *to, const void *from, size_t bytes) {
    unsigned char *out = (unsigned char *)to;
    const unsigned char *in = (const unsigned char *)from;
    while (bytes--) *out++ = *in++;
}

static void ff_fill(void *to, int value, size_t bytes) {
    unsigned char *out = (unsigned char *)to;
    while (bytes--) *out++ = (unsigned char)value;
}

/* The place of the lowest bit that is set; there must be one. */
static uint32_t ff_lowest(uint64_t bits) {
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctzll(bits);
#else
    uint32_t place = 0;
    if (!(bits & 0xffffffffu)) { place += 32; bits >>= 32; }
    if (!(bits & 0xffffu)) { place += 16; bits >>= 16; }
    if (!(bits & 0xffu)) { place += 8; bits >>= 8; }
    if (!(bits & 0xfu)) { place += 4; bits >>= 4; }
    if (!(bits & 0x3u)) { place += 2; bits >>= 2; }
    return place + !(bits & 1u);
#endif
}

static uint32_t ff_lowest32(uint32_t bits) {
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctz(bits);
#else
    return ff_lowest(bits);
#endif
}

/* ELEMENTARY: temporary, by libm */
#include <math.h>
static double ff_sqrt(double x) { return sqrt(x); }
static double ff_exp(double x) { return exp(x); }
static double ff_expm1(double x) { return expm1(x); }
static double ff_log(double x) { return log(x); }
static double ff_log1p(double x) { return log1p(x); }
static double ff_log2(double x) { return log2(x); }
static double ff_log10(double x) { return log10(x); }
static double ff_tanh(double x) { return tanh(x); }
static double ff_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double ff_sin(double x) { return sin(x); }
static double ff_cos(double x) { return cos(x); }
static double ff_cbrt(double x) { return cbrt(x); }
static double ff_pow(double x, double y) { return pow(x, y); }
static double ff_ndtr(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
static double ff_ndtri(double x) { return x; }
/* END ELEMENTARY */

/* ------------------------------------------------------------------------------------------------------------------
 * 3  The format: sections, steps, nodes
 * ------------------------------------------------------------------------------------------------------------------ */

/* The header: the magic bytes, the version, the counts of registers and codes, then offset and count of each section. */
#define FF_SECTIONS 9
enum { FF_S_INPUTS, FF_S_OUTPUTS, FF_S_STEPS, FF_S_WORDS, FF_S_NUMBERS, FF_S_NODES, FF_S_LIMITS, FF_S_STRINGS, FF_S_TEXT };
static const uint32_t ff_section_item[FF_SECTIONS] = {sizeof(ff_port), sizeof(ff_port), 4, 4, 8, 16, 4, 4, 1};

typedef struct {
    uint8_t magic[8];
    uint32_t version, registers, codes, reserved;
    struct { uint64_t offset, count; } section[FF_SECTIONS];
} ff_header;

static const uint8_t ff_magic[8] = {'F', 'O', 'U', 'R', 'P', 'L', 'A', 'N'};

/* A node of a tree. Nodes lie in preorder: the left child of an inner node is the next one. */
typedef struct ff_node {
    union {
        double threshold;  /* number slot: left where the number is not above it */
        uint32_t set[2];   /* code slot: left where the code's bit is set in the words from set[0] on; set[1] is 0 */
    } test;
    uint32_t right; /* inner: the right child, counted from the tree's root; leaf: its value */
    uint32_t flags;
} ff_node;
#define FF_NODE_SLOT 0x0fffffffu
#define FF_NODE_NAN_LEFT 0x10000000u
#define FF_NODE_LEAF 0x20000000u

#define FF_CODE 0x80000000u      /* in a list of slots: a code register */
#define FF_FOREST_FLOAT32 1u     /* sums are rounded to float32 after every tree */
#define FF_DEEPEST 4096u
#define FF_NEAREST_WEIGHTED 1u   /* neighbours weigh by the inverse of their distance */
#define FF_NEAREST_MANHATTAN 2u
#define FF_MOST_NEIGHBOURS 4096u

enum ff_operation {
    FF_NUMBER = 1, /* dst input                                a column's numbers; NaN where one is missing */
    FF_TEXT,       /* code input string count                  the place of a text among strings; count: another, count + 1: missing */
    FF_MATCH,      /* code src numbers count                   the place among ascending numbers; count: another, count + 1: NaN */
    FF_SEARCH,     /* code src numbers count right             how many are below (right: not above) the number; count + 1: NaN */
    FF_RECODE,     /* code code words                          another code for each code */
    FF_LOOKUP,     /* dst code width numbers                   numbers for each code */
    FF_CONSTANT,   /* dst count numbers */
    FF_MAP,        /* dst count function words                 f(x) */
    FF_MAP_CONST,  /* dst count function words numbers         f(x, constant) */
    FF_MAP_TWO,    /* dst count function words words           f(x, y) */
    FF_SELECT,     /* dst count words words words              y where x is not 0, else z */
    FF_DOT,        /* dst outputs inputs words numbers         numbers: outputs for each input */
    FF_FOLD,       /* dst count function words                 one number of many */
    FF_ARGMAX,     /* code count words                         the first place of the largest */
    FF_INTERPOLATE,/* dst src xs ys count                      as numpy.interp */
    FF_FOREST,     /* dst outputs flags width slots words trees words values count init */
    FF_NEAREST,    /* dst width inputs words rows k flags points targets */
    FF_REFUSE,     /* count words kind string                  a row whose number is of that kind has no answer */
    FF_OPERATIONS
};

/* The operands of each step, besides its first word. */
static const uint8_t ff_operands[FF_OPERATIONS] = {0, 2, 4, 4, 5, 3, 4, 3, 4, 5, 5, 5, 5, 4, 3, 5, 11, 9, 4};

enum ff_function {
    /* of one number */
    FF_NEGATE = 0, FF_ABS, FF_SQRT, FF_EXP, FF_EXPM1, FF_LOG, FF_LOG1P, FF_LOG2, FF_LOG10, FF_TANH, FF_SIGMOID, FF_SIN,
    FF_COS, FF_FLOOR, FF_CEIL, FF_ROUND32, FF_IS_NAN, FF_SIGN, FF_NDTR, FF_NDTRI, FF_CBRT, FF_RINT, FF_TRUNC,
    FF_ONES,
    /* of two */
    FF_ADD = 32, FF_SUB, FF_RSUB, FF_MUL, FF_DIV, FF_RDIV, FF_MIN, FF_MAX, FF_POW, FF_EQ, FF_NE, FF_LT, FF_LE, FF_GT,
    FF_GE, FF_IF_NAN, FF_MOD,
    FF_TWOS,
    /* of many */
    FF_SUM = 64, FF_PAIRWISE, FF_LEAST, FF_MOST, FF_SQUARES, FF_ABSOLUTES, FF_PRODUCT,
    FF_MANY
};

enum ff_kind { FF_NOT_FINITE = 0, FF_A_NAN, FF_INFINITE, FF_ZERO, FF_KINDS };

/* ------------------------------------------------------------------------------------------------------------------
 * 4  Opening a plan: everything is checked, once
 * ------------------------------------------------------------------------------------------------------------------ */

static int ff_fail(ff_plan *plan, const char *what, uint64_t where) {
    char digits[24];
    size_t end = 0, count = 0;
    while (what[end] && end < FF_ERROR - 32) { plan->error[end] = what[end]; end++; }
    do { digits[count++] = (char)('0' + where % 10); where /= 10; } while (where);
    plan->error[end++] = ' ';
    while (count) plan->error[end++] = digits[--count];
    plan->error[end] = 0;
    return -1;
}

#define FF_CHECK(holds, what, where) do { if (!(holds)) return ff_fail(plan, what, where); } while (0)

static int ff_inside(uint64_t first, uint64_t count, uint64_t total) { return first <= total && count <= total - first; }

/* Registers are written in ascending order and read after they are written, so two counters are the whole check. */
typedef struct {
    uint32_t registers, codes;
    uint32_t dictionaries, forests;
    uint32_t slots, workspace;
} ff_progress;

static int ff_reads(const ff_plan *plan, const ff_progress *so_far, uint64_t word, uint64_t count) {
    uint64_t i;
    if (!ff_inside(word, count, plan->words)) return 0;
    for (i = 0; i < count; i++)
        if (plan->word[word + i] >= so_far->registers) return 0;
    return 1;
}

static int ff_writes(const ff_plan *plan, ff_progress *so_far, uint32_t dst, uint64_t count) {
    if (dst != so_far->registers || count == 0 || count > plan->registers - dst) return 0;
    so_far->registers += (uint32_t)count;
    return 1;
}

static int ff_writes_code(const ff_plan *plan, ff_progress *so_far, uint32_t dst, uint64_t limit) {
    const uint32_t *limits = plan->word + plan->words; /* see ff_open: the limits follow the words */
    if (dst != so_far->codes || dst >= plan->codes || limits[dst] != limit) return 0;
    so_far->codes++;
    return 1;
}

static uint32_t ff_limit(const ff_plan *plan, uint32_t code) { return (plan->word + plan->words)[code]; }

static int ff_ascending(const ff_plan *plan, uint64_t first, uint64_t count) {
    uint64_t i;
    if (!ff_inside(first, count, plan->numbers)) return 0;
    for (i = 0; i < count; i++)
        if (ff_is_nan(plan->number[first + i]) || (i && !(plan->number[first + i - 1] < plan->number[first + i]))) return 0;
    return 1;
}

static int ff_open_tree(const ff_plan *plan, const uint32_t *operand, uint32_t first, uint32_t count) {
    /* A tree in preorder is whole if the right children that are still due are met in the order last in, first out. */
    uint32_t due[FF_DEEPEST], depth = 0, i;
    uint32_t slots = operand[4];
    const uint32_t *slot = plan->word + operand[5];
    if (count == 0 || !ff_inside(first, count, plan->nodes)) return 0;
    for (i = 0; i < count; i++) {
        const ff_node *node = plan->node + first + i;
        if (node->flags & FF_NODE_LEAF) {
            if (node->right >= operand[9]) return 0;
            if (depth == 0) return i == count - 1;
            if (due[--depth] != i + 1) return 0;
            continue;
        }
        if (node->right <= i + 1 || node->right >= count || depth == FF_DEEPEST) return 0;
        if ((node->flags & FF_NODE_SLOT) >= slots) return 0;
        if (slot[node->flags & FF_NODE_SLOT] & FF_CODE) {
            uint32_t limit = ff_limit(plan, slot[node->flags & FF_NODE_SLOT] & ~FF_CODE);
            if (node->test.set[1] || !ff_inside(node->test.set[0], ((uint64_t)limit + 31) / 32, plan->words)) return 0;
        } else if (ff_is_nan(node->test.threshold)) return 0;
        due[depth++] = node->right;
    }
    return 0;
}

static int ff_open_forest(ff_plan *plan, ff_progress *so_far, const uint32_t *operand, uint64_t where) {
    uint32_t outputs = operand[1], width = operand[3], slots = operand[4], trees = operand[6], i;
    const uint32_t *tree = plan->word + operand[7];
    uint64_t padded = ((uint64_t)trees + 15) / 16 * 16;
    FF_CHECK(operand[2] <= FF_FOREST_FLOAT32, "a forest has flags that are not known, at step", where);
    FF_CHECK(trees > 0 && slots <= FF_NODE_SLOT, "a forest has no trees, or too many slots, at step", where);
    FF_CHECK(width == 1 || width == outputs, "a forest's leaves are as wide as neither one nor all outputs, at step", where);
    FF_CHECK(ff_inside(operand[5], slots, plan->words), "a forest's slots are outside, at step", where);
    for (i = 0; i < slots; i++) {
        uint32_t source = plan->word[operand[5] + i];
        FF_CHECK(source & FF_CODE ? (source & ~FF_CODE) < so_far->codes : source < so_far->registers,
                 "a forest reads a register that is not written yet, at step", where);
    }
    FF_CHECK(ff_inside(operand[7], 3 * (uint64_t)trees, plan->words), "a forest's trees are outside, at step", where);
    FF_CHECK(ff_inside(operand[8], (uint64_t)operand[9] * width, plan->numbers), "a forest's values are outside, at step", where);
    FF_CHECK(ff_inside(operand[10], outputs, plan->numbers), "a forest's first sums are outside, at step", where);
    for (i = 0; i < trees; i++) {
        FF_CHECK(width > 1 || tree[3 * i + 2] < outputs, "a tree adds to an output that is not there: tree", i);
        FF_CHECK(ff_open_tree(plan, operand, tree[3 * i], tree[3 * i + 1]), "not a tree in preorder, inside the plan: tree", i);
    }
    FF_CHECK(ff_writes(plan, so_far, operand[0], outputs), "a forest writes elsewhere than to the next registers, at step", where);
    so_far->forests++;
    if (so_far->slots < slots) so_far->slots = slots;
    FF_CHECK(padded * 32 <= UINT32_MAX, "too many trees, at step", where);
    if (so_far->workspace < padded * 32) so_far->workspace = (uint32_t)(padded * 32);
    return 0;
}

static int ff_open_nearest(ff_plan *plan, ff_progress *so_far, const uint32_t *operand, uint64_t where) {
    uint32_t width = operand[1], inputs = operand[2], rows = operand[4], k = operand[5];
    FF_CHECK(k > 0 && k <= rows && k <= FF_MOST_NEIGHBOURS, "neighbours: none, more than rows, or too many, at step", where);
    FF_CHECK(operand[6] <= 3, "neighbours have flags that are not known, at step", where);
    FF_CHECK(ff_reads(plan, so_far, operand[3], inputs), "reads a register that is not written yet, at step", where);
    FF_CHECK(ff_inside(operand[7], (uint64_t)rows * inputs, plan->numbers) &&
             ff_inside(operand[8], (uint64_t)rows * width, plan->numbers), "neighbours are outside, at step", where);
    FF_CHECK(ff_writes(plan, so_far, operand[0], width), "writes elsewhere than to the next registers, at step", where);
    if (so_far->workspace < k * 16 + (uint64_t)inputs * 8) so_far->workspace = (uint32_t)(k * 16 + inputs * 8);
    FF_CHECK(inputs < (1u << 24), "too many inputs, at step", where);
    return 0;
}

/* A function of one (0), two (32) or many (64) numbers. */
static int ff_known_function(uint32_t function, uint32_t of) {
    return of == 0 ? function < FF_ONES : of == 32 ? function >= FF_ADD && function < FF_TWOS
                                                   : function >= FF_SUM && function < FF_MANY;
}

static int ff_open_step(ff_plan *plan, ff_progress *so_far, uint32_t operation, const uint32_t *a, uint64_t where) {
    static const char unread[] = "reads a register that is not written yet, at step";
    static const char unwritten[] = "writes elsewhere than to the next registers, at step";
    static const char outside[] = "its constants are outside or out of order, at step";
    static const char unknown[] = "a function that is not known, at step";
    uint64_t i;
    switch (operation) {
    case FF_NUMBER:
        FF_CHECK(a[1] < plan->inputs && plan->input[a[1]].type != FF_STRING, "no such input of numbers, at step", where);
        FF_CHECK(ff_writes(plan, so_far, a[0], 1), unwritten, where);
        return 0;
    case FF_TEXT:
        FF_CHECK(a[1] < plan->inputs && plan->input[a[1]].type == FF_STRING, "no such input of text, at step", where);
        FF_CHECK(ff_inside(a[2], a[3], plan->strings), outside, where);
        FF_CHECK(ff_writes_code(plan, so_far, a[0], (uint64_t)a[3] + 2), unwritten, where);
        so_far->dictionaries++;
        return 0;
    case FF_MATCH:
    case FF_SEARCH:
        FF_CHECK(a[1] < so_far->registers, unread, where);
        FF_CHECK(ff_ascending(plan, a[2], a[3]) && (operation == FF_MATCH || a[4] <= 1), outside, where);
        FF_CHECK(ff_writes_code(plan, so_far, a[0], (uint64_t)a[3] + 2), unwritten, where);
        return 0;
    case FF_RECODE: {
        uint32_t limit;
        FF_CHECK(a[1] < so_far->codes, unread, where);
        FF_CHECK(ff_inside(a[2], ff_limit(plan, a[1]), plan->words) && a[0] < plan->codes, outside, where);
        limit = ff_limit(plan, a[0]);
        for (i = 0; i < ff_limit(plan, a[1]); i++) FF_CHECK(plan->word[a[2] + i] < limit, outside, where);
        FF_CHECK(ff_writes_code(plan, so_far, a[0], limit), unwritten, where);
        return 0;
    }
    case FF_LOOKUP:
        FF_CHECK(a[1] < so_far->codes, unread, where);
        FF_CHECK(ff_inside(a[3], (uint64_t)ff_limit(plan, a[1]) * a[2], plan->numbers), outside, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[2]), unwritten, where);
        return 0;
    case FF_CONSTANT:
        FF_CHECK(ff_inside(a[2], a[1], plan->numbers), outside, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_MAP:
        FF_CHECK(ff_known_function(a[2], 0), unknown, where);
        FF_CHECK(ff_reads(plan, so_far, a[3], a[1]), unread, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_MAP_CONST:
        FF_CHECK(ff_known_function(a[2], 32), unknown, where);
        FF_CHECK(ff_reads(plan, so_far, a[3], a[1]), unread, where);
        FF_CHECK(ff_inside(a[4], a[1], plan->numbers), outside, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_MAP_TWO:
        FF_CHECK(ff_known_function(a[2], 32), unknown, where);
        FF_CHECK(ff_reads(plan, so_far, a[3], a[1]) && ff_reads(plan, so_far, a[4], a[1]), unread, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_SELECT:
        FF_CHECK(ff_reads(plan, so_far, a[2], a[1]) && ff_reads(plan, so_far, a[3], a[1]) &&
                 ff_reads(plan, so_far, a[4], a[1]), unread, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_DOT:
        FF_CHECK(ff_reads(plan, so_far, a[3], a[2]), unread, where);
        FF_CHECK(ff_inside(a[4], (uint64_t)a[1] * a[2], plan->numbers), outside, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_FOLD:
        FF_CHECK(ff_known_function(a[2], 64) && a[1] > 0, unknown, where);
        FF_CHECK(ff_reads(plan, so_far, a[3], a[1]), unread, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], 1), unwritten, where);
        return 0;
    case FF_ARGMAX:
        FF_CHECK(a[1] > 0 && ff_reads(plan, so_far, a[2], a[1]), unread, where);
        FF_CHECK(ff_writes_code(plan, so_far, a[0], a[1]), unwritten, where);
        return 0;
    case FF_INTERPOLATE:
        FF_CHECK(a[1] < so_far->registers, unread, where);
        FF_CHECK(a[4] > 0 && ff_inside(a[2], a[4], plan->numbers) && ff_inside(a[3], a[4], plan->numbers), outside, where);
        for (i = 0; i < a[4]; i++)
            FF_CHECK(!ff_is_nan(plan->number[a[2] + i]) && (!i || plan->number[a[2] + i - 1] <= plan->number[a[2] + i]),
                     outside, where);
        FF_CHECK(ff_writes(plan, so_far, a[0], 1), unwritten, where);
        return 0;
    case FF_FOREST: return ff_open_forest(plan, so_far, a, where);
    case FF_NEAREST: return ff_open_nearest(plan, so_far, a, where);
    case FF_REFUSE:
        FF_CHECK(ff_reads(plan, so_far, a[1], a[0]), unread, where);
        FF_CHECK(a[2] < FF_KINDS && a[3] < plan->strings, outside, where);
        return 0;
    default: return ff_fail(plan, "an operation that is not known, at step", where);
    }
}

static int ff_open_sections(ff_plan *plan, size_t size) {
    ff_header header;
    const uint8_t *at[FF_SECTIONS];
    uint64_t i;
    FF_CHECK(((uintptr_t)plan->bytes & 7) == 0, "a plan must lie at an address that 8 divides; it lies at", (uintptr_t)plan->bytes);
    FF_CHECK(size >= sizeof header, "a plan is longer than its header; it has bytes:", size);
    ff_copy(&header, plan->bytes, sizeof header);
    for (i = 0; i < 8; i++) FF_CHECK(header.magic[i] == ff_magic[i], "these bytes are no plan: they differ at byte", i);
    FF_CHECK(header.version == FF_VERSION && header.reserved == 0, "a plan of another version than 1:", header.version);
    for (i = 0; i < FF_SECTIONS; i++) {
        uint64_t offset = header.section[i].offset, count = header.section[i].count;
        FF_CHECK(offset % (i == FF_S_LIMITS ? 4 : 8) == 0 && offset >= sizeof header && offset <= size, "a section begins outside the plan: section", i);
        FF_CHECK(count <= (size - offset) / ff_section_item[i] && count < UINT32_MAX, "a section ends outside the plan: section", i);
        at[i] = plan->bytes + offset;
    }
    FF_CHECK(header.section[FF_S_STRINGS].count > 0, "the offsets of strings lack their end; there are", 0);
    FF_CHECK(header.registers <= (1u << 24) && header.codes <= (1u << 24), "a plan has too many registers:", header.registers);
    FF_CHECK(header.section[FF_S_LIMITS].count == header.codes &&
             header.section[FF_S_LIMITS].offset == header.section[FF_S_WORDS].offset + 4 * header.section[FF_S_WORDS].count,
             "the limits of codes must follow the words, one a code; there are", header.section[FF_S_LIMITS].count);
    plan->inputs = (uint32_t)header.section[FF_S_INPUTS].count;
    plan->outputs = (uint32_t)header.section[FF_S_OUTPUTS].count;
    plan->steps = (uint32_t)header.section[FF_S_STEPS].count;
    plan->words = (uint32_t)header.section[FF_S_WORDS].count;
    plan->numbers = header.section[FF_S_NUMBERS].count;
    plan->nodes = (uint32_t)header.section[FF_S_NODES].count;
    plan->strings = (uint32_t)header.section[FF_S_STRINGS].count - 1;
    plan->registers = header.registers;
    plan->codes = header.codes;
    plan->input = (const ff_port *)(const void *)at[FF_S_INPUTS];
    plan->output = (const ff_port *)(const void *)at[FF_S_OUTPUTS];
    plan->step = (const uint32_t *)(const void *)at[FF_S_STEPS];
    plan->word = (const uint32_t *)(const void *)at[FF_S_WORDS];
    plan->number = (const double *)(const void *)at[FF_S_NUMBERS];
    plan->node = (const ff_node *)(const void *)at[FF_S_NODES];
    plan->string = (const uint32_t *)(const void *)at[FF_S_STRINGS];
    plan->text = at[FF_S_TEXT];
    for (i = 0; i < plan->strings; i++) FF_CHECK(plan->string[i] <= plan->string[i + 1], "strings out of order: string", i);
    FF_CHECK(plan->string[plan->strings] <= header.section[FF_S_TEXT].count, "strings end outside the plan; there are", plan->strings);
    for (i = 0; i < plan->inputs; i++)
        FF_CHECK(plan->input[i].type < FF_TYPES && plan->input[i].name < plan->strings, "an input of an unknown type: input", i);
    return 0;
}

static int ff_open_outputs(ff_plan *plan) {
    uint64_t i;
    FF_CHECK(plan->outputs > 0, "a plan must have outputs; it has", 0);
    for (i = 0; i < plan->outputs; i++) {
        const ff_port *port = plan->output + i;
        FF_CHECK(port->type < FF_TYPES && port->name < plan->strings, "an output of an unknown type: output", i);
        if (port->width) {
            FF_CHECK(port->type == FF_FLOAT32 || port->type == FF_FLOAT64, "an output of numbers must be of floats: output", i);
            FF_CHECK(ff_inside(port->first, port->width, plan->registers), "an output that no step writes: output", i);
            continue;
        }
        FF_CHECK(port->first < plan->codes && ff_limit(plan, port->first) <= port->count, "a label that has no name: output", i);
        FF_CHECK(port->type == FF_STRING ? ff_inside(port->labels, port->count, plan->strings)
                 : port->type == FF_FLOAT32 || port->type == FF_FLOAT64 ? ff_inside(port->labels, port->count, plan->numbers)
                 : ff_inside(port->labels, 2 * (uint64_t)port->count, plan->words), "labels are outside: output", i);
    }
    return 0;
}

int ff_open(ff_plan *plan, const void *bytes, size_t size) {
    ff_progress so_far = {0, 0, 0, 0, 0, 0};
    uint64_t at = 0;
    ff_fill(plan, 0, sizeof *plan);
    plan->bytes = (const uint8_t *)bytes;
    if (ff_open_sections(plan, size)) return -1;
    while (at < plan->steps) {
        uint32_t operation = plan->step[at];
        FF_CHECK(operation > 0 && operation < FF_OPERATIONS, "an operation that is not known, at step", at);
        FF_CHECK(ff_operands[operation] < plan->steps - at, "a step is cut off, at step", at);
        if (ff_open_step(plan, &so_far, operation, plan->step + at + 1, at)) return -1;
        at += 1 + ff_operands[operation];
    }
    FF_CHECK(so_far.registers == plan->registers && so_far.codes == plan->codes, "registers that no step writes; written are", so_far.registers);
    if (ff_open_outputs(plan)) return -1;
    plan->dictionaries = so_far.dictionaries;
    plan->forests = so_far.forests;
    plan->slots = so_far.slots;
    plan->workspace = (so_far.workspace + 63) / 64 * 64;
    /* Enough lanes to be worth a loop's start, few enough for registers to stay in the cache nearest to the processor. */
    {
        uint64_t bytes_a_lane = 8 * (uint64_t)plan->registers + 4 * (uint64_t)plan->codes + 4;
        plan->lanes = 512;
        while (plan->lanes > 16 && plan->lanes * bytes_a_lane > 48u * 1024) plan->lanes /= 2;
    }
    return 0;
}

const char *ff_string(const ff_plan *plan, uint32_t index, size_t *length) {
    *length = plan->string[index + 1] - plan->string[index];
    return (const char *)plan->text + plan->string[index];
}

const char *ff_label(const ff_plan *plan, uint32_t output, int32_t code, size_t *length) {
    return ff_string(plan, plan->output[output].labels + (uint32_t)code, length);
}

/* ------------------------------------------------------------------------------------------------------------------
 * 5  Dictionaries: text to code
 * ------------------------------------------------------------------------------------------------------------------ */

/* A hash table, open addressing. A text of up to eight bytes is its own key, so that one comparison tells. */
typedef struct {
    uint64_t key;    /* the bytes of a short text, the hash of a longer one */
    uint32_t length; /* UINT32_MAX: nothing here */
    uint32_t code;
} ff_entry;

typedef struct ff_dictionary {
    const ff_entry *entry;
    uint32_t mask, count, string;
} ff_dictionary;

static uint64_t ff_load64(const uint8_t *at) {
    uint64_t value;
    ff_copy(&value, at, 8); /* compilers make one load of it */
    return value;
}

static uint64_t ff_mix(uint64_t x) {
    x ^= x >> 32;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static uint64_t ff_key(const uint8_t *text, uint32_t length) {
    uint64_t key = 0;
    uint32_t i;
    if (length <= 8) {
        for (i = 0; i < length; i++) key |= (uint64_t)text[i] << 8 * i;
        return key;
    }
    for (i = 0; i + 8 <= length; i += 8) key = ff_mix(key ^ ff_load64(text + i));
    return ff_mix(key ^ ff_load64(text + length - 8) ^ length);
}

static int ff_same(const uint8_t *a, const uint8_t *b, uint32_t length) {
    while (length--) if (*a++ != *b++) return 0;
    return 1;
}

static uint32_t ff_code_of(const ff_plan *plan, const ff_dictionary *dictionary, const uint8_t *text, uint32_t length) {
    uint64_t key = ff_key(text, length);
    uint32_t at = (uint32_t)ff_mix(key + length) & dictionary->mask;
    for (;; at = (at + 1) & dictionary->mask) {
        const ff_entry *entry = dictionary->entry + at;
        if (entry->key == key && entry->length == length &&
            (length <= 8 || ff_same(text, plan->text + plan->string[dictionary->string + entry->code], length)))
            return entry->code;
        if (entry->length == UINT32_MAX) return dictionary->count;
    }
}

static int ff_prepare_dictionary(ff_plan *plan, ff_dictionary *dictionary, const uint32_t *operand, ff_allocate allocate,
                                 void *context) {
    uint32_t size = 4, i;
    ff_entry *entry;
    dictionary->string = operand[2];
    dictionary->count = operand[3];
    while (size < 2 * (uint64_t)dictionary->count + 1) size *= 2;
    dictionary->mask = size - 1;
    entry = (ff_entry *)allocate(context, size * sizeof *entry);
    FF_CHECK(entry, "no memory for a dictionary; bytes wanted:", size * sizeof *entry);
    for (i = 0; i < size; i++) { entry[i].key = 0; entry[i].length = UINT32_MAX; entry[i].code = 0; }
    dictionary->entry = entry;
    for (i = 0; i < dictionary->count; i++) {
        const uint8_t *text = plan->text + plan->string[dictionary->string + i];
        uint32_t length = plan->string[dictionary->string + i + 1] - plan->string[dictionary->string + i], at;
        if (ff_code_of(plan, dictionary, text, length) != dictionary->count) continue; /* twice: the first one holds */
        at = (uint32_t)ff_mix(ff_key(text, length) + length) & dictionary->mask;
        while (entry[at].length != UINT32_MAX) at = (at + 1) & dictionary->mask;
        entry[at].key = ff_key(text, length);
        entry[at].length = length;
        entry[at].code = i;
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * 6  Forests: tables of masks, and the walk
 *
 * A forest of small trees is computed after QuickScorer (Lucchese and others, SIGIR 2015): a tree's mask has a bit for
 * each leaf, a test that fails clears the bits of the leaves to its left, and the lowest bit that is left is the leaf.
 * Which tests of one column fail depends only on the rank of its number among their thresholds. So for each column
 * there is a table with a row of masks, one a tree, for every rank: the tests that fail, already combined. A row of
 * data then costs one row of each table, combined word by word, whatever the number of nodes. A column of codes (a
 * category) has a row for every code in the same way, so one-hot columns are never made.
 *
 * Tables of many trees would not stay in the cache: trees come in groups, each with tables of its own. Where trees are
 * too large for masks, or columns too many, or there is no memory, trees are walked from root to leaf, several rows at
 * once. Either way leaves are added up in the order of the trees, so the bits are the same.
 * ------------------------------------------------------------------------------------------------------------------ */

typedef struct {
    uint32_t source;          /* the register, or the code register */
    uint32_t is_code;
    uint32_t count;           /* ranks: 0 to count, and count + 1 for NaN; codes: the limit */
    const double *thresholds; /* ascending, of a number */
} ff_slot;

typedef struct {
    uint32_t slot;
    const uint32_t *row; /* for each rank the row of the table; NULL where they are the same */
    const void *masks;   /* rows of `padded` masks */
} ff_table;

typedef struct {
    uint32_t first, trees, padded, tables;
    ff_table *table;
    const double *leaf;    /* padded × leaves, where a leaf is one number */
    const uint32_t *place; /* padded × leaves, where it is several: where they begin */
} ff_group;

typedef struct ff_forest {
    const uint32_t *operand;
    uint32_t bits; /* of a mask; 0 where trees are walked */
    uint32_t leaves, slots, groups;
    ff_slot *slot;
    ff_group *group;
} ff_forest;

#define FF_TABLE_BYTES (384u * 1024) /* of one group: what a second-level cache holds beside other things */
#define FF_FEWEST_TREES 16u

static void ff_sort(double *value, uint32_t count) {
    /* Heapsort: no recursion, no worst case. */
    uint32_t start = count / 2, end = count;
    while (end > 1) {
        uint32_t root, child;
        double moved;
        if (start > 0) moved = value[--start];
        else { moved = value[--end]; value[end] = value[0]; }
        for (root = start; (child = 2 * root + 1) < end; root = child) {
            if (child + 1 < end && value[child] < value[child + 1]) child++;
            if (!(moved < value[child])) break;
            value[root] = value[child];
        }
        value[root] = moved;
    }
}

/* How many of ascending numbers are below x. */
static uint32_t ff_below(const double *value, uint32_t count, double x) {
    const double *base = value;
    while (count > 1) {
        uint32_t half = count / 2;
        base += base[half - 1] < x ? half : 0;
        count -= half;
    }
    return (uint32_t)(base - value) + (count == 1 && *base < x);
}

static uint32_t ff_not_above(const double *value, uint32_t count, double x) {
    const double *base = value;
    while (count > 1) {
        uint32_t half = count / 2;
        base += base[half - 1] <= x ? half : 0;
        count -= half;
    }
    return (uint32_t)(base - value) + (count == 1 && *base <= x);
}

static int ff_in_set(const uint32_t *set, uint32_t code) { return set[code >> 5] >> (code & 31) & 1; }

static const ff_node *ff_root(const ff_plan *plan, const ff_forest *forest, uint32_t tree, uint32_t *count) {
    const uint32_t *entry = plan->word + forest->operand[7] + 3 * (uint64_t)tree;
    *count = entry[1];
    return plan->node + entry[0];
}

static int ff_is_leaf(const ff_node *node) { return (node->flags & FF_NODE_LEAF) != 0; }

/* The most leaves of a tree, the inner nodes on each slot, and whether masks are worth their reading. */
static void ff_measure(const ff_plan *plan, ff_forest *forest, uint32_t *on_slot, uint64_t *inner) {
    uint32_t t, i, used = 0;
    uint64_t steps = 0;
    forest->leaves = 0;
    *inner = 0;
    for (t = 0; t < forest->operand[6]; t++) {
        uint32_t count, leaves = 0, deep = 1;
        const ff_node *node = ff_root(plan, forest, t, &count);
        for (i = 0; i < count; i++) {
            if (ff_is_leaf(node + i)) leaves++;
            else { on_slot[node[i].flags & FF_NODE_SLOT]++; (*inner)++; }
        }
        if (leaves > forest->leaves) forest->leaves = leaves;
        while ((1u << deep) < leaves && deep < 31) deep++;
        steps += deep + 1;
    }
    for (i = 0; i < forest->slots; i++) used += on_slot[i] > 0;
    forest->bits = forest->leaves <= 8 ? 8 : forest->leaves <= 16 ? 16 : forest->leaves <= 32 ? 32 : 64;
    /* In sixteenths of a cycle, roughly: a byte of masks costs one, a step of a walk 50. */
    if (forest->leaves > 64 || (uint64_t)used * forest->operand[6] * (forest->bits / 8) > 50 * steps) forest->bits = 0;
}

static int ff_gather_thresholds(ff_plan *plan, ff_forest *forest, const uint32_t *on_slot, ff_allocate allocate, void *context) {
    uint32_t s, t, i;
    for (s = 0; s < forest->slots; s++) {
        ff_slot *slot = forest->slot + s;
        double *thresholds;
        if (slot->is_code || !on_slot[s]) continue;
        thresholds = (double *)allocate(context, on_slot[s] * sizeof *thresholds);
        FF_CHECK(thresholds, "no memory for thresholds; bytes wanted:", on_slot[s] * sizeof *thresholds);
        slot->thresholds = thresholds;
        slot->count = 0;
    }
    for (t = 0; t < forest->operand[6]; t++) {
        uint32_t count;
        const ff_node *node = ff_root(plan, forest, t, &count);
        for (i = 0; i < count; i++) {
            ff_slot *slot = forest->slot + (node[i].flags & FF_NODE_SLOT);
            if (ff_is_leaf(node + i) || slot->is_code) continue;
            ((double *)slot->thresholds)[slot->count++] = node[i].test.threshold;
        }
    }
    for (s = 0; s < forest->slots; s++) {
        ff_slot *slot = forest->slot + s;
        double *thresholds = (double *)slot->thresholds;
        uint32_t kept = 0;
        if (slot->is_code || !on_slot[s]) continue;
        ff_sort(thresholds, slot->count);
        for (i = 0; i < slot->count; i++)
            if (!kept || thresholds[kept - 1] < thresholds[i]) thresholds[kept++] = thresholds[i];
        slot->count = kept;
    }
    return 0;
}

static uint64_t ff_rows_of(const ff_slot *slot, uint32_t on_slot, uint64_t trees, uint64_t all) {
    uint64_t rows = slot->is_code ? slot->count : (uint64_t)on_slot * trees / all + 1;
    if (!slot->is_code && rows > slot->count) rows = slot->count;
    return slot->is_code ? rows : rows + 2;
}

static uint64_t ff_table_bytes(const ff_forest *forest, const uint32_t *on_slot, uint64_t trees) {
    uint64_t bytes = 0;
    uint32_t s;
    for (s = 0; s < forest->slots; s++)
        if (on_slot[s]) bytes += ff_rows_of(forest->slot + s, on_slot[s], trees, forest->operand[6]) * ((trees + 15) / 16 * 16) * (forest->bits / 8);
    return bytes;
}

static void ff_and(void *masks, uint64_t at, uint32_t bits, uint64_t with) {
    if (bits == 8) ((uint8_t *)masks)[at] &= (uint8_t)with;
    else if (bits == 16) ((uint16_t *)masks)[at] &= (uint16_t)with;
    else if (bits == 32) ((uint32_t *)masks)[at] &= (uint32_t)with;
    else ((uint64_t *)masks)[at] &= with;
}

/* Which rows the table of one slot has in a group, and for each rank its row. Returns the rows, 0 where the group does
 * not test the slot. */
static uint32_t ff_group_rows(const ff_plan *plan, const ff_forest *forest, const ff_group *group, uint32_t s, uint32_t *row) {
    const ff_slot *slot = forest->slot + s;
    uint32_t t, i, rows = 0, tested = 0;
    for (i = 0; i < slot->count + 2 && !slot->is_code; i++) row[i] = 0;
    for (t = 0; t < group->trees; t++) {
        uint32_t count;
        const ff_node *node = ff_root(plan, forest, group->first + t, &count);
        for (i = 0; i < count; i++) {
            if (ff_is_leaf(node + i) || (node[i].flags & FF_NODE_SLOT) != s) continue;
            tested = 1;
            if (!slot->is_code) row[ff_below(slot->thresholds, slot->count, node[i].test.threshold) + 1] = 1;
        }
    }
    if (!tested) return 0;
    if (slot->is_code) return slot->count;
    for (i = 1; i <= slot->count; i++) { rows += row[i]; row[i] = rows; }
    row[slot->count + 1] = rows + 1;
    return rows + 2;
}

/* Clears in the tables of a group what the tests of one tree clear. */
static void ff_clear(const ff_plan *plan, const ff_forest *forest, const ff_group *group, uint32_t t, const uint32_t *table_of) {
    uint8_t before[128]; /* leaves before each node; a tree of at most 64 leaves has at most 127 nodes */
    uint32_t count, i, leaves = 0, code;
    const ff_node *node = ff_root(plan, forest, group->first + t, &count);
    for (i = 0; i < count; i++) { before[i] = (uint8_t)leaves; leaves += (uint32_t)ff_is_leaf(node + i); }
    for (i = 0; i < count; i++) {
        uint32_t s = node[i].flags & FF_NODE_SLOT, left, width;
        const ff_slot *slot = forest->slot + s;
        const ff_table *table;
        uint64_t keep;
        if (ff_is_leaf(node + i)) continue;
        table = group->table + table_of[s];
        left = before[i + 1];
        width = before[node[i].right] - left; /* at most 63: the right child has a leaf, too */
        keep = ~(((UINT64_C(1) << width) - 1) << left);
        if (slot->is_code) {
            for (code = 0; code < slot->count; code++)
                if (!ff_in_set(plan->word + node[i].test.set[0], code))
                    ff_and((void *)table->masks, (uint64_t)code * group->padded + t, forest->bits, keep);
            continue;
        }
        /* The row of the first rank above the threshold; those after it follow in ff_fill_group. */
        ff_and((void *)table->masks,
               (uint64_t)table->row[ff_below(slot->thresholds, slot->count, node[i].test.threshold) + 1] * group->padded + t,
               forest->bits, keep);
        if (!(node[i].flags & FF_NODE_NAN_LEFT))
            ff_and((void *)table->masks, (uint64_t)table->row[slot->count + 1] * group->padded + t, forest->bits, keep);
    }
}

static int ff_fill_leaves(ff_plan *plan, const ff_forest *forest, ff_group *group, ff_allocate allocate, void *context) {
    uint64_t places = (uint64_t)group->padded * forest->leaves;
    double *leaf = NULL;
    uint32_t *place = NULL, t, i;
    if (forest->operand[3] == 1) leaf = (double *)allocate(context, (size_t)places * sizeof *leaf);
    else place = (uint32_t *)allocate(context, (size_t)places * sizeof *place);
    FF_CHECK(leaf || place, "no memory for leaves; places wanted:", places);
    for (t = 0; t < group->trees; t++) {
        uint32_t count, leaves = 0;
        const ff_node *node = ff_root(plan, forest, group->first + t, &count);
        for (i = 0; i < count; i++) {
            uint64_t at = (uint64_t)t * forest->leaves + leaves;
            if (!ff_is_leaf(node + i)) continue;
            if (leaf) leaf[at] = plan->number[forest->operand[8] + node[i].right];
            else place[at] = forest->operand[8] + node[i].right * forest->operand[3];
            leaves++;
        }
    }
    group->leaf = leaf;
    group->place = place;
    return 0;
}

static int ff_fill_group(ff_plan *plan, ff_forest *forest, ff_group *group, const uint32_t *on_slot, ff_allocate allocate,
                         void *context) {
    uint32_t s, t, i, *table_of = (uint32_t *)allocate(context, (forest->slots + 1u) * sizeof *table_of);
    group->table = (ff_table *)allocate(context, (forest->slots + 1u) * sizeof *group->table);
    FF_CHECK(table_of && group->table, "no memory for a forest's tables; slots:", forest->slots);
    group->padded = (group->trees + 15) / 16 * 16;
    group->tables = 0;
    for (s = 0; s < forest->slots; s++) {
        const ff_slot *slot = forest->slot + s;
        uint32_t rows, *row = NULL;
        void *masks;
        uint64_t bytes;
        if (!on_slot[s]) continue;
        if (!slot->is_code) {
            row = (uint32_t *)allocate(context, (slot->count + 2u) * sizeof *row);
            FF_CHECK(row, "no memory for a forest's ranks; wanted:", slot->count + 2u);
        }
        rows = ff_group_rows(plan, forest, group, s, row);
        if (!rows) continue;
        bytes = (uint64_t)rows * group->padded * (forest->bits / 8);
        masks = allocate(context, (size_t)bytes);
        FF_CHECK(masks, "no memory for a forest's tables; bytes wanted:", bytes);
        ff_fill(masks, 255, (size_t)bytes);
        table_of[s] = group->tables;
        group->table[group->tables].slot = s;
        group->table[group->tables].row = row;
        group->table[group->tables++].masks = masks;
    }
    for (t = 0; t < group->trees; t++) ff_clear(plan, forest, group, t, table_of);
    for (i = 0; i < group->tables; i++) {
        const ff_table *table = group->table + i;
        const ff_slot *slot = forest->slot + table->slot;
        uint64_t words = (uint64_t)group->padded * (forest->bits / 8) / 8, row, word;
        uint64_t *masks = (uint64_t *)table->masks;
        if (slot->is_code) continue;
        for (row = 1; row + 1 <= table->row[slot->count]; row++) /* what a lower rank clears, a higher one clears too */
            for (word = 0; word < words; word++) masks[(row + 1) * words + word] &= masks[row * words + word];
    }
    return ff_fill_leaves(plan, forest, group, allocate, context);
}

static int ff_prepare_forest(ff_plan *plan, ff_forest *forest, const uint32_t *operand, ff_allocate allocate, void *context,
                             size_t *budget) {
    uint64_t inner, bytes, trees = operand[6], size, g;
    uint32_t s, *on_slot;
    forest->operand = operand;
    forest->slots = operand[4];
    forest->groups = 0;
    on_slot = (uint32_t *)allocate(context, (forest->slots + 1u) * sizeof *on_slot);
    forest->slot = (ff_slot *)allocate(context, (forest->slots + 1u) * sizeof *forest->slot);
    FF_CHECK(on_slot && forest->slot, "no memory for a forest's slots:", forest->slots);
    for (s = 0; s < forest->slots; s++) {
        uint32_t source = plan->word[operand[5] + s];
        forest->slot[s].source = source & ~FF_CODE;
        forest->slot[s].is_code = (source & FF_CODE) != 0;
        forest->slot[s].count = source & FF_CODE ? ff_limit(plan, source & ~FF_CODE) : 0;
        forest->slot[s].thresholds = NULL;
        on_slot[s] = 0;
    }
    ff_measure(plan, forest, on_slot, &inner);
    if (!forest->bits || inner * 8 > *budget) { forest->bits = 0; return 0; }
    if (ff_gather_thresholds(plan, forest, on_slot, allocate, context)) return -1;
    for (size = trees; size > FF_FEWEST_TREES && ff_table_bytes(forest, on_slot, size) > FF_TABLE_BYTES;) size = (size + 1) / 2;
    bytes = inner * 8 + (trees + size - 1) / size * ff_table_bytes(forest, on_slot, size);
    if (bytes > *budget) { forest->bits = 0; return 0; }
    *budget -= (size_t)bytes;
    forest->groups = (uint32_t)((trees + size - 1) / size);
    forest->group = (ff_group *)allocate(context, forest->groups * sizeof *forest->group);
    FF_CHECK(forest->group, "no memory for a forest's groups:", forest->groups);
    for (g = 0; g < forest->groups; g++) {
        forest->group[g].first = (uint32_t)(g * size);
        forest->group[g].trees = (uint32_t)(trees - g * size < size ? trees - g * size : size);
        if (ff_fill_group(plan, forest, forest->group + g, on_slot, allocate, context)) return -1;
    }
    return 0;
}

int ff_prepare(ff_plan *plan, ff_allocate allocate, void *context, size_t budget) {
    uint32_t at = 0, dictionaries = 0, forests = 0;
    plan->dictionary = (ff_dictionary *)allocate(context, (plan->dictionaries + 1u) * sizeof *plan->dictionary);
    plan->forest = (ff_forest *)allocate(context, (plan->forests + 1u) * sizeof *plan->forest);
    FF_CHECK(plan->dictionary && plan->forest, "no memory for dictionaries and forests:", plan->dictionaries + plan->forests);
    for (; at < plan->steps; at += 1u + ff_operands[plan->step[at]]) {
        const uint32_t *operand = plan->step + at + 1;
        if (plan->step[at] == FF_TEXT) {
            if (ff_prepare_dictionary(plan, plan->dictionary + dictionaries++, operand, allocate, context)) return -1;
        } else if (plan->step[at] == FF_FOREST) {
            if (ff_prepare_forest(plan, plan->forest + forests++, operand, allocate, context, &budget)) return -1;
        }
    }
    return 0;
}

/* What a step works on: registers and codes of `lanes` rows. */
typedef struct {
    double *number;
    uint32_t *code;
    uint32_t *refused;
    uint32_t lanes; /* between two registers */
    uint32_t count; /* rows */
    uint8_t *workspace;
    const ff_column *columns;
    int64_t row; /* the first one's place in the call */
} ff_block;

static double *ff_register(const ff_block *block, uint32_t index) { return block->number + (size_t)index * block->lanes; }
static uint32_t *ff_codes(const ff_block *block, uint32_t index) { return block->code + (size_t)index * block->lanes; }

static void ff_add_leaf(const ff_plan *plan, const uint32_t *operand, const ff_block *block, uint32_t lane, uint32_t tree, uint32_t value) {
    uint32_t width = operand[3], k;
    if (width == 1) {
        double *sum = ff_register(block, operand[0] + plan->word[operand[7] + 3 * (uint64_t)tree + 2]) + lane;
        *sum += plan->number[operand[8] + value];
        if (operand[2] & FF_FOREST_FLOAT32) *sum = ff_round32(*sum);
        return;
    }
    for (k = 0; k < width; k++) {
        double *sum = ff_register(block, operand[0] + k) + lane;
        *sum += plan->number[operand[8] + (uint64_t)value * width + k];
        if (operand[2] & FF_FOREST_FLOAT32) *sum = ff_round32(*sum);
    }
}

#define FF_SIDE_BY_SIDE 8u

/* One tree from root to leaf for a few rows at once, so that the processor need not wait for one row's node. */
static void ff_walk_tree(const ff_plan *plan, const uint32_t *operand, const ff_block *block, uint32_t tree, uint32_t lane, uint32_t rows) {
    const ff_node *root = plan->node + plan->word[operand[7] + 3 * (uint64_t)tree];
    const uint32_t *slot = plan->word + operand[5];
    uint32_t at[FF_SIDE_BY_SIDE] = {0}, i, moved;
    do {
        moved = 0;
        for (i = 0; i < rows; i++) {
            const ff_node *node = root + at[i];
            uint32_t source, left;
            if (node->flags & FF_NODE_LEAF) continue;
            source = slot[node->flags & FF_NODE_SLOT];
            if (source & FF_CODE) left = (uint32_t)ff_in_set(plan->word + node->test.set[0], ff_codes(block, source & ~FF_CODE)[lane + i]);
            else {
                double x = ff_register(block, source)[lane + i];
                left = (uint32_t)(x <= node->test.threshold) | ((uint32_t)(x != x) & (node->flags >> 28));
            }
            at[i] = left ? at[i] + 1 : node->right;
            moved = 1;
        }
    } while (moved);
    for (i = 0; i < rows; i++) ff_add_leaf(plan, operand, block, lane + i, tree, root[at[i]].right);
}

/* Four rows' masks of one group, combined and looked up; a function for each width of mask. */
#define FF_ROWS 4u
#define FF_MASKS(NAME, MASK, LOWEST)                                                                                         \
    static void NAME(const ff_plan *plan, const ff_forest *forest, const ff_group *group, const ff_block *block,             \
                     const uint32_t *rank, uint32_t lane, uint32_t rows) {                                                   \
        MASK *masks = (MASK *)(void *)block->workspace;                                                                      \
        const uint32_t *operand = forest->operand;                                                                           \
        uint32_t padded = group->padded, r, i, t;                                                                            \
        for (r = 0; r < rows; r++) {                                                                                         \
            MASK *mine = masks + (size_t)r * padded;                                                                         \
            for (t = 0; t < padded; t++) mine[t] = (MASK)~(MASK)0;                                                           \
            for (i = 0; i + 1 < group->tables; i += 2) {                                                                     \
                const ff_table *one = group->table + i, *two = one + 1;                                                      \
                uint32_t first = rank[(size_t)one->slot * block->lanes + lane + r];                                          \
                uint32_t second = rank[(size_t)two->slot * block->lanes + lane + r];                                         \
                const MASK *a = (const MASK *)one->masks + (size_t)(one->row ? one->row[first] : first) * padded;            \
                const MASK *b = (const MASK *)two->masks + (size_t)(two->row ? two->row[second] : second) * padded;          \
                for (t = 0; t < padded; t++) mine[t] = (MASK)(mine[t] & a[t] & b[t]);                                        \
            }                                                                                                                \
            if (i < group->tables) {                                                                                         \
                const ff_table *one = group->table + i;                                                                      \
                uint32_t first = rank[(size_t)one->slot * block->lanes + lane + r];                                          \
                const MASK *a = (const MASK *)one->masks + (size_t)(one->row ? one->row[first] : first) * padded;            \
                for (t = 0; t < padded; t++) mine[t] = (MASK)(mine[t] & a[t]);                                               \
            }                                                                                                                \
        }                                                                                                                    \
        if (group->leaf && operand[1] == 1 && !(operand[2] & FF_FOREST_FLOAT32)) {                                           \
            double *out = ff_register(block, operand[0]) + lane;                                                             \
            const double *leaf = group->leaf;                                                                                \
            if (rows == FF_ROWS) { /* four sums, none of which waits for another */                                          \
                const MASK *m1 = masks + padded, *m2 = m1 + padded, *m3 = m2 + padded;                                       \
                double s0 = out[0], s1 = out[1], s2 = out[2], s3 = out[3];                                                   \
                for (t = 0; t < group->trees; t++, leaf += forest->leaves) {                                                 \
                    s0 += leaf[LOWEST(masks[t])];                                                                            \
                    s1 += leaf[LOWEST(m1[t])];                                                                               \
                    s2 += leaf[LOWEST(m2[t])];                                                                               \
                    s3 += leaf[LOWEST(m3[t])];                                                                               \
                }                                                                                                            \
                out[0] = s0; out[1] = s1; out[2] = s2; out[3] = s3;                                                          \
                return;                                                                                                      \
            }                                                                                                                \
            for (r = 0; r < rows; r++) {                                                                                     \
                double sum = out[r];                                                                                         \
                for (t = 0, leaf = group->leaf; t < group->trees; t++, leaf += forest->leaves)                               \
                    sum += leaf[LOWEST(masks[(size_t)r * padded + t])];                                                      \
                out[r] = sum;                                                                                                \
            }                                                                                                                \
            return;                                                                                                          \
        }                                                                                                                    \
        for (r = 0; r < rows; r++)                                                                                           \
            ff_add_leaves_##MASK(plan, forest, group, block, masks + (size_t)r * padded, lane + r);                          \
    }

/* The leaves of one row where there are several outputs, or sums of float32. */
#define FF_LEAVES(MASK, LOWEST)                                                                                              \
    static void ff_add_leaves_##MASK(const ff_plan *plan, const ff_forest *forest, const ff_group *group,                    \
                                     const ff_block *block, const MASK *mask, uint32_t lane) {                               \
        const uint32_t *operand = forest->operand, *tree = plan->word + operand[7] + 3 * (size_t)group->first;               \
        uint32_t t, k, single = operand[2] & FF_FOREST_FLOAT32;                                                              \
        for (t = 0; t < group->trees; t++) {                                                                                 \
            size_t at = (size_t)t * forest->leaves + LOWEST(mask[t]);                                                        \
            if (group->leaf) {                                                                                               \
                double *sum = ff_register(block, operand[0] + tree[3 * t + 2]) + lane;                                       \
                *sum += group->leaf[at];                                                                                     \
                if (single) *sum = ff_round32(*sum);                                                                         \
                continue;                                                                                                    \
            }                                                                                                                \
            for (k = 0; k < operand[1]; k++) {                                                                               \
                double *sum = ff_register(block, operand[0] + k) + lane;                                                     \
                *sum += plan->number[group->place[at] + (size_t)k];                                                          \
                if (single) *sum = ff_round32(*sum);                                                                         \
            }                                                                                                                \
        }                                                                                                                    \
    }

FF_LEAVES(uint8_t, ff_lowest32)
FF_LEAVES(uint16_t, ff_lowest32)
FF_LEAVES(uint32_t, ff_lowest32)
FF_LEAVES(uint64_t, ff_lowest)
FF_MASKS(ff_masks8, uint8_t, ff_lowest32)
FF_MASKS(ff_masks16, uint16_t, ff_lowest32)
FF_MASKS(ff_masks32, uint32_t, ff_lowest32)
FF_MASKS(ff_masks64, uint64_t, ff_lowest)

static void ff_do_forest(const ff_plan *plan, const ff_forest *forest, const uint32_t *a, ff_block *block, uint32_t *rank) {
    uint32_t lane, tree, k, s, g;
    for (k = 0; k < a[1]; k++)
        for (lane = 0; lane < block->count; lane++) ff_register(block, a[0] + k)[lane] = plan->number[a[10] + (uint64_t)k];
    if (!forest->bits) {
        for (tree = 0; tree < a[6]; tree++)
            for (lane = 0; lane < block->count; lane += FF_SIDE_BY_SIDE)
                ff_walk_tree(plan, a, block, tree, lane, block->count - lane < FF_SIDE_BY_SIDE ? block->count - lane : FF_SIDE_BY_SIDE);
        return;
    }
    for (s = 0; s < forest->slots; s++) {
        const ff_slot *slot = forest->slot + s;
        uint32_t *mine = rank + (size_t)s * block->lanes;
        const double *x;
        if (slot->is_code) {
            const uint32_t *code = ff_codes(block, slot->source);
            for (lane = 0; lane < block->count; lane++) mine[lane] = code[lane];
            continue;
        }
        if (!slot->thresholds) continue; /* no tree tests it */
        x = ff_register(block, slot->source);
        for (lane = 0; lane < block->count; lane++)
            mine[lane] = x[lane] == x[lane] ? ff_below(slot->thresholds, slot->count, x[lane]) : slot->count + 1;
    }
    for (g = 0; g < forest->groups; g++)
        for (lane = 0; lane < block->count; lane += FF_ROWS) {
            uint32_t rows = block->count - lane < FF_ROWS ? block->count - lane : FF_ROWS;
            const ff_group *group = forest->group + g;
            if (forest->bits == 8) ff_masks8(plan, forest, group, block, rank, lane, rows);
            else if (forest->bits == 16) ff_masks16(plan, forest, group, block, rank, lane, rows);
            else if (forest->bits == 32) ff_masks32(plan, forest, group, block, rank, lane, rows);
            else ff_masks64(plan, forest, group, block, rank, lane, rows);
        }
}

/* ------------------------------------------------------------------------------------------------------------------
 * 7  The other steps
 * ------------------------------------------------------------------------------------------------------------------ */

/* As NumPy: NaN wins, and of two equal numbers the first. */
static double ff_minimum(double x, double y) { return x < y || x != x ? x : y == y && !(y < x) ? x : y; }
static double ff_maximum(double x, double y) { return x > y || x != x ? x : y == y && !(y > x) ? x : y; }

static double ff_trunc(double x) {
    /* Beyond 2^52 every double is whole. Only |x| < 2^52 is converted, so no conversion overflows. */
    double whole;
    if (!(x > -4503599627370496.0 && x < 4503599627370496.0)) return x;
    whole = (double)(int64_t)x;
    return whole == 0 ? ff_from_bits(ff_to_bits(x) & UINT64_C(0x8000000000000000)) : whole;
}

static double ff_floor(double x) {
    double whole = ff_trunc(x);
    return whole > x ? whole - 1 : whole;
}

static double ff_rint(double x) {
    /* Adding and taking away 2^52 rounds to even, which is how the sum is rounded. */
    double big = 4503599627370496.0, size = x < 0 ? -x : x, whole;
    if (!(size < big)) return x;
    whole = (size + big) - big;
    return ff_from_bits(ff_to_bits(whole) | (ff_to_bits(x) & UINT64_C(0x8000000000000000)));
}

/* What is left of |x| after taking |y| away as often as it fits, with the sign of x: exact, by long division of the
 * whole mantissas, eleven bits at a time. */
static double ff_left_over(double x, double y) {
    const uint64_t infinite = UINT64_C(0x7ff0000000000000), whole = UINT64_C(0x0010000000000000);
    uint64_t sign = ff_to_bits(x) & UINT64_C(0x8000000000000000), a = ff_to_bits(x) ^ sign;
    uint64_t b = ff_to_bits(y) & UINT64_C(0x7fffffffffffffff), left, by;
    uint32_t above, exponent, shift;
    if (a >= infinite || b > infinite || b == 0) return FF_NAN;
    if (a < b) return x;
    above = (uint32_t)(a >> 52);
    exponent = (uint32_t)(b >> 52);
    left = above ? (a & (whole - 1)) | whole : a;
    by = exponent ? (b & (whole - 1)) | whole : b;
    above += !above;
    exponent += !exponent;
    for (left %= by; above > exponent && left; above -= shift) {
        shift = above - exponent < 11 ? above - exponent : 11;
        left = (left << shift) % by;
    }
    if (!left) return ff_from_bits(sign);
    while (left < whole && exponent > 1) { left <<= 1; exponent--; }
    return ff_from_bits(sign | (left < whole ? left : (uint64_t)exponent << 52 | (left & (whole - 1))));
}

/* As numpy.remainder: it has the sign of y. */
static double ff_mod(double x, double y) {
    double left = ff_left_over(x, y);
    if (left == 0) return ff_from_bits(ff_to_bits(y) & UINT64_C(0x8000000000000000));
    return (y < 0) != (left < 0) ? left + y : left;
}

static double ff_of_one(uint32_t function, double x) {
    switch (function) {
    case FF_NEGATE: return -x;
    case FF_ABS: return ff_from_bits(ff_to_bits(x) & UINT64_C(0x7fffffffffffffff));
    case FF_SQRT: return ff_sqrt(x);
    case FF_EXP: return ff_exp(x);
    case FF_EXPM1: return ff_expm1(x);
    case FF_LOG: return ff_log(x);
    case FF_LOG1P: return ff_log1p(x);
    case FF_LOG2: return ff_log2(x);
    case FF_LOG10: return ff_log10(x);
    case FF_TANH: return ff_tanh(x);
    case FF_SIGMOID: return ff_sigmoid(x);
    case FF_SIN: return ff_sin(x);
    case FF_COS: return ff_cos(x);
    case FF_FLOOR: return ff_floor(x);
    case FF_CEIL: return -ff_floor(-x);
    case FF_ROUND32: return ff_round32(x);
    case FF_IS_NAN: return x != x;
    case FF_SIGN: return x > 0 ? 1.0 : x < 0 ? -1.0 : x == 0 ? 0.0 : x;
    case FF_NDTR: return ff_ndtr(x);
    case FF_NDTRI: return ff_ndtri(x);
    case FF_CBRT: return ff_cbrt(x);
    case FF_RINT: return ff_rint(x);
    default: return ff_trunc(x);
    }
}

static double ff_of_two(uint32_t function, double x, double y) {
    switch (function) {
    case FF_ADD: return x + y;
    case FF_SUB: return x - y;
    case FF_RSUB: return y - x;
    case FF_MUL: return x * y;
    case FF_DIV: return x / y;
    case FF_RDIV: return y / x;
    case FF_MIN: return ff_minimum(x, y);
    case FF_MAX: return ff_maximum(x, y);
    case FF_POW: return ff_pow(x, y);
    case FF_EQ: return x == y;
    case FF_NE: return x != y;
    case FF_LT: return x < y;
    case FF_LE: return x <= y;
    case FF_GT: return x > y;
    case FF_GE: return x >= y;
    case FF_IF_NAN: return x == x ? x : y;
    default: return ff_mod(x, y);
    }
}

double ff_elementary(uint32_t function, double x, double y) {
    return function < FF_ONES ? ff_of_one(function, x) : function >= FF_ADD && function < FF_TWOS ? ff_of_two(function, x, y) : FF_NAN;
}

/* The functions that models are made of get a loop that a compiler can vectorise; the others go one by one. */
static void ff_do_map(uint32_t function, double *out, const double *x, uint32_t count) {
    uint32_t i;
    if (function == FF_ROUND32) for (i = 0; i < count; i++) out[i] = ff_round32(x[i]);
    else if (function == FF_SQRT) for (i = 0; i < count; i++) out[i] = ff_sqrt(x[i]);
    else if (function == FF_IS_NAN) for (i = 0; i < count; i++) out[i] = x[i] != x[i];
    else if (function == FF_NEGATE) for (i = 0; i < count; i++) out[i] = -x[i];
    else for (i = 0; i < count; i++) out[i] = ff_of_one(function, x[i]);
}

static void ff_do_map_const(uint32_t function, double *out, const double *x, double y, uint32_t count) {
    uint32_t i;
    if (function == FF_ADD) for (i = 0; i < count; i++) out[i] = x[i] + y;
    else if (function == FF_SUB) for (i = 0; i < count; i++) out[i] = x[i] - y;
    else if (function == FF_MUL) for (i = 0; i < count; i++) out[i] = x[i] * y;
    else if (function == FF_DIV) for (i = 0; i < count; i++) out[i] = x[i] / y;
    else if (function == FF_IF_NAN) for (i = 0; i < count; i++) out[i] = x[i] == x[i] ? x[i] : y;
    else if (function == FF_MAX) for (i = 0; i < count; i++) out[i] = ff_maximum(x[i], y);
    else for (i = 0; i < count; i++) out[i] = ff_of_two(function, x[i], y);
}

static void ff_do_map_two(uint32_t function, double *out, const double *x, const double *y, uint32_t count) {
    uint32_t i;
    if (function == FF_ADD) for (i = 0; i < count; i++) out[i] = x[i] + y[i];
    else if (function == FF_SUB) for (i = 0; i < count; i++) out[i] = x[i] - y[i];
    else if (function == FF_MUL) for (i = 0; i < count; i++) out[i] = x[i] * y[i];
    else if (function == FF_DIV) for (i = 0; i < count; i++) out[i] = x[i] / y[i];
    else for (i = 0; i < count; i++) out[i] = ff_of_two(function, x[i], y[i]);
}

static double ff_present(const uint8_t *present, int64_t row, double value) {
    return !present || (present[row >> 3] >> (row & 7) & 1) ? value : FF_NAN;
}

#define FF_READ(TYPE)                                                                                                  \
    do {                                                                                                               \
        const TYPE *values = (const TYPE *)column->values + first;                                                     \
        for (i = 0; i < block->count; i++) out[i] = (double)values[i];                                                 \
    } while (0)

static void ff_do_number(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    const ff_column *column = block->columns + a[1];
    double *out = ff_register(block, a[0]);
    int64_t first = column->first + block->row;
    uint32_t i;
    switch (plan->input[a[1]].type) {
    case FF_BOOL: {
        const uint8_t *bits = (const uint8_t *)column->values;
        for (i = 0; i < block->count; i++) out[i] = (double)(bits[(first + i) >> 3] >> ((first + i) & 7) & 1);
        break;
    }
    case FF_INT8: FF_READ(int8_t); break;
    case FF_INT16: FF_READ(int16_t); break;
    case FF_INT32: FF_READ(int32_t); break;
    case FF_INT64: FF_READ(int64_t); break;
    case FF_UINT8: FF_READ(uint8_t); break;
    case FF_UINT16: FF_READ(uint16_t); break;
    case FF_UINT32: FF_READ(uint32_t); break;
    case FF_UINT64: FF_READ(uint64_t); break;
    case FF_FLOAT32: FF_READ(float); break;
    default: FF_READ(double); break;
    }
    if (column->present)
        for (i = 0; i < block->count; i++) out[i] = ff_present(column->present, first + i, out[i]);
}

static void ff_do_text(const ff_plan *plan, const ff_dictionary *dictionary, const uint32_t *a, ff_block *block) {
    const ff_column *column = block->columns + a[1];
    const int32_t *offset = (const int32_t *)column->values;
    const uint8_t *text = (const uint8_t *)column->text;
    uint32_t *out = ff_codes(block, a[0]), i;
    for (i = 0; i < block->count; i++) {
        int64_t row = column->first + block->row + i;
        if (column->present && !(column->present[row >> 3] >> (row & 7) & 1)) out[i] = a[3] + 1;
        else out[i] = ff_code_of(plan, dictionary, text + offset[row], (uint32_t)(offset[row + 1] - offset[row]));
    }
}

static void ff_do_find(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    const double *x = ff_register(block, a[1]), *value = plan->number + a[2];
    uint32_t *out = ff_codes(block, a[0]), i;
    for (i = 0; i < block->count; i++) {
        uint32_t place;
        if (x[i] != x[i]) { out[i] = a[3] + 1; continue; }
        if (operation == FF_SEARCH) { out[i] = a[4] ? ff_not_above(value, a[3], x[i]) : ff_below(value, a[3], x[i]); continue; }
        place = ff_below(value, a[3], x[i]);
        out[i] = place < a[3] && value[place] == x[i] ? place : a[3];
    }
}

static void ff_do_dot(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    /* Sums begin at zero and take the inputs in their order, each product rounded before it is added. */
    const double *weight = plan->number + a[4];
    uint32_t k, j, i;
    for (k = 0; k < a[1]; k++) {
        double *out = ff_register(block, a[0] + k);
        for (i = 0; i < block->count; i++) out[i] = 0;
    }
    if (block->count == 1 && block->lanes == 1) { /* registers lie side by side: all sums at once */
        double *out = ff_register(block, a[0]);
        for (j = 0; j < a[2]; j++, weight += a[1]) {
            double x = *ff_register(block, plan->word[a[3] + j]);
            for (k = 0; k < a[1]; k++) out[k] += x * weight[k];
        }
        return;
    }
    for (j = 0; j < a[2]; j++, weight += a[1]) {
        const double *x = ff_register(block, plan->word[a[3] + j]);
        for (k = 0; k < a[1]; k++) {
            double *out = ff_register(block, a[0] + k), w = weight[k];
            for (i = 0; i < block->count; i++) out[i] += x[i] * w;
        }
    }
}

/* The sum of `count` numbers in the order of numpy.sum over a contiguous axis: eight sums side by side up to 128, and
 * halves beyond. Written from the description in NumPy's documentation of pairwise summation and held to it by tests. */
static double ff_pairwise(const ff_plan *plan, const ff_block *block, uint32_t word, uint32_t count, uint32_t lane) {
    const uint32_t *source = plan->word + word;
    uint32_t i, half;
    if (count < 8) {
        double sum = -0.0;
        for (i = 0; i < count; i++) sum += ff_register(block, source[i])[lane];
        return sum;
    }
    if (count <= 128) {
        double part[8], sum;
        for (i = 0; i < 8; i++) part[i] = ff_register(block, source[i])[lane];
        for (i = 8; i < count - count % 8; i++) part[i % 8] += ff_register(block, source[i])[lane];
        sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
        for (; i < count; i++) sum += ff_register(block, source[i])[lane];
        return sum;
    }
    half = count / 2 - count / 2 % 8;
    return ff_pairwise(plan, block, word, half, lane) + ff_pairwise(plan, block, word + half, count - half, lane);
}

static void ff_do_fold(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    double *out = ff_register(block, a[0]);
    uint32_t i, j;
    if (a[2] == FF_PAIRWISE) {
        for (i = 0; i < block->count; i++) out[i] = ff_pairwise(plan, block, a[3], a[1], i);
        return;
    }
    for (j = 0; j < a[1]; j++) {
        const double *x = ff_register(block, plan->word[a[3] + j]);
        for (i = 0; i < block->count; i++) {
            double v = a[2] == FF_SQUARES ? x[i] * x[i] : a[2] == FF_ABSOLUTES ? ff_of_one(FF_ABS, x[i]) : x[i];
            if (j == 0) out[i] = v;
            else if (a[2] == FF_LEAST) out[i] = ff_minimum(out[i], v);
            else if (a[2] == FF_MOST) out[i] = ff_maximum(out[i], v);
            else if (a[2] == FF_PRODUCT) out[i] *= v;
            else out[i] += v;
        }
    }
}

static void ff_do_argmax(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    uint32_t *out = ff_codes(block, a[0]), i, j;
    for (i = 0; i < block->count; i++) {
        double best = ff_register(block, plan->word[a[2]])[i];
        out[i] = 0;
        for (j = 1; j < a[1]; j++) {
            double x = ff_register(block, plan->word[a[2] + j])[i];
            if (x > best || (x != x && best == best)) { best = x; out[i] = j; }
        }
    }
}

static double ff_interpolate(const double *xs, const double *ys, uint32_t count, double x) {
    uint32_t at;
    double slope, y;
    if (x != x) return x;
    if (x > xs[count - 1]) return ys[count - 1];
    if (x < xs[0]) return ys[0];
    at = ff_not_above(xs, count, x) - 1;
    if (at == count - 1) return ys[at];
    if (xs[at] == x) return ys[at]; /* not past a knot: no slope, which may be infinite */
    slope = (ys[at + 1] - ys[at]) / (xs[at + 1] - xs[at]);
    y = slope * (x - xs[at]) + ys[at];
    if (y != y) y = slope * (x - xs[at + 1]) + ys[at + 1];
    if (y != y && ys[at] == ys[at + 1]) y = ys[at];
    return y;
}

static void ff_do_nearest(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    uint32_t width = a[1], inputs = a[2], k = a[5], i, j, row, found, out;
    double *distance = (double *)(void *)block->workspace;
    double *query = distance + k;
    uint32_t *index = (uint32_t *)(query + inputs);
    for (i = 0; i < block->count; i++) {
        double total = 0;
        for (j = 0; j < inputs; j++) query[j] = ff_register(block, plan->word[a[3] + j])[i];
        for (row = 0, found = 0; row < a[4]; row++) {
            const double *point = plan->number + a[7] + (size_t)row * inputs;
            double sum = 0;
            if (a[6] & FF_NEAREST_MANHATTAN) for (j = 0; j < inputs; j++) sum += query[j] < point[j] ? point[j] - query[j] : query[j] - point[j];
            else for (j = 0; j < inputs; j++) { double d = query[j] - point[j]; sum += d * d; }
            if (found == k && !(sum < distance[k - 1])) continue;
            /* Sorted in; of two at the same distance the earlier row is nearer. */
            for (out = found < k ? found++ : k - 1; out > 0 && sum < distance[out - 1]; out--) {
                distance[out] = distance[out - 1];
                index[out] = index[out - 1];
            }
            distance[out] = sum;
            index[out] = row;
        }
        if (a[6] & FF_NEAREST_WEIGHTED) {
            int exact = distance[0] == 0;
            for (j = 0; j < k; j++) {
                double d = a[6] & FF_NEAREST_MANHATTAN ? distance[j] : ff_sqrt(distance[j]);
                distance[j] = exact ? d == 0 : 1.0 / d;
                total += distance[j];
            }
        }
        for (out = 0; out < width; out++) {
            double sum = 0;
            for (j = 0; j < k; j++) {
                double target = plan->number[a[8] + (size_t)index[j] * width + out];
                sum += a[6] & FF_NEAREST_WEIGHTED ? target * distance[j] : target;
            }
            ff_register(block, a[0] + out)[i] = sum / (a[6] & FF_NEAREST_WEIGHTED ? total : (double)k);
        }
    }
}

static void ff_do_refuse(const ff_plan *plan, const uint32_t *a, ff_block *block) {
    uint32_t i, j;
    for (j = 0; j < a[0]; j++) {
        const double *x = ff_register(block, plan->word[a[1] + j]);
        for (i = 0; i < block->count; i++) {
            int is = a[2] == FF_NOT_FINITE ? !ff_is_finite(x[i]) : a[2] == FF_A_NAN ? ff_is_nan(x[i])
                     : a[2] == FF_INFINITE ? !ff_is_finite(x[i]) && !ff_is_nan(x[i]) : x[i] == 0;
            if (is && !block->refused[i]) block->refused[i] = a[3] + 1;
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------------
 * 8  Predicting
 * ------------------------------------------------------------------------------------------------------------------ */

static void ff_do_vectors(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    uint32_t k, i;
    for (k = 0; k < a[1]; k++) {
        double *out = ff_register(block, a[0] + k);
        const double *x;
        if (operation == FF_CONSTANT) {
            for (i = 0; i < block->count; i++) out[i] = plan->number[a[2] + (uint64_t)k];
            continue;
        }
        x = ff_register(block, plan->word[(operation == FF_SELECT ? a[2] : a[3]) + k]);
        if (operation == FF_MAP) ff_do_map(a[2], out, x, block->count);
        else if (operation == FF_MAP_CONST) ff_do_map_const(a[2], out, x, plan->number[a[4] + (uint64_t)k], block->count);
        else if (operation == FF_MAP_TWO) ff_do_map_two(a[2], out, x, ff_register(block, plan->word[a[4] + k]), block->count);
        else {
            const double *yes = ff_register(block, plan->word[a[3] + k]), *no = ff_register(block, plan->word[a[4] + k]);
            for (i = 0; i < block->count; i++) out[i] = x[i] != 0 ? yes[i] : no[i];
        }
    }
}

static void ff_do_codes(const ff_plan *plan, uint32_t operation, const uint32_t *a, ff_block *block) {
    const uint32_t *code = ff_codes(block, a[1]);
    uint32_t i, k;
    if (operation == FF_RECODE) {
        for (i = 0; i < block->count; i++) ff_codes(block, a[0])[i] = plan->word[a[2] + code[i]];
        return;
    }
    for (k = 0; k < a[2]; k++) {
        double *out = ff_register(block, a[0] + k);
        const double *table = plan->number + a[3] + k;
        for (i = 0; i < block->count; i++) out[i] = table[(size_t)code[i] * a[2]];
    }
}

static void ff_do_steps(const ff_plan *plan, ff_block *block, uint32_t *rank) {
    uint32_t at, dictionary = 0, forest = 0, i;
    for (at = 0; at < plan->steps; at += 1u + ff_operands[plan->step[at]]) {
        uint32_t operation = plan->step[at];
        const uint32_t *a = plan->step + at + 1;
        switch (operation) {
        case FF_NUMBER: ff_do_number(plan, a, block); break;
        case FF_TEXT: ff_do_text(plan, plan->dictionary + dictionary++, a, block); break;
        case FF_MATCH:
        case FF_SEARCH: ff_do_find(plan, operation, a, block); break;
        case FF_RECODE:
        case FF_LOOKUP: ff_do_codes(plan, operation, a, block); break;
        case FF_DOT: ff_do_dot(plan, a, block); break;
        case FF_FOLD: ff_do_fold(plan, a, block); break;
        case FF_ARGMAX: ff_do_argmax(plan, a, block); break;
        case FF_INTERPOLATE:
            for (i = 0; i < block->count; i++)
                ff_register(block, a[0])[i] = ff_interpolate(plan->number + a[2], plan->number + a[3], a[4], ff_register(block, a[1])[i]);
            break;
        case FF_FOREST: ff_do_forest(plan, plan->forest + forest++, a, block, rank); break;
        case FF_NEAREST: ff_do_nearest(plan, a, block); break;
        case FF_REFUSE: ff_do_refuse(plan, a, block); break;
        default: ff_do_vectors(plan, operation, a, block); break;
        }
    }
}

#define FF_WRITE_LABELS(TYPE)                                                                                          \
    for (i = 0; i < block->count; i++) {                                                                               \
        const uint32_t *word = plan->word + port->labels + 2 * (size_t)code[i];                                        \
        ((TYPE *)result)[block->row + i] = (TYPE)((uint64_t)word[0] | (uint64_t)word[1] << 32);                        \
    }                                                                                                                  \
    break

static void ff_write_labels(const ff_plan *plan, const ff_port *port, const ff_block *block, void *result) {
    const uint32_t *code = ff_codes(block, port->first);
    uint32_t i;
    switch (port->type) {
    case FF_STRING: for (i = 0; i < block->count; i++) ((int32_t *)result)[block->row + i] = (int32_t)code[i]; break;
    case FF_FLOAT32: for (i = 0; i < block->count; i++) ((float *)result)[block->row + i] = (float)plan->number[port->labels + (uint64_t)code[i]]; break;
    case FF_FLOAT64: for (i = 0; i < block->count; i++) ((double *)result)[block->row + i] = plan->number[port->labels + (uint64_t)code[i]]; break;
    case FF_BOOL: /* a byte a value, since two threads may write beside each other */
    case FF_INT8:
    case FF_UINT8: FF_WRITE_LABELS(uint8_t);
    case FF_INT16:
    case FF_UINT16: FF_WRITE_LABELS(uint16_t);
    case FF_INT32:
    case FF_UINT32: FF_WRITE_LABELS(uint32_t);
    default: FF_WRITE_LABELS(uint64_t);
    }
}

static void ff_write(const ff_plan *plan, const ff_block *block, void *const *results) {
    uint32_t o, k, i;
    for (o = 0; o < plan->outputs; o++) {
        const ff_port *port = plan->output + o;
        if (!port->width) { ff_write_labels(plan, port, block, results[o]); continue; }
        for (k = 0; k < port->width; k++) {
            const double *x = ff_register(block, port->first + k);
            size_t at = (size_t)block->row * port->width + k;
            if (port->type == FF_FLOAT32) for (i = 0; i < block->count; i++) ((float *)results[o])[at + (size_t)i * port->width] = (float)x[i];
            else for (i = 0; i < block->count; i++) ((double *)results[o])[at + (size_t)i * port->width] = x[i];
        }
    }
}

static uint32_t ff_lanes(const ff_plan *plan, int64_t rows) { return rows < (int64_t)plan->lanes ? (uint32_t)(rows < 1 ? 1 : rows) : plan->lanes; }

static size_t ff_round_up(uint64_t bytes) { return (size_t)((bytes + 63) / 64 * 64); }

size_t ff_scratch(const ff_plan *plan, int64_t rows) {
    uint64_t lanes = ff_lanes(plan, rows);
    return ff_round_up(8 * lanes * plan->registers) + ff_round_up(4 * lanes * plan->codes) + ff_round_up(4 * lanes) +
           ff_round_up(4 * lanes * plan->slots) + plan->workspace;
}

int64_t ff_predict(const ff_plan *plan, const ff_column *columns, void *const *results, int64_t rows, uint32_t *refused,
                   void *scratch) {
    ff_block block;
    uint8_t *at = (uint8_t *)scratch;
    uint32_t *rank, i;
    int64_t without = 0;
    block.lanes = ff_lanes(plan, rows);
    block.columns = columns;
    block.number = (double *)(void *)at;
    at += ff_round_up(8 * (uint64_t)block.lanes * plan->registers);
    block.code = (uint32_t *)(void *)at;
    at += ff_round_up(4 * (uint64_t)block.lanes * plan->codes);
    block.refused = (uint32_t *)(void *)at;
    at += ff_round_up(4 * (uint64_t)block.lanes);
    rank = (uint32_t *)(void *)at;
    at += ff_round_up(4 * (uint64_t)block.lanes * plan->slots);
    block.workspace = at;
    for (block.row = 0; block.row < rows; block.row += block.count) {
        block.count = rows - block.row < (int64_t)block.lanes ? (uint32_t)(rows - block.row) : block.lanes;
        for (i = 0; i < block.count; i++) block.refused[i] = 0;
        ff_do_steps(plan, &block, rank);
        ff_write(plan, &block, results);
        for (i = 0; i < block.count; i++) {
            without += block.refused[i] != 0;
            if (refused) refused[block.row + i] = block.refused[i];
        }
    }
    return without;
}
