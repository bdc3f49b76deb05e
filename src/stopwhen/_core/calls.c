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
    for (Py_ssize_t i = 0; i < state->function_count && result == 0; i++) {
        WatchedFunction *watched = &state->functions[i];
        if (watched->function == function && watched->code == info->code) { /* I2 */
            result = events_note(state, watched->token, DELTA_CALLED, Py_NewRef(Py_None), &blame);
        }
    }
    blame_release(&blame);
    return result;
}

/* Change the number of functions of interest that have `code`. */
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
#if HAS_MONITORING
    return instrument_code(state, info, again);
#else
    return 0;
#endif
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
    WatchedFunction *functions = PyMem_Resize(state->functions, WatchedFunction, (size_t)state->function_count + 1);
    if (functions == NULL) {
        return PyErr_NoMemory();
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
static int
take(CoreState *state, Py_ssize_t index, WatchedFunction *taken)
{
    *taken = state->functions[index];
    state->functions[index] = state->functions[--state->function_count];
    return count(state, taken->code, -1);
}

/* disarm_calls(function); nothing when it is not armed. */
PyObject *
calls_disarm(PyObject *module, PyObject *function)
{
    CoreState *state = PyModule_GetState(module);
    for (Py_ssize_t i = 0; i < state->function_count; i++) {
        if (state->functions[i].function == function) {
            WatchedFunction taken;
            int failed = take(state, i, &taken);
            release(taken);
            return failed < 0 ? NULL : Py_NewRef(Py_None);
        }
    }
    Py_RETURN_NONE;
}

void
calls_clear(CoreState *state)
{
    while (state->function_count > 0) {
        WatchedFunction taken;
        if (take(state, state->function_count - 1, &taken) < 0) {
            PyErr_Clear(); /* The tool id is gone, and the events with it. */
        }
        release(taken);
    }
    PyMem_Free(state->functions);
    state->functions = NULL;
}
