/* Finds Unicorn's functions and checks, before anything relies on it, that its state is laid out as unicorn_abi.h says. */
#define _GNU_SOURCE
#include "unicorn_abi.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

unicorn_api uc;

static void *library;
static char sentence[256];

static const struct {
    const char *name;
    void **slot;
} functions[] = {
    {"uc_version", (void **)&uc.version},
    {"uc_open", (void **)&uc.open},
    {"uc_close", (void **)&uc.close},
    {"uc_strerror", (void **)&uc.strerror},
    {"uc_emu_start", (void **)&uc.emu_start},
    {"uc_emu_stop", (void **)&uc.emu_stop},
    {"uc_mem_map_ptr", (void **)&uc.mem_map_ptr},
    {"uc_hook_add", (void **)&uc.hook_add},
    {"uc_ctl", (void **)&uc.ctl},
    {"uc_reg_read", (void **)&uc.reg_read},
    {"uc_reg_write", (void **)&uc.reg_write},
    {"tcg_tb_lookup_x86_64", (void **)&uc.tb_lookup},
    {"cpu_loop_exit_noexc_x86_64", (void **)&uc.loop_exit},
    {"tlb_flush_x86_64", (void **)&uc.tlb_flush},
    {"tlb_flush_page_x86_64", (void **)&uc.tlb_flush_page},
    {"tb_invalidate_phys_range_x86_64", (void **)&uc.tb_invalidate},
    {"cpu_x86_update_cr0_x86_64", (void **)&uc.update_cr0},
    {"cpu_x86_update_cr3_x86_64", (void **)&uc.update_cr3},
    {"cpu_x86_update_cr4_x86_64", (void **)&uc.update_cr4},
};

const char *unicorn_load(const char *path)
{
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(sentence, sizeof sentence, "cannot load the Unicorn library %s: %s", path, dlerror());
        return sentence;
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        *functions[i].slot = dlsym(library, functions[i].name);
        if (!*functions[i].slot) {
            snprintf(sentence, sizeof sentence, "the Unicorn library %s has no function %s", path, functions[i].name);
            return sentence;
        }
    }
    unsigned version = uc.version(NULL, NULL);
    if (version >> 8 != UNICORN_VERSION_REQUIRED >> 8) {
        snprintf(sentence, sizeof sentence, "pvtrace needs Unicorn %u.%u.%u, this is %u.%u.%u",
                 UNICORN_VERSION_REQUIRED >> 24, UNICORN_VERSION_REQUIRED >> 16 & 255,
                 UNICORN_VERSION_REQUIRED >> 8 & 255, version >> 24, version >> 16 & 255, version >> 8 & 255);
        return sentence;
    }
    return NULL;
}

/* Whether a function of the library uses an offset in its first bytes of machine code. */
static bool code_mentions(const char *name, uint32_t offset, size_t within)
{
    const uint8_t *code = dlsym(library, name);
    return code && memmem(code, within, &offset, sizeof offset);
}

const char *unicorn_check(uc_engine *engine)
{
    /* Reading any register makes the library create the CPU. */
    uint32_t probe = 0x1badb002, back = 0;
    if (uc.reg_write(engine, 19 /* UC_X86_REG_EAX */, &probe) || uc.reg_read(engine, 19, &back) || back != probe)
        return "this Unicorn library does not keep registers";
    void *cpu = pointer_at(engine, UC_CPU);
    env_state *env = cpu ? pointer_at(cpu, CPU_ENV_PTR) : NULL;
    const char *what = NULL;
    if (!env || env->regs[0] != probe)
        what = "general registers";
    else if (!code_mentions("check_exit_request_x86_64", UC_NO_EXIT_REQUEST, 32))
        what = "no_exit_request";
    else if (!code_mentions("helper_check_exit_request_x86_64", UC_CPU, 16))
        what = "cpu";
    else if (!code_mentions("tb_flush_x86_64", UC_TCG_CTX, 64))
        what = "tcg_ctx";
    else if (*(uint32_t *)field(cpu, CPU_CFLAGS_NEXT_TB) != UINT32_MAX)
        what = "cflags_next_tb";
    else if (*(uint64_t *)field(env, ENV_DR + 6 * 8) != 0xffff0ff0 || *(uint64_t *)field(env, ENV_DR + 7 * 8) != 0x400)
        what = "debug registers";
    else if (*(int32_t *)field(env, ENV_OLD_EXCEPTION) != -1)
        what = "old_exception";
    else if (*field(env, ENV_FP_STATUS + STATUS_PRECISION) != 80)
        what = "FPU status";
    for (int mode = 0; !what && mode < MMU_MODES; mode++)
        if (*(uint64_t *)field(cpu, CPU_TLB_FAST + (size_t)mode * TLB_FAST_SIZE) != TLB_INITIAL_MASK)
            what = "TLB";
    env->regs[0] = 0;
    if (what) {
        snprintf(sentence, sizeof sentence, "this Unicorn library keeps its %s elsewhere than version 2.1.4 does", what);
        return sentence;
    }
    return NULL;
}
