/* Which `for` loops need no check at each turn: those over builtin containers and over generators. What iterates there
 * is C code that changes nothing, or a Python frame of its own.
 *
 * I1. Each start of a loop, an event of its GET_ITER, looks at what it is about to iterate over, on top of the stack.
 *     Once that was anything else, the loop's turns are checked for good (LOOP_ANY). So while they are not, no run of
 *     this loop that started since then, in whatever thread or generator, iterates over anything else.
 * I2. Until a start has been seen, the turns are checked (LOOP_UNKNOWN): the loop may have been running before. All is
 *     unknown again when checks are armed after a time without any, in which starts had no events.
 */
#include "codeinfo.h"

#if HAS_MONITORING

/* `info->loop` holds at the unit of a start the unit of its turns, and at that unit one of these. */
#define LOOP_UNKNOWN 0
#define LOOP_HARMLESS 1
#define LOOP_ANY (-1)

/* Note where loops start and turn; -1 with an exception set. */
int
loops_find(CoreState *state, CodeInfo *info, const unsigned char *bytes)
{
    for (Py_ssize_t unit = 0; unit < info->length; unit += 1 + state->caches[bytes[2 * unit]]) {
        Py_ssize_t loop = unit + 1 + state->caches[bytes[2 * unit]];
        if (bytes[2 * unit] != state->get_iter) {
            continue;
        }
        while (loop < info->length && bytes[2 * loop] == state->extended_arg) {
            loop++;
        }
        Py_ssize_t turn = loop < info->length ? loop + 1 + state->caches[bytes[2 * loop]] : info->length;
        if (turn >= info->length || bytes[2 * loop] != state->for_iter || info->culprit[turn] != loop) {
            continue;
        }
        if (info->loop == NULL) {
            info->loop = PyMem_Calloc((size_t)info->length + 1, sizeof(int));
            if (info->loop == NULL) {
                PyErr_NoMemory();
                return -1;
            }
        }
        info->due[unit] |= DUE_LOOP_STARTS;
        info->due[turn] |= DUE_LOOP_TURNS;
        info->loop[unit] = (int)turn;
    }
    return 0;
}

static int
is_harmless(PyObject *iterable)
{
    return PyList_CheckExact(iterable) || PyTuple_CheckExact(iterable) || PyRange_Check(iterable) ||
           PyDict_CheckExact(iterable) || PyAnySet_CheckExact(iterable) || PyUnicode_CheckExact(iterable) ||
           PyBytes_CheckExact(iterable) || Py_IS_TYPE(iterable, &PyDictItems_Type) ||
           Py_IS_TYPE(iterable, &PyDictKeys_Type) || Py_IS_TYPE(iterable, &PyDictValues_Type) ||
           PyGen_CheckExact(iterable);
}

/* Take note of what the loop that starts at `unit` is to iterate over; 1 when there is nothing more to learn of it. */
static int
see_start(CoreState *state, CodeInfo *info, int unit)
{
    int *turn = &info->loop[info->loop[unit]];
    if (*turn == LOOP_ANY) {
        return 1;
    }
    PyObject *iterable = compat_stack_top(info->depth[unit]); /* Borrowed; NULL when the depth is not known. */
    if (iterable != NULL && is_harmless(iterable)) {
        *turn = LOOP_HARMLESS;
        return 0;
    }
    int had_been_left_out = *turn == LOOP_HARMLESS;
    *turn = LOOP_ANY; /* I1 */
    if (had_been_left_out && instrument_code(state, info, 1) < 0) {
        PyErr_Clear(); /* monitoring.c, I2 */
    }
    return 1;
}

static void
forget_old_starts(CoreState *state, CodeInfo *info)
{
    if (info->loop_era == state->era) {
        return;
    }
    info->loop_era = state->era;
    for (Py_ssize_t unit = 0; unit < info->length; unit++) {
        if (info->due[unit] & DUE_LOOP_TURNS) {
            info->loop[unit] = LOOP_UNKNOWN; /* I2 */
        }
    }
}

/* Return what of `due` is due at a unit where a loop starts or turns. */
int
loops_due(CoreState *state, CodeInfo *info, int unit, int due)
{
    forget_old_starts(state, info);
    if ((due & DUE_LOOP_TURNS) && info->loop[unit] == LOOP_HARMLESS && !state->hooked) {
        due = 0;
    }
    if ((due & DUE_LOOP_STARTS) && !see_start(state, info, unit)) {
        due |= state->level; /* Not to be disabled: the next start matters too. */
    }
    return due;
}

#endif
