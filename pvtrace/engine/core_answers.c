/* Methods of the Python type: what answers need to be told (model.answers), and taking over what was answered. */
#include "python_core.h"

/* Hand each tuple of a sequence to `parse` with its number; false if one was refused, with an exception. The result is
 * how many there were. */
typedef bool parse_item(struct answering *a, PyObject *item, Py_ssize_t number);

static PyObject *each(PyObject *self, PyObject *sequence, Py_ssize_t most, parse_item *parse)
{
    PyObject *tuple = PySequence_Tuple(sequence);
    if (!tuple)
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    bool done = count <= most;
    if (!done)
        PyErr_Format(PyExc_ValueError, "at most %zd can be answered", most);
    for (Py_ssize_t i = 0; done && i < count; i++)
        done = parse(&CORE(self)->answering, PyTuple_GET_ITEM(tuple, i), i);
    Py_DECREF(tuple);
    return done ? PyLong_FromSsize_t(count) : NULL;
}

static bool count_into(uint32_t *count, PyObject *counted)
{
    *count = counted ? (uint32_t)PyLong_AsUnsignedLong(counted) : 0;
    Py_XDECREF(counted);
    return counted;
}

static bool parse_call(struct answering *a, PyObject *item, Py_ssize_t Py_UNUSED(number))
{
    unsigned unified, how, segments, results, words, entry;
    int told;
    if (!PyArg_ParseTuple(item, "IIIIIIp", &unified, &how, &segments, &results, &words, &entry, &told))
        return false;
    if (unified >= CALLS) {
        PyErr_Format(PyExc_ValueError, "%u is no unified number of a call", unified);
        return false;
    }
    a->call[unified] = (struct answerable){(uint8_t)how, (uint8_t)segments, (uint8_t)results, (uint8_t)words,
                                           (uint16_t)entry, told};
    return true;
}

PyObject *core_answer_calls(PyObject *self, PyObject *calls)
{
    uint32_t count;
    if (!count_into(&count, each(self, calls, CALLS, parse_call)))
        return NULL;
    Py_RETURN_NONE;
}

static bool parse_leaf(struct answering *a, PyObject *item, Py_ssize_t number)
{
    struct leaf *l = &a->leaf[number];
    return PyArg_ParseTuple(item, "IIIII", &l->leaf, &l->eax, &l->ebx, &l->ecx, &l->edx);
}

PyObject *core_answer_leaves(PyObject *self, PyObject *leaves)
{
    if (!count_into(&CORE(self)->answering.leaves, each(self, leaves, LEAVES, parse_leaf)))
        return NULL;
    Py_RETURN_NONE;
}

static bool parse_steady(struct answering *a, PyObject *item, Py_ssize_t number)
{
    return PyArg_ParseTuple(item, "HB", &a->steady[number].port, &a->steady[number].value);
}

static bool parse_settled(struct answering *a, PyObject *item, Py_ssize_t number)
{
    return PyArg_ParseTuple(item, "HB", &a->settled[number].port, &a->settled[number].value);
}

static bool parse_held(struct answering *a, PyObject *item, Py_ssize_t number)
{
    struct held *h = &a->held[number];
    return PyArg_ParseTuple(item, "HBB", &h->port, &h->value, &h->keeps);
}

static bool parse_quiet(struct answering *a, PyObject *item, Py_ssize_t number)
{
    struct quiet *q = &a->quiet[number];
    return PyArg_ParseTuple(item, "HBII", &q->port, &q->width, &q->mask, &q->match);
}

PyObject *core_answer_ports(PyObject *self, PyObject *args)
{
    struct answering *a = &CORE(self)->answering;
    PyObject *steady, *settled, *held, *quiet;
    int port;
    unsigned room;
    if (!PyArg_ParseTuple(args, "OOiIOO", &steady, &settled, &port, &room, &held, &quiet))
        return NULL;
    a->post_port = port;
    a->post_room = room < POSTED ? room : POSTED;
    if (!count_into(&a->nsteady, each(self, steady, STEADY, parse_steady)) ||
        !count_into(&a->nsettled, each(self, settled, STEADY, parse_settled)) ||
        !count_into(&a->nheld, each(self, held, HELD, parse_held)) ||
        !count_into(&a->nquiet, each(self, quiet, QUIET, parse_quiet)))
        return NULL;
    Py_RETURN_NONE;
}

/* The frames that are announced as page tables, as (frame, types), and those that were told of. */
PyObject *core_answer_pages(PyObject *self, PyObject *args)
{
    struct core *c = CORE(self);
    struct answering *a = &c->answering;
    PyObject *announced, *told;
    if (!PyArg_ParseTuple(args, "O!O!", &PyTuple_Type, &announced, &PyTuple_Type, &told))
        return NULL;
    uint64_t frames = c->ram_size / PAGE;
    while (a->nannounced)
        a->announced[a->announced_frames[--a->nannounced]] = 0;
    Py_ssize_t count = PyTuple_GET_SIZE(announced), all = count + PyTuple_GET_SIZE(told);
    for (Py_ssize_t i = 0; i < all; i++) {
        unsigned long long frame, types = TYPE_TOLD;
        PyObject *item = i < count ? PyTuple_GET_ITEM(announced, i) : PyTuple_GET_ITEM(told, i - count);
        if (i >= count)
            frame = PyLong_AsUnsignedLongLong(item);
        else if (!PyArg_ParseTuple(item, "KK", &frame, &types))
            return NULL;
        if (PyErr_Occurred())
            return NULL;
        if (frame >= frames || a->announced[frame])
            continue; /* beyond memory: left to Python */
        a->announced[frame] = (uint8_t)types;
        a->announced_frames[a->nannounced++] = (uint32_t)frame;
    }
    Py_RETURN_NONE;
}

/* model.answers.Facts */
PyObject *core_answer(PyObject *self, PyObject *args)
{
    struct answering *a = &CORE(self)->answering;
    int on, all, paravirtual, at_once, inverts, reserves, vif, pending;
    unsigned char viopl, lazy;
    unsigned long long shadow, hole, ticks, tsc, start, stolen;
    PyObject *stack;
    unsigned short sysenter_cs;
    unsigned sysenter_esp, sysenter_eip;
    if (!PyArg_ParseTuple(args, "ppppppppbbKKKKKKO(HII)", &on, &all, &paravirtual, &at_once, &inverts, &reserves, &vif,
                          &pending, &viopl, &lazy, &shadow, &hole, &ticks, &tsc, &start, &stolen, &stack, &sysenter_cs,
                          &sysenter_esp, &sysenter_eip))
        return NULL;
    unsigned ss = 0, esp = 0;
    if (stack != Py_None && !PyArg_ParseTuple(stack, "II", &ss, &esp))
        return NULL;
    a->on = on;
    a->all = all;
    a->paravirtual = paravirtual;
    a->at_once = at_once;
    a->inverts = inverts;
    a->reserves = reserves;
    a->vif = vif;
    a->pending = pending;
    a->viopl = viopl;
    a->lazy = lazy;
    a->shadow = shadow;
    a->hole = hole;
    a->ticks = ticks;
    a->tsc = tsc;
    a->start = start;
    a->stolen = stolen;
    a->has_kernel_stack = stack != Py_None;
    a->kernel_ss = (uint16_t)ss;
    a->kernel_esp = esp;
    a->sysenter_cs = sysenter_cs;
    a->sysenter_esp = sysenter_esp;
    a->sysenter_eip = sysenter_eip;
    Py_RETURN_NONE;
}

/* Entries that no return has ended, the oldest first. */
PyObject *core_answer_entries(PyObject *self, PyObject *entries)
{
    struct events *e = &CORE(self)->events;
    PyObject *tuple = PySequence_Tuple(entries);
    if (!tuple)
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    if (count > OPEN)
        PyErr_Format(PyExc_ValueError, "at most %d entries can be open", OPEN);
    for (Py_ssize_t i = 0; i < count && !PyErr_Occurred(); i++)
        e->open[i] = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(tuple, i));
    Py_DECREF(tuple);
    if (PyErr_Occurred())
        return NULL;
    e->nopen = (uint32_t)count;
    e->opened = false;
    Py_RETURN_NONE;
}

/* Those, or None if they are still what was told last. */
static PyObject *open_entries(const struct events *e)
{
    PyObject *entries = e->opened ? PyTuple_New(e->nopen) : Py_NewRef(Py_None);
    for (uint32_t i = 0; entries && e->opened && i < e->nopen; i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(e->open[i]);
        if (number)
            PyTuple_SET_ITEM(entries, i, number);
        else
            Py_CLEAR(entries);
    }
    return entries;
}

/* What was written to ports held or quiet, as (port, width, value). */
static PyObject *writes(const struct answering *a)
{
    PyObject *all = PyTuple_New(a->nwritten);
    for (uint32_t i = 0; all && i < a->nwritten; i++) {
        const struct written *w = &a->written[i];
        PyObject *one = Py_BuildValue("(HBI)", w->port, w->width, w->value);
        if (one)
            PyTuple_SET_ITEM(all, i, one);
        else
            Py_CLEAR(all);
    }
    return all;
}

PyObject *get_answered(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(CORE(self)->events.count);
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

/* What was done, as model.answers.Taken has it; from here on it is Python's. */
PyObject *core_take_answers(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct answering *a = &CORE(self)->answering;
    struct events *e = &CORE(self)->events;
    PyObject *entries = open_entries(e);
    PyObject *stack = a->has_kernel_stack ? Py_BuildValue("(HI)", a->kernel_ss, a->kernel_esp) : Py_NewRef(Py_None);
    PyObject *written = writes(a);
    if (!entries || !stack || !written) {
        Py_XDECREF(entries);
        Py_XDECREF(stack);
        Py_XDECREF(written);
        return NULL;
    }
    PyObject *taken = Py_BuildValue("(y#IKKNIIKNNy#N)", e->bytes, (Py_ssize_t)e->size, e->count,
                                    (unsigned long long)e->first, (unsigned long long)e->last, PyBool_FromLong(a->vif),
                                    a->viopl, a->lazy, (unsigned long long)a->shadow, stack, entries, a->posted,
                                    (Py_ssize_t)a->nposted, written);
    if (taken) {
        e->size = e->count = a->nposted = a->nwritten = 0;
        e->opened = false;
    }
    return taken;
}
