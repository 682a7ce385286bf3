/* The Python type pvtrace.engine._core.Core: one CPU with its memory. The run loop is counter.c, paging is mmu.c. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <sys/mman.h>

#include "core.h"

typedef struct {
    PyObject_HEAD
    struct core c;
} CoreObject;

static PyObject *page_fault; /* pvtrace.x86.view.PageFault */
static PyObject *engine_error; /* pvtrace.model.errors.EngineError */

enum { ATTRIBUTES = 0x00f0ff00 }; /* of a descriptor's second doubleword; Unicorn keeps all of it */
enum { DEFAULT_CODE_BUFFER = 64 << 20 }; /* bytes */

#define CORE(self) (&((CoreObject *)(self))->c)

/* ------------------------------------------------------------------ construction */

static bool failed(int error)
{
    if (error)
        PyErr_Format(engine_error, "Unicorn failed: %s", uc.strerror(error));
    return error != 0;
}

static bool add_hook(struct core *c, int type, void *callback, void *data, uc_hook *hook)
{
    return !failed(uc.hook_add(c->engine, hook, type, callback, data, 1, 0));
}

static void *anonymous(uint64_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int core_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"library", "ram_size", "one", "two", "code_buffer", NULL};
    struct core *c = CORE(self);
    const char *library;
    unsigned long long ram_size;
    Py_buffer one, two;
    unsigned code_buffer = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sKy*y*|I", names, &library, &ram_size, &one, &two, &code_buffer))
        return -1;
    bool sizes = one.len == 256 && two.len == 256 && ram_size && !(ram_size % PAGE) && ram_size <= 0xc0000000ull;
    if (sizes) {
        memcpy(c->intercept_one, one.buf, 256);
        memcpy(c->intercept_two, two.buf, 256);
    }
    PyBuffer_Release(&one);
    PyBuffer_Release(&two);
    if (!sizes || c->engine) {
        PyErr_SetString(PyExc_ValueError, "Core(library, ram_size: pages up to 3 GiB, one: 256 bytes, two: 256 bytes)");
        return -1;
    }
    const char *wrong = unicorn_load(library);
    if (!wrong && !failed(uc.open(UC_ARCH_X86, UC_MODE_32, &c->engine))) {
        uc.ctl(c->engine, UC_CTL_WRITE(UC_CTL_CPU_MODEL, 1), UC_CPU_X86_QEMU32);
        c->code_size = code_buffer ? code_buffer : DEFAULT_CODE_BUFFER;
        uc.ctl(c->engine, UC_CTL_WRITE(UC_CTL_TCG_BUFFER_SIZE, 1), (uint32_t)c->code_size);
        wrong = unicorn_check(c->engine);
    }
    if (wrong)
        PyErr_SetString(engine_error, wrong);
    if (PyErr_Occurred())
        return -1;

    uint64_t frames = ram_size / PAGE;
    c->ram_size = ram_size;
    c->ram = anonymous(ram_size);
    c->scratch = anonymous(PAGE);
    c->frames = calloc(frames, 1);
    c->tables = calloc(frames, sizeof *c->tables);
    c->writables = calloc(frames, sizeof *c->writables);
    c->pool = anonymous(((uint64_t)1 << 18) * sizeof *c->pool);
    if (!c->ram || !c->scratch || !c->frames || !c->tables || !c->writables || !c->pool) {
        PyErr_NoMemory();
        return -1;
    }
    c->cpu = pointer_at(c->engine, UC_CPU);
    c->env = pointer_at(c->cpu, CPU_ENV_PTR);
    c->cflags_next = (uint32_t *)field(c->cpu, CPU_CFLAGS_NEXT_TB);
    c->hole = 1ull << 32;
    c->broke_at = UINT64_MAX;
    c->passing = -1;
    uc.ctl(c->engine, UC_CTL_WRITE(UC_CTL_TLB_TYPE, 1), UC_TLB_VIRTUAL);
    uc.ctl(c->engine, UC_CTL_WRITE(UC_CTL_UC_USE_EXITS, 1), 1);
    *field(c->engine, UC_NO_EXIT_REQUEST) = 1;
    uc_hook hook, block;
    if (failed(uc.mem_map_ptr(c->engine, 0, ram_size, UC_PROT_ALL, c->ram)) ||
        failed(uc.mem_map_ptr(c->engine, 1ull << 32, PAGE, UC_PROT_ALL, c->scratch)) ||
        !add_hook(c, UC_HOOK_TLB_FILL, mmu_fill, c, &hook) ||
        !add_hook(c, UC_HOOK_INTR, counter_exception, c, &hook) ||
        !add_hook(c, UC_HOOK_INSN_INVALID, counter_undefined, c, &hook) ||
        !add_hook(c, UC_HOOK_EDGE_GENERATED, counter_edge, c, &hook) ||
        !add_hook(c, UC_HOOK_BLOCK, counter_block, c->pool, &block))
        return -1;
    c->block_user_data = (void **)field((void *)block, HOOK_USER_DATA);
    if (*c->block_user_data != c->pool) {
        PyErr_SetString(engine_error, "this Unicorn library keeps its hooks elsewhere than version 2.1.4 does");
        return -1;
    }
    counter_flush_code(c);
    c->env->tr.flags = 0x8900; /* an available TSS: Unicorn aborts the process on any other type */
    return 0;
}

static void core_dealloc(PyObject *self)
{
    struct core *c = CORE(self);
    if (c->engine)
        uc.close(c->engine);
    if (c->ram)
        munmap(c->ram, c->ram_size);
    if (c->scratch)
        munmap(c->scratch, PAGE);
    if (c->pool)
        munmap(c->pool, ((uint64_t)1 << 18) * sizeof *c->pool);
    free(c->frames);
    free(c->tables);
    free(c->writables);
    free((void *)c->breakpoints);
    free(c->watches);
    Py_TYPE(self)->tp_free(self);
}

/* ------------------------------------------------------------------ running */

static PyObject *core_run(PyObject *self, PyObject *until)
{
    unsigned long long limit = PyLong_AsUnsignedLongLong(until);
    if (PyErr_Occurred())
        return NULL;
    return PyLong_FromLong(counter_run(CORE(self), limit));
}

static PyObject *core_step(PyObject *self, PyObject *mode)
{
    unsigned long flags = PyLong_AsUnsignedLong(mode);
    if (PyErr_Occurred())
        return NULL;
    return PyLong_FromLong(counter_step(CORE(self), (unsigned)flags));
}

/* ------------------------------------------------------------------ registers */

static void hidden_flags(env_state *env)
{
    uint32_t h = env->hflags & ~(uint32_t)(HF_CS32 | HF_SS32 | HF_ADDSEG);
    if (env->segs[1].flags & 0x400000)
        h |= HF_CS32;
    if (env->segs[2].flags & 0x400000)
        h |= HF_SS32;
    if (!(env->cr[0] & 1) || env->eflags & 0x20000 || !(h & HF_CS32) ||
        (env->segs[3].base | env->segs[0].base | env->segs[2].base))
        h |= HF_ADDSEG;
    env->hflags = h;
}

static env_segment *segment(env_state *env, long number)
{
    switch (number) {
    case 6: return &env->ldt;
    case 7: return &env->tr;
    case 8: return &env->gdt;
    case 9: return &env->idt;
    default: return number >= 0 && number < 6 ? &env->segs[number] : NULL;
    }
}

static PyObject *core_segment(PyObject *self, PyObject *arg)
{
    env_segment *s = segment(CORE(self)->env, PyLong_AsLong(arg));
    if (!s)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_IndexError, "no such segment register");
    return Py_BuildValue("IIII", s->selector, (uint32_t)s->base, s->limit, s->flags & ATTRIBUTES);
}

static PyObject *core_set_segment(PyObject *self, PyObject *args)
{
    env_state *env = CORE(self)->env;
    int number;
    unsigned selector, base, limit, flags;
    if (!PyArg_ParseTuple(args, "iIIII", &number, &selector, &base, &limit, &flags))
        return NULL;
    env_segment *s = segment(env, number);
    if (!s)
        return PyErr_Format(PyExc_IndexError, "no such segment register");
    s->selector = selector;
    s->base = base;
    s->limit = limit;
    s->flags = number == 7 ? (flags & ~0x200u) | 0x8100u : flags; /* TR: present and, for Unicorn, never busy */
    if (number == 2)
        env->hflags = (env->hflags & ~(uint32_t)HF_CPL) | (flags >> 13 & 3);
    if (number < 6)
        hidden_flags(env);
    Py_RETURN_NONE;
}

static PyObject *core_gpr(PyObject *self, PyObject *arg)
{
    return PyLong_FromUnsignedLong((uint32_t)CORE(self)->env->regs[PyLong_AsLong(arg) & 7]);
}

static PyObject *core_set_gpr(PyObject *self, PyObject *args)
{
    int number;
    unsigned value;
    if (!PyArg_ParseTuple(args, "iI", &number, &value))
        return NULL;
    CORE(self)->env->regs[number & 7] = value;
    Py_RETURN_NONE;
}

static PyObject *core_gprs(PyObject *self, PyObject *none)
{
    (void)none;
    uint64_t *r = CORE(self)->env->regs;
    return Py_BuildValue("IIIIIIII", (uint32_t)r[0], (uint32_t)r[1], (uint32_t)r[2], (uint32_t)r[3], (uint32_t)r[4],
                         (uint32_t)r[5], (uint32_t)r[6], (uint32_t)r[7]);
}

static PyObject *core_cr(PyObject *self, PyObject *arg)
{
    long number = PyLong_AsLong(arg);
    if (number < 0 || number > 4)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_IndexError, "no such control register");
    return PyLong_FromUnsignedLong((uint32_t)CORE(self)->env->cr[number]);
}

static PyObject *core_set_cr(PyObject *self, PyObject *args)
{
    struct core *c = CORE(self);
    int number;
    unsigned value;
    if (!PyArg_ParseTuple(args, "iI", &number, &value))
        return NULL;
    switch (number) {
    case 0: uc.update_cr0(c->env, value); break;
    case 2: c->env->cr[2] = value; Py_RETURN_NONE;
    case 3: uc.update_cr3(c->env, value); break;
    case 4: uc.update_cr4(c->env, value); break;
    default: return PyErr_Format(PyExc_IndexError, "no such control register");
    }
    hidden_flags(c->env);
    mmu_flush(c);
    Py_RETURN_NONE;
}

static uint32_t read_flags(struct core *c)
{
    uint64_t value = 0;
    uc.reg_read(c->engine, UC_X86_REG_EFLAGS, &value);
    return (uint32_t)value;
}

static void write_flags(struct core *c, uint32_t flags)
{
    uint64_t value = flags;
    uc.reg_write(c->engine, UC_X86_REG_EFLAGS, &value);
    hidden_flags(c->env);
}

static PyObject *get_eflags(PyObject *self, void *none) { (void)none; return PyLong_FromUnsignedLong(read_flags(CORE(self))); }
static PyObject *get_eip(PyObject *self, void *none) { (void)none; return PyLong_FromUnsignedLong((uint32_t)CORE(self)->env->eip); }
static PyObject *get_cpl(PyObject *self, void *none) { (void)none; return PyLong_FromLong(CORE(self)->env->hflags & HF_CPL); }
static PyObject *get_shadowed(PyObject *self, void *none) { (void)none; return PyBool_FromLong(CORE(self)->env->hflags & HF_INHIBIT); }

static int set_eflags(PyObject *self, PyObject *value, void *none)
{
    (void)none;
    unsigned long flags = value ? PyLong_AsUnsignedLong(value) : 0;
    if (!value || PyErr_Occurred())
        return -1;
    write_flags(CORE(self), (uint32_t)flags);
    return 0;
}

static int set_eip(PyObject *self, PyObject *value, void *none)
{
    (void)none;
    unsigned long eip = value ? PyLong_AsUnsignedLong(value) : 0;
    if (!value || PyErr_Occurred())
        return -1;
    CORE(self)->env->eip = (uint32_t)eip;
    CORE(self)->env->hflags &= ~(uint32_t)HF_INHIBIT; /* an instruction is complete: its shadow has passed */
    return 0;
}

/* ------------------------------------------------------------------ memory */

static PyObject *raise_page_fault(uint32_t address, uint32_t error)
{
    PyObject *arguments = Py_BuildValue("II", address, error);
    if (arguments)
        PyErr_SetObject(page_fault, arguments);
    Py_XDECREF(arguments);
    return NULL;
}

static PyObject *core_physical(PyObject *self, PyObject *args)
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

static void physical_read(struct core *c, uint64_t at, uint8_t *out, uint64_t size)
{
    uint64_t there = at >= c->ram_size ? 0 : c->ram_size - at < size ? c->ram_size - at : size;
    memcpy(out, c->ram + (there ? at : 0), there);
    memset(out + there, 0xff, size - there);
}

static void physical_write(struct core *c, uint64_t at, const uint8_t *data, uint64_t size)
{
    uint64_t there = at >= c->ram_size ? 0 : c->ram_size - at < size ? c->ram_size - at : size;
    if (!there)
        return;
    memcpy(c->ram + at, data, there);
    mmu_stored(c, at, there);
}

static PyObject *core_read(PyObject *self, PyObject *args)
{
    struct core *c = CORE(self);
    unsigned linear, size;
    int user = 0;
    if (!PyArg_ParseTuple(args, "II|p", &linear, &size, &user))
        return NULL;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);
    for (unsigned done = 0; bytes && done < size;) {
        unsigned at = linear + done, part = PAGE - at % PAGE;
        struct walk w;
        if (part > size - done)
            part = size - done;
        if (!mmu_walk(c, at, READ, user, WALK_MARK, &w)) {
            Py_DECREF(bytes);
            return raise_page_fault(at, w.error);
        }
        if (c->nwatches)
            mmu_touched(c, at, w.physical, part, false, NULL);
        physical_read(c, w.physical, (uint8_t *)PyBytes_AS_STRING(bytes) + done, part);
        done += part;
    }
    return bytes;
}

static PyObject *core_peek(PyObject *self, PyObject *args)
{
    struct core *c = CORE(self);
    unsigned linear, size, done = 0;
    if (!PyArg_ParseTuple(args, "II", &linear, &size))
        return NULL;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);
    while (bytes && done < size) {
        unsigned at = linear + done, part = PAGE - at % PAGE;
        struct walk w;
        if (part > size - done)
            part = size - done;
        if (!mmu_walk(c, at, READ, false, WALK_LOOK, &w))
            break;
        physical_read(c, w.physical, (uint8_t *)PyBytes_AS_STRING(bytes) + done, part);
        done += part;
    }
    if (bytes && done < size)
        _PyBytes_Resize(&bytes, done);
    return bytes;
}

/* Two passes: first every page is checked, then bytes are stored. */
static PyObject *core_write(PyObject *self, PyObject *args)
{
    struct core *c = CORE(self);
    unsigned linear;
    Py_buffer data;
    int user = 0;
    bool ok = true;
    if (!PyArg_ParseTuple(args, "Iy*|p", &linear, &data, &user))
        return NULL;
    for (int pass = 0; pass < 2 && ok; pass++)
        for (unsigned done = 0; done < data.len;) {
            unsigned at = linear + done, part = PAGE - at % PAGE;
            struct walk w;
            if (part > data.len - done)
                part = (unsigned)data.len - done;
            if (!mmu_walk(c, at, WRITE, user, pass ? WALK_MARK : WALK_LOOK, &w)) {
                raise_page_fault(at, w.error);
                ok = false;
                break;
            }
            if (pass && c->nwatches)
                mmu_touched(c, at, w.physical, part, true, (uint8_t *)data.buf + done);
            if (pass && (w.physical >= c->ram_size || !(c->frames[w.physical >> 12] & F_ROM)))
                physical_write(c, w.physical, (uint8_t *)data.buf + done, part);
            done += part;
        }
    PyBuffer_Release(&data);
    if (!ok)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *core_read_physical(PyObject *self, PyObject *args)
{
    unsigned long long at;
    unsigned size;
    if (!PyArg_ParseTuple(args, "KI", &at, &size))
        return NULL;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);
    if (bytes)
        physical_read(CORE(self), at, (uint8_t *)PyBytes_AS_STRING(bytes), size);
    return bytes;
}

static PyObject *core_write_physical(PyObject *self, PyObject *args)
{
    unsigned long long at;
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "Ky*", &at, &data))
        return NULL;
    physical_write(CORE(self), at, data.buf, (uint64_t)data.len);
    PyBuffer_Release(&data);
    Py_RETURN_NONE;
}

static PyObject *core_protect(PyObject *self, PyObject *args)
{
    struct core *c = CORE(self);
    unsigned long long start, size;
    if (!PyArg_ParseTuple(args, "KK", &start, &size))
        return NULL;
    for (uint64_t at = start; at < start + size && at < c->ram_size; at += PAGE)
        c->frames[at >> 12] |= F_ROM;
    mmu_flush(c);
    Py_RETURN_NONE;
}

static PyObject *core_take_dirty(PyObject *self, PyObject *none)
{
    (void)none;
    struct core *c = CORE(self);
    PyObject *list = PyList_New(0);
    for (uint64_t i = 0; list && i < c->ram_size / PAGE; i++)
        if (c->frames[i] & F_DIRTY) {
            PyObject *frame = PyLong_FromUnsignedLongLong(i);
            if (!frame || PyList_Append(list, frame))
                Py_CLEAR(list);
            Py_XDECREF(frame);
            c->frames[i] &= (uint8_t)~F_DIRTY;
        }
    mmu_flush(c); /* the next store to each of them must be seen again */
    return list;
}

static PyObject *core_flush_tlb(PyObject *self, PyObject *none)
{
    (void)none;
    mmu_flush(CORE(self));
    Py_RETURN_NONE;
}

/* Linear addresses at which `run` stops. */
static PyObject *core_set_breakpoints(PyObject *self, PyObject *addresses)
{
    struct core *c = CORE(self);
    PyObject *list = PySequence_Fast(addresses, "breakpoints are a sequence of addresses");
    if (!list)
        return NULL;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(list);
    uint32_t *fresh = calloc((size_t)count + 1, sizeof *fresh);
    for (Py_ssize_t i = 0; fresh && i < count; i++)
        fresh[i] = (uint32_t)PyLong_AsUnsignedLong(PySequence_Fast_GET_ITEM(list, i));
    Py_DECREF(list);
    if (!fresh || PyErr_Occurred()) {
        free(fresh);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    free((void *)c->breakpoints);
    c->breakpoints = fresh;
    c->nbreakpoints = (uint32_t)count;
    c->broke_at = UINT64_MAX;
    counter_flush_code(c); /* which block holds one is found out when it is translated */
    Py_RETURN_NONE;
}

/* Bytes that `run` stops behind an access to: (start, end, physical, loads, stores) each. */
static PyObject *core_set_watches(PyObject *self, PyObject *watches)
{
    struct core *c = CORE(self);
    PyObject *list = PySequence_Fast(watches, "watches are a sequence of tuples");
    if (!list)
        return NULL;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(list);
    if (count > MOST_WATCHES) {
        Py_DECREF(list);
        return PyErr_Format(PyExc_ValueError, "at most %d watches", MOST_WATCHES);
    }
    struct watch *fresh = calloc((size_t)count + 1, sizeof *fresh);
    for (Py_ssize_t i = 0; fresh && i < count; i++) {
        unsigned long long start, end;
        int physical, loads, stores;
        if (!PyArg_ParseTuple(PySequence_Fast_GET_ITEM(list, i), "KKppp", &start, &end, &physical, &loads, &stores))
            break;
        fresh[i] = (struct watch){start, end, physical, loads, stores};
    }
    Py_DECREF(list);
    if (!fresh || PyErr_Occurred()) {
        free(fresh);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    free(c->watches);
    c->watches = fresh;
    c->nwatches = (uint32_t)count;
    c->touch = (struct touch){0};
    mmu_flush(c); /* pages with something watched must leave the TLB */
    Py_RETURN_NONE;
}

static PyObject *core_take_touch(PyObject *self, PyObject *none)
{
    (void)none;
    struct touch touch = CORE(self)->touch;
    CORE(self)->touch = (struct touch){0};
    if (!touch.is)
        Py_RETURN_NONE;
    return Py_BuildValue("(INIKK)", touch.address, PyBool_FromLong(touch.store), touch.eip, touch.near, touch.changed);
}

/* ST0 to ST7 as 10 bytes each, XMM0 to XMM7 as 16 bytes each, and the control registers as numbers. */
static PyObject *core_float_registers(PyObject *self, PyObject *none)
{
    (void)none;
    struct core *c = CORE(self);
    static const int control[] = {UC_X86_REG_FPCW, UC_X86_REG_FPSW, UC_X86_REG_FPTAG, UC_X86_REG_FCS, UC_X86_REG_FIP,
                                  UC_X86_REG_FDS, UC_X86_REG_FDP, UC_X86_REG_FOP, UC_X86_REG_MXCSR};
    enum { REGISTERS = 8, CONTROLS = sizeof control / sizeof *control };
    uint8_t st[REGISTERS][16] = {0}, xmm[REGISTERS][16] = {0};
    uint64_t values[CONTROLS] = {0};
    for (int i = 0; i < REGISTERS; i++) {
        uc.reg_read(c->engine, UC_X86_REG_ST0 + i, st[i]);
        uc.reg_read(c->engine, UC_X86_REG_XMM0 + i, xmm[i]);
    }
    PyObject *list = PyTuple_New(CONTROLS);
    for (int i = 0; list && i < CONTROLS; i++) {
        uc.reg_read(c->engine, control[i], &values[i]);
        PyTuple_SET_ITEM(list, i, PyLong_FromUnsignedLongLong(values[i] & 0xffffffff));
    }
    return list ? Py_BuildValue("(y#y#N)", st, (Py_ssize_t)sizeof st, xmm, (Py_ssize_t)sizeof xmm, list) : NULL;
}

static PyObject *core_flush_code(PyObject *self, PyObject *none)
{
    (void)none;
    counter_flush_code(CORE(self));
    Py_RETURN_NONE;
}

static PyObject *core_scratch(PyObject *self, PyObject *none)
{
    (void)none;
    return PyMemoryView_FromMemory((char *)CORE(self)->scratch, PAGE, PyBUF_WRITE);
}

/* ------------------------------------------------------------------ the whole state */

struct saved {
    uint64_t steps;
    uint32_t gprs[8], eip, eflags, inhibit, cpl;
    env_segment segments[10];
    uint32_t crs[5];
    uint32_t error;
    uint8_t kept[ENV_KEPT_END - ENV_KEPT_START];
};

static PyObject *core_save(PyObject *self, PyObject *none)
{
    (void)none;
    struct core *c = CORE(self);
    struct saved s;
    memset(&s, 0, sizeof s);
    s.steps = c->steps;
    for (int i = 0; i < 8; i++)
        s.gprs[i] = (uint32_t)c->env->regs[i];
    s.eip = (uint32_t)c->env->eip;
    s.eflags = read_flags(c);
    s.inhibit = c->env->hflags & HF_INHIBIT;
    s.cpl = c->env->hflags & HF_CPL;
    for (int i = 0; i < 10; i++) {
        s.segments[i] = *segment(c->env, i);
        s.segments[i].pad = 0;
        s.segments[i].flags &= ATTRIBUTES;
    }
    for (int i = 0; i < 5; i++)
        s.crs[i] = (uint32_t)c->env->cr[i];
    memcpy(s.kept, field(c->env, ENV_KEPT_START), sizeof s.kept);
    return PyBytes_FromStringAndSize((char *)&s, sizeof s);
}

static PyObject *core_load(PyObject *self, PyObject *args)
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
    c->steps = s.steps;
    for (int i = 0; i < 8; i++)
        c->env->regs[i] = s.gprs[i];
    c->env->eip = s.eip;
    memcpy(field(c->env, ENV_KEPT_START), s.kept, sizeof s.kept);
    uc.update_cr0(c->env, s.crs[0]);
    c->env->cr[2] = s.crs[2];
    uc.update_cr3(c->env, s.crs[3]);
    uc.update_cr4(c->env, s.crs[4]);
    for (int i = 0; i < 10; i++)
        *segment(c->env, i) = s.segments[i];
    c->env->tr.flags = (c->env->tr.flags & ~0x200u) | 0x8100u; /* whatever the file says: Unicorn aborts otherwise */
    c->env->hflags = (c->env->hflags & ~(uint32_t)(HF_INHIBIT | HF_CPL)) | (s.inhibit & HF_INHIBIT) | (s.cpl & HF_CPL);
    write_flags(c, s.eflags);
    *(int32_t *)field(c->env, ENV_OLD_EXCEPTION) = -1;
    c->broke_at = UINT64_MAX;
    c->touch = (struct touch){0};
    mmu_flush(c);
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------ the type */

static PyObject *get_fault(PyObject *self, void *none)
{
    (void)none;
    struct core *c = CORE(self);
    return Py_BuildValue("iiI", c->vector, c->has_error ? c->error : -1, c->address);
}

static PyObject *get_mmio_store(PyObject *self, void *none) { (void)none; return PyBool_FromLong(CORE(self)->refusal.access == UC_MEM_WRITE); }
static PyObject *get_hole(PyObject *self, void *none) { (void)none; return PyLong_FromUnsignedLongLong(CORE(self)->hole); }

static int set_hole(PyObject *self, PyObject *value, void *none)
{
    (void)none;
    unsigned long long hole = value ? PyLong_AsUnsignedLongLong(value) : 0;
    if (!value || PyErr_Occurred())
        return -1;
    CORE(self)->hole = hole;
    mmu_flush(CORE(self));
    return 0;
}

static PyMethodDef methods[] = {
    {"run", core_run, METH_O, "run(until) -> exit code"},
    {"step", core_step, METH_O, "step(mode) -> exit code: exactly one instruction"},
    {"gpr", core_gpr, METH_O, NULL},
    {"set_gpr", core_set_gpr, METH_VARARGS, NULL},
    {"gprs", core_gprs, METH_NOARGS, NULL},
    {"segment", core_segment, METH_O, "segment(n) -> (selector, base, limit, attributes); 6 LDTR, 7 TR, 8 GDTR, 9 IDTR"},
    {"set_segment", core_set_segment, METH_VARARGS, NULL},
    {"cr", core_cr, METH_O, NULL},
    {"set_cr", core_set_cr, METH_VARARGS, NULL},
    {"physical", core_physical, METH_VARARGS, "physical(linear, access, user, mark)"},
    {"read", core_read, METH_VARARGS, NULL},
    {"peek", core_peek, METH_VARARGS, NULL},
    {"write", core_write, METH_VARARGS, NULL},
    {"read_physical", core_read_physical, METH_VARARGS, NULL},
    {"write_physical", core_write_physical, METH_VARARGS, NULL},
    {"protect", core_protect, METH_VARARGS, NULL},
    {"take_dirty", core_take_dirty, METH_NOARGS, NULL},
    {"set_breakpoints", core_set_breakpoints, METH_O, NULL},
    {"set_watches", core_set_watches, METH_O, NULL},
    {"take_touch", core_take_touch, METH_NOARGS, "take_touch() -> (address, store, eip, near, changed) or None"},
    {"float_registers", core_float_registers, METH_NOARGS, "float_registers() -> (8 * 16 bytes, 8 * 16 bytes, control)"},
    {"flush_tlb", core_flush_tlb, METH_NOARGS, NULL},
    {"flush_code", core_flush_code, METH_NOARGS, NULL},
    {"scratch", core_scratch, METH_NOARGS, NULL},
    {"save", core_save, METH_NOARGS, NULL},
    {"load", core_load, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

#define FIELD(name) (offsetof(CoreObject, c) + offsetof(struct core, name))
static PyMemberDef members[] = {
    {"steps", T_ULONGLONG, FIELD(steps), 0, NULL},
    {"nxe", T_BOOL, FIELD(nxe), 0, "EFER.NXE"},
    {"touched", T_BOOL, FIELD(touch) + offsetof(struct touch, is), READONLY, "whether something watched was accessed"},
    {"mmio", T_ULONGLONG, FIELD(physical), READONLY, "physical address of the refused access"},
    {"restarts", T_ULONGLONG, FIELD(restarts), READONLY, "stores into their own block"},
    {"splits", T_ULONGLONG, FIELD(splits), READONLY, "blocks run in part"},
    {"table_stores", T_ULONGLONG, FIELD(table_stores), READONLY, "stores into live page tables"},
    {"ram_size", T_ULONGLONG, FIELD(ram_size), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"eip", get_eip, set_eip, NULL, NULL},
    {"eflags", get_eflags, set_eflags, NULL, NULL},
    {"cpl", get_cpl, NULL, NULL, NULL},
    {"shadowed", get_shadowed, NULL, NULL, NULL},
    {"mmio_store", get_mmio_store, NULL, "whether the refused access was a store", NULL},
    {"hole", get_hole, set_hole, NULL, NULL},
    {"fault", get_fault, NULL, "(vector, error or -1, address)", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject CoreType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pvtrace.engine._core.Core",
    .tp_doc = "Core(library, ram_size, one, two, code_buffer=0)",
    .tp_basicsize = sizeof(CoreObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = core_init,
    .tp_dealloc = core_dealloc,
    .tp_methods = methods,
    .tp_members = members,
    .tp_getset = properties,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "pvtrace.engine._core", "The CPU behind pvtrace.engine.unicorn_cpu.", -1, NULL, NULL, NULL, NULL, NULL,
};

static PyObject *attribute_of(const char *module_name, const char *name)
{
    PyObject *from = PyImport_ImportModule(module_name);
    PyObject *found = from ? PyObject_GetAttrString(from, name) : NULL;
    Py_XDECREF(from);
    return found;
}

PyMODINIT_FUNC PyInit__core(void)
{
    page_fault = attribute_of("pvtrace.x86.view", "PageFault");
    engine_error = attribute_of("pvtrace.model.errors", "EngineError");
    PyObject *m = page_fault && engine_error ? PyModule_Create(&module) : NULL;
    if (m && PyModule_AddType(m, &CoreType))
        Py_CLEAR(m);
    if (m) {
        PyModule_AddIntConstant(m, "ARRIVED", EXIT_ARRIVED);
        PyModule_AddIntConstant(m, "FAULT", EXIT_FAULT);
        PyModule_AddIntConstant(m, "INTERCEPT", EXIT_INTERCEPT);
        PyModule_AddIntConstant(m, "MMIO", EXIT_MMIO);
        PyModule_AddIntConstant(m, "BREAK", EXIT_BREAK);
        PyModule_AddIntConstant(m, "WATCH", EXIT_WATCH);
        PyModule_AddIntConstant(m, "NATIVE", MODE_NATIVE);
        PyModule_AddIntConstant(m, "DEVICE", MODE_MMIO);
    }
    return m;
}
