/* What happens oftest, answered without leaving C: VMI calls and trapped instructions.
 *
 * Why: a kernel that boots under VMI makes 250,000 of them, and what one does takes a hundredth of the time that it
 * takes to begin in Python. The Python handlers (machine/calls.py, machine/instructions.py, and what they use of vmi and
 * x86) remain the specification, and a test holds these answers equal to theirs.
 *
 * Only the plain case is answered. Anything else comes up as an exit, with nothing done; an answer that lets an
 * interrupt in ends the run behind it. What was done is told by events (events.c), which Python takes over. */
#include "core.h"

/* The run has stopped for `code` in front of an instruction whose dispatch is not yet counted. Whether that was answered:
 * it is done and counted. `until`: where the run is to end, before which no timer is due. */
bool answer(struct core *c, enum exit_code code, uint64_t until)
{
    enum { LONGEST_LOOKED_AT = 2 };
    if (!c->answering.on || !events_fit(c))
        return false;
    if (code == EXIT_FAULT)
        return c->answering.all && entering_exception(c);
    if (code != EXIT_INTERCEPT)
        return false;
    uint32_t linear = (uint32_t)(c->env->eip + c->env->segs[SEGMENT_CS].base);
    const uint8_t *code_at = access_load(c, linear, STUB, WALK_LOOK, SUPERVISOR);
    if (code_at && calls_answer(c, code_at, until))
        return true;
    if (!c->answering.all)
        return false;
    if (!code_at)
        code_at = access_load(c, linear, LONGEST_LOOKED_AT, WALK_LOOK, SUPERVISOR);
    return code_at && instruction_answer(c, code_at, until);
}

/* Whether the code may use privileged instructions: x86.operands.may_use_privileged */
bool answer_privileged(const struct core *c)
{
    uint32_t cpl = c->env->hflags & HF_CPL;
    return c->answering.paravirtual ? cpl < 3 : cpl == 0;
}

/* Whether the machine has to look here: an interrupt may be taken. */
bool answer_due(const struct core *c)
{
    return c->answering.vif && c->answering.pending;
}
