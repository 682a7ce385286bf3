/* Methods of the Python type: what answers.c needs to be told, and the events of what it has answered. The order of an
 * event's columns is that of model.events. */
#include "python_core.h"

enum { IF_NUMBER = 9, HOW_CALL = 0x100 /* machine.calls.HOW_CALL */ };

static bool parse_call(PyObject *item, struct answerable *calls)
{
    unsigned unified, how, segments, results;
    if (!PyArg_ParseTuple(item, "IIII", &unified, &how, &segments, &results))
        return false;
    if (unified >= CALLS) {
        PyErr_Format(PyExc_ValueError, "%u is no unified number of a call", unified);
        return false;
    }
    calls[unified] = (struct answerable){(uint8_t)how, (uint8_t)segments, (uint8_t)results};
    return true;
}

PyObject *core_answer_calls(PyObject *self, PyObject *calls)
{
    PyObject *tuple = PySequence_Tuple(calls);
    if (!tuple)
        return NULL;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple) && !PyErr_Occurred(); i++)
        parse_call(PyTuple_GET_ITEM(tuple, i), CORE(self)->answering.call);
    Py_DECREF(tuple);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

PyObject *core_answer(PyObject *self, PyObject *args)
{
    struct answering *a = &CORE(self)->answering;
    int on, vif, pending;
    unsigned long long hole, ticks, tsc, start, stolen;
    unsigned char viopl;
    if (!PyArg_ParseTuple(args, "pppbKKKKK", &on, &vif, &pending, &viopl, &hole, &ticks, &tsc, &start, &stolen))
        return NULL;
    a->on = on;
    a->vif = vif;
    a->pending = pending;
    a->viopl = viopl;
    a->hole = hole;
    a->ticks = ticks;
    a->tsc = tsc;
    a->start = start;
    a->stolen = stolen;
    Py_RETURN_NONE;
}

PyObject *get_answered(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(CORE(self)->answering.count);
}

PyObject *get_vif(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(CORE(self)->answering.vif);
}

int set_vif(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    unsigned long long vif;
    if (!property_value(value, &vif))
        return -1;
    CORE(self)->answering.vif = vif;
    return 0;
}

/* ------------------------------------------------------------------ events */

/* Also releases `event`. */
static bool append(PyObject *events, PyObject *event)
{
    bool done = event && PyList_Append(events, event) == 0;
    Py_XDECREF(event);
    return done;
}

/* No stack words, and nothing behind the last column that has a value. */
static PyObject *call_columns(const struct answer *a)
{
    if (!a->results)
        return Py_BuildValue("(IIII)", a->unified, a->eax, a->edx, a->ecx);
    unsigned long long result = a->results == 2 ? a->result : (uint32_t)a->result;
    return Py_BuildValue("(IIIIOK)", a->unified, a->eax, a->edx, a->ecx, Py_None, result);
}

static uint64_t flags_of(const struct answer *a, uint8_t viopl)
{
    return a->eflags | (uint64_t)a->vif << 32 | (uint64_t)viopl << 33 | (uint64_t)a->cpl << 35;
}

/* The call, and the change of virtual IF if there was one. `number`: of the call's event. */
static bool append_answer(PyObject *events, const struct answer *a, uint8_t viopl, unsigned long long number,
                          PyObject *call, PyObject *flag)
{
    unsigned long long step = a->step, flags = flags_of(a, viopl);
    int real = a->eflags >> IF_NUMBER & 1;
    if (!append(events, Py_BuildValue("(KOIKNO)", step, call, a->site, flags, call_columns(a), Py_None)))
        return false;
    return a->vif == a->vif_before ||
           append(events, Py_BuildValue("(KOIK(iiiiii)K)", step, flag, a->site, flags, IF_NUMBER, a->vif_before, a->vif,
                                        real, real, HOW_CALL | a->unified, number));
}

/* The events of all answers, as tuples with the fields of model.events.Event; the first one's number is `number`. */
PyObject *core_take_answers(PyObject *self, PyObject *args)
{
    struct answering *a = &CORE(self)->answering;
    unsigned long long number;
    PyObject *call, *flag, *events;
    if (!PyArg_ParseTuple(args, "KOO", &number, &call, &flag) || !(events = PyList_New(0)))
        return NULL;
    for (uint32_t i = 0; events && i < a->count; i++) {
        unsigned long long here = number + (unsigned long long)PyList_GET_SIZE(events);
        if (!append_answer(events, &a->ring[i], a->viopl, here, call, flag))
            Py_CLEAR(events);
    }
    if (events)
        a->count = 0;
    return events;
}
