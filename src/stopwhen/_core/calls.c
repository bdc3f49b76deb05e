/* Functions whose calls are noted, each when it begins, before its first instruction.
 *
 * I1. `calls` of a CodeInfo counts the functions in `functions` that have this code: 3.12 and later call us for no other
 *     code, by a PY_START event that is local to it.
 * I2. A function is told from others with the same code, which closures have, by itself.
 */
#include "codeinfo.h"

struct WatchedFunction {
    PyObject *function; /* Owned. */
    PyCodeObject *code; /* Owned. */
    PyObject *token;    /* Owned. */
};

/* Note the running frame as a new call to the functions that it is one of. -1 with an exception set. */
int
calls_note(CoreState *state, const CodeInfo *info)
{
    Blame blame;
    blame_current(&blame);
    PyObject *function = blame.frame == NULL ? NULL : compat_frame_function(blame.frame);
    int result = 0;
    for (Py_ssize_t i = 0; i < state->function_count; i++) {
        WatchedFunction *watched = &state->functions[i];
        if (watched->code == info->code && (watched->function == function || blame.unknown)) { /* I2 */
            result |= events_note(state, watched->token, DELTA_CALLED, Py_NewRef(Py_None), &blame);
        }
    }
    blame_release(&blame);
    return result;
}

/* Change the number of functions of interest that have `code`. -1 with an exception set: there are not more, but less all
 * the same. */
static int
count(CoreState *state, PyCodeObject *code, int change)
{
    CodeInfo *info = code_info(state, code);
    if (info == NULL) {
        return -1;
    }
#if HAS_MONITORING
    int again = change > 0 && !code_has_locals(info); /* Stores to locals were of no interest before. */
#endif
    info->calls += change; /* I1 */
    int result = 0;
#if HAS_MONITORING
    result = instrument_code(state, info, again);
    info->calls -= result < 0 && change > 0;
#endif
    return result;
}

static void
release(WatchedFunction watched)
{
    Py_DECREF(watched.function);
    Py_DECREF(watched.code);
    Py_DECREF(watched.token);
}

/* arm_calls(function, token) */
PyObject *
calls_arm(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *function, *token; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "O!O", &PyFunction_Type, &function, &token)) {
        return NULL;
    }
    WatchedFunction *functions = resize_memory(state->functions, state->function_count + 1, sizeof(WatchedFunction));
    if (functions == NULL) {
        return NULL;
    }
    state->functions = functions;
    PyCodeObject *code = (PyCodeObject *)PyFunction_GET_CODE(function);
    if (count(state, code, 1) < 0) {
        return NULL;
    }
    functions[state->function_count++] = (WatchedFunction){
        .function = Py_NewRef(function), .code = (PyCodeObject *)Py_NewRef(code), .token = Py_NewRef(token)};
    Py_RETURN_NONE;
}

/* Take the function at `index` off the list, which takes its references over. */
static void
take(CoreState *state, Py_ssize_t index, WatchedFunction *taken)
{
    *taken = state->functions[index];
    state->functions[index] = state->functions[--state->function_count];
    if (count(state, taken->code, -1) < 0) {
        PyErr_Clear(); /* More events than are needed do no harm; or the tool id is gone, and the events with it. */
    }
}

/* disarm_calls(function); nothing when it is not armed. */
PyObject *
calls_disarm(PyObject *module, PyObject *function)
{
    CoreState *state = PyModule_GetState(module);
    for (Py_ssize_t i = 0; i < state->function_count; i++) {
        if (state->functions[i].function == function) {
            WatchedFunction taken;
            take(state, i, &taken);
            release(taken);
            break;
        }
    }
    Py_RETURN_NONE;
}

void
calls_clear(CoreState *state)
{
    while (state->function_count > 0) {
        WatchedFunction taken;
        take(state, state->function_count - 1, &taken);
        release(taken);
    }
    PyMem_Free(state->functions);
    state->functions = NULL;
}
