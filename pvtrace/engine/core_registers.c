/* Methods of the Python type: the CPU's registers, one at a time. Also keeps what Unicorn derives from them (hflags) in
 * step when they are set from outside. No memory, no running. */
#include "python_core.h"

/* ------------------------------------------------------------------ general registers */

static uint64_t *general_register(struct core *c, long number)
{
    if (number >= 0 && number < GPRS)
        return &c->env->regs[number];
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_IndexError, "no such general register");
    return NULL;
}

PyObject *core_gpr(PyObject *self, PyObject *number)
{
    uint64_t *r = general_register(CORE(self), PyLong_AsLong(number));
    return r ? PyLong_FromUnsignedLong((uint32_t)*r) : NULL;
}

PyObject *core_set_gpr(PyObject *self, PyObject *args)
{
    int number;
    unsigned value;
    if (!PyArg_ParseTuple(args, "iI", &number, &value))
        return NULL;
    uint64_t *r = general_register(CORE(self), number);
    if (!r)
        return NULL;
    *r = value;
    Py_RETURN_NONE;
}

PyObject *core_gprs(PyObject *self, PyObject *Py_UNUSED(none))
{
    uint64_t *r = CORE(self)->env->regs;
    return Py_BuildValue("IIIIIIII", (uint32_t)r[0], (uint32_t)r[1], (uint32_t)r[2], (uint32_t)r[3], (uint32_t)r[4],
                         (uint32_t)r[5], (uint32_t)r[6], (uint32_t)r[7]);
}

/* ------------------------------------------------------------------ EIP, EFLAGS, and what is behind them */

PyObject *get_eflags(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(registers_flags(CORE(self)));
}

int set_eflags(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    unsigned long long flags;
    if (!property_value(value, &flags))
        return -1;
    registers_set_flags(CORE(self), (uint32_t)flags);
    return 0;
}

PyObject *get_eip(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong((uint32_t)CORE(self)->env->eip);
}

int set_eip(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    unsigned long long eip;
    if (!property_value(value, &eip))
        return -1;
    registers_set_eip(CORE(self), (uint32_t)eip);
    return 0;
}

PyObject *get_cpl(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(CORE(self)->env->hflags & HF_CPL);
}

PyObject *get_shadowed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(CORE(self)->env->hflags & HF_INHIBIT);
}

/* ------------------------------------------------------------------ segments and descriptor tables */

env_segment *segment_register(env_state *env, long number)
{
    switch (number) {
    case 6: return &env->ldt;
    case TR: return &env->tr;
    case 8: return &env->gdt;
    case 9: return &env->idt;
    default: return number >= 0 && number < 6 ? &env->segs[number] : NULL;
    }
}

/* Present, and a TSS that is not busy: Unicorn aborts the process on any other type. */
uint32_t tr_flags(uint32_t flags)
{
    enum { PRESENT = 0x8000, AVAILABLE_TSS = 0x100, BUSY = 0x200 };
    return (flags & ~(uint32_t)BUSY) | PRESENT | AVAILABLE_TSS;
}

static PyObject *no_segment(void)
{
    return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_IndexError, "no such segment register");
}

PyObject *core_segment(PyObject *self, PyObject *number)
{
    env_segment *s = segment_register(CORE(self)->env, PyLong_AsLong(number));
    if (!s)
        return no_segment();
    return Py_BuildValue("IIII", s->selector, (uint32_t)s->base, s->limit, s->flags & ATTRIBUTES);
}

PyObject *core_set_segment(PyObject *self, PyObject *args)
{
    int number;
    unsigned selector, base, limit, flags;
    if (!PyArg_ParseTuple(args, "iIIII", &number, &selector, &base, &limit, &flags))
        return NULL;
    env_segment *s = segment_register(CORE(self)->env, number);
    if (!s)
        return no_segment();
    env_segment loaded = {.selector = selector, .base = base, .limit = limit,
                          .flags = number == TR ? tr_flags(flags) : flags};
    if (number < SEGMENTS_LOADED)
        registers_set_segment(CORE(self), number, loaded);
    else
        *s = loaded;
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ control registers */

PyObject *core_cr(PyObject *self, PyObject *arg)
{
    long number = PyLong_AsLong(arg);
    if (number < 0 || number >= CRS)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_IndexError, "no such control register");
    return PyLong_FromUnsignedLong((uint32_t)CORE(self)->env->cr[number]);
}

PyObject *core_set_cr(PyObject *self, PyObject *args)
{
    int number;
    unsigned value;
    if (!PyArg_ParseTuple(args, "iI", &number, &value))
        return NULL;
    if (!registers_set_cr(CORE(self), number, value))
        return PyErr_Format(PyExc_IndexError, "no such control register");
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ FPU and SSE */

/* ST0 to ST7 and XMM0 to XMM7 as 16 bytes each (of ST, 10 are used), and the control registers as numbers. */
PyObject *core_float_registers(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct core *c = CORE(self);
    static const int control[] = {UC_X86_REG_FPCW, UC_X86_REG_FPSW, UC_X86_REG_FPTAG, UC_X86_REG_FCS, UC_X86_REG_FIP,
                                  UC_X86_REG_FDS, UC_X86_REG_FDP, UC_X86_REG_FOP, UC_X86_REG_MXCSR};
    enum { REGISTERS = 8, CONTROLS = sizeof control / sizeof *control };
    uint8_t st[REGISTERS][16] = {0}, xmm[REGISTERS][16] = {0};
    for (int i = 0; i < REGISTERS; i++) {
        uc.reg_read(c->engine, UC_X86_REG_ST0 + i, st[i]);
        uc.reg_read(c->engine, UC_X86_REG_XMM0 + i, xmm[i]);
    }
    uint32_t v[CONTROLS];
    for (int i = 0; i < CONTROLS; i++) {
        uint64_t value = 0; /* as many bytes of it are written as the register has */
        uc.reg_read(c->engine, control[i], &value);
        v[i] = (uint32_t)value;
    }
    return Py_BuildValue("(y#y#(IIIIIIIII))", st, (Py_ssize_t)sizeof st, xmm, (Py_ssize_t)sizeof xmm, v[0], v[1], v[2],
                         v[3], v[4], v[5], v[6], v[7], v[8]);
}
