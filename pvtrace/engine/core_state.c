/* Methods of the Python type: the whole state of the CPU as bytes, and back. Recordings hold these bytes: their layout
 * is part of the format. Memory is saved page by page by others. */
#include "python_core.h"

#include <string.h>

struct saved {
    uint64_t steps;
    uint32_t gprs[GPRS], eip, eflags, inhibit, cpl;
    env_segment segments[SEGMENTS];
    uint32_t crs[CRS];
    uint32_t zero;
    uint8_t kept[ENV_KEPT_END - ENV_KEPT_START];
};
_Static_assert(sizeof(struct saved) == 320 + ENV_KEPT_END - ENV_KEPT_START, "the layout has no holes");

PyObject *core_save(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct core *c = CORE(self);
    struct saved s = {.steps = c->steps, .eip = (uint32_t)c->env->eip, .eflags = registers_flags(c)};
    s.inhibit = c->env->hflags & HF_INHIBIT;
    s.cpl = c->env->hflags & HF_CPL;
    for (int i = 0; i < GPRS; i++)
        s.gprs[i] = (uint32_t)c->env->regs[i];
    for (int i = 0; i < SEGMENTS; i++) {
        s.segments[i] = *segment_register(c->env, i);
        s.segments[i].pad = 0;
        s.segments[i].flags &= ATTRIBUTES;
    }
    for (int i = 0; i < CRS; i++)
        s.crs[i] = (uint32_t)c->env->cr[i];
    memcpy(s.kept, field(c->env, ENV_KEPT_START), sizeof s.kept);
    return PyBytes_FromStringAndSize((char *)&s, sizeof s);
}

/* Whether Unicorn survives these bytes, wherever they come from: it trusts the index of ST0 and aborts the process on a
 * rounding mode that is none. */
static bool sound(const struct saved *s)
{
    static const size_t statuses[] = {ENV_FP_STATUS, ENV_MMX_STATUS, ENV_SSE_STATUS};
    uint32_t top;
    memcpy(&top, s->kept + (ENV_FPSTT - ENV_KEPT_START), sizeof top);
    bool good = top < 8;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        good &= s->kept[statuses[i] + STATUS_ROUNDING - ENV_KEPT_START] <= MOST_ROUNDING;
    return good;
}

PyObject *core_load(PyObject *self, PyObject *args)
{
    struct core *c = CORE(self);
    Py_buffer state;
    if (!PyArg_ParseTuple(args, "y*", &state))
        return NULL;
    struct saved s;
    bool fits = state.len == sizeof s;
    if (fits)
        memcpy(&s, state.buf, sizeof s);
    PyBuffer_Release(&state);
    if (!fits)
        return PyErr_Format(engine_error, "a saved CPU state has %zu bytes, this one has another size", sizeof s);
    if (!sound(&s))
        return PyErr_Format(engine_error, "the FPU in a saved CPU state is in no possible state");
    c->steps = s.steps;
    for (int i = 0; i < GPRS; i++)
        c->env->regs[i] = s.gprs[i];
    c->env->eip = s.eip;
    memcpy(field(c->env, ENV_KEPT_START), s.kept, sizeof s.kept);
    uc.update_cr0(c->env, s.crs[0]);
    c->env->cr[2] = s.crs[2];
    uc.update_cr3(c->env, s.crs[3]);
    uc.update_cr4(c->env, s.crs[4]);
    for (int i = 0; i < SEGMENTS; i++)
        *segment_register(c->env, i) = s.segments[i];
    c->env->tr.flags = tr_flags(c->env->tr.flags); /* whatever the file says */
    c->env->hflags = (c->env->hflags & ~(uint32_t)(HF_INHIBIT | HF_CPL)) | (s.inhibit & HF_INHIBIT) | (s.cpl & HF_CPL);
    registers_set_flags(c, s.eflags);
    *(int32_t *)field(c->env, ENV_OLD_EXCEPTION) = -1;
    c->broke_at = UINT64_MAX;
    c->touch = (struct touch){0};
    mmu_flush(c);
    Py_RETURN_NONE;
}
