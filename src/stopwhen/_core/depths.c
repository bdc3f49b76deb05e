/* How deep the stack is before each instruction, as the compiler had it, and which of its slots an instruction uses. */
#include "codeinfo.h"
#include "exctable.h"

#if !HAS_MONITORING
#include <opcode.h>
#endif

#define NOT_KNOWN (-1)

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

/* One pass from front to back is enough: the compiler lays code out so that the first way to each instruction is from
 * before it, or from the exception table. -1 with an exception set. */
int
depths_find(CoreState *state, CodeInfo *info, PyCodeObject *code, const unsigned char *bytes)
{
    if (info->depth != NULL) {
        return 0;
    }
    int *depth = PyMem_Malloc(((size_t)info->length + 1) * sizeof(int));
    int *after = PyMem_Malloc(((size_t)info->length + 1) * sizeof(int));
    if (depth == NULL || after == NULL) {
        PyMem_Free(depth);
        PyMem_Free(after);
        PyErr_NoMemory();
        return -1;
    }
    info->depth = depth;
    info->depth_after = after;
    for (Py_ssize_t unit = 0; unit <= info->length; unit++) {
        depth[unit] = after[unit] = NOT_KNOWN;
    }
    const unsigned char *byte = (const unsigned char *)PyBytes_AS_STRING(code->co_exceptiontable);
    const unsigned char *end = byte + PyBytes_GET_SIZE(code->co_exceptiontable);
    while (byte < end) {
        ExceptionEntry entry;
        byte = read_exception_entry(byte, &entry);
        if (entry.target < info->length) {
            depth[entry.target] = (int)(entry.depth >> 1) + 1 + (int)(entry.depth & 1);
        }
    }
    depth[0] = 0;
    unsigned int extended = 0;
    for (Py_ssize_t unit = 0, next; unit < info->length; unit = next) {
        unsigned char opcode = bytes[2 * unit];
        unsigned int argument = bytes[2 * unit + 1] | (extended << 8);
        int kind = state->jump_kind[opcode];
        extended = opcode == state->extended_arg ? argument : 0;
        next = unit + 1 + state->caches[opcode];
        if (depth[unit] == NOT_KNOWN || next > info->length) {
            continue;
        }
        after[unit] = depth[unit] + effect_of(opcode, (int)argument);
        if (kind & JUMP_GENERATOR) {
            depth[next] = 1;
        }
        else if (!(kind & JUMP_AWAY) && depth[next] == NOT_KNOWN) {
            depth[next] = after[unit];
        }
#if !HAS_MONITORING
        if (opcode == PRECALL) {
            after[unit] -= (int)argument + 1; /* It may do the work of the CALL, with the same operands. */
        }
#endif
        Py_ssize_t target = next + (Py_ssize_t)argument;
        if ((kind & JUMP_AHEAD) && target < info->length && depth[target] == NOT_KNOWN) {
            depth[target] = depth[unit] + PyCompile_OpcodeStackEffectWithJump(opcode, (int)argument, 1);
        }
    }
    return 0;
}

/* Note in `first` and `end` the slots, counted from the stack's bottom, that hold what the instruction at `unit` is about
 * to take: those up to the depth before it, from where it leaves its result, if any. 0 when that is not known. */
int
depths_operands(CoreState *state, CodeInfo *info, Py_ssize_t unit, int *first, int *end)
{
    if (unit < 0 || unit >= info->length) {
        return 0;
    }
    if (info->depth == NULL) {
        PyObject *bytecode = PyCode_GetCode(info->code);
        int found = bytecode == NULL
                        ? -1
                        : depths_find(state, info, info->code, (const unsigned char *)PyBytes_AS_STRING(bytecode));
        Py_XDECREF(bytecode);
        if (found < 0) {
            PyErr_Clear(); /* No memory: not known. */
            return 0;
        }
    }
    if (info->depth[unit] == NOT_KNOWN) {
        return 0;
    }
    *end = info->depth[unit];
    *first = info->depth_after[unit] < *end ? info->depth_after[unit] - 1 : *end - 1;
    *first = *first < 0 ? 0 : *first;
    return 1;
}
