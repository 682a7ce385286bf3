/* The module pvtrace.engine._core and its one type Core, a CPU with its memory: how it is made and destroyed, and the
 * tables of what it offers to Python. What the methods do is in the core_*.c files; see python_core.h. */
#include "python_core.h"

#include <structmember.h>
#include <string.h>
#include <sys/mman.h>

PyObject *page_fault, *engine_error;

enum { DEFAULT_CODE_BUFFER = 64 << 20, MOST_CODE_BUFFER = 1 << 30 }; /* bytes; Unicorn makes no more than 2 GiB of it */
#define MOST_RAM 0xc0000000ull                                      /* bytes */
#define SCRATCH_ADDRESS (1ull << 32)                                /* behind what the guest can address without PAE */

/* ------------------------------------------------------------------ construction */

static bool failed(int error)
{
    if (error)
        PyErr_Format(engine_error, "Unicorn failed: %s", uc.strerror(error));
    return error != 0;
}

static bool wrong(const char *sentence)
{
    if (sentence)
        PyErr_SetString(engine_error, sentence);
    return sentence != NULL;
}

static bool open_engine(struct core *c, const char *library, uint64_t code_buffer)
{
    c->code_size = code_buffer ? code_buffer : DEFAULT_CODE_BUFFER;
    return !wrong(unicorn_load(library)) && !failed(uc.open(UC_ARCH_X86, UC_MODE_32, &c->engine)) &&
           !failed(uc.ctl(c->engine, UC_CTL_WRITE(UC_CTL_CPU_MODEL, 1), UC_CPU_X86_QEMU32)) &&
           !failed(uc.ctl(c->engine, UC_CTL_WRITE(UC_CTL_TCG_BUFFER_SIZE, 1), (uint32_t)c->code_size)) &&
           !wrong(unicorn_check(c->engine));
}

static void *anonymous(uint64_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool allocate(struct core *c, uint64_t ram_size)
{
    uint64_t frames = ram_size / PAGE;
    c->ram_size = ram_size;
    c->ram = anonymous(ram_size);
    c->scratch = anonymous(PAGE);
    c->pool = anonymous(POOL * sizeof *c->pool);
    c->frames = calloc(frames, 1);
    c->tables = calloc(frames, sizeof *c->tables);
    c->writables = calloc(frames, sizeof *c->writables);
    c->answering.announced = calloc(frames, 1);
    c->answering.announced_frames = calloc(frames, sizeof *c->answering.announced_frames);
    if (c->ram && c->scratch && c->pool && c->frames && c->tables && c->writables && c->answering.announced &&
        c->answering.announced_frames)
        return true;
    PyErr_NoMemory();
    return false;
}

static bool add_hook(struct core *c, int type, void *callback, void *data, uc_hook *hook)
{
    return !failed(uc.hook_add(c->engine, hook, type, callback, data, 1, 0));
}

/* Make the engine use our memory and call us back. */
static bool connect_engine(struct core *c)
{
    uc_hook hook, block;
    if (failed(uc.ctl(c->engine, UC_CTL_WRITE(UC_CTL_TLB_TYPE, 1), UC_TLB_VIRTUAL)) ||
        failed(uc.ctl(c->engine, UC_CTL_WRITE(UC_CTL_UC_USE_EXITS, 1), 1)) ||
        failed(uc.mem_map_ptr(c->engine, 0, c->ram_size, UC_PROT_ALL, c->ram)) ||
        failed(uc.mem_map_ptr(c->engine, SCRATCH_ADDRESS, PAGE, UC_PROT_ALL, c->scratch)) ||
        !add_hook(c, UC_HOOK_TLB_FILL, mmu_fill, c, &hook) ||
        !add_hook(c, UC_HOOK_INTR, counter_exception, c, &hook) ||
        !add_hook(c, UC_HOOK_INSN_INVALID, counter_undefined, c, &hook) ||
        !add_hook(c, UC_HOOK_EDGE_GENERATED, counter_edge, c, &hook) ||
        !add_hook(c, UC_HOOK_BLOCK, counter_block, c->pool, &block))
        return false;
    *field(c->engine, UC_NO_EXIT_REQUEST) = 1;
    c->block_user_data = (void **)field((void *)block, HOOK_USER_DATA);
    return *c->block_user_data == c->pool ||
           !wrong("this Unicorn library keeps its hooks elsewhere than version 2.1.4 does");
}

static bool construct(struct core *c, const char *library, uint64_t ram_size, uint64_t code_buffer)
{
    if (!open_engine(c, library, code_buffer) || !allocate(c, ram_size))
        return false;
    c->cpu = pointer_at(c->engine, UC_CPU);
    c->env = pointer_at(c->cpu, CPU_ENV_PTR);
    c->cflags_next = (uint32_t *)field(c->cpu, CPU_CFLAGS_NEXT_TB);
    c->hole = 1ull << 32;
    c->broke_at = UINT64_MAX;
    c->passing = -1;
    if (!connect_engine(c))
        return false;
    counter_flush_code(c);
    c->env->tr.flags = tr_flags(0x8900); /* a 32-bit TSS */
    return true;
}

/* All of it happens in tp_new: there is no Core without an engine. */
static PyObject *core_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"library", "ram_size", "one", "two", "code_buffer", NULL};
    const char *library;
    Py_ssize_t ram_size, code_buffer = 0;
    Py_buffer one, two;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sny*y*|n", names, &library, &ram_size, &one, &two, &code_buffer))
        return NULL;
    PyObject *self = NULL;
    struct core *c;
    if (one.len != sizeof c->intercept_one || two.len != sizeof c->intercept_two)
        PyErr_SetString(PyExc_ValueError, "the intercept tables of a Core have 256 bytes each");
    else if (ram_size <= 0 || ram_size % PAGE || (uint64_t)ram_size > MOST_RAM)
        PyErr_Format(PyExc_ValueError, "ram_size is pages of 4096 bytes, up to 3 GiB, not %zd bytes", ram_size);
    else if (code_buffer < 0 || code_buffer > MOST_CODE_BUFFER)
        PyErr_Format(PyExc_ValueError, "code_buffer is 0 to 1 GiB, not %zd bytes", code_buffer);
    else
        self = type->tp_alloc(type, 0); /* zeros */
    if (self) {
        c = CORE(self);
        memcpy(c->intercept_one, one.buf, sizeof c->intercept_one);
        memcpy(c->intercept_two, two.buf, sizeof c->intercept_two);
        if (!construct(c, library, (uint64_t)ram_size, (uint64_t)code_buffer))
            Py_CLEAR(self);
    }
    PyBuffer_Release(&one);
    PyBuffer_Release(&two);
    return self;
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
        munmap(c->pool, POOL * sizeof *c->pool);
    free(c->frames);
    free(c->tables);
    free(c->writables);
    free(c->answering.announced);
    free(c->answering.announced_frames);
    free((void *)c->breakpoints);
    free(c->watches);
    Py_TYPE(self)->tp_free(self);
}

/* ------------------------------------------------------------------ the type */

static PyMethodDef methods[] = {
    {"run_core", core_run, METH_O, "run_core(until) -> exit code"},
    {"step", core_step, METH_O, "step(mode) -> exit code: exactly one instruction"},
    {"gpr", core_gpr, METH_O, NULL},
    {"set_gpr", core_set_gpr, METH_VARARGS, NULL},
    {"gprs", core_gprs, METH_NOARGS, NULL},
    {"core_segment", core_segment, METH_O,
     "core_segment(n) -> (selector, base, limit, attributes); 0 to 5 ES, CS, SS, DS, FS, GS; 6 LDTR, 7 TR, 8 GDTR, 9 IDTR"},
    {"set_core_segment", core_set_segment, METH_VARARGS, NULL},
    {"cr", core_cr, METH_O, NULL},
    {"set_cr", core_set_cr, METH_VARARGS, NULL},
    {"core_physical", core_physical, METH_VARARGS, "core_physical(linear, access, user, mark)"},
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
    {"float_registers", core_float_registers, METH_NOARGS,
     "float_registers() -> (ST: 8 * 16 bytes, XMM: 8 * 16 bytes, control registers)"},
    {"flush_tlb", core_flush_tlb, METH_NOARGS, NULL},
    {"flush_code", core_flush_code, METH_NOARGS, NULL},
    {"answer_calls", core_answer_calls, METH_O, "answer_calls([model.answers.Answerable])"},
    {"answer_leaves", core_answer_leaves, METH_O, "answer_leaves([(leaf, EAX, EBX, ECX, EDX)])"},
    {"answer_ports", core_answer_ports, METH_VARARGS, "answer_ports(*ports): see model.answers.Ports"},
    {"answer_pages", core_answer_pages, METH_VARARGS, "answer_pages(((frame, types), ...), (frame, ...))"},
    {"answer_entries", core_answer_entries, METH_O, "answer_entries((number, ...)): see machine.cpu"},
    {"answer", core_answer, METH_VARARGS, "answer(*model.answers.Facts)"},
    {"take_answers", core_take_answers, METH_NOARGS, "take_answers() -> the fields of model.answers.Taken"},
    {"scratch", core_scratch, METH_NOARGS, NULL},
    {"save_core", core_save, METH_NOARGS, NULL},
    {"load_core", core_load, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

#define FIELD(name) (offsetof(CoreObject, c) + offsetof(struct core, name))
static PyMemberDef members[] = {
    {"steps", T_ULONGLONG, FIELD(steps), 0, NULL},
    {"next_event", T_ULONGLONG, FIELD(events.number), 0, "number of the next event"},
    {"touched", T_BOOL, FIELD(touch.is), READONLY, "whether something watched was accessed"},
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
    {"nxe", get_nxe, set_nxe, "EFER.NXE", NULL},
    {"answered", get_answered, NULL, "whether take_answers has something", NULL},
    {"vif", get_vif, set_vif, "virtual IF, as answered calls have left it", NULL},
    {"fault", get_fault, NULL, "(vector, error or -1, address)", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyBufferProcs buffer = {.bf_getbuffer = scratch_buffer};

static PyTypeObject CoreType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pvtrace.engine._core.Core",
    .tp_doc = "Core(library, ram_size, one, two, code_buffer=0)",
    .tp_basicsize = sizeof(CoreObject),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = core_new,
    .tp_dealloc = core_dealloc,
    .tp_methods = methods,
    .tp_members = members,
    .tp_getset = properties,
    .tp_as_buffer = &buffer,
};

/* ------------------------------------------------------------------ the module */

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pvtrace.engine._core",
    .m_doc = "The CPU behind pvtrace.engine.unicorn_cpu.",
    .m_size = -1,
};

static const struct {
    const char *name;
    int value;
} constants[] = {
    {"ARRIVED", EXIT_ARRIVED},
    {"FAULT", EXIT_FAULT},
    {"INTERCEPT", EXIT_INTERCEPT},
    {"MMIO", EXIT_MMIO},
    {"BREAK", EXIT_BREAK},
    {"WATCH", EXIT_WATCH},
    {"NATIVE", MODE_NATIVE},
    {"DEVICE", MODE_MMIO},
};

static bool import_exception(PyObject **exception, const char *module_name, const char *name)
{
    PyObject *from = PyImport_ImportModule(module_name);
    Py_XSETREF(*exception, from ? PyObject_GetAttrString(from, name) : NULL);
    Py_XDECREF(from);
    return *exception != NULL;
}

PyMODINIT_FUNC PyInit__core(void)
{
    if (!import_exception(&page_fault, "pvtrace.x86.view", "PageFault") ||
        !import_exception(&engine_error, "pvtrace.model.errors", "EngineError"))
        return NULL;
    PyObject *m = PyModule_Create(&module);
    if (m && PyModule_AddType(m, &CoreType))
        Py_CLEAR(m);
    for (size_t i = 0; m && i < sizeof constants / sizeof *constants; i++)
        if (PyModule_AddIntConstant(m, constants[i].name, constants[i].value))
            Py_CLEAR(m);
    return m;
}
