/* What the files that make up the Python type share: the object, its exceptions, and the methods that _core.c lists.
 *
 *   _core.c           construction, the type, the module
 *   core_run.c        running, and what stops it
 *   core_registers.c  registers, flags, segments
 *   core_memory.c     reading and writing memory, dirty pages, the TLB
 *   core_state.c      the whole state of the CPU as bytes
 *   core_answers.c    what answers.c needs to be told, and what it has done
 *
 * Numbers from Python: registers and addresses are taken modulo their width, as the machine would; sizes are not: one
 * that is negative or larger than the address space is an error. */
#ifndef PVTRACE_PYTHON_CORE_H
#define PVTRACE_PYTHON_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "core.h"

typedef struct {
    PyObject_HEAD
    struct core c;
} CoreObject;

#define CORE(self) (&((CoreObject *)(self))->c)

extern PyObject *page_fault;   /* pvtrace.x86.view.PageFault */
extern PyObject *engine_error; /* pvtrace.model.errors.EngineError */

typedef PyObject *core_method(PyObject *self, PyObject *argument);
typedef PyObject *core_getter(PyObject *self, void *closure);
typedef int core_setter(PyObject *self, PyObject *value, void *closure);

/* ---- core_run.c */
core_method core_run, core_step;
core_method core_set_breakpoints, core_set_watches, core_take_touch;
core_method core_flush_code;
core_getter get_fault, get_mmio_store;

/* ---- core_registers.c */
enum { GPRS = 8, SEGMENTS = 10, CRS = 5, TR = 7 };
enum { ATTRIBUTES = DESCRIPTOR_ATTRIBUTES }; /* Unicorn keeps all of the second doubleword */
core_method core_gpr, core_set_gpr, core_gprs;
core_method core_segment, core_set_segment;
core_method core_cr, core_set_cr;
core_method core_float_registers;
core_getter get_eip, get_eflags, get_cpl, get_shadowed;
core_setter set_eip, set_eflags;
env_segment *segment_register(env_state *env, long number); /* NULL: there is no such register */
uint32_t tr_flags(uint32_t flags);                          /* those that Unicorn can live with */

/* ---- core_memory.c */
core_method core_physical, core_read, core_peek, core_write;
core_method core_read_physical, core_write_physical;
core_method core_protect, core_take_dirty, core_flush_tlb, core_scratch;
core_getter get_hole, get_nxe;
core_setter set_hole, set_nxe;
int scratch_buffer(PyObject *self, Py_buffer *view, int flags); /* the buffer of a Core is its scratch page */

/* ---- core_state.c */
core_method core_save, core_load;

/* ---- core_answers.c */
core_method core_answer_calls, core_answer_leaves, core_answer_ports, core_answer_pages, core_answer, core_answer_entries;
core_method core_take_answers;
core_getter get_answered, get_vif;
core_setter set_vif;

/* What a property is set to. False: it cannot be, and an exception says why. */
static inline bool property_value(PyObject *value, unsigned long long *number)
{
    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "a CPU cannot lose a register");
        return false;
    }
    *number = PyLong_AsUnsignedLongLong(value);
    return !PyErr_Occurred();
}

#endif
