/* Which function an instruction calls, as far as the names that stand in the code tell. */
#include "codeinfo.h"

static int
is_load(const CoreState *state, const unsigned char *bytes, Py_ssize_t unit)
{
    return state->name_shift[bytes[2 * unit]] != NO_NAME;
}

/* Return the unit of the instruction that loads what the call at `unit` of `count` arguments calls; -1 if unknown.
 *
 * Below a call's arguments the stack has two items: the function, and before or behind it nothing or the object whose
 * method it is. The last instruction that reached no higher has loaded one of them. */
static Py_ssize_t
find_callee(const CoreState *state, const CodeInfo *info, const unsigned char *bytes, Py_ssize_t unit, int count)
{
    int base = info->depth[unit] - count - 2;
    if (info->depth[unit] == STACK_UNKNOWN || base < 0) {
        return -1;
    }
    for (Py_ssize_t i = unit - 1; i >= 0; i--) {
        if (info->depth[i] == STACK_UNKNOWN || info->depth[i] > base + 1 || bytes[2 * i] == state->extended_arg) {
            continue; /* A cache, or an argument. */
        }
        if (!is_load(state, bytes, i) && info->depth[i] == base + 1) {
            continue; /* The nothing behind a function. */
        }
        return is_load(state, bytes, i) ? i : -1;
    }
    return -1;
}

/* True when what the call at `unit` leaves on the stack may be a C function bound to some object: not if it calls a
 * method, or a builtin function, whose name stands for none that returns such. On 3.11, where each look at the stack
 * takes an event more, only if it calls one that does by its own name. */
int
makers_may_make_function(const CoreState *state, const CodeInfo *info, const unsigned char *bytes, Py_ssize_t unit,
                         int count)
{
    Py_ssize_t callee = find_callee(state, info, bytes, unit, count);
    if (callee < 0) {
        return HAS_MONITORING;
    }
    unsigned char names = info->names[callee];
    int is_likely = HAS_MONITORING && !(names & NAMES_PLAIN) && !(info->effect[callee] & EFFECT_MAKES);
    return (names & NAMES_MAKER) != 0 || is_likely;
}
