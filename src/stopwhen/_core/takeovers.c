/* Learns that somebody else takes away what the interpreter has given us: our tool id of sys.monitoring, with its events
 * and callbacks, which a program may free or use as its own; our dict watcher ids. Python arms everything anew then. (On 3.11
 * others may set trace functions: settrace.c, threads.c.)
 *
 * I1. While we have a tool id, the functions of sys.monitoring that could take it call ours instead, by their
 *     PyMethodDef. These are static: a subinterpreter calls ours, too, and is passed on.
 * I2. Nobody can be told when C code takes a dict watcher id: that is found when somebody asks.
 */
#include "takeovers.h"

#include "codeinfo.h"
#include "containers/item_stores.h"
#include "dictwatch.h"
#include "operators.h"

#if HAS_MONITORING

typedef enum { USE, FREE, CLEAR, REGISTER, SET, SET_LOCAL, TAKER_COUNT } TakerName;

typedef struct {
    const char *name;
    int flags;
    PyCFunction ours;
    PyMethodDef *definition; /* Of the interpreter; NULL where there is no such function. */
    PyCFunction original; /* Stays, for a thread that runs our function just now. */
} Taker;

static Taker takers[TAKER_COUNT];

/* True when `tool` is our tool id, and code of others names it. */
static int
is_taken(CoreState *state, PyObject *tool)
{
    if (state == NULL || !is_in_main_interpreter() || state->tool == NULL || !PyLong_Check(tool)) {
        return 0;
    }
    int overflow;
    int is_ours = PyLong_AsLongAndOverflow(tool, &overflow) == PyLong_AsLong(state->tool);
    int offset;
    PyCodeObject *code = compat_place(&offset);
    CodeInfo *info = is_ours && code != NULL ? code_info(state, code) : NULL;
    PyErr_Clear();
    return is_ours && !state->sets_events && (info == NULL || !info->is_ours);
}

/* Somebody has called a function that takes our tool id: let Python arm anew, before anything else runs. */
static PyObject *
take(CoreState *state, TakerName which, PyObject *result)
{
    if (result == NULL) {
        return NULL; /* It has failed, and taken nothing. */
    }
    state->taken |= TAKEN_TOOL;
    state->taker = takers[which].name;
    if (state->due == 0) {
        state->due = 1;
    }
    if (events_is_draining()) {
        events_drain_later();
    }
    else if (events_drain(state, ANYWHERE) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

static PyObject *
call_with_one(TakerName which, PyObject *module, PyObject *tool)
{
    CoreState *state = state_for_callback();
    int taken = is_taken(state, tool);
    if (taken) {
        recheck_catch_up(state);
    }
    PyObject *result = takers[which].original(module, tool);
    return taken ? take(state, which, result) : result;
}

/* Code of others asks for events: if they are of single instructions, item_stores.c is to know. */
static void
see_events(const CoreState *state, PyObject *const *args, Py_ssize_t count)
{
    if (state == NULL || !is_in_main_interpreter() || state->sets_events || count < 2 ||
        !PyLong_Check(args[count - 1])) {
        return;
    }
    int overflow;
    long events = PyLong_AsLongAndOverflow(args[count - 1], &overflow);
    if (events & state->instruction_event) {
        item_stores_doubt();
    }
}

static PyObject *
call_with_several(TakerName which, PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    CoreState *state = state_for_callback();
    int taken = count > 0 && is_taken(state, args[0]);
    if (taken) {
        recheck_catch_up(state);
    }
    if (taken && which == USE) { /* Who asks for it gets it, if there is another one for us. */
        PyObject *done = take(state, which, Py_NewRef(Py_None));
        Py_XDECREF(done);
        if (done == NULL) {
            return NULL;
        }
        taken = 0;
    }
    if (which == SET || which == SET_LOCAL) {
        see_events(state, args, count);
    }
    PyObject *result =
        ((PyObject * (*)(PyObject *, PyObject *const *, Py_ssize_t))(void (*)(void))takers[which].original)(
            module, args, count);
    return taken ? take(state, which, result) : result;
}

static PyObject *
free_tool_id(PyObject *module, PyObject *tool)
{
    return call_with_one(FREE, module, tool);
}

static PyObject *
clear_tool_id(PyObject *module, PyObject *tool)
{
    return call_with_one(CLEAR, module, tool);
}

static PyObject *
use_tool_id(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    return call_with_several(USE, module, args, count);
}

static PyObject *
register_callback(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    return call_with_several(REGISTER, module, args, count);
}

static PyObject *
set_events(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    return call_with_several(SET, module, args, count);
}

static PyObject *
set_local_events(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    return call_with_several(SET_LOCAL, module, args, count);
}

#define FASTCALL(function) METH_FASTCALL, (PyCFunction)(void (*)(void))(function)

static Taker takers[TAKER_COUNT] = {
    [USE] = {"use_tool_id", FASTCALL(use_tool_id), NULL, NULL},
    [FREE] = {"free_tool_id", METH_O, free_tool_id, NULL, NULL},
    [CLEAR] = {"clear_tool_id", METH_O, clear_tool_id, NULL, NULL}, /* 3.14+ */
    [REGISTER] = {"register_callback", FASTCALL(register_callback), NULL, NULL},
    [SET] = {"set_events", FASTCALL(set_events), NULL, NULL},
    [SET_LOCAL] = {"set_local_events", FASTCALL(set_local_events), NULL, NULL},
};

void
takeovers_open(void)
{
    PyObject *module = PySys_GetObject("monitoring"); /* Borrowed. */
    for (int i = 0; i < TAKER_COUNT && module != NULL && PyModule_CheckExact(module); i++) {
        PyObject *function = PyDict_GetItemString(PyModule_GetDict(module), takers[i].name); /* Borrowed. */
        if (function != NULL && PyCFunction_CheckExact(function) &&
            PyCFunction_GET_FLAGS(function) == takers[i].flags) {
            takers[i].definition = ((PyCFunctionObject *)function)->m_ml;
        }
    }
    PyErr_Clear();
}

void
takeovers_begin(CoreState *state)
{
    assert(state->tool != NULL);
    (void)state;
    for (int i = 0; i < TAKER_COUNT; i++) {
        Taker *taker = &takers[i];
        if (taker->definition != NULL && taker->definition->ml_meth != taker->ours) {
            taker->original = taker->definition->ml_meth;
            taker->definition->ml_meth = taker->ours;
        }
    }
}

void
takeovers_end(void)
{
    for (int i = 0; i < TAKER_COUNT; i++) {
        Taker *taker = &takers[i];
        if (taker->definition != NULL && taker->definition->ml_meth == taker->ours) {
            taker->definition->ml_meth = taker->original;
        }
    }
}

#endif

int
takeovers_wait(const CoreState *state)
{
#if HAS_DICT_WATCHERS
    return state->taken != 0 || !dictwatch_is_ours(state) || !operators_are_told(state); /* I2 */
#else
    return state->taken != 0;
#endif
}

PyObject *
takeovers_taken(PyObject *module, PyObject *Py_UNUSED(unused))
{
    CoreState *state = PyModule_GetState(module);
    int taken = state->taken;
#if HAS_DICT_WATCHERS
    taken |= dictwatch_is_whole(state) && operators_are_told(state) ? 0 : TAKEN_WATCHER;
#endif
    PyObject *result = Py_BuildValue("iz", taken, state->taker);
    if (result != NULL) {
        state->taken = 0;
        state->taker = NULL;
    }
    return result;
}
