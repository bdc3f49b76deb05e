/* Builds the module stopwhen._core. What it offers is declared for Python in _core.pyi. */
#include "codeinfo.h"
#include "containers/item_stores.h"
#include "containers/told.h"
#include "crowd.h"
#include "frames.h"
#include "instances.h"
#include "layout.h"
#include "judging.h"
#include "operators.h"
#include "places.h"
#include "standins.h"
#include "takeovers.h"
#include "tools.h"

/* The one static: dict watchers, pending calls, trace functions and audit hooks get no pointer of ours. It names the
 * module of the main interpreter; the module refuses to load in any other (Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED). */
static CoreState *the_state;

CoreState *
state_for_callback(void)
{
    return the_state;
}

/* ---- callbacks for sys.monitoring: a vectorcall object is cheaper to call than a builtin function ---- */

typedef PyObject *(*CallbackFunction)(CoreState *, PyObject *const *, Py_ssize_t);

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    CallbackFunction function;
    CoreState *state; /* Borrowed; the type, which each instance owns, keeps the module. */
} Callback;

#if HAS_MONITORING
static PyObject *
callback_vectorcall(PyObject *object, PyObject *const *args, size_t flags, PyObject *Py_UNUSED(keywords))
{
    Callback *self = (Callback *)object;
    return self->function(self->state, args, PyVectorcall_NARGS(flags));
}

#endif

static void
callback_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMemberDef callback_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Callback, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot callback_slots[] = {
    {Py_tp_dealloc, callback_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, callback_members},
    {Py_tp_doc, (void *)PyDoc_STR("A callback for one event of sys.monitoring.")},
    {0, NULL},
};

static PyType_Spec callback_spec = {
    .name = "stopwhen._core.Callback",
    .basicsize = sizeof(Callback),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = callback_slots,
};

#if HAS_MONITORING
static const struct {
    const char *name;
    CallbackFunction function;
} callbacks[] = {
    {"on_instruction", monitoring_on_instruction},
    {"on_start", monitoring_on_start},
    {"on_raise", monitoring_on_raise},
    {"on_exit", monitoring_on_exit},
};

static int
add_callbacks(PyObject *module, CoreState *state)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(callbacks); i++) {
        Callback *callback = PyObject_New(Callback, state->callback_type);
        if (callback == NULL) {
            return -1;
        }
        callback->vectorcall = callback_vectorcall;
        callback->function = callbacks[i].function;
        callback->state = state;
        int failed = PyModule_AddObjectRef(module, callbacks[i].name, (PyObject *)callback);
        Py_DECREF(callback);
        if (failed < 0) {
            return -1;
        }
    }
    return 0;
}
#endif

/* ---- the module's own functions ---- */

/* open(handler, absent, own folder): from now on changes are noted and `handler()` is called to take them. */
static PyObject *
core_open(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *handler, *absent, *folder; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "OOU", &handler, &absent, &folder)) {
        return NULL;
    }
    Py_XSETREF(state->handler, Py_NewRef(handler));
    Py_XSETREF(state->absent, Py_NewRef(absent));
    Py_XSETREF(state->own_folder, Py_NewRef(folder));
    Py_RETURN_NONE;
}

static void
disarm_all(CoreState *state)
{
    tools_clear(state);
    raising_end(state);
    calls_clear(state);
    access_clear(state);
    instances_clear(state);
    checks_clear(state);
#if HAS_DICT_WATCHERS
    dictwatch_clear(state);
    layout_clear(state);
    operators_end(state);
#endif
#if HAS_MONITORING
    instrument_clear(state);
#else
    tracing_clear(state);
#endif
    unheard_clear(state);
    judging_clear(state);
    events_clear(state);
}

/* close(): disarm everything that is still armed. */
static PyObject *
core_close(PyObject *module, PyObject *Py_UNUSED(unused))
{
    disarm_all(PyModule_GetState(module));
    Py_RETURN_NONE;
}

/* armed(): number of dicts, layouts, checks, functions, code objects and threads that anything of ours is armed on. */
static PyObject *
core_armed(PyObject *module, PyObject *Py_UNUSED(unused))
{
    CoreState *state = PyModule_GetState(module);
    Py_ssize_t layouts = 0;
#if HAS_DICT_WATCHERS
    layouts = layout_armed(state);
#endif
    return PyLong_FromSsize_t(layouts + state->dicts.count + state->class_dicts.count + state->crowd_count +
                              state->instances.count + state->classes.count + state->check_count +
                              state->frame_check_count + state->function_count + state->instrumented_count +
                              state->traced_count + state->access_count + state->begun_count);
}

/* checks(): number of checks that are compared after instructions of any code. */
static PyObject *
core_checks(PyObject *module, PyObject *Py_UNUSED(unused))
{
    CoreState *state = PyModule_GetState(module);
    return PyLong_FromSsize_t(state->check_count);
}

/* is_taken(): others may have taken something away of which nobody was told yet. Quick. */
static PyObject *
core_is_taken(PyObject *module, PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(takeovers_wait(PyModule_GetState(module)));
}

/* forgive_stack(): frames that run in this thread now count for the recursion limit no more. */
static PyObject *
core_forgive_stack(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    compat_forgive_stack();
    Py_RETURN_NONE;
}

/* thread_dict(): the dict of this thread, where 3.11 and 3.12 keep what marks its part of each `threading.local`. */
static PyObject *
core_thread_dict(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    PyObject *dict = PyThreadState_GetDict(); /* Borrowed. */
    return dict == NULL ? PyErr_NoMemory() : Py_NewRef(dict);
}

/* has_plain_lookup(type): attributes of its instances are looked up as those of plain objects are. */
static PyObject *
core_has_plain_lookup(PyObject *Py_UNUSED(module), PyObject *type)
{
    return PyBool_FromLong(PyType_Check(type) && ((PyTypeObject *)type)->tp_getattro == PyObject_GenericGetAttr);
}

static PyMethodDef methods[] = {
    {"open", core_open, METH_VARARGS, NULL},
    {"close", core_close, METH_NOARGS, NULL},
    {"forgive_stack", core_forgive_stack, METH_NOARGS, NULL},
    {"armed", core_armed, METH_NOARGS, NULL},
    {"checks", core_checks, METH_NOARGS, NULL},
    {"thread_dict", core_thread_dict, METH_NOARGS, NULL},
    {"has_plain_lookup", core_has_plain_lookup, METH_O, NULL},
    {"take", events_take, METH_NOARGS, NULL},
    {"take_missed", events_take_missed, METH_NOARGS, NULL},
    {"own", events_own, METH_O, NULL},
    {"let_run", events_let_run, METH_O, NULL},
    {"evaluate", events_evaluate, METH_O, NULL},
    {"hold", releasing_hold, METH_VARARGS, NULL},
    {"taken", takeovers_taken, METH_NOARGS, NULL},
    {"is_taken", core_is_taken, METH_NOARGS, NULL},
    {"set_due", events_set_due, METH_O, NULL},
    {"is_doubtful", arming_is_doubtful, METH_NOARGS, NULL},
    {"drain_later", events_ask_for_drain, METH_NOARGS, NULL},
    {"has_thread", releasing_has_thread, METH_O, NULL},
    {"lighten", releasing_lighten, METH_VARARGS, NULL},
    {"forget_threads", events_forget_threads, METH_NOARGS, NULL},
    {"take_steps", calling_take_steps_here, METH_O, NULL},
    {"deliver_line", calling_deliver_line, METH_O, NULL},
    {"deliver_return", calling_deliver_return, METH_O, NULL},
    {"set_cases", judging_set_cases, METH_VARARGS, NULL},
    {"note_with", judging_note_with, METH_VARARGS, NULL},
    {"set_opcodes", recheck_set_opcodes, METH_VARARGS, NULL},
    {"look_at_told", told_look_now, METH_NOARGS, NULL},
    {"resync", recheck_resync, METH_NOARGS, NULL},
    {"set_sites", sites_set, METH_VARARGS, NULL},
    {"arm_access", access_arm, METH_VARARGS, NULL},
    {"disarm_access", access_disarm, METH_VARARGS, NULL},
    {"set_interest", access_set_interest, METH_VARARGS, NULL},
    {"restart_starts", access_restart_starts, METH_O, NULL},
    {"note_children", children_note, METH_VARARGS, NULL},
    {"take_children", children_take, METH_NOARGS, NULL},
    {"frame_local", frame_local, METH_VARARGS, NULL},
    {"frame_cell", frame_cell, METH_VARARGS, NULL},
    {"frame_ref", frames_ref, METH_O, NULL},
    {"frame_function", frames_function, METH_O, NULL},
    {"frame_namespace", frames_namespace, METH_O, NULL},
    {"frame_is_cleared", frames_is_cleared, METH_O, NULL},
    {"arm_calls", calls_arm, METH_VARARGS, NULL},
    {"disarm_calls", calls_disarm, METH_O, NULL},
#if HAS_DICT_WATCHERS
    {"arm_dict", dictwatch_arm, METH_VARARGS, NULL},
    {"disarm_dict", dictwatch_disarm, METH_VARARGS, NULL},
    {"arm_layout", layout_arm, METH_VARARGS, NULL},
    {"disarm_layout", layout_disarm, METH_O, NULL},
    {"dict_watcher_is_free", dictwatch_is_usable, METH_NOARGS, NULL},
    {"detach_dict", dictwatch_detach, METH_O, NULL},
#endif
    {"arm_class", instances_arm, METH_VARARGS, NULL},
    {"disarm_class", instances_disarm, METH_O, NULL},
    {"instances", instances_all, METH_O, NULL},
    {"find_instances", instances_found, METH_O, NULL},
    {"set_parts", instances_set_parts, METH_VARARGS, NULL},
    {"memo", instances_memo, METH_VARARGS, NULL},
    {"set_quiet", instances_set_quiet, METH_VARARGS, NULL},
#if HAS_MONITORING
    {"look_back", monitoring_look_back, METH_O, NULL},
    {"use_tool", instrument_use_tool, METH_VARARGS, NULL},
    {"set_level", instrument_set_level, METH_O, NULL},
    {"watch_item_stores", instrument_watch_item_stores, METH_O, NULL},
    {"calm_item_stores", item_stores_calm_all, METH_O, NULL},
    {"release_item_stores", item_stores_release_all, METH_NOARGS, NULL},
    {"slot_tells", slots_tell, METH_O, NULL},
#else
    {"set_level", recheck_set_level, METH_O, NULL},
    {"start_tracing", tracing_start, METH_NOARGS, NULL},
    {"stop_tracing", tracing_stop, METH_NOARGS, NULL},
    {"begin_line", tracing_begin_line, METH_O, NULL},
#endif
    {NULL, NULL, 0, NULL},
};

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    CoreState *state = PyModule_GetState(module);
    Py_VISIT(state->handler);
    Py_VISIT(state->absent);
    Py_VISIT(state->names);
    Py_VISIT(state->check_type);
    Py_VISIT(state->callback_type);
    Py_VISIT(state->method_wrapper_type);
    Py_VISIT(state->partial_type);
    Py_VISIT(state->methodcaller_type);
    Py_VISIT(state->frame_ref_type);
    Py_VISIT(state->places_type);
    Py_VISIT(state->judge_type);
    Py_VISIT(state->case_type);
    Py_VISIT(state->stand_in_type);
    for (int i = 0; i < STARTERS; i++) {
        Py_VISIT(state->starters[i].function);
    }
    Py_VISIT(state->children);
    Py_VISIT(state->set_local_events);
    Py_VISIT(state->disable);
    for (Py_ssize_t i = 0; i < state->queued; i++) {
        Py_VISIT(state->queue[i].tuple);
    }
    for (int i = 0; i < state->missed_count; i++) {
        Py_VISIT(state->missed[i]);
    }
    for (Py_ssize_t i = 0; i < state->held_count; i++) {
        Py_VISIT(state->held[i].object);
    }
    int result = judging_traverse(state, visit, arg);
    result = result != 0 ? result : access_traverse(state, visit, arg);
    if (result != 0) {
        return result;
    }
#if HAS_DICT_WATCHERS
    result = layout_traverse(state, visit, arg);
    return result != 0 ? result : dictwatch_traverse(state, visit, arg);
#else
    return 0;
#endif
}

static int
module_clear(PyObject *module)
{
    CoreState *state = PyModule_GetState(module);
    if (the_state == state) { /* Else it was not loaded, as another is: what is armed is that one's. */
        disarm_all(state);
    }
    children_end(state);
    frames_clear(state);
    Py_CLEAR(state->absent);
    Py_CLEAR(state->own_folder);
    Py_CLEAR(state->names);
    access_close(state);
    Py_CLEAR(state->check_type);
    Py_CLEAR(state->callback_type);
    Py_CLEAR(state->method_wrapper_type);
    Py_CLEAR(state->partial_type);
    Py_CLEAR(state->methodcaller_type);
    Py_CLEAR(state->frame_ref_type);
    Py_CLEAR(state->places_type);
    Py_CLEAR(state->judge_type);
    Py_CLEAR(state->case_type);
    Py_CLEAR(state->name_name);
    Py_CLEAR(state->stand_in_type);
    return 0;
}

static void
module_free(void *module)
{
    CoreState *state = PyModule_GetState(module);
    if (state != NULL) {
        (void)module_clear(module);
        crowd_free(state);
        table_free(&state->told);
        table_free(&state->told_slots);
        tools_free(state);
#if HAS_DICT_VERSIONS
        Py_CLEAR(state->clock);
#endif
        PyMem_Free(state->checks);
        PyMem_Free(state->shared);
        state->checks = NULL;
        state->shared = NULL;
        state->shared_capacity = 0;
        state->check_capacity = 0;
        if (the_state == state) {
            the_state = NULL;
        }
    }
}

/* Keep the types that no header declares; -1 with an exception set. */
static int
find_types(CoreState *state)
{
    PyObject *functools = PyImport_ImportModule("_functools");
    PyObject *operators = PyImport_ImportModule("_operator");
    PyObject *wrapper = PyObject_GetAttrString(Py_None, "__repr__");
    if (functools != NULL && operators != NULL && wrapper != NULL) {
        state->partial_type = (PyTypeObject *)PyObject_GetAttrString(functools, "partial");
        state->methodcaller_type = (PyTypeObject *)PyObject_GetAttrString(operators, "methodcaller");
        state->method_wrapper_type = (PyTypeObject *)Py_NewRef(Py_TYPE(wrapper));
    }
    Py_XDECREF(functools);
    Py_XDECREF(operators);
    Py_XDECREF(wrapper);
    return state->partial_type == NULL || state->methodcaller_type == NULL ? -1 : 0;
}

static int
module_exec(PyObject *module)
{
    CoreState *state = PyModule_GetState(module);
    state->watcher_id = -1;
    state->class_watcher_id = -1;
    if (!is_in_main_interpreter()) {
        PyErr_SetString(PyExc_ImportError, "stopwhen works in the main interpreter only");
        return -1;
    }
    if (the_state != NULL) {
        PyErr_SetString(PyExc_ImportError, "stopwhen._core is loaded already and cannot be loaded twice");
        return -1;
    }
    state->access_era = 1;
    state->latest_thread_now = compat_latest_thread();
    state->switches_now = compat_switches();
    state->code_extra = PyUnstable_Eval_RequestCodeExtraIndex(code_info_free);
    if (state->code_extra < 0) {
        PyErr_SetString(PyExc_ImportError, "no index for per-code information is left");
        return -1;
    }
    state->check_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &check_spec, NULL);
    state->callback_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &callback_spec, NULL);
    if (access_open(state) < 0 || find_types(state) < 0 || interpose_open() < 0) {
        return -1;
    }
    state->frame_ref_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &frame_ref_spec, NULL);
    state->places_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &places_spec, NULL);
    state->judge_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &judge_spec, NULL);
    state->case_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &case_spec, NULL);
    state->name_name = PyUnicode_InternFromString("_name");
    state->pid = (long)compat_pid();
    state->stand_in_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &stand_in_spec, NULL);
    if (state->places_type == NULL || state->judge_type == NULL || state->case_type == NULL ||
        state->name_name == NULL || PyModule_AddObjectRef(module, "Judge", (PyObject *)state->judge_type) < 0 ||
        PyModule_AddObjectRef(module, "Case", (PyObject *)state->case_type) < 0 || state->check_type == NULL ||
        state->callback_type == NULL || state->frame_ref_type == NULL || state->stand_in_type == NULL ||
        PyModule_AddObjectRef(module, "Check", (PyObject *)state->check_type) < 0) {
        return -1;
    }
#if HAS_MONITORING
    if (add_callbacks(module, state) < 0) {
        return -1;
    }
    takeovers_open();
#endif
    the_state = state;
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    /* Dict watcher callbacks and pending calls find the state through one static. */
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    /* Blame rests on the GIL's order of events: no claim to work without it. */
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "stopwhen._core",
    .m_doc = PyDoc_STR("What must sit inside the interpreter: notes what changed where. See _core.pyi."),
    .m_size = sizeof(CoreState),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
