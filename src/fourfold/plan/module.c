/* The evaluator in Python: `fourfold.plan._evaluator`, with the stable ABI of Python 3.11.
 *
 * Rows come as dicts, or as columns by the Arrow C data interface; nothing here imports NumPy or pyarrow. What is not
 * plain (a value that needs coercion, an unknown key, a row that has no answer) is left to the caller: `one` and `many`
 * then give None, so that there is one place only that explains errors.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator.h"

#define UNKNOWN 255u /* the type of a field that a plan cannot take: no row of it is plain */

typedef struct {
    PyObject *name;   /* str */
    PyObject *closed; /* frozenset of the only texts there may be, or NULL */
    uint32_t type;    /* ff_type or UNKNOWN */
    int nullable;
    int32_t input;    /* of the plan; -1 where it is not used */
} field;

typedef struct block {
    struct block *next;
    void *raw;
} block;

typedef struct {
    PyObject_HEAD
    ff_plan plan;
    block *blocks;       /* what ff_prepare asked for, and the plan itself */
    size_t memory;
    Py_ssize_t fields;
    field *field;
    PyObject **output;   /* names */
    PyObject **labels;   /* a tuple of Python values, or NULL */
    int ignore_extra;
    void *scratch;       /* for one row; whoever uses it holds the GIL */
    size_t cell_size;
    union cell *cell;    /* a value for each input of one row */
    ff_column *column;
    double *result;      /* of one row */
    void **results;
} evaluator;

typedef union cell {
    double f64; float f32; int64_t i64; uint64_t u64; int32_t i32; uint32_t u32; int16_t i16; uint16_t u16; int8_t i8;
    uint8_t u8;
    int32_t offset[2];
} cell;

static const uint8_t is_there = 1, is_missing = 0;
static const size_t size_of[FF_TYPES] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 4};

/* --- memory ------------------------------------------------------------------------------------------------------ */

static void *aligned(size_t bytes, void **raw) {
    *raw = malloc(bytes + 64);
    return *raw ? (void *)(((uintptr_t)*raw + 63) & ~(uintptr_t)63) : NULL;
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

/* --- one value --------------------------------------------------------------------------------------------------- */

/* Puts a plain value into a cell. Returns 1 if it is there, 2 if it is missing, 0 if it is not plain. Which values are
 * plain follows the coercion table (docs/spec/coercion.md): none of these would be changed or refused by it. */
static int plain(const field *each, PyObject *value, cell *to, const char **text) {
    int overflow;
    long long whole;
    if (value == NULL || value == Py_None) return each->nullable ? 2 : 0;
    switch (each->type) {
    case FF_FLOAT64:
    case FF_FLOAT32: {
        double number;
        if (Py_IS_TYPE(value, &PyFloat_Type)) number = PyFloat_AsDouble(value);
        else if (Py_IS_TYPE(value, &PyLong_Type)) {
            whole = PyLong_AsLongLongAndOverflow(value, &overflow);
            if (overflow || whole > (1LL << 53) || whole < -(1LL << 53)) return 0;
            number = (double)whole;
        } else return 0;
        if (each->type == FF_FLOAT64) { to->f64 = number; return 1; }
        to->f32 = (float)number;
        return (number - number != 0) || (to->f32 - to->f32 == 0); /* a finite number must stay one */
    }
    case FF_STRING: {
        Py_ssize_t length;
        if (!Py_IS_TYPE(value, &PyUnicode_Type)) return 0;
        if (each->closed) {
            int known = PySet_Contains(each->closed, value);
            if (known <= 0) { PyErr_Clear(); return 0; }
        }
        *text = PyUnicode_AsUTF8AndSize(value, &length);
        if (!*text) { PyErr_Clear(); return 0; } /* a lone surrogate */
        if (length > INT32_MAX) return 0;
        to->offset[0] = 0;
        to->offset[1] = (int32_t)length;
        return 1;
    }
    case FF_BOOL:
        if (value != Py_True && value != Py_False) return 0;
        to->u8 = value == Py_True;
        return 1;
    case UNKNOWN: return 0;
    default: break;
    }
    if (!Py_IS_TYPE(value, &PyLong_Type)) return 0;
    whole = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow) return 0; /* of uint64 the upper half is not plain: rare, and coerced all the same */
    switch (each->type) {
    case FF_INT8: to->i8 = (int8_t)whole; return whole >= INT8_MIN && whole <= INT8_MAX;
    case FF_INT16: to->i16 = (int16_t)whole; return whole >= INT16_MIN && whole <= INT16_MAX;
    case FF_INT32: to->i32 = (int32_t)whole; return whole >= INT32_MIN && whole <= INT32_MAX;
    case FF_INT64: to->i64 = whole; return 1;
    case FF_UINT8: to->u8 = (uint8_t)whole; return whole >= 0 && whole <= UINT8_MAX;
    case FF_UINT16: to->u16 = (uint16_t)whole; return whole >= 0 && whole <= UINT16_MAX;
    case FF_UINT32: to->u32 = (uint32_t)whole; return whole >= 0 && whole <= UINT32_MAX;
    default: to->u64 = (uint64_t)whole; return whole >= 0;
    }
}

/* --- answers as Python values ------------------------------------------------------------------------------------ */

static PyObject *answer_value(const evaluator *self, uint32_t o, const void *result, Py_ssize_t row) {
    const ff_port *port = self->plan.output + o;
    uint32_t k;
    PyObject *list;
    if (!port->width && port->type == FF_STRING) {
        PyObject *label = PyTuple_GetItem(self->labels[o], (Py_ssize_t)((const int32_t *)result)[row]);
        Py_XINCREF(label);
        return label;
    }
    switch (port->type) {
    case FF_BOOL: return PyBool_FromLong(((const uint8_t *)result)[row]);
    case FF_INT8: return PyLong_FromLong(((const int8_t *)result)[row]);
    case FF_INT16: return PyLong_FromLong(((const int16_t *)result)[row]);
    case FF_INT32: return PyLong_FromLong(((const int32_t *)result)[row]);
    case FF_INT64: return PyLong_FromLongLong(((const int64_t *)result)[row]);
    case FF_UINT8: return PyLong_FromLong(((const uint8_t *)result)[row]);
    case FF_UINT16: return PyLong_FromLong(((const uint16_t *)result)[row]);
    case FF_UINT32: return PyLong_FromUnsignedLong(((const uint32_t *)result)[row]);
    case FF_UINT64: return PyLong_FromUnsignedLongLong(((const uint64_t *)result)[row]);
    default: break;
    }
    if (!port->width || !port->labels) { /* a number, and no tensor of one */
        return PyFloat_FromDouble(port->type == FF_FLOAT32 ? (double)((const float *)result)[row] : ((const double *)result)[row]);
    }
    list = PyList_New((Py_ssize_t)port->width);
    for (k = 0; list && k < port->width; k++) {
        size_t at = (size_t)row * port->width + k;
        PyObject *value = PyFloat_FromDouble(port->type == FF_FLOAT32 ? (double)((const float *)result)[at] : ((const double *)result)[at]);
        if (!value || PyList_SetItem(list, (Py_ssize_t)k, value) < 0) { Py_DECREF(list); return NULL; }
    }
    return list;
}

static PyObject *answer_row(const evaluator *self, void *const *results, Py_ssize_t row) {
    PyObject *out = PyDict_New();
    uint32_t o;
    for (o = 0; out && o < self->plan.outputs; o++) {
        PyObject *value = answer_value(self, o, results[o], row);
        if (!value || PyDict_SetItem(out, self->output[o], value) < 0) { Py_XDECREF(value); Py_DECREF(out); return NULL; }
        Py_DECREF(value);
    }
    return out;
}

/* --- one row, many rows ------------------------------------------------------------------------------------------ */

static PyObject *evaluator_one(PyObject *object, PyObject *row) {
    evaluator *self = (evaluator *)object;
    Py_ssize_t i, met = 0;
    uint32_t refused = 0;
    if (!Py_IS_TYPE(row, &PyDict_Type)) Py_RETURN_NONE;
    for (i = 0; i < self->fields; i++) {
        const field *each = self->field + i;
        cell unused, *to = each->input < 0 ? &unused : self->cell + each->input;
        const char *text = NULL;
        PyObject *value = PyDict_GetItemWithError(row, each->name);
        int found;
        if (!value && PyErr_Occurred()) return NULL;
        met += value != NULL;
        found = plain(each, value, to, &text);
        if (!found) Py_RETURN_NONE;
        if (each->input < 0) continue;
        self->column[each->input].text = text;
        self->column[each->input].present = found == 1 ? &is_there : &is_missing;
        if (found == 2) memset(to, 0, sizeof *to);
    }
    if (!self->ignore_extra && PyDict_Size(row) != met) Py_RETURN_NONE;
    if (ff_predict(&self->plan, self->column, self->results, 1, &refused, self->scratch)) Py_RETURN_NONE;
    return answer_row(self, self->results, 0);
}

/* Columns built of rows. */
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

static int add_cell(built *to, uint32_t type, Py_ssize_t row, int found, const cell *value, const char *text) {
    if (found == 1) to->present[row >> 3] |= (uint8_t)(1 << (row & 7));
    if (type == FF_STRING) {
        size_t length = found == 1 ? (size_t)value->offset[1] : 0;
        if (to->used + length > to->room) {
            size_t room = (to->used + length) * 2 + 64;
            char *grown = (char *)realloc(to->text, room);
            if (!grown) return -1;
            to->text = grown;
            to->room = room;
        }
        if (to->used + length > INT32_MAX) return -1;
        if (length) memcpy(to->text + to->used, text, length);
        to->used += length;
        ((int32_t *)(void *)to->values)[row + 1] = (int32_t)to->used;
    } else if (type == FF_BOOL) {
        if (found == 1 && value->u8) to->values[row >> 3] |= (uint8_t)(1 << (row & 7));
    } else if (found == 1) memcpy(to->values + (size_t)row * size_of[type], value, size_of[type]);
    return 0;
}

/* 1: all rows are plain and in the columns; 0: one is not; -1: no memory, or an exception. */
static int build(evaluator *self, PyObject *rows, Py_ssize_t count, built *all) {
    uint32_t i;
    Py_ssize_t row, f;
    for (i = 0; i < self->plan.inputs; i++) {
        all[i].values = (uint8_t *)calloc((size_t)count + 1, size_of[self->plan.input[i].type]);
        all[i].present = (uint8_t *)calloc((size_t)count / 8 + 1, 1);
        if (!all[i].values || !all[i].present) return -1;
    }
    for (row = 0; row < count; row++) {
        PyObject *each = PyList_GetItem(rows, row);
        Py_ssize_t met = 0;
        if (!each) return -1;
        if (!Py_IS_TYPE(each, &PyDict_Type)) return 0;
        for (f = 0; f < self->fields; f++) {
            const field *of = self->field + f;
            cell value;
            const char *text = NULL;
            PyObject *item = PyDict_GetItemWithError(each, of->name);
            int found;
            if (!item && PyErr_Occurred()) return -1;
            met += item != NULL;
            found = plain(of, item, &value, &text);
            if (!found) return 0;
            if (of->input >= 0 && add_cell(all + of->input, of->type, row, found, &value, text) < 0) return -1;
        }
        if (!self->ignore_extra && PyDict_Size(each) != met) return 0;
    }
    return 1;
}

/* A call's own memory: results, refusals and scratch. */
typedef struct {
    void *raw[2];
    void **results;
    uint32_t *refused;
    void *scratch;
} call;

static void end_call(const evaluator *self, call *each) {
    uint32_t o;
    for (o = 0; each->results && o < self->plan.outputs; o++) free(each->results[o]);
    free(each->results);
    free(each->refused);
    free(each->raw[0]);
}

static int begin_call(const evaluator *self, call *each, Py_ssize_t rows) {
    uint32_t o;
    memset(each, 0, sizeof *each);
    each->results = (void **)calloc(self->plan.outputs, sizeof *each->results);
    each->refused = (uint32_t *)malloc(((size_t)rows + 1) * sizeof *each->refused);
    each->scratch = aligned(ff_scratch(&self->plan, rows), &each->raw[0]);
    if (!each->results || !each->refused || !each->scratch) return -1;
    for (o = 0; o < self->plan.outputs; o++) {
        const ff_port *port = self->plan.output + o;
        each->results[o] = malloc(((size_t)rows + 1) * (port->width ? port->width : 1) * size_of[port->type]);
        if (!each->results[o]) return -1;
    }
    return 0;
}

static PyObject *refusals(const evaluator *self, const call *each, Py_ssize_t rows) {
    PyObject *out = PyDict_New();
    Py_ssize_t row;
    for (row = 0; out && row < rows; row++) {
        PyObject *key, *value;
        size_t length;
        const char *text;
        int failed;
        if (!each->refused[row]) continue;
        text = ff_string(&self->plan, each->refused[row] - 1, &length);
        key = PyLong_FromSsize_t(row);
        value = PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "replace");
        failed = !key || !value || PyDict_SetItem(out, key, value) < 0;
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (failed) { Py_DECREF(out); return NULL; }
    }
    return out;
}

static int64_t run(const evaluator *self, const ff_column *columns, const call *each, Py_ssize_t rows) {
    int64_t without;
    if (rows < 16) return ff_predict(&self->plan, columns, each->results, rows, each->refused, each->scratch);
    Py_BEGIN_ALLOW_THREADS
    without = ff_predict(&self->plan, columns, each->results, rows, each->refused, each->scratch);
    Py_END_ALLOW_THREADS
    return without;
}

static PyObject *evaluator_many(PyObject *object, PyObject *rows) {
    evaluator *self = (evaluator *)object;
    Py_ssize_t count, row;
    uint32_t i;
    built *all;
    ff_column *columns;
    call mine;
    PyObject *out = NULL;
    int state;
    if (!Py_IS_TYPE(rows, &PyList_Type)) { PyErr_SetString(PyExc_TypeError, "expected a list of rows"); return NULL; }
    count = PyList_Size(rows);
    all = (built *)calloc(self->plan.inputs + 1u, sizeof *all);
    columns = (ff_column *)calloc(self->plan.inputs + 1u, sizeof *columns);
    memset(&mine, 0, sizeof mine);
    state = all && columns ? build(self, rows, count, all) : -1;
    if (state < 0 || (state > 0 && begin_call(self, &mine, count) < 0)) {
        if (!PyErr_Occurred()) PyErr_NoMemory();
    } else if (state == 0) {
        out = Py_None;
        Py_INCREF(out);
    } else {
        int64_t without;
        for (i = 0; i < self->plan.inputs; i++) {
            columns[i].values = all[i].values;
            columns[i].present = all[i].present;
            columns[i].text = all[i].text ? all[i].text : "";
        }
        without = run(self, columns, &mine, count);
        if (without) out = refusals(self, &mine, count);
        else {
            out = PyList_New(count);
            for (row = 0; out && row < count; row++) {
                PyObject *each = answer_row(self, mine.results, row);
                if (!each || PyList_SetItem(out, row, each) < 0) { Py_DECREF(out); out = NULL; }
            }
        }
    }
    end_call(self, &mine);
    free_built(all, self->plan.inputs);
    free(columns);
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

static int columns_of(const evaluator *self, const struct ArrowSchema *schema, const struct ArrowArray *array, ff_column *columns) {
    Py_ssize_t i;
    if (!schema || !array || strcmp(schema->format, "+s") || schema->n_children != self->fields || array->n_children != self->fields) {
        PyErr_SetString(PyExc_ValueError, "expected a batch with a column for each field");
        return -1;
    }
    for (i = 0; i < self->fields; i++) {
        const field *each = self->field + i;
        const struct ArrowArray *child = array->children[i];
        ff_column *column;
        if (each->input < 0) continue;
        if (strcmp(schema->children[i]->format, format_of[each->type]) || child->dictionary ||
            child->n_buffers != (each->type == FF_STRING ? 3 : 2) || child->length + child->offset < array->length + array->offset) {
            PyErr_Format(PyExc_ValueError, "column %d has another Arrow type than its field", (int)i);
            return -1;
        }
        column = columns + each->input;
        column->first = child->offset + array->offset;
        column->present = child->null_count == 0 ? NULL : (const uint8_t *)child->buffers[0];
        column->values = child->buffers[1];
        column->text = each->type == FF_STRING ? child->buffers[2] : NULL;
    }
    return 0;
}

/* Arrow's buffers of one output: (values,), or (offsets, text) of strings. */
static PyObject *output_buffers(const evaluator *self, uint32_t o, const void *result, Py_ssize_t rows) {
    const ff_port *port = self->plan.output + o;
    Py_ssize_t row;
    if (port->width || (port->type != FF_STRING && port->type != FF_BOOL)) {
        Py_ssize_t size = rows * (Py_ssize_t)((port->width ? port->width : 1) * size_of[port->type]);
        return Py_BuildValue("(y#)", (const char *)result, size);
    }
    if (port->type == FF_BOOL) {
        PyObject *bits = PyBytes_FromStringAndSize(NULL, rows / 8 + 1), *out;
        char *to = bits ? PyBytes_AsString(bits) : NULL;
        if (!to) return NULL;
        memset(to, 0, (size_t)rows / 8 + 1);
        for (row = 0; row < rows; row++)
            if (((const uint8_t *)result)[row]) to[row >> 3] = (char)((uint8_t)to[row >> 3] | 1u << (row & 7));
        out = Py_BuildValue("(O)", bits);
        Py_DECREF(bits);
        return out;
    } else {
        PyObject *offsets = PyBytes_FromStringAndSize(NULL, (rows + 1) * 4), *text, *out;
        int32_t *to = offsets ? (int32_t *)(void *)PyBytes_AsString(offsets) : NULL;
        char *bytes;
        int64_t total = 0;
        size_t length;
        if (!to) return NULL;
        for (row = 0; row < rows; row++) {
            to[row] = (int32_t)total;
            (void)ff_label(&self->plan, o, ((const int32_t *)result)[row], &length);
            total += (int64_t)length;
            if (total > INT32_MAX) { Py_DECREF(offsets); PyErr_SetString(PyExc_OverflowError, "labels of more than 2 GiB in one call"); return NULL; }
        }
        to[rows] = (int32_t)total;
        text = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total);
        if (!text) { Py_DECREF(offsets); return NULL; }
        bytes = PyBytes_AsString(text);
        for (row = 0; row < rows; row++) {
            const char *label = ff_label(&self->plan, o, ((const int32_t *)result)[row], &length);
            memcpy(bytes + to[row], label, length);
        }
        out = Py_BuildValue("(OO)", offsets, text);
        Py_DECREF(offsets);
        Py_DECREF(text);
        return out;
    }
}

static PyObject *evaluator_columns(PyObject *object, PyObject *args) {
    evaluator *self = (evaluator *)object;
    PyObject *schema_capsule, *array_capsule, *out = NULL;
    const struct ArrowArray *array;
    ff_column *columns;
    call mine;
    uint32_t o;
    if (!PyArg_ParseTuple(args, "OO", &schema_capsule, &array_capsule)) return NULL;
    array = (const struct ArrowArray *)PyCapsule_GetPointer(array_capsule, "arrow_array");
    if (!array) return NULL;
    columns = (ff_column *)calloc(self->plan.inputs + 1u, sizeof *columns);
    memset(&mine, 0, sizeof mine);
    if (!columns) return PyErr_NoMemory();
    if (columns_of(self, (const struct ArrowSchema *)PyCapsule_GetPointer(schema_capsule, "arrow_schema"), array, columns) == 0) {
        if (begin_call(self, &mine, (Py_ssize_t)array->length) < 0) PyErr_NoMemory();
        else if (run(self, columns, &mine, (Py_ssize_t)array->length)) out = refusals(self, &mine, (Py_ssize_t)array->length);
        else {
            out = PyList_New((Py_ssize_t)self->plan.outputs);
            for (o = 0; out && o < self->plan.outputs; o++) {
                PyObject *buffers = output_buffers(self, o, mine.results[o], (Py_ssize_t)array->length);
                if (!buffers || PyList_SetItem(out, (Py_ssize_t)o, buffers) < 0) { Py_DECREF(out); out = NULL; }
            }
        }
    }
    end_call(self, &mine);
    free(columns);
    return out;
}

/* --- its life ---------------------------------------------------------------------------------------------------- */

static void evaluator_free(PyObject *object) {
    evaluator *self = (evaluator *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    uint32_t o;
    Py_ssize_t i;
    for (i = 0; self->field && i < self->fields; i++) { Py_XDECREF(self->field[i].name); Py_XDECREF(self->field[i].closed); }
    for (o = 0; o < self->plan.outputs; o++) {
        if (self->output) Py_XDECREF(self->output[o]);
        if (self->labels) Py_XDECREF(self->labels[o]);
        if (self->results) free(self->results[o]);
    }
    free(self->field);
    free(self->output);
    free(self->labels);
    free(self->results);
    free(self->cell);
    free(self->column);
    while (self->blocks) {
        block *next = self->blocks->next;
        free(self->blocks->raw);
        free(self->blocks);
        self->blocks = next;
    }
    release(object);
    Py_DECREF(type);
}

static int learn_fields(evaluator *self, PyObject *fields) {
    Py_ssize_t i;
    self->fields = PyTuple_Size(fields);
    self->field = (field *)calloc((size_t)self->fields + 1, sizeof *self->field);
    if (!self->field) { PyErr_NoMemory(); return -1; }
    for (i = 0; i < self->fields; i++) {
        field *each = self->field + i;
        PyObject *name, *closed, *item = PyTuple_GetItem(fields, i);
        unsigned int type;
        int input;
        if (!item || !PyArg_ParseTuple(item, "UIpOi", &name, &type, &each->nullable, &closed, &input)) return -1;
        if (input >= 0 && ((uint32_t)input >= self->plan.inputs || type != self->plan.input[input].type)) {
            PyErr_Format(PyExc_ValueError, "field %d is no input of the plan, or has another type there", (int)i);
            return -1;
        }
        Py_INCREF(name);
        PyUnicode_InternInPlace(&name);
        each->name = name;
        each->type = type < FF_TYPES ? type : UNKNOWN;
        each->input = input;
        if (closed != Py_None) { Py_INCREF(closed); each->closed = closed; }
    }
    return 0;
}

static int learn_outputs(evaluator *self) {
    uint32_t o, code;
    self->output = (PyObject **)calloc(self->plan.outputs, sizeof *self->output);
    self->labels = (PyObject **)calloc(self->plan.outputs, sizeof *self->labels);
    self->results = (void **)calloc(self->plan.outputs, sizeof *self->results);
    if (!self->output || !self->labels || !self->results) { PyErr_NoMemory(); return -1; }
    for (o = 0; o < self->plan.outputs; o++) {
        const ff_port *port = self->plan.output + o;
        size_t length;
        const char *name = ff_string(&self->plan, port->name, &length);
        self->output[o] = PyUnicode_DecodeUTF8(name, (Py_ssize_t)length, "strict");
        self->results[o] = calloc(port->width ? port->width : 1, 8);
        if (!self->output[o] || !self->results[o]) { if (!PyErr_Occurred()) PyErr_NoMemory(); return -1; }
        if (port->width || port->type != FF_STRING) continue;
        self->labels[o] = PyTuple_New((Py_ssize_t)port->count);
        for (code = 0; self->labels[o] && code < port->count; code++) {
            const char *text = ff_label(&self->plan, o, (int32_t)code, &length);
            PyObject *label = PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "strict");
            if (!label || PyTuple_SetItem(self->labels[o], (Py_ssize_t)code, label) < 0) return -1;
        }
        if (!self->labels[o]) return -1;
    }
    return 0;
}

static int learn_one_row(evaluator *self) {
    uint32_t i;
    self->cell = (cell *)calloc(self->plan.inputs + 1u, sizeof *self->cell);
    self->column = (ff_column *)calloc(self->plan.inputs + 1u, sizeof *self->column);
    self->scratch = keep(self, ff_scratch(&self->plan, 1));
    if (!self->cell || !self->column || !self->scratch) { PyErr_NoMemory(); return -1; }
    for (i = 0; i < self->plan.inputs; i++) {
        self->column[i].values = self->cell + i;
        self->column[i].text = "";
        self->column[i].present = &is_missing;
    }
    return 0;
}

static PyObject *evaluator_new(PyTypeObject *type, PyObject *args, PyObject *names) {
    static char *keywords[] = {"plan", "fields", "ignore_extra", "budget", NULL};
    const char *bytes;
    Py_ssize_t size, budget = 64 << 20;
    PyObject *fields;
    int ignore_extra = 0;
    evaluator *self;
    void *copy;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    if (!PyArg_ParseTupleAndKeywords(args, names, "y#O!|pn", keywords, &bytes, &size, &PyTuple_Type, &fields, &ignore_extra, &budget)) return NULL;
    self = (evaluator *)allocate(type, 0);
    if (!self) return NULL;
    self->ignore_extra = ignore_extra;
    copy = keep(self, (size_t)size + 8);
    if (!copy) { Py_DECREF(self); return PyErr_NoMemory(); }
    memcpy(copy, bytes, (size_t)size);
    if (ff_open(&self->plan, copy, (size_t)size)) {
        PyErr_SetString(PyExc_ValueError, self->plan.error);
        self->plan.outputs = 0; /* none was learnt */
        Py_DECREF(self);
        return NULL;
    }
    if (learn_fields(self, fields) < 0 || learn_outputs(self) < 0 || learn_one_row(self) < 0) { Py_DECREF(self); return NULL; }
    if (ff_prepare(&self->plan, keep, self, (size_t)(budget < 0 ? 0 : budget))) {
        PyErr_SetString(PyExc_MemoryError, self->plan.error);
        Py_DECREF(self);
        return NULL;
    }
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
    double *to;
    (void)module;
    if (!PyArg_ParseTuple(args, "Iy#y#", &function, &x, &sizes[0], &y, &sizes[1])) return NULL;
    if (sizes[0] % 8 || sizes[0] != sizes[1]) { PyErr_SetString(PyExc_ValueError, "expected as many float64 x as y"); return NULL; }
    out = PyBytes_FromStringAndSize(NULL, sizes[0]);
    if (!out) return NULL;
    to = (double *)(void *)PyBytes_AsString(out);
    for (i = 0; i < sizes[0] / 8; i++) {
        double one, two;
        memcpy(&one, x + 8 * i, 8);
        memcpy(&two, y + 8 * i, 8);
        to[i] = ff_elementary(function, one, two);
    }
    return out;
}

static PyMethodDef evaluator_methods[] = {
    {"one", evaluator_one, METH_O, "one(row: dict) -> dict | None\n\nThe answer for a row; None where it is not plain, or has no answer."},
    {"many", evaluator_many, METH_O, "many(rows: list) -> list | dict | None\n\nThe answers; {row: why} where some have none; None where a row is not plain."},
    {"columns", evaluator_columns, METH_VARARGS, "columns(arrow_schema, arrow_array) -> list | dict\n\nThe buffers of every output; {row: why} where some rows have no answer."},
    {"facts", evaluator_facts, METH_NOARGS, "facts() -> dict\n\nThe sizes of the plan as it is prepared."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot evaluator_slots[] = {
    {Py_tp_new, (void *)evaluator_new},
    {Py_tp_dealloc, (void *)evaluator_free},
    {Py_tp_methods, evaluator_methods},
    {Py_tp_doc, (void *)"Evaluator(plan, fields, ignore_extra=False, budget=67108864)\n\nAn open plan, ready to answer."},
    {0, NULL},
};

static PyType_Spec evaluator_spec = {"fourfold.plan._evaluator.Evaluator", sizeof(evaluator), 0, Py_TPFLAGS_DEFAULT, evaluator_slots};

static PyMethodDef module_methods[] = {
    {"elementary", elementary, METH_VARARGS, "elementary(function, x, y) -> bytes\n\nAn elementary function of float64 in bytes, for tests."},
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
