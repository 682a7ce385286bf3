/* Methods of the Python type: running, and what stops it: breakpoints, watches, the fault or the refused access.
 * How it runs is counter.c; nothing here decides when to stop. */
#include "python_core.h"

#include <pthread.h>

/* counter.c keeps what it needs at every block in fixed places, so one CPU runs at a time; other threads go on with what
 * is no CPU. */
enum { SHORT = 2000 }; /* steps; to let other threads in costs more than a run that is shorter */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

PyObject *core_run(PyObject *self, PyObject *until)
{
    unsigned long long limit = PyLong_AsUnsignedLongLong(until);
    if (PyErr_Occurred())
        return NULL;
    struct core *c = CORE(self);
    uint64_t soon = limit < c->steps + SHORT ? limit : c->steps + SHORT;
    pthread_mutex_lock(&one_at_a_time);
    enum exit_code code = counter_run(c, soon);
    pthread_mutex_unlock(&one_at_a_time);
    if (code == EXIT_ARRIVED && c->steps == soon && soon < limit) {
        Py_BEGIN_ALLOW_THREADS
        pthread_mutex_lock(&one_at_a_time);
        code = counter_run(c, limit);
        pthread_mutex_unlock(&one_at_a_time);
        Py_END_ALLOW_THREADS
    }
    return PyLong_FromLong(code);
}

PyObject *core_step(PyObject *self, PyObject *mode)
{
    unsigned long flags = PyLong_AsUnsignedLong(mode);
    if (PyErr_Occurred())
        return NULL;
    pthread_mutex_lock(&one_at_a_time);
    enum exit_code code = counter_step(CORE(self), (unsigned)flags);
    pthread_mutex_unlock(&one_at_a_time);
    return PyLong_FromLong(code);
}

/* ------------------------------------------------------------------ what stops it */

/* Linear addresses at which `run` stops. */
PyObject *core_set_breakpoints(PyObject *self, PyObject *addresses)
{
    struct core *c = CORE(self);
    PyObject *tuple = PySequence_Tuple(addresses);
    if (!tuple)
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    uint32_t *fresh = calloc((size_t)count + 1, sizeof *fresh);
    if (!fresh)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count && !PyErr_Occurred(); i++)
        fresh[i] = (uint32_t)PyLong_AsUnsignedLong(PyTuple_GET_ITEM(tuple, i));
    Py_DECREF(tuple);
    if (PyErr_Occurred()) {
        free(fresh);
        return NULL;
    }
    free((void *)c->breakpoints);
    c->breakpoints = fresh;
    c->nbreakpoints = (uint32_t)count;
    c->broke_at = UINT64_MAX;
    counter_flush_code(c); /* which block holds one is found out when it is translated */
    Py_RETURN_NONE;
}

static bool parse_watch(PyObject *item, struct watch *watch)
{
    unsigned long long start, end;
    int physical, loads, stores;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a watch is a tuple (start, end, physical, loads, stores)");
        return false;
    }
    if (!PyArg_ParseTuple(item, "KKppp", &start, &end, &physical, &loads, &stores))
        return false;
    *watch = (struct watch){start, end, physical, loads, stores};
    return true;
}

/* Bytes that `run` stops behind an access to: (start, end, physical, loads, stores) each. */
PyObject *core_set_watches(PyObject *self, PyObject *watches)
{
    struct core *c = CORE(self);
    PyObject *tuple = PySequence_Tuple(watches);
    if (!tuple)
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    struct watch *fresh = NULL;
    if (count > MOST_WATCHES)
        PyErr_Format(PyExc_ValueError, "at most %d watches", MOST_WATCHES);
    else if (!(fresh = calloc((size_t)count + 1, sizeof *fresh)))
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; fresh && i < count; i++)
        if (!parse_watch(PyTuple_GET_ITEM(tuple, i), &fresh[i]))
            break;
    Py_DECREF(tuple);
    if (PyErr_Occurred()) {
        free(fresh);
        return NULL;
    }
    free(c->watches);
    c->watches = fresh;
    c->nwatches = (uint32_t)count;
    c->touch = (struct touch){0};
    mmu_flush(c); /* pages with something watched must leave the TLB */
    Py_RETURN_NONE;
}

PyObject *core_flush_code(PyObject *self, PyObject *Py_UNUSED(none))
{
    counter_flush_code(CORE(self));
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ what it stopped for */

PyObject *core_take_touch(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct touch touch = CORE(self)->touch;
    CORE(self)->touch = (struct touch){0};
    if (!touch.is)
        Py_RETURN_NONE;
    return Py_BuildValue("(INIKK)", touch.address, PyBool_FromLong(touch.store), touch.eip,
                         (unsigned long long)touch.near, (unsigned long long)touch.changed);
}

PyObject *get_fault(PyObject *self, void *Py_UNUSED(closure))
{
    struct core *c = CORE(self);
    return Py_BuildValue("iiI", c->vector, c->has_error ? c->error : -1, c->address);
}

PyObject *get_mmio_store(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(CORE(self)->refusal.access == UC_MEM_WRITE);
}
