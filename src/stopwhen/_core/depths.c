/* How deep the stack is before each instruction, as the compiler had it, and which of its slots an instruction uses. */
#include "codeinfo.h"
#include "exctable.h"

#if !HAS_MONITORING
#include <opcode.h>
#endif

/* By how much an instruction that does not jump changes the depth of the stack. */
static int
effect_of(unsigned char opcode, int argument)
{
#if !HAS_MONITORING
    /* The compiler counts the arguments as taken by PRECALL; they stay for the CALL behind it, unless that is skipped. */
    if (opcode == PRECALL || opcode == CALL) {
        return opcode == CALL ? -argument - 1 : 0;
    }
#endif
    return PyCompile_OpcodeStackEffectWithJump(opcode, argument, 0);
}

/* 1 when this was not known before. */
static int
note_depth(const CodeInfo *info, Py_ssize_t unit, int depth)
{
    if (unit < 0 || unit >= info->length) {
        return 0;
    }
    assert(info->depth[unit] == STACK_UNKNOWN || info->depth[unit] == depth);
    int is_new = info->depth[unit] == STACK_UNKNOWN;
    info->depth[unit] = depth;
    return is_new;
}

/* One pass from front to back; 1 when a jump backwards has led to what was not known before. */
static int
find_forwards(CoreState *state, const CodeInfo *info, const unsigned char *bytes)
{
    const int *depth = info->depth;
    int *after = info->depth_after;
    int again = 0;
    unsigned int extended = 0;
    for (Py_ssize_t unit = 0, next; unit < info->length; unit = next) {
        unsigned char opcode = bytes[2 * unit];
        unsigned int argument = bytes[2 * unit + 1] | (extended << 8);
        int kind = state->jump_kind[opcode];
        extended = opcode == state->extended_arg ? argument : 0;
        next = unit + 1 + state->caches[opcode];
        if (depth[unit] == STACK_UNKNOWN || next > info->length) {
            continue;
        }
        after[unit] = depth[unit] + effect_of(opcode, (int)argument);
        if (kind & JUMP_GENERATOR) {
            note_depth(info, next, depth[unit] + 1);
        }
        else if (!(kind & JUMP_AWAY)) {
            note_depth(info, next, after[unit]);
        }
#if !HAS_MONITORING
        if (opcode == PRECALL) {
            after[unit] -= (int)argument + 1; /* It may do the work of the CALL, with the same operands. */
        }
#endif
        if (kind & (JUMP_AHEAD | JUMP_BACK)) {
            int there = depth[unit] + PyCompile_OpcodeStackEffectWithJump(opcode, (int)argument, 1);
            if (kind & JUMP_AHEAD) {
                note_depth(info, next + (Py_ssize_t)argument, there);
            }
            else {
                again |= note_depth(info, next - (Py_ssize_t)argument, there);
            }
        }
    }
    return again;
}

/* Nearly always one pass from front to back is enough: the compiler lays code out so that the first way to each
 * instruction is from before it, or from the exception table. Where it is by a jump backwards, there is another. */
void
depths_find(CoreState *state, CodeInfo *info, PyCodeObject *code, const unsigned char *bytes)
{
    for (Py_ssize_t unit = 0; unit <= info->length; unit++) {
        info->depth[unit] = info->depth_after[unit] = STACK_UNKNOWN;
    }
    const unsigned char *byte = (const unsigned char *)PyBytes_AS_STRING(code->co_exceptiontable);
    const unsigned char *end = byte + PyBytes_GET_SIZE(code->co_exceptiontable);
    while (byte < end) {
        ExceptionEntry entry;
        byte = read_exception_entry(byte, &entry);
        note_depth(info, entry.target, (int)(entry.depth >> 1) + 1 + (int)(entry.depth & 1));
    }
    note_depth(info, 0, 0);
    while (find_forwards(state, info, bytes)) {
    }
}

/* Note in `first` and `end` the slots, counted from the stack's bottom, that hold what the instruction at `unit` is about
 * to take: those up to the depth before it, from where it leaves its result, if any. 0 when that is not known. */
int
depths_operands(const CodeInfo *info, Py_ssize_t unit, int *first, int *end)
{
    if (unit < 0 || unit >= info->length || info->depth[unit] == STACK_UNKNOWN) {
        return 0;
    }
    *end = info->depth[unit];
    *first = info->depth_after[unit] < *end ? info->depth_after[unit] - 1 : *end - 1;
    *first = *first < 0 ? 0 : *first;
    return 1;
}
