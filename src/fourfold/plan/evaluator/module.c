/* The evaluator in Python: `fourfold.plan._evaluator`, with the stable ABI of Python 3.11.
 *
 * Rows come as dicts, or as columns by the Arrow C data interface; nothing here imports NumPy or pyarrow. A row is
 * plain if the coercion table (docs/spec/coercion.md) would neither change nor refuse a value of it, and it has no
 * unknown key. If a row is not plain, or has no answer, `one` and `many` return None, and the caller explains the
 * error: so the explanations are in one place only.
 *
 * A call writes only to its own memory, so any number of threads may use one evaluator. While a row is read no Python
 * code can run: only dicts with str keys are read, only values of the exact built-in types, and sets of such values.
 * So borrowed references and the text of strings stay valid until the evaluator has used them.
 */
#include "stable_abi.h"

#include <stdlib.h>
#include <string.h>

#include "evaluator.h"

#define UNSUPPORTED 255u            /* the type of a field that no plan can take: no row with it is plain */
#define STACK_ROW_BYTES (16 * 1024) /* a row's memory is on the stack if it fits into this */
#define MAX_ROWS_WITH_LOCK 16       /* so few rows are faster than handing Python's lock to another thread, */
#define MAX_COST_WITH_LOCK (1 << 26) /* unless they may cost so much: about 70 ms */

typedef struct {
    PyObject *name;   /* str */
    PyObject *closed; /* frozenset of the allowed values, or NULL */
    uint32_t type;    /* ff_type or UNSUPPORTED */
    int nullable;
    int32_t input; /* the plan's input; -1 if the plan does not use the field */
} field_spec;

typedef struct allocation {
    struct allocation *next;
    void *raw;
} allocation;

typedef union cell {
    double f64; float f32; int64_t i64; uint64_t u64; int32_t i32; uint32_t u32; int16_t i16; uint16_t u16; int8_t i8;
    uint8_t u8;
    int32_t offset[2];
} cell;

/* The state of a value: not there, or not plain; there; null. */
enum { ABSENT = 0, PRESENT = 1, MISSING = 2 };

/* A row's value of a field. */
typedef struct {
    cell value;
    const char *text; /* of a string, in the row's own memory */
    int state;
} field_value;

typedef struct {
    PyObject_HEAD
    ff_plan plan;
    PyObject *bytes;         /* the plan */
    allocation *blocks;      /* memory of ff_prepare */
    size_t memory;           /* bytes, all together */
    Py_ssize_t fields;
    field_spec *field;
    PyObject *field_indices; /* {name: index} */
    PyObject **output;       /* the names of outputs */
    PyObject **string;       /* strings of the plan as str, made at first use */
    int ignore_extra;
    volatile int is_stopped;
    size_t at_columns, at_results, at_values, at_scratch, row_bytes; /* the memory of a row: offsets, and its size */
} evaluator;

static const uint8_t present_bit = 1, missing_bit = 0;
static const size_t type_size[FF_TYPES] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 4};

/* --- memory ------------------------------------------------------------------------------------------------------ */

static size_t round_up(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static void *align_up(void *at) { return (void *)(((uintptr_t)at + 63) & ~(uintptr_t)63); }

/* Allocate memory at a multiple of 64; *raw is what must be freed. */
static void *aligned_malloc(size_t bytes, void **raw) {
    *raw = bytes < SIZE_MAX - 64 ? malloc(bytes + 64) : NULL;
    return *raw ? align_up(*raw) : NULL;
}

/* Allocate memory for ff_prepare, to be freed with the evaluator. */
static void *allocate(void *context, size_t bytes) {
    evaluator *self = (evaluator *)context;
    allocation *record = (allocation *)malloc(sizeof *record);
    void *memory;
    if (!record) return NULL;
    memory = aligned_malloc(bytes, &record->raw);
    if (!memory) { free(record); return NULL; }
    record->next = self->blocks;
    self->blocks = record;
    self->memory += bytes;
    return memory;
}

static size_t port_width(const ff_port *port) { return port->width ? port->width : 1; }

/* Return the bytes of an output's results; SIZE_MAX if no address space holds them. */
static size_t result_bytes(const ff_port *port, Py_ssize_t rows) {
    size_t row_bytes = port_width(port) * type_size[port->type];
    return (size_t)rows > (SIZE_MAX / 4) / row_bytes ? SIZE_MAX : (size_t)rows * row_bytes;
}

/* --- one value --------------------------------------------------------------------------------------------------- */

/* Read a plain float or integer into a cell of float64 or float32. */
static int read_float(const field_spec *spec, PyObject *value, cell *to) {
    double number;
    if (Py_IS_TYPE(value, &PyFloat_Type)) number = PyFloat_AsDouble(value);
    else if (Py_IS_TYPE(value, &PyLong_Type)) {
        int overflow;
        long long integer = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow) return ABSENT; /* beyond 64 bits */
        number = (double)integer;
        if (number >= 0x1p63 || (long long)number != integer) return ABSENT; /* rounded */
    } else return ABSENT;
    if (spec->type == FF_FLOAT64) { to->f64 = number; return PRESENT; }
    to->f32 = (float)number;
    return number - number != 0 || to->f32 - to->f32 == 0 ? PRESENT : ABSENT; /* a finite number must stay finite */
}

/* Read a plain string. */
static int read_text(PyObject *value, field_value *to) {
    Py_ssize_t length;
    if (!Py_IS_TYPE(value, &PyUnicode_Type)) return ABSENT;
    to->text = PyUnicode_AsUTF8AndSize(value, &length);
    if (!to->text) { PyErr_Clear(); return ABSENT; } /* a lone surrogate */
    if (length > INT32_MAX) return ABSENT;
    to->value.offset[0] = 0;
    to->value.offset[1] = (int32_t)length;
    return PRESENT;
}

/* Read a plain integer that its type can hold. */
static int read_integer(const field_spec *spec, PyObject *value, cell *to) {
    int overflow;
    long long integer;
    if (!Py_IS_TYPE(value, &PyLong_Type)) return ABSENT;
    integer = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow > 0 && spec->type == FF_UINT64) {
        to->u64 = PyLong_AsUnsignedLongLong(value);
        if (to->u64 != UINT64_MAX || !PyErr_Occurred()) return PRESENT;
        PyErr_Clear();
    }
    if (overflow) return ABSENT;
    switch (spec->type) {
    case FF_INT8: to->i8 = (int8_t)integer; return integer >= INT8_MIN && integer <= INT8_MAX;
    case FF_INT16: to->i16 = (int16_t)integer; return integer >= INT16_MIN && integer <= INT16_MAX;
    case FF_INT32: to->i32 = (int32_t)integer; return integer >= INT32_MIN && integer <= INT32_MAX;
    case FF_INT64: to->i64 = integer; return PRESENT;
    case FF_UINT8: to->u8 = (uint8_t)integer; return integer >= 0 && integer <= UINT8_MAX;
    case FF_UINT16: to->u16 = (uint16_t)integer; return integer >= 0 && integer <= UINT16_MAX;
    case FF_UINT32: to->u32 = (uint32_t)integer; return integer >= 0 && integer <= UINT32_MAX;
    default: to->u64 = (uint64_t)integer; return integer >= 0;
    }
}

/* Read a plain value. Returns PRESENT or MISSING, or ABSENT if the value is not plain. */
static int read_value(const field_spec *spec, PyObject *value, int canonical, field_value *to) {
    int state;
    if (value == Py_None) {
        to->value.u64 = 0;
        to->text = "";
        return spec->nullable ? MISSING : ABSENT;
    }
    switch (spec->type) {
    case FF_FLOAT64:
    case FF_FLOAT32: state = read_float(spec, value, &to->value); break;
    case FF_STRING: state = read_text(value, to); break;
    case FF_BOOL:
        state = value == Py_True || value == Py_False ? PRESENT : ABSENT;
        to->value.u8 = value == Py_True;
        break;
    case UNSUPPORTED: return ABSENT;
    default: state = read_integer(spec, value, &to->value); break;
    }
    if (!spec->closed || canonical || !state) return state;
    state = PySet_Contains(spec->closed, value);
    if (state < 0) PyErr_Clear();
    return state > 0 ? PRESENT : ABSENT;
}

/* --- one row ----------------------------------------------------------------------------------------------------- */

/* Return the index of the field that a key names; -1: none, -2: an exception, -3: the key is no plain text. Most rows
 * have their keys in the order of the fields, so field `likely` is compared first. A parser makes new objects for keys,
 * so their text is compared. */
static Py_ssize_t field_index(const evaluator *self, PyObject *key, Py_ssize_t likely) {
    PyObject *index;
    if (!Py_IS_TYPE(key, &PyUnicode_Type)) return -3;
    if (likely < self->fields && PyUnicode_Compare(key, self->field[likely].name) == 0) return likely;
    index = PyDict_GetItemWithError(self->field_indices, key);
    if (index) return PyLong_AsSsize_t(index);
    return PyErr_Occurred() ? -2 : -1;
}

/* Read a row. Returns 1 if it is plain, 0 if it is not, -1 with an exception. A canonical row went through the coercion
 * table already, so only the fields that the plan uses are read. */
static int read_row(const evaluator *self, PyObject *row, int canonical, field_value *values) {
    PyObject *key, *value;
    Py_ssize_t position = 0, next = 0, keys_seen = 0, i;
    if (!Py_IS_TYPE(row, &PyDict_Type)) return 0;
    for (i = 0; i < self->fields; i++) values[i].state = ABSENT;
    while (PyDict_Next(row, &position, &key, &value)) {
        Py_ssize_t index = next;
        if (next >= self->fields || key != self->field[next].name) index = field_index(self, key, next);
        if (index < 0) {
            if (index == -2) return -1;
            if (index == -3 || !(canonical || self->ignore_extra)) return 0;
            continue;
        }
        next = index + 1;
        keys_seen++;
        if (canonical && self->field[index].input < 0) continue;
        values[index].state = read_value(self->field + index, value, canonical, values + index);
        if (values[index].state == ABSENT) return 0;
    }
    for (i = 0; keys_seen < self->fields && i < self->fields; i++) {
        const field_spec *spec = self->field + i;
        if (values[i].state != ABSENT || (canonical && spec->input < 0)) continue;
        values[i].state = read_value(spec, Py_None, canonical, values + i); /* an absent key is a missing value */
        if (values[i].state == ABSENT) return 0;
    }
    return 1;
}

/* --- answers as Python values ------------------------------------------------------------------------------------ */

/* Return a string of the plan as str, a new reference. */
static PyObject *get_string(const evaluator *self, uint32_t index) {
    PyObject *string = self->string[index];
    if (!string) {
        size_t length;
        const char *text = ff_string(&self->plan, index, &length);
        string = self->string[index] = PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "strict");
    }
    Py_XINCREF(string);
    return string;
}

static PyObject *python_float(const ff_port *port, const void *result, size_t index) {
    return PyFloat_FromDouble(port->type == FF_FLOAT32 ? (double)((const float *)result)[index]
                                                       : ((const double *)result)[index]);
}

/* Return result `index` of an output as a Python value. */
static PyObject *python_value(const evaluator *self, const ff_port *port, const void *result, size_t index) {
    switch (port->type) {
    case FF_BOOL: return PyBool_FromLong(((const uint8_t *)result)[index]);
    case FF_INT8: return PyLong_FromLong(((const int8_t *)result)[index]);
    case FF_INT16: return PyLong_FromLong(((const int16_t *)result)[index]);
    case FF_INT32: return PyLong_FromLong(((const int32_t *)result)[index]);
    case FF_INT64: return PyLong_FromLongLong(((const int64_t *)result)[index]);
    case FF_UINT8: return PyLong_FromLong(((const uint8_t *)result)[index]);
    case FF_UINT16: return PyLong_FromLong(((const uint16_t *)result)[index]);
    case FF_UINT32: return PyLong_FromUnsignedLong(((const uint32_t *)result)[index]);
    case FF_UINT64: return PyLong_FromUnsignedLongLong(((const uint64_t *)result)[index]);
    case FF_STRING: return get_string(self, port->labels + (uint32_t)((const int32_t *)result)[index]);
    default: return python_float(port, result, index);
    }
}

/* Return the value of an output in a row; a list, if the output is a tensor. */
static PyObject *answer_value(const evaluator *self, const ff_port *port, const void *result, Py_ssize_t row) {
    uint32_t k;
    PyObject *list;
    if (!port->width || (port->width == 1 && !port->labels)) return python_value(self, port, result, (size_t)row);
    list = PyList_New((Py_ssize_t)port->width);
    for (k = 0; list && k < port->width; k++) {
        PyObject *value = python_value(self, port, result, (size_t)row * port->width + k);
        if (!value || PyList_SetItem(list, (Py_ssize_t)k, value) < 0) { Py_DECREF(list); return NULL; }
    }
    return list;
}

/* Return a row's answer as a dict. */
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

/* Return the argument `canonical`, which is positional or named; -1 with an exception. */
static int parse_canonical(PyObject *const *args, Py_ssize_t count, PyObject *names) {
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

/* Return whether rows are computed while Python's lock is held. */
static int keeps_lock(const ff_plan *plan, Py_ssize_t rows, uint64_t text_bytes) {
    return rows < MAX_ROWS_WITH_LOCK && (uint64_t)rows * plan->row_cost <= MAX_COST_WITH_LOCK &&
           (!plan->text_cost || text_bytes <= MAX_COST_WITH_LOCK / plan->text_cost);
}

/* Return whether a single row is computed while Python's lock is held. */
static int row_keeps_lock(const evaluator *self, const field_value *values) {
    uint64_t text_bytes = 0;
    Py_ssize_t i;
    for (i = 0; self->plan.text_cost && i < self->fields; i++)
        if (self->field[i].input >= 0 && self->field[i].type == FF_STRING && values[i].state == PRESENT)
            text_bytes += (uint64_t)values[i].value.offset[1];
    return keeps_lock(&self->plan, 1, text_bytes);
}

static PyObject *answer_many(const evaluator *self, PyObject *rows, int canonical);

/* Return the answer for a row, or None, without Python's lock: the row's values are copied, because other threads may
 * change it. */
static PyObject *answer_slow_row(const evaluator *self, PyObject *row, int canonical) {
    PyObject *rows = PyList_New(1), *answers, *out = NULL;
    if (!rows) return NULL;
    Py_INCREF(row);
    if (PyList_SetItem(rows, 0, row) < 0) { Py_DECREF(rows); return NULL; }
    answers = answer_many(self, rows, canonical);
    if (answers) {
        out = Py_IS_TYPE(answers, &PyList_Type) ? PyList_GetItem(answers, 0) : Py_None;
        Py_XINCREF(out);
        Py_DECREF(answers);
    }
    Py_DECREF(rows);
    return out;
}

/* Return the answer for a row, or None. `memory` has row_bytes bytes. */
static PyObject *answer_one_row(const evaluator *self, PyObject *row, int canonical, uint8_t *memory) {
    field_value *values = (field_value *)(void *)memory;
    ff_column *columns = (ff_column *)(void *)(memory + self->at_columns);
    void **results = (void **)(void *)(memory + self->at_results);
    uint8_t *next_result = memory + self->at_values;
    uint32_t refused = 0, o;
    Py_ssize_t i;
    int state = read_row(self, row, canonical, values);
    if (state < 0) return NULL;
    if (!state) Py_RETURN_NONE;
    if (!row_keeps_lock(self, values)) return answer_slow_row(self, row, canonical);
    for (i = 0; i < self->fields; i++) {
        ff_column *column;
        if (self->field[i].input < 0) continue;
        column = columns + self->field[i].input;
        column->values = &values[i].value;
        column->text = values[i].text;
        column->present = values[i].state == PRESENT ? &present_bit : &missing_bit;
        column->first = 0;
    }
    for (o = 0; o < self->plan.outputs; o++) {
        results[o] = next_result;
        next_result += 8 * port_width(self->plan.output + o);
    }
    if (ff_predict(&self->plan, columns, results, 1, &refused, memory + self->at_scratch)) Py_RETURN_NONE;
    return answer_row(self, results, 0);
}

static PyObject *evaluator_one(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    const evaluator *self = (const evaluator *)object;
    uint8_t near[STACK_ROW_BYTES];
    int canonical = parse_canonical(args, count, names);
    void *raw, *memory;
    PyObject *out;
    if (canonical < 0) return NULL;
    if (self->row_bytes <= STACK_ROW_BYTES - 64)
        return answer_one_row(self, args[0], canonical, (uint8_t *)align_up(near));
    memory = aligned_malloc(self->row_bytes, &raw);
    if (!memory) return PyErr_NoMemory();
    out = answer_one_row(self, args[0], canonical, (uint8_t *)memory);
    free(raw);
    return out;
}

/* A column that is built from rows. */
typedef struct {
    uint8_t *values, *present;
    char *text;
    size_t used, room;
} column_builder;

static void free_builders(column_builder *builders, uint32_t inputs) {
    uint32_t i;
    for (i = 0; builders && i < inputs; i++) {
        free(builders[i].values);
        free(builders[i].present);
        free(builders[i].text);
    }
    free(builders);
}

/* Append a string to a column of strings. */
static int append_text(column_builder *builder, Py_ssize_t row, const field_value *value) {
    size_t length = value->state == PRESENT ? (size_t)value->value.offset[1] : 0;
    if (builder->used + length > INT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a column has more than 2 GiB of text in one call");
        return -1;
    }
    if (builder->used + length > builder->room) {
        size_t room = (builder->used + length) * 2 + 64;
        char *grown = (char *)realloc(builder->text, room);
        if (!grown) return -1;
        builder->text = grown;
        builder->room = room;
    }
    if (length) memcpy(builder->text + builder->used, value->text, length);
    builder->used += length;
    ((int32_t *)(void *)builder->values)[row + 1] = (int32_t)builder->used;
    return 0;
}

/* Append a value to a column. */
static int append_value(column_builder *builder, uint32_t type, Py_ssize_t row, const field_value *value) {
    if (value->state == PRESENT) builder->present[row >> 3] |= (uint8_t)(1 << (row & 7));
    if (type == FF_STRING) return append_text(builder, row, value);
    if (type == FF_BOOL) {
        if (value->value.u8) builder->values[row >> 3] |= (uint8_t)(1 << (row & 7));
    } else memcpy(builder->values + (size_t)row * type_size[type], &value->value, type_size[type]);
    return 0;
}

/* Build the columns of a list of rows. Returns 1 if all rows are plain, 0 if one is not, -1 with an exception or if
 * there is no memory. */
static int build_columns(const evaluator *self, PyObject *rows, Py_ssize_t count, int canonical, field_value *values,
                         column_builder *builders) {
    uint32_t i;
    Py_ssize_t row, f;
    for (i = 0; i < self->plan.inputs; i++) {
        builders[i].values = (uint8_t *)calloc((size_t)count + 1, type_size[self->plan.input[i].type]);
        builders[i].present = (uint8_t *)calloc((size_t)count / 8 + 1, 1);
        if (!builders[i].values || !builders[i].present) return -1;
    }
    for (row = 0; row < count; row++) {
        PyObject *python_row = PyList_GetItem(rows, row);
        int state = python_row ? read_row(self, python_row, canonical, values) : -1;
        if (state <= 0) return state;
        for (f = 0; f < self->fields; f++) {
            const field_spec *spec = self->field + f;
            if (spec->input >= 0 && append_value(builders + spec->input, spec->type, row, values + f) < 0) return -1;
        }
    }
    return 1;
}

/* The memory of one call: results, refusals and scratch. */
typedef struct {
    void **results;
    PyObject **bytes; /* of columns: the bytes objects that hold the results; NULL if a result is converted first */
    uint32_t *refused;
    void *raw, *scratch;
    const evaluator *self;
} call_memory;

/* Free the memory of a call. */
static void end_call(call_memory *call) {
    uint32_t o;
    for (o = 0; call->results && o < call->self->plan.outputs; o++) {
        if (call->bytes && call->bytes[o]) Py_DECREF(call->bytes[o]);
        else free(call->results[o]);
    }
    free(call->results);
    free(call->bytes);
    free(call->refused);
    free(call->raw);
}

/* Allocate the memory of a call. Returns -1 if there is none, maybe with an exception. */
static int begin_call(const evaluator *self, call_memory *call, Py_ssize_t rows, int as_bytes) {
    uint32_t o;
    memset(call, 0, sizeof *call);
    call->self = self;
    call->results = (void **)calloc(self->plan.outputs, sizeof *call->results);
    if (as_bytes) call->bytes = (PyObject **)calloc(self->plan.outputs, sizeof *call->bytes);
    if ((size_t)rows < SIZE_MAX / 8) call->refused = (uint32_t *)malloc(((size_t)rows + 1) * sizeof *call->refused);
    call->scratch = aligned_malloc(ff_scratch(&self->plan, rows), &call->raw);
    if (!call->results || (as_bytes && !call->bytes) || !call->refused || !call->scratch) return -1;
    for (o = 0; o < self->plan.outputs; o++) {
        const ff_port *port = self->plan.output + o;
        size_t bytes = result_bytes(port, rows);
        if (bytes == SIZE_MAX) return -1;
        if (as_bytes && port->type != FF_BOOL && port->type != FF_STRING) {
            call->bytes[o] = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes);
            if (!call->bytes[o]) return -1;
            call->results[o] = PyBytes_AsString(call->bytes[o]);
        } else call->results[o] = malloc(bytes + 1);
        if (!call->results[o]) return -1;
    }
    return 0;
}

/* Return {row: why} for the refused rows. */
static PyObject *make_refusals(const call_memory *call, Py_ssize_t rows) {
    PyObject *out = PyDict_New();
    Py_ssize_t row;
    for (row = 0; out && row < rows; row++) {
        PyObject *key, *value;
        int failed;
        if (!call->refused[row]) continue;
        key = PyLong_FromSsize_t(row);
        value = get_string(call->self, call->refused[row] - 1);
        failed = !key || !value || PyDict_SetItem(out, key, value) < 0;
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (failed) { Py_DECREF(out); return NULL; }
    }
    return out;
}

/* Return the bytes of text in columns. */
static uint64_t text_bytes_of(const ff_plan *plan, const ff_column *columns, Py_ssize_t rows) {
    uint64_t bytes = 0;
    uint32_t i;
    for (i = 0; rows && i < plan->inputs; i++) {
        const int32_t *offset = (const int32_t *)columns[i].values;
        if (plan->input[i].type == FF_STRING)
            bytes += (uint64_t)(uint32_t)(offset[columns[i].first + rows] - offset[columns[i].first]);
    }
    return bytes;
}

/* Predict rows, without Python's lock if they are many or costly. Returns the number of refused rows, or -1 with an
 * exception. */
static int64_t predict(const call_memory *call, const ff_column *columns, Py_ssize_t rows) {
    const ff_plan *plan = &call->self->plan;
    int64_t refusals;
    if (rows < MAX_ROWS_WITH_LOCK && keeps_lock(plan, rows, plan->text_cost ? text_bytes_of(plan, columns, rows) : 0))
        refusals = ff_predict(plan, columns, call->results, rows, call->refused, call->scratch);
    else {
        Py_BEGIN_ALLOW_THREADS
        refusals = ff_predict(plan, columns, call->results, rows, call->refused, call->scratch);
        Py_END_ALLOW_THREADS
    }
    if (refusals < 0) PyErr_SetString(PyExc_RuntimeError, "the evaluator was stopped");
    return refusals;
}

/* Return the answers as a list of dicts. */
static PyObject *answer_rows(const call_memory *call, Py_ssize_t count) {
    PyObject *out = PyList_New(count);
    Py_ssize_t row;
    for (row = 0; out && row < count; row++) {
        PyObject *answer = answer_row(call->self, call->results, row);
        if (!answer || PyList_SetItem(out, row, answer) < 0) { Py_DECREF(out); return NULL; }
    }
    return out;
}

/* Return the answers for a list of rows; {row: why} if some have no answer; None if a row is not plain. */
static PyObject *answer_many(const evaluator *self, PyObject *rows, int canonical) {
    Py_ssize_t count = PyList_Size(rows);
    int64_t refusals;
    int state = -1;
    uint32_t i;
    column_builder *builders;
    field_value *values;
    ff_column *columns;
    call_memory call;
    PyObject *out = NULL;
    memset(&call, 0, sizeof call);
    builders = (column_builder *)calloc(self->plan.inputs + (size_t)1, sizeof *builders);
    columns = (ff_column *)calloc(self->plan.inputs + (size_t)1, sizeof *columns);
    values = (field_value *)calloc((size_t)self->fields + 1, sizeof *values);
    if (builders && columns && values) state = build_columns(self, rows, count, canonical, values, builders);
    if (state > 0 && begin_call(self, &call, count, 0) < 0) state = -1;
    if (state < 0 && !PyErr_Occurred()) PyErr_NoMemory();
    if (state == 0) {
        out = Py_None;
        Py_INCREF(out);
    }
    if (state > 0) {
        for (i = 0; i < self->plan.inputs; i++) {
            columns[i].values = builders[i].values;
            columns[i].present = builders[i].present;
            columns[i].text = builders[i].text ? builders[i].text : "";
        }
        refusals = predict(&call, columns, count);
        if (refusals >= 0) out = refusals ? make_refusals(&call, count) : answer_rows(&call, count);
    }
    end_call(&call);
    free_builders(builders, self->plan.inputs);
    free(columns);
    free(values);
    return out;
}

static PyObject *evaluator_many(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *names) {
    int canonical = parse_canonical(args, nargs, names);
    if (canonical < 0) return NULL;
    if (!Py_IS_TYPE(args[0], &PyList_Type)) {
        PyErr_SetString(PyExc_TypeError, "expected a list of rows");
        return NULL;
    }
    return answer_many((const evaluator *)object, args[0], canonical);
}

/* --- columns, by the Arrow C data interface (https://arrow.apache.org/docs/format/CDataInterface.html) ------------ */

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

/* Check that a batch has the columns of the fields; -1 with an exception. */
static int check_batch(const evaluator *self, const struct ArrowSchema *schema, const struct ArrowArray *array) {
    const char *expected = NULL;
    if (!schema->release || !array->release) expected = "a batch that was given away already";
    else if (!schema->format || strcmp(schema->format, "+s") || schema->dictionary)
        expected = "a batch of columns, not one column";
    else if (schema->n_children != self->fields || array->n_children != self->fields)
        expected = "a column for each field";
    else if (self->fields && (!schema->children || !array->children)) expected = "a batch that has its columns";
    else if (array->length < 0 || array->offset < 0 || array->length > INT64_MAX / 64 ||
             array->offset > INT64_MAX / 64 || array->length > (int64_t)(PY_SSIZE_T_MAX / 64))
        expected = "a batch of a length that there can be";
    else if (array->null_count && array->n_buffers > 0 && array->buffers && array->buffers[0])
        expected = "a batch without missing rows";
    if (!expected) return 0;
    if (!schema->release || !array->release)
        PyErr_SetString(PyExc_ValueError, "a batch can be given once; this one was");
    else PyErr_Format(PyExc_ValueError, "expected %s", expected);
    return -1;
}

/* Return whether the offsets of a text ascend. (The Arrow interface does not say how long the text is.) */
static int is_ascending(const int32_t *offset, int64_t rows) {
    int64_t row, broken = offset[0] < 0;
    for (row = 0; row < rows; row++) broken |= offset[row] > offset[row + 1];
    return !broken;
}

/* Read a column of a batch. The caller frees *copy. */
static int read_column(const field_spec *spec, const struct ArrowSchema *schema, const struct ArrowArray *child,
                       const struct ArrowArray *array, ff_column *column, void **copy) {
    int64_t buffers = spec->type == FF_STRING ? 3 : 2;
    size_t size = type_size[spec->type];
    Py_ssize_t length;
    const char *name = PyUnicode_AsUTF8AndSize(spec->name, &length);
    if (!name) return -1;
    if (!schema || !child || (schema->name && strcmp(schema->name, name))) {
        PyErr_Format(PyExc_ValueError, "expected the column of field %R, got the column '%s'", spec->name,
                     schema && schema->name ? schema->name : "");
        return -1;
    }
    if (!schema->format || strcmp(schema->format, format_of[spec->type]) || schema->dictionary || child->dictionary) {
        PyErr_Format(PyExc_ValueError, "column %R: expected the Arrow format '%s', got '%s'%s; cast it first",
                     spec->name, format_of[spec->type], schema->format ? schema->format : "",
                     schema->dictionary ? " of a dictionary" : "");
        return -1;
    }
    if (child->offset < 0 || child->offset > INT64_MAX / 64 || child->length < array->offset + array->length ||
        child->n_buffers != buffers || !child->buffers || (array->length && !child->buffers[1])) {
        PyErr_Format(PyExc_ValueError, "column %R: not a whole Arrow array of as many rows as the batch", spec->name);
        return -1;
    }
    column->first = child->offset + array->offset;
    column->present = child->null_count == 0 ? NULL : (const uint8_t *)child->buffers[0];
    column->values = child->buffers[1];
    column->text = buffers == 3 && child->buffers[2] ? child->buffers[2] : "";
    if (array->length && spec->type != FF_BOOL && (uintptr_t)column->values % size) {
        /* A message that was received in one piece may be unaligned. */
        size_t items = (size_t)(column->first + array->length) + (spec->type == FF_STRING);
        *copy = items > SIZE_MAX / 8 / size ? NULL : malloc(items * size);
        if (!*copy) { PyErr_NoMemory(); return -1; }
        memcpy(*copy, column->values, items * size);
        column->values = *copy;
    }
    if (array->length && spec->type == FF_STRING &&
        !is_ascending((const int32_t *)column->values + column->first, array->length)) {
        PyErr_Format(PyExc_ValueError, "column %R: the offsets of its text do not ascend", spec->name);
        return -1;
    }
    return 0;
}

static PyObject *make_tuple(PyObject *first, PyObject *second) { /* steals the references */
    PyObject *out = first ? PyTuple_New(second ? 2 : 1) : NULL;
    if (!out) { Py_XDECREF(first); Py_XDECREF(second); return NULL; }
    if (PyTuple_SetItem(out, 0, first) < 0) { Py_XDECREF(second); Py_DECREF(out); return NULL; }
    if (second && PyTuple_SetItem(out, 1, second) < 0) { Py_DECREF(out); return NULL; }
    return out;
}

/* Return bytes of 0 or 1 as Arrow's bits. */
static PyObject *pack_bits(const uint8_t *result, Py_ssize_t count) {
    PyObject *bits = PyBytes_FromStringAndSize(NULL, (count + 7) / 8);
    uint8_t *out = bits ? (uint8_t *)PyBytes_AsString(bits) : NULL;
    Py_ssize_t i;
    if (!out) return NULL;
    memset(out, 0, (size_t)(count + 7) / 8);
    for (i = 0; i < count; i++) out[i >> 3] |= (uint8_t)((result[i] & 1u) << (i & 7));
    return bits;
}

/* Return the offsets and the text of an output of labels. */
static PyObject *label_buffers(const evaluator *self, uint32_t o, const int32_t *result, Py_ssize_t rows) {
    PyObject *offsets = PyBytes_FromStringAndSize(NULL, (rows + 1) * 4), *text;
    int32_t *ends = offsets ? (int32_t *)(void *)PyBytes_AsString(offsets) : NULL;
    char *out;
    int64_t total = 0;
    size_t length;
    Py_ssize_t row;
    if (!ends) return NULL;
    for (row = 0; row < rows; row++) {
        ends[row] = (int32_t)total;
        (void)ff_label(&self->plan, o, result[row], &length);
        total += (int64_t)length;
        if (total > INT32_MAX) {
            Py_DECREF(offsets);
            PyErr_SetString(PyExc_OverflowError, "an output has more than 2 GiB of labels in one call");
            return NULL;
        }
    }
    ends[rows] = (int32_t)total;
    text = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total);
    if (!text) { Py_DECREF(offsets); return NULL; }
    out = PyBytes_AsString(text);
    for (row = 0; row < rows; row++) {
        const char *label = ff_label(&self->plan, o, result[row], &length);
        memcpy(out + ends[row], label, length);
    }
    return make_tuple(offsets, text);
}

/* Return Arrow's buffers of an output: (values,), or (offsets, text) of strings. */
static PyObject *output_buffers(call_memory *call, uint32_t o, Py_ssize_t rows) {
    const ff_port *port = call->self->plan.output + o;
    PyObject *bytes = call->bytes[o];
    if (!bytes && port->type == FF_STRING) return label_buffers(call->self, o, (const int32_t *)call->results[o], rows);
    if (!bytes) bytes = pack_bits((const uint8_t *)call->results[o], rows * (Py_ssize_t)port_width(port));
    else Py_INCREF(bytes);
    return make_tuple(bytes, NULL);
}

/* Return the buffers of all outputs. */
static PyObject *answer_columns(call_memory *call, Py_ssize_t rows) {
    PyObject *out = PyList_New((Py_ssize_t)call->self->plan.outputs);
    uint32_t o;
    for (o = 0; out && o < call->self->plan.outputs; o++) {
        PyObject *buffers = output_buffers(call, o, rows);
        if (!buffers || PyList_SetItem(out, (Py_ssize_t)o, buffers) < 0) { Py_DECREF(out); return NULL; }
    }
    return out;
}

static PyObject *evaluator_columns(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    const evaluator *self = (const evaluator *)object;
    struct ArrowArray *source, array;
    const struct ArrowSchema *schema;
    PyObject *out = NULL, *error[3];
    ff_column *columns;
    void **copies;
    call_memory call;
    Py_ssize_t i, rows;
    int status = -1;
    if (nargs != 2) { PyErr_SetString(PyExc_TypeError, "expected an Arrow schema and an Arrow array"); return NULL; }
    schema = (const struct ArrowSchema *)PyCapsule_GetPointer(args[0], "arrow_schema");
    if (!schema) return NULL;
    source = (struct ArrowArray *)PyCapsule_GetPointer(args[1], "arrow_array");
    if (!source || check_batch(self, schema, source) < 0) return NULL;
    array = *source; /* moved, so that nobody else releases it while the lock is free */
    source->release = NULL;
    rows = (Py_ssize_t)array.length;
    memset(&call, 0, sizeof call);
    columns = (ff_column *)calloc(self->plan.inputs + (size_t)1, sizeof *columns);
    copies = (void **)calloc((size_t)self->fields + 1, sizeof *copies);
    if (columns && copies) status = 0;
    for (i = 0; status == 0 && i < self->fields; i++)
        if (self->field[i].input >= 0)
            status = read_column(self->field + i, schema->children[i], array.children[i], &array,
                                 columns + self->field[i].input, copies + i);
    if (status == 0 && begin_call(self, &call, rows, 1) < 0) status = -1;
    if (status == 0) {
        int64_t refusals = predict(&call, columns, rows);
        if (refusals >= 0) out = refusals ? make_refusals(&call, rows) : answer_columns(&call, rows);
    } else if (!PyErr_Occurred()) PyErr_NoMemory();
    end_call(&call);
    for (i = 0; copies && i < self->fields; i++) free(copies[i]);
    free(copies);
    free(columns);
    /* `release` may be Python code, which must not run while an exception is set. */
    PyErr_Fetch(&error[0], &error[1], &error[2]);
    array.release(&array);
    PyErr_Restore(error[0], error[1], error[2]);
    return out;
}

/* --- life cycle -------------------------------------------------------------------------------------------------- */

static void evaluator_dealloc(PyObject *object) {
    evaluator *self = (evaluator *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    uint32_t i;
    Py_ssize_t f;
    for (f = 0; self->field && f < self->fields; f++) {
        Py_XDECREF(self->field[f].name);
        Py_XDECREF(self->field[f].closed);
    }
    for (i = 0; self->output && i < self->plan.outputs; i++) Py_XDECREF(self->output[i]);
    for (i = 0; self->string && i < self->plan.strings; i++) Py_XDECREF(self->string[i]);
    free(self->field);
    free(self->output);
    free(self->string);
    while (self->blocks) {
        allocation *next = self->blocks->next;
        free(self->blocks->raw);
        free(self->blocks);
        self->blocks = next;
    }
    Py_XDECREF(self->field_indices);
    Py_XDECREF(self->bytes);
    release(object);
    Py_DECREF(type);
}

/* Return whether this is a frozenset of values of built-in types: its lookups run no Python code. */
static int is_closed_set(PyObject *set) {
    PyObject *item, *iterator = Py_IS_TYPE(set, &PyFrozenSet_Type) ? PyObject_GetIter(set) : NULL;
    int is_plain = iterator != NULL;
    while (is_plain && (item = PyIter_Next(iterator)) != NULL) {
        is_plain = Py_IS_TYPE(item, &PyUnicode_Type) || Py_IS_TYPE(item, &PyLong_Type) ||
                   Py_IS_TYPE(item, &PyFloat_Type) || item == Py_True || item == Py_False;
        Py_DECREF(item);
    }
    Py_XDECREF(iterator);
    return is_plain && !PyErr_Occurred();
}

/* Set a field from its tuple (name, type, nullable, closed, input). `is_fed` notes the inputs that have a field. */
static int init_field(evaluator *self, Py_ssize_t i, PyObject *item, uint8_t *is_fed) {
    field_spec *spec = self->field + i;
    PyObject *name, *closed, *index;
    unsigned int type;
    int failed;
    if (!Py_IS_TYPE(item, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "expected a tuple for each field");
        return -1;
    }
    if (!PyArg_ParseTuple(item, "UIpOi", &name, &type, &spec->nullable, &closed, &spec->input)) return -1;
    if (!Py_IS_TYPE(name, &PyUnicode_Type) || PyDict_Contains(self->field_indices, name)) {
        PyErr_Format(PyExc_ValueError, "field %zd: its name is not text, or another field has it", i);
        return -1;
    }
    if (spec->input >= 0) {
        uint32_t input = (uint32_t)spec->input;
        if (input >= self->plan.inputs || type != self->plan.input[input].type || is_fed[input]) {
            PyErr_Format(PyExc_ValueError,
                         "field %zd is no input of the plan, has another type there, or is not the only one", i);
            return -1;
        }
        is_fed[input] = 1;
    }
    spec->type = type < FF_TYPES ? type : UNSUPPORTED;
    if (closed != Py_None && spec->type != UNSUPPORTED) {
        if (!is_closed_set(closed)) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_TypeError, "field %zd: expected a frozenset of texts, numbers or booleans", i);
            return -1;
        }
        Py_INCREF(closed);
        spec->closed = closed;
    }
    Py_INCREF(name);
    PyUnicode_InternInPlace(&name);
    spec->name = name;
    index = PyLong_FromSsize_t(i);
    failed = !index || PyDict_SetItem(self->field_indices, name, index) < 0;
    Py_XDECREF(index);
    return failed ? -1 : 0;
}

/* Set all fields, and check that each input of the plan has one. */
static int init_fields(evaluator *self, PyObject *fields) {
    uint8_t *is_fed = (uint8_t *)calloc(self->plan.inputs + (size_t)1, 1);
    Py_ssize_t count = PyTuple_Size(fields), i;
    uint32_t input;
    int failed;
    self->field = (field_spec *)calloc((size_t)count + 1, sizeof *self->field);
    self->field_indices = PyDict_New();
    failed = !is_fed || !self->field || !self->field_indices;
    if (failed && !PyErr_Occurred()) PyErr_NoMemory();
    if (!failed) self->fields = count;
    for (i = 0; !failed && i < count; i++) failed = init_field(self, i, PyTuple_GetItem(fields, i), is_fed) < 0;
    for (input = 0; !failed && input < self->plan.inputs; input++) {
        if (is_fed[input]) continue;
        PyErr_Format(PyExc_ValueError, "input %u of the plan has no field", (unsigned int)input);
        failed = 1;
    }
    free(is_fed);
    return failed ? -1 : 0;
}

/* Make the names of the outputs. */
static int init_outputs(evaluator *self) {
    uint32_t o;
    self->output = (PyObject **)calloc(self->plan.outputs, sizeof *self->output);
    self->string = (PyObject **)calloc(self->plan.strings + (size_t)1, sizeof *self->string);
    if (!self->output || !self->string) { PyErr_NoMemory(); return -1; }
    for (o = 0; o < self->plan.outputs; o++) {
        self->output[o] = get_string(self, self->plan.output[o].name);
        if (!self->output[o]) return -1;
        PyUnicode_InternInPlace(&self->output[o]);
    }
    return 0;
}

/* Compute the layout of the memory in which a single row is answered. */
static void lay_out_row_memory(evaluator *self) {
    size_t results = 0;
    uint32_t o;
    for (o = 0; o < self->plan.outputs; o++) results += 8 * port_width(self->plan.output + o);
    self->at_columns = round_up((size_t)self->fields * sizeof(field_value));
    self->at_results = self->at_columns + round_up(self->plan.inputs * sizeof(ff_column));
    self->at_values = self->at_results + round_up(self->plan.outputs * sizeof(void *));
    self->at_scratch = self->at_values + round_up(results);
    self->row_bytes = self->at_scratch + ff_scratch(&self->plan, 1);
}

/* Open and prepare the plan. */
static int init_evaluator(evaluator *self, PyObject *bytes, PyObject *fields, Py_ssize_t budget) {
    char *plan = PyBytes_AsString(bytes);
    Py_ssize_t size = PyBytes_Size(bytes);
    int status;
    Py_INCREF(bytes);
    self->bytes = bytes;
    if ((uintptr_t)plan % 8) { /* no known Python: the content of bytes is aligned */
        char *copy = (char *)allocate(self, (size_t)size);
        if (!copy) { PyErr_NoMemory(); return -1; }
        memcpy(copy, plan, (size_t)size);
        plan = copy;
    }
    if (ff_open(&self->plan, plan, (size_t)size)) {
        PyErr_SetString(PyExc_ValueError, self->plan.error);
        return -1;
    }
    self->memory += (size_t)size;
    if (init_fields(self, fields) < 0 || init_outputs(self) < 0) return -1;
    status = ff_prepare(&self->plan, allocate, self, (size_t)(budget < 0 ? 0 : budget));
    if (status) {
        PyErr_SetString(status == -2 ? PyExc_ValueError : PyExc_MemoryError, self->plan.error);
        return -1;
    }
    self->plan.stop = &self->is_stopped;
    lay_out_row_memory(self);
    return 0;
}

static PyObject *evaluator_new(PyTypeObject *type, PyObject *args, PyObject *names) {
    static char *keywords[] = {"plan", "fields", "ignore_extra", "budget", NULL};
    Py_ssize_t budget = 64 << 20;
    PyObject *bytes, *fields;
    int ignore_extra = 0;
    evaluator *self;
    allocfunc tp_alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    if (!PyArg_ParseTupleAndKeywords(args, names, "O!O!|pn", keywords, &PyBytes_Type, &bytes, &PyTuple_Type, &fields,
                                     &ignore_extra, &budget))
        return NULL;
    self = (evaluator *)tp_alloc(type, 0); /* filled with zeros */
    if (!self) return NULL;
    self->ignore_extra = ignore_extra;
    if (init_evaluator(self, bytes, fields, budget) < 0) { Py_DECREF(self); return NULL; }
    return (PyObject *)self;
}

static PyObject *evaluator_stop(PyObject *object, PyObject *unused) {
    (void)unused;
    ((evaluator *)object)->is_stopped = 1;
    Py_RETURN_NONE;
}

static PyObject *evaluator_facts(PyObject *object, PyObject *unused) {
    const evaluator *self = (const evaluator *)object;
    const ff_plan *plan = &self->plan;
    (void)unused;
    return Py_BuildValue("{s:I,s:I,s:I,s:I,s:n,s:K,s:K}", "registers", plan->registers, "codes", plan->codes, "steps",
                         plan->steps, "lanes", plan->lanes, "memory", (Py_ssize_t)self->memory, "row_cost",
                         (unsigned long long)plan->row_cost, "text_cost", (unsigned long long)plan->text_cost);
}

static PyObject *elementary(PyObject *module, PyObject *args) {
    unsigned int function;
    const char *x, *y;
    Py_ssize_t sizes[2], i;
    PyObject *out;
    char *out_bytes;
    (void)module;
    if (!PyArg_ParseTuple(args, "Iy#y#", &function, &x, &sizes[0], &y, &sizes[1])) return NULL;
    if (sizes[0] % 8 || sizes[0] != sizes[1]) {
        PyErr_SetString(PyExc_ValueError, "expected as many float64 x as y");
        return NULL;
    }
    out = PyBytes_FromStringAndSize(NULL, sizes[0]);
    if (!out) return NULL;
    out_bytes = PyBytes_AsString(out);
    for (i = 0; i < sizes[0]; i += 8) {
        double x_value, y_value;
        memcpy(&x_value, x + i, 8);
        memcpy(&y_value, y + i, 8);
        x_value = ff_elementary(function, x_value, y_value);
        memcpy(out_bytes + i, &x_value, 8);
    }
    return out;
}

#define METHOD(function) (PyCFunction)(void (*)(void))(function)

#define ONE_DOC                                                                                                        \
    "one($self, row, /, canonical=False)\n--\n\n"                                                                      \
    "Return the answer for a row as a dict; None if the row is not plain, or has no answer.\n\n"                       \
    "Args:\n"                                                                                                          \
    "    row: a dict. It is plain if the coercion table takes it without a change.\n"                                  \
    "    canonical: whether the row went through that table; then only the fields that the plan uses are read."
#define MANY_DOC                                                                                                       \
    "many($self, rows, /, canonical=False)\n--\n\n"                                                                    \
    "Return the answers for a list of rows; {row: why} if some have no answer; None if a row is not plain.\n\n"        \
    "Raises:\n"                                                                                                        \
    "    TypeError: rows is no list.\n"                                                                                \
    "    OverflowError: a column would have more than 2 GiB of text."
#define COLUMNS_DOC                                                                                                    \
    "columns($self, schema, array, /)\n--\n\n"                                                                         \
    "Return the Arrow buffers of every output; {row: why} if some rows have no answer.\n\n"                            \
    "Args:\n"                                                                                                          \
    "    schema: the capsule of a batch with a column for each field, in the same order and with the same names.\n"    \
    "    array: the capsule of its array, which is consumed.\n\n"                                                      \
    "Returns:\n"                                                                                                       \
    "    For each output (values,), of a tensor the values of its list; of text (offsets, text).\n\n"                  \
    "Raises:\n"                                                                                                        \
    "    ValueError: a column is missing, or has another name or Arrow type than its field.\n"                         \
    "    OverflowError: an output would have more than 2 GiB of labels."
#define EVALUATOR_DOC                                                                                                  \
    "Evaluator(plan, fields, ignore_extra=False, budget=67108864)\n--\n\n"                                             \
    "Hold an open plan, ready to predict; any number of threads may use it.\n\n"                                       \
    "Args:\n"                                                                                                          \
    "    plan: the bytes of the plan; they are checked before they are used.\n"                                        \
    "    fields: the signature's inputs in order, each (name, type, nullable, closed, input); see _evaluator.pyi.\n"   \
    "    ignore_extra: whether rows may have keys that are no field.\n"                                                \
    "    budget: the bytes that the tables of forests may take.\n\n"                                                   \
    "Raises:\n"                                                                                                        \
    "    ValueError: the bytes are no plan, or the fields do not fit it.\n"                                            \
    "    MemoryError: there is not enough memory."

static PyMethodDef evaluator_methods[] = {
    {"one", METHOD(evaluator_one), METH_FASTCALL | METH_KEYWORDS, ONE_DOC},
    {"many", METHOD(evaluator_many), METH_FASTCALL | METH_KEYWORDS, MANY_DOC},
    {"columns", METHOD(evaluator_columns), METH_FASTCALL, COLUMNS_DOC},
    {"stop", evaluator_stop, METH_NOARGS,
     "stop($self, /)\n--\n\nEnd the calls that run in other threads, and all later ones, with a RuntimeError."},
    {"facts", evaluator_facts, METH_NOARGS,
     "facts($self, /)\n--\n\nReturn the sizes of the prepared plan: registers, codes, words of steps, lanes, bytes of "
     "memory, and what a row and a byte of text may cost."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot evaluator_slots[] = {
    {Py_tp_new, (void *)evaluator_new},
    {Py_tp_dealloc, (void *)evaluator_dealloc},
    {Py_tp_methods, evaluator_methods},
    {Py_tp_doc, (void *)EVALUATOR_DOC},
    {0, NULL},
};

static PyType_Spec evaluator_spec = {
    "fourfold.plan._evaluator.Evaluator", sizeof(evaluator), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    evaluator_slots,
};

static PyMethodDef module_methods[] = {
    {"elementary", elementary, METH_VARARGS,
     "elementary(function, x, y, /)\n--\n\nCompute an elementary function of float64 in bytes; a function of one "
     "number ignores y."},
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
    PyModuleDef_HEAD_INIT, "_evaluator", "The evaluator of plans, in C.", 0, module_methods, module_slots, NULL, NULL,
    NULL,
};

PyMODINIT_FUNC PyInit__evaluator(void) { return PyModuleDef_Init(&module_definition); }
