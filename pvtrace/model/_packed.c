/* Events as bytes, and as the columns of a table, and back (packed.py tells the format).
 *
 * Why in C: every event of a recording is packed, hashed and made a row, and every event of a replay comes back the same
 * way to be compared; in Python that took three times as long as the rest of writing did, and kept the guest waiting.
 * A test holds both directions to a plain description of the format. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

#include "event_format.h"

enum { ROW = 5 + EVENT_ARGUMENTS /* step, kind, pc, flags, arguments, cause */, KINDS = 256 };

static PyObject *event_type;
static PyObject *kinds[KINDS]; /* model.events.Kind by number */

/* ------------------------------------------------------------------ packing */

struct buffer {
    uint8_t *data;
    size_t size, room;
};

/* Where `more` bytes can be put; NULL with an exception if there is no memory. */
static uint8_t *extend(struct buffer *b, size_t more)
{
    if (b->room - b->size < more) {
        size_t room = 2 * b->room + more;
        uint8_t *data = realloc(b->data, room);
        if (!data) {
            PyErr_NoMemory();
            return NULL;
        }
        b->data = data;
        b->room = room;
    }
    uint8_t *at = b->data + b->size;
    b->size += more;
    return at;
}

static PyObject *taken(struct buffer *b, bool done)
{
    PyObject *bytes = done ? PyBytes_FromStringAndSize((char *)b->data, (Py_ssize_t)b->size) : NULL;
    free(b->data);
    return bytes;
}

static bool refuse(const char *why)
{
    if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_OverflowError) || PyErr_ExceptionMatches(PyExc_TypeError))
        PyErr_SetString(PyExc_ValueError, why);
    return false;
}

/* Integers of the machine are 0..2^64-1; as a table has them, in two's complement. */
static bool integer(PyObject *value, bool is_signed, uint64_t *number)
{
    if (is_signed) {
        *number = (uint64_t)PyLong_AsLongLong(value);
    } else {
        int overflow;
        long long small = PyLong_AsLongLongAndOverflow(value, &overflow); /* as a rule it is small, and this faster */
        if (small < 0 && overflow <= 0)
            return refuse("an event's numbers are 0 to 2^64-1");
        *number = overflow ? PyLong_AsUnsignedLongLong(value) : (uint64_t)small;
    }
    return !PyErr_Occurred() || refuse("an event's numbers are integers of 64 bits");
}

static bool pack_argument(struct buffer *b, PyObject *value, bool is_signed)
{
    uint64_t number;
    uint8_t *at;
    if (value == Py_None)
        return (at = extend(b, 1)) && put_nothing(at);
    if (PyLong_Check(value))
        return integer(value, is_signed, &number) && (at = extend(b, EVENT_WORD)) && put_word(at, TAG_INTEGER, number);
    char tag = TAG_BYTES;
    const char *data;
    Py_ssize_t size;
    if (PyBytes_Check(value)) {
        data = PyBytes_AS_STRING(value);
        size = PyBytes_GET_SIZE(value);
    } else if (PyUnicode_Check(value)) {
        tag = TAG_TEXT;
        if (!(data = PyUnicode_AsUTF8AndSize(value, &size)))
            return false;
    } else {
        return refuse("an event's argument is no integer, text or bytes");
    }
    if (!(at = extend(b, EVENT_WORD + (size_t)size)))
        return false;
    put(put_word(at, tag, (uint64_t)size), data, (size_t)size);
    return true;
}

/* `head`: step, kind, pc and flags. What is missing at the end and None are the same. */
static bool pack_event(struct buffer *b, PyObject **head, PyObject **arguments, Py_ssize_t count, PyObject *cause,
                       bool is_signed)
{
    enum { STEP, KIND, PC, FLAGS, NUMBERS };
    uint64_t number[NUMBERS], because = 0;
    for (int i = 0; i < NUMBERS; i++)
        if (!integer(head[i], false, &number[i]))
            return false;
    if (number[KIND] >= KINDS || !kinds[number[KIND]])
        return refuse("an event is of a kind that there is not");
    if (cause != Py_None && (!integer(cause, false, &because) || because > INT64_MAX))
        return refuse("the number of an event is 0 to 2^63-1");
    while (count && arguments[count - 1] == Py_None)
        count--;
    if (count > EVENT_ARGUMENTS)
        return refuse("an event has at most six arguments");
    uint8_t *at = extend(b, EVENT_HEAD);
    if (!at)
        return false;
    put_head(at, number[STEP], (uint16_t)number[KIND], number[PC], number[FLAGS],
             cause == Py_None ? NO_CAUSE : (int64_t)because, (uint8_t)count);
    for (Py_ssize_t i = 0; i < count; i++)
        if (!pack_argument(b, arguments[i], is_signed))
            return false;
    return true;
}

static PyObject *pack(PyObject *Py_UNUSED(self), PyObject *event)
{
    enum { ARGUMENTS = 4, CAUSE, FIELDS };
    struct buffer b = {0};
    if (!PyTuple_Check(event) || PyTuple_GET_SIZE(event) != FIELDS || !PyTuple_Check(PyTuple_GET_ITEM(event, ARGUMENTS))) {
        PyErr_SetString(PyExc_TypeError, "this is no event");
        return NULL;
    }
    PyObject **field = ((PyTupleObject *)event)->ob_item, *arguments = field[ARGUMENTS];
    return taken(&b, pack_event(&b, field, ((PyTupleObject *)arguments)->ob_item, PyTuple_GET_SIZE(arguments),
                                field[CAUSE], false));
}

static PyObject *pack_rows(PyObject *Py_UNUSED(self), PyObject *rows)
{
    struct buffer b = {0};
    if (!PyList_Check(rows)) {
        PyErr_SetString(PyExc_TypeError, "rows come in a list");
        return NULL;
    }
    bool done = true;
    for (Py_ssize_t i = 0; done && i < PyList_GET_SIZE(rows); i++) {
        PyObject *row = PyList_GET_ITEM(rows, i);
        if (!PyTuple_Check(row) || PyTuple_GET_SIZE(row) != ROW) {
            PyErr_SetString(PyExc_TypeError, "this is no row of an event");
            done = false;
        } else {
            PyObject **column = ((PyTupleObject *)row)->ob_item;
            done = pack_event(&b, column, column + 4, EVENT_ARGUMENTS, column[ROW - 1], true);
        }
    }
    return taken(&b, done);
}

/* ------------------------------------------------------------------ reading */

static bool next(struct cursor *c, struct record *r)
{
    return (get_event(c, r) && r->kind < KINDS && kinds[r->kind]) || refuse("these bytes are no events");
}

/* Bytes from `start` on. */
static bool reading(const Py_buffer *view, Py_ssize_t start, struct cursor *c)
{
    if (start < 0 || start > view->len)
        return refuse("the start is not in these bytes");
    *c = (struct cursor){(const uint8_t *)view->buf + start, (const uint8_t *)view->buf + view->len};
    return true;
}

static PyObject *argument(const struct record *r, int i, bool is_signed)
{
    Py_ssize_t size = (Py_ssize_t)r->argument[i].number;
    switch (r->argument[i].tag) {
    case TAG_INTEGER:
        return is_signed ? PyLong_FromLongLong((long long)r->argument[i].number)
                         : PyLong_FromUnsignedLongLong(r->argument[i].number);
    case TAG_TEXT: return PyUnicode_DecodeUTF8(r->argument[i].data, size, NULL);
    case TAG_BYTES: return PyBytes_FromStringAndSize(r->argument[i].data, size);
    default: return Py_NewRef(Py_None);
    }
}

static PyObject *cause_of(const struct record *r)
{
    return r->cause == NO_CAUSE ? Py_NewRef(Py_None) : PyLong_FromLongLong(r->cause);
}

/* Sets the next item of a tuple; false if there is none to set. */
static bool set(PyObject *tuple, Py_ssize_t *at, PyObject *value)
{
    if (value)
        PyTuple_SET_ITEM(tuple, (*at)++, value);
    return value;
}

static PyObject *event_of(const struct record *r)
{
    PyObject *arguments = PyTuple_New(r->count), *fields = NULL, *event = NULL;
    Py_ssize_t at = 0;
    bool done = arguments;
    for (int i = 0; done && i < r->count; i++)
        done = set(arguments, &at, argument(r, i, false));
    if (done)
        fields = Py_BuildValue("((KOKKON))", (unsigned long long)r->step, kinds[r->kind], (unsigned long long)r->pc,
                               (unsigned long long)r->flags, arguments, cause_of(r));
    if (fields)
        event = PyTuple_Type.tp_new((PyTypeObject *)event_type, fields, NULL);
    Py_XDECREF(arguments);
    Py_XDECREF(fields);
    return event;
}

/* Also releases `item`. */
static bool append(PyObject *list, PyObject *item)
{
    bool done = item && PyList_Append(list, item) == 0;
    Py_XDECREF(item);
    return done;
}

static PyObject *unpack(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer view;
    Py_ssize_t start = 0, most = PY_SSIZE_T_MAX;
    if (!PyArg_ParseTuple(args, "y*|nn", &view, &start, &most))
        return NULL;
    struct cursor c = {0};
    struct record r;
    PyObject *events = reading(&view, start, &c) ? PyList_New(0) : NULL;
    while (events && c.at < c.end && PyList_GET_SIZE(events) < most)
        if (!next(&c, &r) || !append(events, event_of(&r)))
            Py_CLEAR(events);
    PyBuffer_Release(&view);
    return events;
}

/* Appends the columns of one event: its number, then those of ROW. */
static bool set_row(PyObject *tuple, Py_ssize_t *at, unsigned long long seq, const struct record *r)
{
    bool done = set(tuple, at, PyLong_FromUnsignedLongLong(seq)) &&
                set(tuple, at, PyLong_FromUnsignedLongLong(r->step)) && set(tuple, at, PyLong_FromLong(r->kind)) &&
                set(tuple, at, PyLong_FromUnsignedLongLong(r->pc)) &&
                set(tuple, at, PyLong_FromUnsignedLongLong(r->flags));
    for (int i = 0; done && i < EVENT_ARGUMENTS; i++)
        done = set(tuple, at, i < r->count ? argument(r, i, true) : Py_NewRef(Py_None));
    return done && set(tuple, at, cause_of(r));
}

static Py_ssize_t count_of(struct cursor c)
{
    Py_ssize_t count = 0;
    for (struct record r; c.at < c.end; count++)
        if (!next(&c, &r))
            return -1;
    return count;
}

static PyObject *rows(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer view;
    Py_ssize_t start, together;
    unsigned long long seq;
    if (!PyArg_ParseTuple(args, "y*nKn", &view, &start, &seq, &together))
        return NULL;
    struct cursor c = {0};
    Py_ssize_t left = -1;
    PyObject *list = NULL;
    if (together < 1)
        PyErr_SetString(PyExc_ValueError, "at least one row belongs together");
    else if (reading(&view, start, &c) && (left = count_of(c)) >= 0)
        list = PyList_New(0);
    for (; list && left >= together; left -= together) {
        Py_ssize_t at = 0;
        PyObject *tuple = PyTuple_New(together * (1 + ROW));
        struct record r;
        bool done = tuple;
        for (Py_ssize_t i = 0; done && i < together; i++)
            done = next(&c, &r) && set_row(tuple, &at, seq++, &r);
        if (!done)
            Py_CLEAR(tuple);
        if (!append(list, tuple))
            Py_CLEAR(list);
    }
    PyBuffer_Release(&view);
    return list;
}

static PyObject *skip(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer view;
    Py_ssize_t start, count;
    if (!PyArg_ParseTuple(args, "y*nn", &view, &start, &count))
        return NULL;
    struct cursor c = {0};
    struct record r;
    bool done = reading(&view, start, &c);
    while (done && c.at < c.end && count-- > 0)
        done = next(&c, &r);
    Py_ssize_t offset = done ? (Py_ssize_t)(c.at - (const uint8_t *)view.buf) : 0;
    PyBuffer_Release(&view);
    return done ? PyLong_FromSsize_t(offset) : NULL;
}

static PyObject *until(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer view;
    unsigned long long step;
    if (!PyArg_ParseTuple(args, "y*K", &view, &step))
        return NULL;
    struct cursor c = {view.buf, (const uint8_t *)view.buf + view.len};
    struct record r;
    Py_ssize_t count = 0, offset = 0;
    bool done = true;
    while (done && c.at < c.end && (done = next(&c, &r)) && r.step <= step) {
        count++;
        offset = (Py_ssize_t)(c.at - (const uint8_t *)view.buf);
    }
    PyBuffer_Release(&view);
    return done ? Py_BuildValue("(nn)", count, offset) : NULL;
}

/* ------------------------------------------------------------------ the module */

static PyMethodDef methods[] = {
    {"pack", pack, METH_O, "pack(event): its bytes"},
    {"pack_rows", pack_rows, METH_O, "pack_rows(rows): the bytes of events by their columns (store.rows.EVENT_COLUMNS)"},
    {"unpack", unpack, METH_VARARGS, "unpack(data, start=0, most=...): the events from that offset on, no more than that"},
    {"rows", rows, METH_VARARGS,
     "rows(data, start, seq, together): the columns of each event from that offset on, before them its number, the first "
     "one's being `seq`; those of so many events in one tuple, without the last ones, too few for one"},
    {"skip", skip, METH_VARARGS, "skip(data, start, count): the offset behind so many events, at most the end"},
    {"until", until, METH_VARARGS,
     "until(data, step): how many events from the start on are of steps up to that one, and the offset behind them"},
    {0},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_packed", .m_size = -1, .m_methods = methods};

/* What is taken from model.events is kept for as long as the process lives. */
static bool learn_events(void)
{
    PyObject *events = PyImport_ImportModule("pvtrace.model.events");
    PyObject *enumeration = events ? PyObject_GetAttrString(events, "Kind") : NULL;
    PyObject *members = enumeration ? PySequence_List(enumeration) : NULL;
    event_type = members ? PyObject_GetAttrString(events, "Event") : NULL;
    bool done = event_type;
    for (Py_ssize_t i = 0; done && i < PyList_GET_SIZE(members); i++) {
        PyObject *kind = PyList_GET_ITEM(members, i);
        unsigned long number = PyLong_AsUnsignedLong(kind);
        done = number < KINDS;
        if (done)
            kinds[number] = Py_NewRef(kind);
        else if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ImportError, "a kind of events has too large a number");
    }
    Py_XDECREF(members);
    Py_XDECREF(enumeration);
    Py_XDECREF(events);
    return done;
}

PyMODINIT_FUNC PyInit__packed(void)
{
    return learn_events() ? PyModule_Create(&definition) : NULL;
}
