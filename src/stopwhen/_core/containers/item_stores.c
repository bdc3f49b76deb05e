/* Keeps the interpreter from storing items of lists by itself, which it does where an instruction has been specialised for
 * that (STORE_SUBSCR_LIST_INT): the plain instruction calls the list's slot, before which we stand (3.13+).
 *
 * An instruction is specialised once its counter has run down. Ours never does: the interpreter has a value for that
 * (UNREACHABLE_BACKOFF in pycore_backoff.h; on each version a counter with all bits set has it, and keeps it).
 *
 * I1. While `watcher` is taken, all code is calm: what was there by a walk over all objects, later code since the watcher is
 *     called as it is made.
 * I2. The counter of an instruction starts again when an event at that instruction is turned off. When we turn off our
 *     own events, the code is made calm again (instrument.c). Code that already has such events during the walk will lose
 *     them later, usually when it runs next: it is marked `is_restless` and gets our events, which keep it instrumented.
 *     Before another tool asks for such events, `on_doubt` is called, and events take the place of counters. The first instruction of a line may have line events as well: a store is one where a statement over several
 *     lines goes back to its first; what it does in silence then is found late, as what C code does.
 */
#include "item_stores.h"

#include "codeinfo.h"

#if HAS_CALM_STORES

#include <opcode.h>

#define CALM 0xFFFF

typedef struct {
    unsigned char opcode;
    unsigned char argument;
} Unit;

static int watcher = -1;
static PyObject *on_doubt; /* Owned; NULL for nobody. */
static PyMethodDef *settrace;
static PyCFunction original_settrace; /* Stays, for a thread that runs our function just now. */

/* True when the code may have such an instruction: quick, and seldom wrong. */
static int
may_store(const Unit *units, Py_ssize_t length)
{
    for (Py_ssize_t i = 0; i < length; i++) {
        unsigned char opcode = units[i].opcode;
        if (opcode == STORE_SUBSCR || opcode == STORE_SUBSCR_LIST_INT || opcode == STORE_SUBSCR_DICT ||
            opcode >= MIN_INSTRUMENTED_OPCODE) { /* Which stands for another one. */
            return 1;
        }
    }
    return 0;
}

/* Set the counters of all such instructions; return whether one of them has events. */
static int
set_counters(PyCodeObject *code, int is_calm)
{
    int is_restless = 0;
    Unit *units = (Unit *)code->co_code_adaptive;
    Py_ssize_t length = Py_SIZE(code);
    if (!may_store(units, length)) {
        return 0;
    }
    /* As it was compiled: caches are zeros. (In brackets: tests do not let each of thousands fail.) */
    PyObject *plain = (PyCode_GetCode)(code);
    if (plain == NULL) {
        PyErr_Clear(); /* No memory: as above, what it does in silence is found late. */
        return 0;
    }
    const Unit *originals = (const Unit *)PyBytes_AS_STRING(plain);
    for (Py_ssize_t i = 0; i + 1 < length; i++) {
        if (originals[i].opcode != STORE_SUBSCR) {
            continue;
        }
        uint16_t counter;
        memcpy(&counter, &units[i + 1], sizeof(counter));
        if (is_calm) {
            if (units[i].opcode == STORE_SUBSCR_LIST_INT) {
                units[i].opcode = STORE_SUBSCR;
            }
            counter = CALM;
            is_restless |= units[i].opcode >= MIN_INSTRUMENTED_OPCODE;
        }
        else if (compat_is_unreachable(counter)) {
            counter = compat_first_counter();
        }
        memcpy(&units[i + 1], &counter, sizeof(counter));
    }
    Py_DECREF(plain);
    return is_restless;
}

static int
on_code(PyCodeEvent event, PyCodeObject *code)
{
    if (event == PY_CODE_EVENT_CREATE && is_in_main_interpreter()) {
        PendingError error = take_pending_error();
        (void)set_counters(code, 1); /* It has no events yet. */
        put_back_pending_error(error);
    }
    return 0;
}

/* ---- all code there is ---- */

typedef struct {
    int is_calm;
    int depth;
    PyObject *restless; /* List of the code that is (I2). */
} Walk;

#define MOST_DEPTH 20

/* See to what `object` is, or holds without the garbage collector's knowledge. */
static int
visit_part(PyObject *object, void *argument)
{
    Walk *walk = argument;
    if (walk->depth == MOST_DEPTH) {
        return 0;
    }
    walk->depth++;
    if (PyCode_Check(object)) {
        PyCodeObject *code = (PyCodeObject *)object;
        if (set_counters(code, walk->is_calm) && PyList_Append(walk->restless, object) < 0) {
            PyErr_Clear(); /* No memory: as above. */
        }
        visit_part(code->co_consts, walk);
    }
    else if (PyTuple_CheckExact(object) && !PyObject_GC_IsTracked(object)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); i++) {
            if (PyTuple_GET_ITEM(object, i) != NULL) {
                visit_part(PyTuple_GET_ITEM(object, i), walk);
            }
        }
    }
    else if (PyDict_CheckExact(object) && !PyObject_GC_IsTracked(object)) {
        PyObject *value;
        Py_ssize_t position = 0;
        while (PyDict_Next(object, &position, NULL, &value)) {
            visit_part(value, walk);
        }
    }
    walk->depth--;
    return 0;
}

static int
visit_object(PyObject *object, void *argument)
{
    (void)compat_visit_parts(object, visit_part, argument);
    return 1;
}

static int
visit_running(Walk *walk)
{
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; thread != NULL; thread = PyThreadState_Next(thread)) {
        PyFrameObject *frame = PyThreadState_GetFrame(thread);
        while (frame != NULL) {
            PyCodeObject *code = PyFrame_GetCode(frame);
            visit_part((PyObject *)code, walk);
            for (Py_ssize_t i = 0; i < code->co_nlocalsplus; i++) { /* The collector does not see what runs. */
                PyObject *local = compat_fast_local(frame, i);
                if (local != NULL) {
                    visit_part(local, walk);
                    Py_DECREF(local);
                }
            }
            Py_DECREF(code);
            Py_SETREF(frame, PyFrame_GetBack(frame));
        }
        if (PyErr_Occurred()) {
            return -1;
        }
    }
    return 0;
}

static int
see_restless(CoreState *state, PyObject *restless)
{
    int result = 0;
    for (Py_ssize_t i = 0; result == 0 && i < PyList_GET_SIZE(restless); i++) {
        CodeInfo *info = code_info(state, (PyCodeObject *)PyList_GET_ITEM(restless, i));
        if (info != NULL) {
            info->is_restless = 1;
        }
        result = info == NULL ? -1 : instrument_code(state, info, 0);
    }
    return result;
}

static int
end_restless(CoreState *state)
{
    for (CodeInfo *info = state->known; info != NULL; info = info->next_known) {
        info->is_restless = 0;
    }
    return instrument_all(state, 0);
}

static int
visit_all(CoreState *state, int is_calm)
{
    Walk walk = {.is_calm = is_calm, .restless = PyList_New(0)};
    int result = walk.restless == NULL ? -1 : visit_running(&walk);
    if (result == 0) {
        compat_visit_objects(visit_object, &walk);
        compat_forget_compiled();
        result = is_calm ? see_restless(state, walk.restless) : end_restless(state);
    }
    Py_XDECREF(walk.restless);
    return result;
}

void
item_stores_calm_again(PyCodeObject *code)
{
    if (watcher >= 0) {
        (void)set_counters(code, 1); /* Restless code has our events already. */
    }
}

/* ---- doubt ---- */

void
item_stores_doubt(void)
{
    PyObject *function = on_doubt;
    on_doubt = NULL;
    if (function != NULL) {
        PendingError error = take_pending_error();
        PyObject *result = events_call_as_own(function);
        Py_XDECREF(result);
        PyErr_Clear(); /* There is no tool id: as above, what is done in silence is found late. */
        Py_DECREF(function);
        put_back_pending_error(error);
    }
}

static PyObject *
set_trace(PyObject *module, PyObject *function)
{
    if (function != Py_None && is_in_main_interpreter()) {
        item_stores_doubt();
    }
    return original_settrace(module, function);
}

static void
stand_before_settrace(void)
{
    PyObject *function = PySys_GetObject("settrace"); /* Borrowed. */
    if (settrace == NULL && function != NULL && PyCFunction_CheckExact(function) &&
        PyCFunction_GET_FLAGS(function) == METH_O) {
        settrace = ((PyCFunctionObject *)function)->m_ml;
    }
    if (settrace != NULL && settrace->ml_meth != set_trace) {
        original_settrace = settrace->ml_meth;
        settrace->ml_meth = set_trace;
    }
}

static void
release(CoreState *state)
{
    if (watcher >= 0) {
        (void)PyCode_ClearWatcher(watcher);
        watcher = -1;
        if (visit_all(state, 0) < 0) {
            PyErr_Clear(); /* No memory: some code stays calm, which does no harm. */
        }
    }
    if (settrace != NULL && settrace->ml_meth == set_trace) {
        settrace->ml_meth = original_settrace;
    }
    Py_CLEAR(on_doubt);
}

PyObject *
item_stores_calm_all(PyObject *module, PyObject *function)
{
    CoreState *state = PyModule_GetState(module);
    assert(watcher < 0);
    watcher = PyCode_AddWatcher(on_code);
    if (watcher < 0) {
        PyErr_Clear();
        Py_RETURN_FALSE; /* Others have them all. */
    }
    if (visit_all(state, 1) < 0) {
        PendingError error = take_pending_error();
        release(state);
        put_back_pending_error(error);
        return NULL;
    }
    stand_before_settrace();
    on_doubt = Py_NewRef(function);
    Py_RETURN_TRUE;
}

PyObject *
item_stores_release_all(PyObject *module, PyObject *Py_UNUSED(unused))
{
    PendingError error = take_pending_error();
    release(PyModule_GetState(module));
    put_back_pending_error(error);
    Py_RETURN_NONE;
}

#else

PyObject *
item_stores_calm_all(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(function))
{
    Py_RETURN_FALSE;
}

PyObject *
item_stores_release_all(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    Py_RETURN_NONE;
}

void
item_stores_calm_again(PyCodeObject *Py_UNUSED(code))
{
}

void
item_stores_doubt(void)
{
}

#endif
