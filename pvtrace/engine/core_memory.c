/* Methods of the Python type: memory as the machine around the CPU sees it, by linear or physical address, and what is
 * known of its pages. The walk through the page tables is mmu.c. */
#include "python_core.h"

#include <string.h>

#define ADDRESS_SPACE (1ull << 32)

/* Room for what is read. NULL: there is an exception. */
static PyObject *bytes_of(Py_ssize_t size)
{
    if (size < 0 || (uint64_t)size > ADDRESS_SPACE)
        return PyErr_Format(PyExc_ValueError, "%zd is not a number of bytes from 0 to 4 GiB", size);
    return PyBytes_FromStringAndSize(NULL, size);
}

static uint8_t *content(PyObject *bytes)
{
    return (uint8_t *)PyBytes_AS_STRING(bytes);
}

/* How many of `rest` bytes lie in the page of `linear`. */
static uint32_t part_in_page(uint32_t linear, uint64_t rest)
{
    uint32_t part = PAGE - linear % PAGE;
    return part < rest ? part : (uint32_t)rest;
}

static PyObject *raise_page_fault(uint32_t address, uint32_t error)
{
    PyObject *arguments = Py_BuildValue("II", address, error);
    if (arguments)
        PyErr_SetObject(page_fault, arguments);
    Py_XDECREF(arguments);
    return NULL;
}

/* ------------------------------------------------------------------ physical addresses */

static uint64_t part_in_ram(const struct core *c, uint64_t at, uint64_t size)
{
    uint64_t rest = at < c->ram_size ? c->ram_size - at : 0;
    return rest < size ? rest : size;
}

static void physical_read(struct core *c, uint64_t at, uint8_t *out, uint64_t size)
{
    uint64_t there = part_in_ram(c, at, size);
    memcpy(out, c->ram + (there ? at : 0), there);
    memset(out + there, 0xff, size - there);
}

static void physical_write(struct core *c, uint64_t at, const uint8_t *data, uint64_t size)
{
    uint64_t there = part_in_ram(c, at, size);
    if (!there)
        return;
    memcpy(c->ram + at, data, there);
    mmu_stored(c, at, there);
}

PyObject *core_read_physical(PyObject *self, PyObject *args)
{
    unsigned long long at;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "Kn", &at, &size))
        return NULL;
    PyObject *bytes = bytes_of(size);
    if (bytes)
        physical_read(CORE(self), at, content(bytes), (uint64_t)size);
    return bytes;
}

PyObject *core_write_physical(PyObject *self, PyObject *args)
{
    unsigned long long at;
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "Ky*", &at, &data))
        return NULL;
    physical_write(CORE(self), at, data.buf, (uint64_t)data.len);
    PyBuffer_Release(&data);
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ linear addresses */

PyObject *core_physical(PyObject *self, PyObject *args)
{
    unsigned linear;
    int access = 0, user = 0, mark = 1;
    struct walk w;
    if (!PyArg_ParseTuple(args, "I|ipp", &linear, &access, &user, &mark))
        return NULL;
    if (!mmu_walk(CORE(self), linear, (enum access)access, user, mark ? WALK_MARK : WALK_LOOK, &w))
        return raise_page_fault(linear, w.error);
    return PyLong_FromUnsignedLongLong(w.physical);
}

PyObject *core_read(PyObject *self, PyObject *args)
{
    struct core *c = CORE(self);
    unsigned linear;
    Py_ssize_t size;
    int user = 0;
    if (!PyArg_ParseTuple(args, "In|p", &linear, &size, &user))
        return NULL;
    PyObject *bytes = bytes_of(size);
    for (uint64_t done = 0; bytes && done < (uint64_t)size;) {
        uint32_t at = linear + (uint32_t)done, part = part_in_page(at, (uint64_t)size - done);
        struct walk w;
        if (!mmu_walk(c, at, READ, user, WALK_MARK, &w)) {
            Py_DECREF(bytes);
            return raise_page_fault(at, w.error);
        }
        if (c->nwatches)
            mmu_touched(c, at, w.physical, part, false, NULL);
        physical_read(c, w.physical, content(bytes) + done, part);
        done += part;
    }
    return bytes;
}

/* As much as can be read, and nothing is marked. */
PyObject *core_peek(PyObject *self, PyObject *args)
{
    struct core *c = CORE(self);
    unsigned linear;
    Py_ssize_t size, done = 0;
    if (!PyArg_ParseTuple(args, "In", &linear, &size))
        return NULL;
    PyObject *bytes = bytes_of(size);
    while (bytes && done < size) {
        uint32_t at = linear + (uint32_t)done, part = part_in_page(at, (uint64_t)(size - done));
        struct walk w;
        if (!mmu_walk(c, at, READ, false, WALK_LOOK, &w))
            break;
        physical_read(c, w.physical, content(bytes) + done, part);
        done += part;
    }
    if (bytes && done < size)
        _PyBytes_Resize(&bytes, done);
    return bytes;
}

/* One pass of core_write. False: a page fault was raised. */
static bool write_pages(struct core *c, uint32_t linear, const uint8_t *data, uint64_t size, bool user, bool store)
{
    for (uint64_t done = 0; done < size;) {
        uint32_t at = linear + (uint32_t)done, part = part_in_page(at, size - done);
        struct walk w;
        if (!mmu_walk(c, at, WRITE, user, store ? WALK_MARK : WALK_LOOK, &w)) {
            raise_page_fault(at, w.error);
            return false;
        }
        if (store && c->nwatches)
            mmu_touched(c, at, w.physical, part, true, data + done);
        if (store && (w.physical >= c->ram_size || !(c->frames[w.physical >> 12] & F_ROM)))
            physical_write(c, w.physical, data + done, part);
        done += part;
    }
    return true;
}

/* Two passes: first every page is checked, then bytes are stored. */
PyObject *core_write(PyObject *self, PyObject *args)
{
    struct core *c = CORE(self);
    unsigned linear;
    Py_buffer data;
    int user = 0;
    if (!PyArg_ParseTuple(args, "Iy*|p", &linear, &data, &user))
        return NULL;
    uint64_t size = (uint64_t)data.len;
    bool fits = size <= ADDRESS_SPACE;
    if (!fits)
        PyErr_SetString(PyExc_ValueError, "more than 4 GiB cannot be written");
    bool done = fits && write_pages(c, linear, data.buf, size, user, false) &&
                write_pages(c, linear, data.buf, size, user, true);
    PyBuffer_Release(&data);
    if (!done)
        return NULL;
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ what is known of pages */

/* Make every page of memory that has a byte in the range read-only for the guest. */
PyObject *core_protect(PyObject *self, PyObject *args)
{
    struct core *c = CORE(self);
    unsigned long long start, size;
    if (!PyArg_ParseTuple(args, "KK", &start, &size))
        return NULL;
    uint64_t there = part_in_ram(c, start, size);
    for (uint64_t frame = start / PAGE; there && frame <= (start + there - 1) / PAGE; frame++)
        c->frames[frame] |= F_ROM;
    mmu_flush(c);
    Py_RETURN_NONE;
}

PyObject *core_take_dirty(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct core *c = CORE(self);
    uint64_t frames = c->ram_size / PAGE;
    PyObject *list = PyList_New(0);
    for (uint64_t i = 0; list && i < frames; i++)
        if (c->frames[i] & F_DIRTY) {
            PyObject *frame = PyLong_FromUnsignedLongLong(i);
            if (!frame || PyList_Append(list, frame))
                Py_CLEAR(list);
            Py_XDECREF(frame);
        }
    if (!list)
        return NULL; /* and none is forgotten */
    for (uint64_t i = 0; i < frames; i++)
        c->frames[i] &= (uint8_t)~F_DIRTY;
    mmu_flush(c); /* the next store to each of them must be seen again */
    return list;
}

PyObject *core_flush_tlb(PyObject *self, PyObject *Py_UNUSED(none))
{
    mmu_flush(CORE(self));
    Py_RETURN_NONE;
}

PyObject *get_hole(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(CORE(self)->hole);
}

int set_hole(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    unsigned long long hole;
    if (!property_value(value, &hole))
        return -1;
    CORE(self)->hole = hole;
    mmu_flush(CORE(self));
    return 0;
}

PyObject *get_nxe(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(CORE(self)->nxe);
}

int set_nxe(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    unsigned long long nxe;
    if (!property_value(value, &nxe))
        return -1;
    CORE(self)->nxe = nxe;
    mmu_flush(CORE(self));
    return 0;
}

/* ------------------------------------------------------------------ the scratch page */

int scratch_buffer(PyObject *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, self, CORE(self)->scratch, PAGE, 0, flags);
}

PyObject *core_scratch(PyObject *self, PyObject *Py_UNUSED(none))
{
    return PyMemoryView_FromObject(self); /* keeps the Core alive */
}
