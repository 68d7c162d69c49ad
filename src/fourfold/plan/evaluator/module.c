/* The evaluator in Python: `fourfold.plan._evaluator`, with the stable ABI of Python 3.11.
 *
 * Rows come as dicts, or as columns by the Arrow C data interface; nothing here imports NumPy or pyarrow. What is not
 * plain (a value that needs coercion, an unknown key, a row that has no answer) is left to the caller: `one` and `many`
 * then give None, so that there is one place only that explains errors.
 *
 * A call keeps all that it writes in memory of its own, so any number of threads may be inside one evaluator. While a
 * row is read no Python code can run: only dicts with str for keys are read, only values of the exact built-in types,
 * and sets of such values. So borrowed references and the text of strings stay good until the evaluator has used them.
 */
#include "stable_abi.h"

#include <stdlib.h>
#include <string.h>

#include "evaluator.h"

#define UNKNOWN 255u          /* the type of a field that a plan cannot take: no row of it is plain */
#define NEAR_BYTES (16 * 1024) /* a row's memory is on the stack where it fits into this */
#define ROWS_WITH_LOCK 16      /* so few rows are answered before another thread could have taken over */

typedef struct {
    PyObject *name;   /* str */
    PyObject *closed; /* frozenset of the only values there may be, or NULL */
    uint32_t type;    /* ff_type or UNKNOWN */
    int nullable;
    int32_t input; /* of the plan; -1 where it is not used */
} field;

typedef struct block {
    struct block *next;
    void *raw;
} block;

typedef union cell {
    double f64; float f32; int64_t i64; uint64_t u64; int32_t i32; uint32_t u32; int16_t i16; uint16_t u16; int8_t i8;
    uint8_t u8;
    int32_t offset[2];
} cell;

enum { ABSENT = 0, THERE = 1, MISSING = 2 };

/* What a row gives for a field. */
typedef struct {
    cell value;
    const char *text; /* of a string: the row's own bytes */
    int found;
} given;

typedef struct {
    PyObject_HEAD
    ff_plan plan;
    PyObject *bytes;   /* the plan, where it lies */
    block *blocks;     /* what ff_prepare asked for */
    size_t memory;
    Py_ssize_t fields;
    field *field;
    PyObject *places;  /* {name: place} */
    PyObject **output; /* names */
    PyObject **string; /* strings of the plan that were asked for, as str */
    int ignore_extra;
    size_t at_columns, at_results, at_values, at_scratch, row_bytes; /* where things lie in a row's memory */
} evaluator;

static const uint8_t is_there = 1, is_missing = 0;
static const size_t size_of[FF_TYPES] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 4};

/* --- memory ------------------------------------------------------------------------------------------------------ */

static size_t round_up(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static void *align(void *at) { return (void *)(((uintptr_t)at + 63) & ~(uintptr_t)63); }

static void *aligned(size_t bytes, void **raw) {
    *raw = bytes < SIZE_MAX - 64 ? malloc(bytes + 64) : NULL;
    return *raw ? align(*raw) : NULL;
}

static void *keep(void *context, size_t bytes) {
    evaluator *self = (evaluator *)context;
    block *kept = (block *)malloc(sizeof *kept);
    void *memory;
    if (!kept) return NULL;
    memory = aligned(bytes, &kept->raw);
    if (!memory) { free(kept); return NULL; }
    kept->next = self->blocks;
    self->blocks = kept;
    self->memory += bytes;
    return memory;
}

static size_t width_of(const ff_port *port) { return port->width ? port->width : 1; }

/* The bytes of an output's results; SIZE_MAX where no address reaches so far. */
static size_t result_bytes(const ff_port *port, Py_ssize_t rows) {
    size_t each = width_of(port) * size_of[port->type];
    return (size_t)rows > (SIZE_MAX / 4) / each ? SIZE_MAX : (size_t)rows * each;
}

/* --- one value --------------------------------------------------------------------------------------------------- */

static int plain_float(const field *each, PyObject *value, cell *to) {
    double number;
    if (Py_IS_TYPE(value, &PyFloat_Type)) number = PyFloat_AsDouble(value);
    else if (Py_IS_TYPE(value, &PyLong_Type)) {
        int overflow;
        long long whole = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow || whole > (1LL << 53) || whole < -(1LL << 53)) return ABSENT;
        number = (double)whole;
    } else return ABSENT;
    if (each->type == FF_FLOAT64) { to->f64 = number; return THERE; }
    to->f32 = (float)number;
    return number - number != 0 || to->f32 - to->f32 == 0 ? THERE : ABSENT; /* a finite number must stay one */
}

static int plain_text(PyObject *value, given *to) {
    Py_ssize_t length;
    if (!Py_IS_TYPE(value, &PyUnicode_Type)) return ABSENT;
    to->text = PyUnicode_AsUTF8AndSize(value, &length);
    if (!to->text) { PyErr_Clear(); return ABSENT; } /* a lone surrogate */
    if (length > INT32_MAX) return ABSENT;
    to->value.offset[0] = 0;
    to->value.offset[1] = (int32_t)length;
    return THERE;
}

static int plain_integer(const field *each, PyObject *value, cell *to) {
    int overflow;
    long long whole;
    if (!Py_IS_TYPE(value, &PyLong_Type)) return ABSENT;
    whole = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow > 0 && each->type == FF_UINT64) {
        to->u64 = PyLong_AsUnsignedLongLong(value);
        if (to->u64 != UINT64_MAX || !PyErr_Occurred()) return THERE;
        PyErr_Clear();
    }
    if (overflow) return ABSENT;
    switch (each->type) {
    case FF_INT8: to->i8 = (int8_t)whole; return whole >= INT8_MIN && whole <= INT8_MAX;
    case FF_INT16: to->i16 = (int16_t)whole; return whole >= INT16_MIN && whole <= INT16_MAX;
    case FF_INT32: to->i32 = (int32_t)whole; return whole >= INT32_MIN && whole <= INT32_MAX;
    case FF_INT64: to->i64 = whole; return THERE;
    case FF_UINT8: to->u8 = (uint8_t)whole; return whole >= 0 && whole <= UINT8_MAX;
    case FF_UINT16: to->u16 = (uint16_t)whole; return whole >= 0 && whole <= UINT16_MAX;
    case FF_UINT32: to->u32 = (uint32_t)whole; return whole >= 0 && whole <= UINT32_MAX;
    default: to->u64 = (uint64_t)whole; return whole >= 0;
    }
}

/* Puts a plain value where it belongs. Gives THERE or MISSING, or ABSENT if it is not plain. Which values are plain
 * follows the coercion table (docs/spec/coercion.md): none of these would be changed or refused by it. */
static int plain(const field *each, PyObject *value, int canonical, given *to) {
    int found;
    if (value == Py_None) {
        to->value.u64 = 0;
        to->text = "";
        return each->nullable ? MISSING : ABSENT;
    }
    switch (each->type) {
    case FF_FLOAT64:
    case FF_FLOAT32: found = plain_float(each, value, &to->value); break;
    case FF_STRING: found = plain_text(value, to); break;
    case FF_BOOL:
        found = value == Py_True || value == Py_False ? THERE : ABSENT;
        to->value.u8 = value == Py_True;
        break;
    case UNKNOWN: return ABSENT;
    default: found = plain_integer(each, value, &to->value); break;
    }
    if (!each->closed || canonical || !found) return found;
    found = PySet_Contains(each->closed, value);
    if (found < 0) PyErr_Clear();
    return found > 0 ? THERE : ABSENT;
}

/* --- one row ----------------------------------------------------------------------------------------------------- */

/* The place of the field that a key names; -1: none, -2: an exception, -3: the key is no plain text. Most rows have their
 * keys in the order of the fields, so `next` is the likely one; it is another object where a parser made the row. */
static Py_ssize_t place_of(const evaluator *self, PyObject *key, Py_ssize_t next) {
    PyObject *place;
    if (!Py_IS_TYPE(key, &PyUnicode_Type)) return -3;
    if (next < self->fields && PyUnicode_Compare(key, self->field[next].name) == 0) return next;
    place = PyDict_GetItemWithError(self->places, key);
    if (place) return PyLong_AsSsize_t(place);
    return PyErr_Occurred() ? -2 : -1;
}

/* Reads a row. Gives 1 where it is plain, 0 where it is not, -1 with an exception. Of a canonical row, one that went
 * through the coercion table already, only what the plan uses is looked at. */
static int read_row(const evaluator *self, PyObject *row, int canonical, given *values) {
    PyObject *key, *value;
    Py_ssize_t at = 0, next = 0, met = 0, i;
    if (!Py_IS_TYPE(row, &PyDict_Type)) return 0;
    for (i = 0; i < self->fields; i++) values[i].found = ABSENT;
    while (PyDict_Next(row, &at, &key, &value)) {
        Py_ssize_t place = next;
        if (next >= self->fields || key != self->field[next].name) place = place_of(self, key, next);
        if (place < 0) {
            if (place == -2) return -1;
            if (place == -3 || !(canonical || self->ignore_extra)) return 0;
            continue;
        }
        next = place + 1;
        met++;
        if (canonical && self->field[place].input < 0) continue;
        values[place].found = plain(self->field + place, value, canonical, values + place);
        if (values[place].found == ABSENT) return 0;
    }
    for (i = 0; met < self->fields && i < self->fields; i++) {
        const field *each = self->field + i;
        if (values[i].found != ABSENT || (canonical && each->input < 0)) continue;
        values[i].found = plain(each, Py_None, canonical, values + i); /* an absent key is a missing value */
        if (values[i].found == ABSENT) return 0;
    }
    return 1;
}

/* --- answers as Python values ------------------------------------------------------------------------------------ */

/* A string of the plan, made once; a new reference. */
static PyObject *string_of(const evaluator *self, uint32_t index) {
    PyObject *made = self->string[index];
    if (!made) {
        size_t length;
        const char *text = ff_string(&self->plan, index, &length);
        made = self->string[index] = PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "strict");
    }
    Py_XINCREF(made);
    return made;
}

static PyObject *float_at(const ff_port *port, const void *result, size_t at) {
    return PyFloat_FromDouble(port->type == FF_FLOAT32 ? (double)((const float *)result)[at] : ((const double *)result)[at]);
}

static PyObject *value_at(const evaluator *self, const ff_port *port, const void *result, size_t at) {
    switch (port->type) {
    case FF_BOOL: return PyBool_FromLong(((const uint8_t *)result)[at]);
    case FF_INT8: return PyLong_FromLong(((const int8_t *)result)[at]);
    case FF_INT16: return PyLong_FromLong(((const int16_t *)result)[at]);
    case FF_INT32: return PyLong_FromLong(((const int32_t *)result)[at]);
    case FF_INT64: return PyLong_FromLongLong(((const int64_t *)result)[at]);
    case FF_UINT8: return PyLong_FromLong(((const uint8_t *)result)[at]);
    case FF_UINT16: return PyLong_FromLong(((const uint16_t *)result)[at]);
    case FF_UINT32: return PyLong_FromUnsignedLong(((const uint32_t *)result)[at]);
    case FF_UINT64: return PyLong_FromUnsignedLongLong(((const uint64_t *)result)[at]);
    case FF_STRING: return string_of(self, port->labels + (uint32_t)((const int32_t *)result)[at]);
    default: return float_at(port, result, at);
    }
}

static PyObject *answer_value(const evaluator *self, const ff_port *port, const void *result, Py_ssize_t row) {
    uint32_t k;
    PyObject *list;
    if (!port->width || (port->width == 1 && !port->labels)) return value_at(self, port, result, (size_t)row);
    list = PyList_New((Py_ssize_t)port->width);
    for (k = 0; list && k < port->width; k++) {
        PyObject *value = value_at(self, port, result, (size_t)row * port->width + k);
        if (!value || PyList_SetItem(list, (Py_ssize_t)k, value) < 0) { Py_DECREF(list); return NULL; }
    }
    return list;
}

static PyObject *answer_row(const evaluator *self, void *const *results, Py_ssize_t row) {
    PyObject *out = PyDict_New();
    uint32_t o;
    for (o = 0; out && o < self->plan.outputs; o++) {
        PyObject *value = answer_value(self, self->plan.output + o, results[o], row);
        int failed = !value || PyDict_SetItem(out, self->output[o], value) < 0;
        Py_XDECREF(value);
        if (failed) { Py_DECREF(out); return NULL; }
    }
    return out;
}

/* --- one row, many rows ------------------------------------------------------------------------------------------ */

/* Whether rows are said to be canonical: the second argument, by place or by name. Gives -1 with an exception. */
static int is_canonical(PyObject *const *args, Py_ssize_t count, PyObject *names) {
    Py_ssize_t named = names ? PyTuple_Size(names) : 0;
    if (count == 1 && !named) return 0;
    if (count < 1 || count + named != 2) {
        PyErr_SetString(PyExc_TypeError, "expected rows, and whether they are canonical");
        return -1;
    }
    if (named && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), "canonical")) {
        PyErr_Format(PyExc_TypeError, "unknown argument %R: there is canonical", PyTuple_GetItem(names, 0));
        return -1;
    }
    return PyObject_IsTrue(args[1]);
}

/* The answer for a row, in a row's memory. */
static PyObject *answer_one(const evaluator *self, PyObject *row, int canonical, uint8_t *memory) {
    given *values = (given *)(void *)memory;
    ff_column *columns = (ff_column *)(void *)(memory + self->at_columns);
    void **results = (void **)(void *)(memory + self->at_results);
    uint8_t *at = memory + self->at_values;
    uint32_t refused = 0, o;
    Py_ssize_t i;
    int state = read_row(self, row, canonical, values);
    if (state < 0) return NULL;
    if (!state) Py_RETURN_NONE;
    for (i = 0; i < self->fields; i++) {
        ff_column *column;
        if (self->field[i].input < 0) continue;
        column = columns + self->field[i].input;
        column->values = &values[i].value;
        column->text = values[i].text;
        column->present = values[i].found == THERE ? &is_there : &is_missing;
        column->first = 0;
    }
    for (o = 0; o < self->plan.outputs; o++) {
        results[o] = at;
        at += 8 * width_of(self->plan.output + o);
    }
    if (ff_predict(&self->plan, columns, results, 1, &refused, memory + self->at_scratch)) Py_RETURN_NONE;
    return answer_row(self, results, 0);
}

static PyObject *evaluator_one(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    const evaluator *self = (const evaluator *)object;
    uint8_t near[NEAR_BYTES];
    int canonical = is_canonical(args, count, names);
    void *raw, *memory;
    PyObject *out;
    if (canonical < 0) return NULL;
    if (self->row_bytes <= NEAR_BYTES - 64) return answer_one(self, args[0], canonical, (uint8_t *)align(near));
    memory = aligned(self->row_bytes, &raw);
    if (!memory) return PyErr_NoMemory();
    out = answer_one(self, args[0], canonical, (uint8_t *)memory);
    free(raw);
    return out;
}

/* A column built of rows. */
typedef struct {
    uint8_t *values, *present;
    char *text;
    size_t used, room;
} built;

static void free_built(built *all, uint32_t inputs) {
    uint32_t i;
    for (i = 0; all && i < inputs; i++) {
        free(all[i].values);
        free(all[i].present);
        free(all[i].text);
    }
    free(all);
}

static int add_text(built *to, Py_ssize_t row, const given *value) {
    size_t length = value->found == THERE ? (size_t)value->value.offset[1] : 0;
    if (to->used + length > INT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a column has more than 2 GiB of text in one call");
        return -1;
    }
    if (to->used + length > to->room) {
        size_t room = (to->used + length) * 2 + 64;
        char *grown = (char *)realloc(to->text, room);
        if (!grown) return -1;
        to->text = grown;
        to->room = room;
    }
    if (length) memcpy(to->text + to->used, value->text, length);
    to->used += length;
    ((int32_t *)(void *)to->values)[row + 1] = (int32_t)to->used;
    return 0;
}

static int add_value(built *to, uint32_t type, Py_ssize_t row, const given *value) {
    if (value->found == THERE) to->present[row >> 3] |= (uint8_t)(1 << (row & 7));
    if (type == FF_STRING) return add_text(to, row, value);
    if (type == FF_BOOL) {
        if (value->value.u8) to->values[row >> 3] |= (uint8_t)(1 << (row & 7));
    } else memcpy(to->values + (size_t)row * size_of[type], &value->value, size_of[type]);
    return 0;
}

/* 1: all rows are plain and in the columns; 0: one is not; -1: an exception, or no memory. */
static int build(const evaluator *self, PyObject *rows, Py_ssize_t count, int canonical, given *values, built *all) {
    uint32_t i;
    Py_ssize_t row, f;
    for (i = 0; i < self->plan.inputs; i++) {
        all[i].values = (uint8_t *)calloc((size_t)count + 1, size_of[self->plan.input[i].type]);
        all[i].present = (uint8_t *)calloc((size_t)count / 8 + 1, 1);
        if (!all[i].values || !all[i].present) return -1;
    }
    for (row = 0; row < count; row++) {
        PyObject *each = PyList_GetItem(rows, row);
        int state = each ? read_row(self, each, canonical, values) : -1;
        if (state <= 0) return state;
        for (f = 0; f < self->fields; f++) {
            const field *of = self->field + f;
            if (of->input >= 0 && add_value(all + of->input, of->type, row, values + f) < 0) return -1;
        }
    }
    return 1;
}

/* A call's own memory: results, refusals and scratch. */
typedef struct {
    void **results;
    PyObject **bytes; /* of columns: the objects whose insides results are, NULL where a result is turned first */
    uint32_t *refused;
    void *raw, *scratch;
    const evaluator *self;
} call;

static void end_call(call *each) {
    uint32_t o;
    for (o = 0; each->results && o < each->self->plan.outputs; o++) {
        if (each->bytes && each->bytes[o]) Py_DECREF(each->bytes[o]);
        else free(each->results[o]);
    }
    free(each->results);
    free(each->bytes);
    free(each->refused);
    free(each->raw);
}

/* Gives -1 where there is no memory, maybe with an exception. */
static int begin_call(const evaluator *self, call *each, Py_ssize_t rows, int as_bytes) {
    uint32_t o;
    memset(each, 0, sizeof *each);
    each->self = self;
    each->results = (void **)calloc(self->plan.outputs, sizeof *each->results);
    if (as_bytes) each->bytes = (PyObject **)calloc(self->plan.outputs, sizeof *each->bytes);
    if ((size_t)rows < SIZE_MAX / 8) each->refused = (uint32_t *)malloc(((size_t)rows + 1) * sizeof *each->refused);
    each->scratch = aligned(ff_scratch(&self->plan, rows), &each->raw);
    if (!each->results || (as_bytes && !each->bytes) || !each->refused || !each->scratch) return -1;
    for (o = 0; o < self->plan.outputs; o++) {
        const ff_port *port = self->plan.output + o;
        size_t bytes = result_bytes(port, rows);
        if (bytes == SIZE_MAX) return -1;
        if (as_bytes && port->type != FF_BOOL && port->type != FF_STRING) {
            each->bytes[o] = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes);
            if (!each->bytes[o]) return -1;
            each->results[o] = PyBytes_AsString(each->bytes[o]);
        } else each->results[o] = malloc(bytes + 1);
        if (!each->results[o]) return -1;
    }
    return 0;
}

static PyObject *refusals(const call *each, Py_ssize_t rows) {
    PyObject *out = PyDict_New();
    Py_ssize_t row;
    for (row = 0; out && row < rows; row++) {
        PyObject *key, *value;
        int failed;
        if (!each->refused[row]) continue;
        key = PyLong_FromSsize_t(row);
        value = string_of(each->self, each->refused[row] - 1);
        failed = !key || !value || PyDict_SetItem(out, key, value) < 0;
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (failed) { Py_DECREF(out); return NULL; }
    }
    return out;
}

static int64_t run(const call *each, const ff_column *columns, Py_ssize_t rows) {
    const ff_plan *plan = &each->self->plan;
    int64_t without;
    if (rows < ROWS_WITH_LOCK) return ff_predict(plan, columns, each->results, rows, each->refused, each->scratch);
    Py_BEGIN_ALLOW_THREADS
    without = ff_predict(plan, columns, each->results, rows, each->refused, each->scratch);
    Py_END_ALLOW_THREADS
    return without;
}

static PyObject *answer_rows(const call *each, Py_ssize_t count) {
    PyObject *out = PyList_New(count);
    Py_ssize_t row;
    for (row = 0; out && row < count; row++) {
        PyObject *answer = answer_row(each->self, each->results, row);
        if (!answer || PyList_SetItem(out, row, answer) < 0) { Py_DECREF(out); return NULL; }
    }
    return out;
}

static PyObject *evaluator_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names) {
    const evaluator *self = (const evaluator *)object;
    int canonical = is_canonical(args, nargs, names), state = -1;
    Py_ssize_t count;
    uint32_t i;
    built *all;
    given *values;
    ff_column *columns;
    call mine;
    PyObject *out = NULL;
    if (canonical < 0) return NULL;
    if (!Py_IS_TYPE(args[0], &PyList_Type)) { PyErr_SetString(PyExc_TypeError, "expected a list of rows"); return NULL; }
    count = PyList_Size(args[0]);
    memset(&mine, 0, sizeof mine);
    all = (built *)calloc(self->plan.inputs + (size_t)1, sizeof *all);
    columns = (ff_column *)calloc(self->plan.inputs + (size_t)1, sizeof *columns);
    values = (given *)calloc((size_t)self->fields + 1, sizeof *values);
    if (all && columns && values) state = build(self, args[0], count, canonical, values, all);
    if (state > 0 && begin_call(self, &mine, count, 0) < 0) state = -1;
    if (state < 0 && !PyErr_Occurred()) PyErr_NoMemory();
    if (state == 0) {
        out = Py_None;
        Py_INCREF(out);
    }
    if (state > 0) {
        for (i = 0; i < self->plan.inputs; i++) {
            columns[i].values = all[i].values;
            columns[i].present = all[i].present;
            columns[i].text = all[i].text ? all[i].text : "";
        }
        out = run(&mine, columns, count) ? refusals(&mine, count) : answer_rows(&mine, count);
    }
    end_call(&mine);
    free_built(all, self->plan.inputs);
    free(columns);
    free(values);
    return out;
}

/* --- columns, by the Arrow C data interface (https://arrow.apache.org/docs/format/CDataInterface.html) --------------- */

struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

static const char *const format_of[FF_TYPES] = {"b", "c", "s", "i", "l", "C", "S", "I", "L", "f", "g", "u"};

static int check_batch(const evaluator *self, const struct ArrowSchema *schema, const struct ArrowArray *array) {
    const char *wrong = NULL;
    if (!schema->release || !array->release) wrong = "a batch that was given away already";
    else if (!schema->format || strcmp(schema->format, "+s") || schema->dictionary) wrong = "a batch of columns, not one column";
    else if (schema->n_children != self->fields || array->n_children != self->fields) wrong = "a column for each field";
    else if (self->fields && (!schema->children || !array->children)) wrong = "a batch that has its columns";
    else if (array->length < 0 || array->offset < 0 || array->length > INT64_MAX / 64 || array->offset > INT64_MAX / 64 ||
             array->length > (int64_t)(PY_SSIZE_T_MAX / 64)) wrong = "a batch of a length that there can be";
    else if (array->null_count && array->n_buffers > 0 && array->buffers && array->buffers[0]) wrong = "a batch without missing rows";
    if (!wrong) return 0;
    if (!schema->release || !array->release) PyErr_SetString(PyExc_ValueError, "a batch can be given once; this one was");
    else PyErr_Format(PyExc_ValueError, "expected %s", wrong);
    return -1;
}

/* Text must begin where it says: its offsets ascend. (How long the text is, the interface does not tell.) */
static int ascending(const int32_t *offset, int64_t rows) {
    int64_t row, broken = offset[0] < 0;
    for (row = 0; row < rows; row++) broken |= offset[row] > offset[row + 1];
    return !broken;
}

/* One column as the evaluator reads it; *copy is what the caller frees. */
static int take_column(const field *each, const struct ArrowSchema *schema, const struct ArrowArray *child,
                       const struct ArrowArray *array, ff_column *column, void **copy) {
    int64_t buffers = each->type == FF_STRING ? 3 : 2;
    size_t size = size_of[each->type];
    Py_ssize_t length;
    const char *name = PyUnicode_AsUTF8AndSize(each->name, &length);
    if (!name) return -1;
    if (!schema || !child || (schema->name && strcmp(schema->name, name))) {
        PyErr_Format(PyExc_ValueError, "expected the column of field %R, got the column '%s'", each->name, schema && schema->name ? schema->name : "");
        return -1;
    }
    if (!schema->format || strcmp(schema->format, format_of[each->type]) || schema->dictionary || child->dictionary) {
        PyErr_Format(PyExc_ValueError, "column %R: expected the Arrow format '%s', got '%s'%s; cast it first", each->name,
                     format_of[each->type], schema->format ? schema->format : "", schema->dictionary ? " of a dictionary" : "");
        return -1;
    }
    if (child->offset < 0 || child->offset > INT64_MAX / 64 || child->length < array->offset + array->length ||
        child->n_buffers != buffers || !child->buffers || (array->length && !child->buffers[1])) {
        PyErr_Format(PyExc_ValueError, "column %R: not a whole Arrow array of as many rows as the batch", each->name);
        return -1;
    }
    column->first = child->offset + array->offset;
    column->present = child->null_count == 0 ? NULL : (const uint8_t *)child->buffers[0];
    column->values = child->buffers[1];
    column->text = buffers == 3 && child->buffers[2] ? child->buffers[2] : "";
    if (array->length && each->type != FF_BOOL && (uintptr_t)column->values % size) { /* received in one piece: it lies anywhere */
        size_t items = (size_t)(column->first + array->length) + (each->type == FF_STRING);
        *copy = items > SIZE_MAX / 8 / size ? NULL : malloc(items * size);
        if (!*copy) { PyErr_NoMemory(); return -1; }
        memcpy(*copy, column->values, items * size);
        column->values = *copy;
    }
    if (array->length && each->type == FF_STRING && !ascending((const int32_t *)column->values + column->first, array->length)) {
        PyErr_Format(PyExc_ValueError, "column %R: the offsets of its text do not ascend", each->name);
        return -1;
    }
    return 0;
}

static PyObject *tuple_of(PyObject *one, PyObject *two) { /* takes the references */
    PyObject *out = one ? PyTuple_New(two ? 2 : 1) : NULL;
    if (!out) { Py_XDECREF(one); Py_XDECREF(two); return NULL; }
    if (PyTuple_SetItem(out, 0, one) < 0) { Py_XDECREF(two); Py_DECREF(out); return NULL; }
    if (two && PyTuple_SetItem(out, 1, two) < 0) { Py_DECREF(out); return NULL; }
    return out;
}

static PyObject *bits_of(const uint8_t *result, Py_ssize_t count) {
    PyObject *bits = PyBytes_FromStringAndSize(NULL, (count + 7) / 8);
    uint8_t *to = bits ? (uint8_t *)PyBytes_AsString(bits) : NULL;
    Py_ssize_t i;
    if (!to) return NULL;
    memset(to, 0, (size_t)(count + 7) / 8);
    for (i = 0; i < count; i++) to[i >> 3] |= (uint8_t)((result[i] & 1u) << (i & 7));
    return bits;
}

static PyObject *text_of(const evaluator *self, uint32_t o, const int32_t *result, Py_ssize_t rows) {
    PyObject *offsets = PyBytes_FromStringAndSize(NULL, (rows + 1) * 4), *text;
    int32_t *to = offsets ? (int32_t *)(void *)PyBytes_AsString(offsets) : NULL;
    char *bytes;
    int64_t total = 0;
    size_t length;
    Py_ssize_t row;
    if (!to) return NULL;
    for (row = 0; row < rows; row++) {
        to[row] = (int32_t)total;
        (void)ff_label(&self->plan, o, result[row], &length);
        total += (int64_t)length;
        if (total > INT32_MAX) {
            Py_DECREF(offsets);
            PyErr_SetString(PyExc_OverflowError, "an output has more than 2 GiB of labels in one call");
            return NULL;
        }
    }
    to[rows] = (int32_t)total;
    text = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total);
    if (!text) { Py_DECREF(offsets); return NULL; }
    bytes = PyBytes_AsString(text);
    for (row = 0; row < rows; row++) {
        const char *label = ff_label(&self->plan, o, result[row], &length);
        memcpy(bytes + to[row], label, length);
    }
    return tuple_of(offsets, text);
}

/* Arrow's buffers of one output: (values,), or (offsets, text) of strings. */
static PyObject *output_buffers(call *each, uint32_t o, Py_ssize_t rows) {
    const ff_port *port = each->self->plan.output + o;
    PyObject *bytes = each->bytes[o];
    if (!bytes && port->type == FF_STRING) return text_of(each->self, o, (const int32_t *)each->results[o], rows);
    if (!bytes) bytes = bits_of((const uint8_t *)each->results[o], rows * (Py_ssize_t)width_of(port));
    else Py_INCREF(bytes);
    return tuple_of(bytes, NULL);
}

static PyObject *answer_columns(call *each, Py_ssize_t rows) {
    PyObject *out = PyList_New((Py_ssize_t)each->self->plan.outputs);
    uint32_t o;
    for (o = 0; out && o < each->self->plan.outputs; o++) {
        PyObject *buffers = output_buffers(each, o, rows);
        if (!buffers || PyList_SetItem(out, (Py_ssize_t)o, buffers) < 0) { Py_DECREF(out); return NULL; }
    }
    return out;
}

static PyObject *evaluator_columns(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    const evaluator *self = (const evaluator *)object;
    struct ArrowArray *given_array, array;
    const struct ArrowSchema *schema;
    PyObject *out = NULL, *error[3];
    ff_column *columns;
    void **copies;
    call mine;
    Py_ssize_t i, rows;
    int taken = -1;
    if (nargs != 2) { PyErr_SetString(PyExc_TypeError, "expected an Arrow schema and an Arrow array"); return NULL; }
    schema = (const struct ArrowSchema *)PyCapsule_GetPointer(args[0], "arrow_schema");
    if (!schema) return NULL;
    given_array = (struct ArrowArray *)PyCapsule_GetPointer(args[1], "arrow_array");
    if (!given_array || check_batch(self, schema, given_array) < 0) return NULL;
    array = *given_array; /* moved, so that nobody else releases it while no lock is held */
    given_array->release = NULL;
    rows = (Py_ssize_t)array.length;
    memset(&mine, 0, sizeof mine);
    columns = (ff_column *)calloc(self->plan.inputs + (size_t)1, sizeof *columns);
    copies = (void **)calloc((size_t)self->fields + 1, sizeof *copies);
    if (columns && copies) taken = 0;
    for (i = 0; taken == 0 && i < self->fields; i++)
        if (self->field[i].input >= 0)
            taken = take_column(self->field + i, schema->children[i], array.children[i], &array, columns + self->field[i].input, copies + i);
    if (taken == 0 && begin_call(self, &mine, rows, 1) < 0) taken = -1;
    if (taken == 0) out = run(&mine, columns, rows) ? refusals(&mine, rows) : answer_columns(&mine, rows);
    else if (!PyErr_Occurred()) PyErr_NoMemory();
    end_call(&mine);
    for (i = 0; copies && i < self->fields; i++) free(copies[i]);
    free(copies);
    free(columns);
    PyErr_Fetch(&error[0], &error[1], &error[2]); /* the producer's code may be in Python, which cannot run amid an exception */
    array.release(&array);
    PyErr_Restore(error[0], error[1], error[2]);
    return out;
}

/* --- its life ---------------------------------------------------------------------------------------------------- */

static void evaluator_free(PyObject *object) {
    evaluator *self = (evaluator *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    uint32_t i;
    Py_ssize_t f;
    for (f = 0; self->field && f < self->fields; f++) { Py_XDECREF(self->field[f].name); Py_XDECREF(self->field[f].closed); }
    for (i = 0; self->output && i < self->plan.outputs; i++) Py_XDECREF(self->output[i]);
    for (i = 0; self->string && i < self->plan.strings; i++) Py_XDECREF(self->string[i]);
    free(self->field);
    free(self->output);
    free(self->string);
    while (self->blocks) {
        block *next = self->blocks->next;
        free(self->blocks->raw);
        free(self->blocks);
        self->blocks = next;
    }
    Py_XDECREF(self->places);
    Py_XDECREF(self->bytes);
    release(object);
    Py_DECREF(type);
}

/* Only sets of what has no code in Python are asked while a row is read. */
static int is_closed_set(PyObject *set) {
    PyObject *each, *all = Py_IS_TYPE(set, &PyFrozenSet_Type) ? PyObject_GetIter(set) : NULL;
    int plain_all = all != NULL;
    while (plain_all && (each = PyIter_Next(all)) != NULL) {
        plain_all = Py_IS_TYPE(each, &PyUnicode_Type) || Py_IS_TYPE(each, &PyLong_Type) || Py_IS_TYPE(each, &PyFloat_Type) ||
                    each == Py_True || each == Py_False;
        Py_DECREF(each);
    }
    Py_XDECREF(all);
    return plain_all && !PyErr_Occurred();
}

static int learn_field(evaluator *self, Py_ssize_t i, PyObject *item, uint8_t *fed) {
    field *each = self->field + i;
    PyObject *name, *closed, *place;
    unsigned int type;
    int failed;
    if (!Py_IS_TYPE(item, &PyTuple_Type)) { PyErr_SetString(PyExc_TypeError, "expected a tuple for each field"); return -1; }
    if (!PyArg_ParseTuple(item, "UIpOi", &name, &type, &each->nullable, &closed, &each->input)) return -1;
    if (!Py_IS_TYPE(name, &PyUnicode_Type) || PyDict_Contains(self->places, name)) {
        PyErr_Format(PyExc_ValueError, "field %zd: its name is not text, or another field has it", i);
        return -1;
    }
    if (each->input >= 0) {
        uint32_t input = (uint32_t)each->input;
        if (input >= self->plan.inputs || type != self->plan.input[input].type || fed[input]) {
            PyErr_Format(PyExc_ValueError, "field %zd is no input of the plan, has another type there, or is not the only one", i);
            return -1;
        }
        fed[input] = 1;
    }
    each->type = type < FF_TYPES ? type : UNKNOWN;
    if (closed != Py_None && each->type != UNKNOWN) {
        if (!is_closed_set(closed)) {
            if (!PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "field %zd: expected a frozenset of texts, numbers or booleans", i);
            return -1;
        }
        Py_INCREF(closed);
        each->closed = closed;
    }
    Py_INCREF(name);
    PyUnicode_InternInPlace(&name);
    each->name = name;
    place = PyLong_FromSsize_t(i);
    failed = !place || PyDict_SetItem(self->places, name, place) < 0;
    Py_XDECREF(place);
    return failed ? -1 : 0;
}

static int learn_fields(evaluator *self, PyObject *fields) {
    uint8_t *fed = (uint8_t *)calloc(self->plan.inputs + (size_t)1, 1);
    Py_ssize_t count = PyTuple_Size(fields), i;
    uint32_t input;
    int failed;
    self->field = (field *)calloc((size_t)count + 1, sizeof *self->field);
    self->places = PyDict_New();
    failed = !fed || !self->field || !self->places;
    if (failed && !PyErr_Occurred()) PyErr_NoMemory();
    if (!failed) self->fields = count;
    for (i = 0; !failed && i < count; i++) failed = learn_field(self, i, PyTuple_GetItem(fields, i), fed) < 0;
    for (input = 0; !failed && input < self->plan.inputs; input++) {
        if (fed[input]) continue;
        PyErr_Format(PyExc_ValueError, "input %u of the plan has no field", (unsigned int)input);
        failed = 1;
    }
    free(fed);
    return failed ? -1 : 0;
}

static int learn_outputs(evaluator *self) {
    uint32_t o;
    self->output = (PyObject **)calloc(self->plan.outputs, sizeof *self->output);
    self->string = (PyObject **)calloc(self->plan.strings + (size_t)1, sizeof *self->string);
    if (!self->output || !self->string) { PyErr_NoMemory(); return -1; }
    for (o = 0; o < self->plan.outputs; o++) {
        self->output[o] = string_of(self, self->plan.output[o].name);
        if (!self->output[o]) return -1;
        PyUnicode_InternInPlace(&self->output[o]);
    }
    return 0;
}

/* Where things lie in the memory that a row is answered in. */
static void lay_out_row(evaluator *self) {
    size_t results = 0;
    uint32_t o;
    for (o = 0; o < self->plan.outputs; o++) results += 8 * width_of(self->plan.output + o);
    self->at_columns = round_up((size_t)self->fields * sizeof(given));
    self->at_results = self->at_columns + round_up(self->plan.inputs * sizeof(ff_column));
    self->at_values = self->at_results + round_up(self->plan.outputs * sizeof(void *));
    self->at_scratch = self->at_values + round_up(results);
    self->row_bytes = self->at_scratch + ff_scratch(&self->plan, 1);
}

static int learn(evaluator *self, PyObject *bytes, PyObject *fields, Py_ssize_t budget) {
    char *at = PyBytes_AsString(bytes);
    Py_ssize_t size = PyBytes_Size(bytes);
    Py_INCREF(bytes);
    self->bytes = bytes;
    if ((uintptr_t)at % 8) { /* as nowhere yet: the insides of bytes lie as well as memory does */
        char *copy = (char *)keep(self, (size_t)size);
        if (!copy) { PyErr_NoMemory(); return -1; }
        memcpy(copy, at, (size_t)size);
        at = copy;
    }
    if (ff_open(&self->plan, at, (size_t)size)) {
        PyErr_SetString(PyExc_ValueError, self->plan.error);
        return -1;
    }
    self->memory += (size_t)size;
    if (learn_fields(self, fields) < 0 || learn_outputs(self) < 0) return -1;
    if (ff_prepare(&self->plan, keep, self, (size_t)(budget < 0 ? 0 : budget))) {
        PyErr_SetString(PyExc_MemoryError, self->plan.error);
        return -1;
    }
    lay_out_row(self);
    return 0;
}

static PyObject *evaluator_new(PyTypeObject *type, PyObject *args, PyObject *names) {
    static char *keywords[] = {"plan", "fields", "ignore_extra", "budget", NULL};
    Py_ssize_t budget = 64 << 20;
    PyObject *bytes, *fields;
    int ignore_extra = 0;
    evaluator *self;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    if (!PyArg_ParseTupleAndKeywords(args, names, "O!O!|pn", keywords, &PyBytes_Type, &bytes, &PyTuple_Type, &fields, &ignore_extra, &budget)) return NULL;
    self = (evaluator *)allocate(type, 0); /* all zeros */
    if (!self) return NULL;
    self->ignore_extra = ignore_extra;
    if (learn(self, bytes, fields, budget) < 0) { Py_DECREF(self); return NULL; }
    return (PyObject *)self;
}

static PyObject *evaluator_facts(PyObject *object, PyObject *unused) {
    const evaluator *self = (const evaluator *)object;
    const ff_plan *plan = &self->plan;
    (void)unused;
    return Py_BuildValue("{s:I,s:I,s:I,s:I,s:n}", "registers", plan->registers, "codes", plan->codes, "steps", plan->steps,
                         "lanes", plan->lanes, "memory", (Py_ssize_t)self->memory);
}

static PyObject *elementary(PyObject *module, PyObject *args) {
    unsigned int function;
    const char *x, *y;
    Py_ssize_t sizes[2], i;
    PyObject *out;
    char *to;
    (void)module;
    if (!PyArg_ParseTuple(args, "Iy#y#", &function, &x, &sizes[0], &y, &sizes[1])) return NULL;
    if (sizes[0] % 8 || sizes[0] != sizes[1]) { PyErr_SetString(PyExc_ValueError, "expected as many float64 x as y"); return NULL; }
    out = PyBytes_FromStringAndSize(NULL, sizes[0]);
    if (!out) return NULL;
    to = PyBytes_AsString(out);
    for (i = 0; i < sizes[0]; i += 8) {
        double one, two;
        memcpy(&one, x + i, 8);
        memcpy(&two, y + i, 8);
        one = ff_elementary(function, one, two);
        memcpy(to + i, &one, 8);
    }
    return out;
}

#define METHOD(function) (PyCFunction)(void (*)(void))(function)

#define ONE_DOC                                                                                                        \
    "one($self, row, /, canonical=False)\n--\n\n"                                                                      \
    "The answer for a row, a dict; None where it is not plain, or has no answer.\n\n"                                  \
    "Args:\n"                                                                                                          \
    "    row: plain is what the coercion table takes as it is.\n"                                                      \
    "    canonical: whether it went through that table, so that only what the plan uses is looked at."
#define MANY_DOC                                                                                                       \
    "many($self, rows, /, canonical=False)\n--\n\n"                                                                    \
    "The answers for a list of rows; {row: why} where some have none; None where a row is not plain.\n\n"              \
    "Raises:\n"                                                                                                        \
    "    TypeError: rows is no list.\n"                                                                                \
    "    OverflowError: a column would have more than 2 GiB of text."
#define COLUMNS_DOC                                                                                                    \
    "columns($self, schema, array, /)\n--\n\n"                                                                         \
    "The buffers of every output, as Arrow lays them out; {row: why} where some rows have no answer.\n\n"              \
    "Args:\n"                                                                                                          \
    "    schema: the capsule of a batch with a column for each field, by name and in order.\n"                         \
    "    array: its capsule, which is used up.\n\n"                                                                    \
    "Returns:\n"                                                                                                       \
    "    For each output (values,), of a tensor the values of its list; of text (offsets, text).\n\n"                  \
    "Raises:\n"                                                                                                        \
    "    ValueError: a column is missing, has another name, or another Arrow type than its field's.\n"                 \
    "    OverflowError: an output would have more than 2 GiB of labels."
#define EVALUATOR_DOC                                                                                                  \
    "Evaluator(plan, fields, ignore_extra=False, budget=67108864)\n--\n\n"                                             \
    "An open plan, ready to answer; safe to call from any number of threads.\n\n"                                      \
    "Args:\n"                                                                                                          \
    "    plan: its bytes; they are validated before anything of them is used.\n"                                       \
    "    fields: the signature's inputs in their order, each (name, type, nullable, closed, input); see _evaluator.pyi.\n" \
    "    ignore_extra: whether rows may have keys that are no field.\n"                                                \
    "    budget: how many bytes the tables that make forests fast may take.\n\n"                                       \
    "Raises:\n"                                                                                                        \
    "    ValueError: the bytes are no plan, or the fields do not fit it.\n"                                            \
    "    MemoryError: there is no memory for it."

static PyMethodDef evaluator_methods[] = {
    {"one", METHOD(evaluator_one), METH_FASTCALL | METH_KEYWORDS, ONE_DOC},
    {"many", METHOD(evaluator_many), METH_FASTCALL | METH_KEYWORDS, MANY_DOC},
    {"columns", METHOD(evaluator_columns), METH_FASTCALL, COLUMNS_DOC},
    {"facts", evaluator_facts, METH_NOARGS,
     "facts($self, /)\n--\n\nThe sizes of the plan as it is prepared: registers, codes, words of steps, lanes, bytes of memory."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot evaluator_slots[] = {
    {Py_tp_new, (void *)evaluator_new},
    {Py_tp_dealloc, (void *)evaluator_free},
    {Py_tp_methods, evaluator_methods},
    {Py_tp_doc, (void *)EVALUATOR_DOC},
    {0, NULL},
};

static PyType_Spec evaluator_spec = {
    "fourfold.plan._evaluator.Evaluator", sizeof(evaluator), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, evaluator_slots,
};

static PyMethodDef module_methods[] = {
    {"elementary", elementary, METH_VARARGS,
     "elementary(function, x, y, /)\n--\n\nAn elementary function of float64 in bytes; y is what one of one number does not look at."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module) {
    PyObject *type = PyType_FromSpec(&evaluator_spec);
    int failed = !type || PyModule_AddObjectRef(module, "Evaluator", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : PyModule_AddIntConstant(module, "VERSION", FF_VERSION);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, (void *)module_exec}, {0, NULL}};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_evaluator", "The evaluator of plans, in C.", 0, module_methods, module_slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__evaluator(void) { return PyModuleDef_Init(&module_definition); }
