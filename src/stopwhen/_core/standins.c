/* Stands before the functions that other tools have the interpreter call: trace and profile functions, and callbacks of
 * sys.monitoring. What is done around each call: tools.c.
 *
 * I1. While `tools_stand` is set we stand before every such function that is known to us; when it is not, before none.
 *     A function is known that was there when that began, or has been set since by way of the functions of `sys` that
 *     set them. Before these we stand, too.
 * I2. Functions in C that only count or note, as those of cProfile and coverage, are left alone (is_harmless).
 * I3. While a function of `sys` that sets others runs, or one that tells of them, none of ours is in the way: it finds and
 *     returns the tool's own. `sys.gettrace()` and `sys.getprofile()` know of objects alone, and those are never ours.
 */
#include "standins.h"

#include "tools.h"

#if HAS_MONITORING
/* True for a function in C of which it is known that it changes nothing of the program's (I2). */
static int
is_harmless(PyObject *function)
{
    PyObject *owner = PyCFunction_Check(function) ? PyCFunction_GET_SELF(function) : function;
    int is_in_c = PyCFunction_Check(function) || tools_code_called(function) == NULL;
    for (PyTypeObject *type = is_in_c && owner != NULL ? Py_TYPE(owner) : NULL; type != NULL; type = type->tp_base) {
        if (strcmp(type->tp_name, "_lsprof.Profiler") == 0 || strcmp(type->tp_name, "coverage.CTracer") == 0) {
            return 1;
        }
    }
    return 0;
}
#endif

/* ---- trace and profile functions: those that are set from Python have one function in C, which we stand before ---- */

/* The interpreter's own; NULL until one is known. */
static Py_tracefunc profile_function;
#if HAS_MONITORING
static Py_tracefunc trace_function;
#endif

static ToolMoment
moment_of(int what)
{
    switch (what) {
    case PyTrace_CALL:
        return BEFORE_FRAME;
    case PyTrace_C_RETURN:
    case PyTrace_C_EXCEPTION:
    case PyTrace_EXCEPTION:
        return AMID_INSTRUCTION;
#if !HAS_MONITORING
    case PyTrace_C_CALL:
        return AMID_INSTRUCTION; /* The events of its line have come. */
#endif
    default:
        return BEFORE_INSTRUCTION;
    }
}

static int
call_between_looks(Py_tracefunc call, PyObject *function, PyObject *object, PyFrameObject *frame, int what,
                   PyObject *argument)
{
    CoreState *state = state_for_callback();
    ToolCall running;
    Py_XINCREF(function);
    tools_begin(state, &running, function, moment_of(what));
    int result = call(object, frame, what, argument);
    tools_end(state, &running, what == PyTrace_RETURN);
    Py_XDECREF(function);
    return result;
}

static int
on_profile(PyObject *object, PyFrameObject *frame, int what, PyObject *argument)
{
    return call_between_looks(profile_function, object, object, frame, what, argument);
}

static void
stand_before(Py_tracefunc *place, const PyObject *object, Py_tracefunc *known, Py_tracefunc ours)
{
    if (*place != NULL && *known == NULL && tools_code_called((PyObject *)object) != NULL) {
        *known = *place;
    }
    if (*place != NULL && *place == *known) {
        *place = ours;
    }
}

#if HAS_MONITORING
static int
on_trace(PyObject *object, PyFrameObject *frame, int what, PyObject *argument)
{
    PyObject *local = what == PyTrace_CALL ? NULL : compat_frame_trace(frame);
    return call_between_looks(trace_function, local == NULL ? object : local, object, frame, what, argument);
}
#endif

static void
stand_before_threads(void)
{
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; thread != NULL; thread = PyThreadState_Next(thread)) {
        stand_before(&thread->c_profilefunc, thread->c_profileobj, &profile_function, on_profile);
#if HAS_MONITORING
        stand_before(&thread->c_tracefunc, thread->c_traceobj, &trace_function, on_trace);
#endif
    }
}

static void
leave_threads(void)
{
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; thread != NULL; thread = PyThreadState_Next(thread)) {
        if (thread->c_profilefunc == on_profile) {
            thread->c_profilefunc = profile_function;
        }
#if HAS_MONITORING
        if (thread->c_tracefunc == on_trace) {
            thread->c_tracefunc = trace_function;
        }
#endif
    }
}

/* ---- callbacks of sys.monitoring: each gets an object of ours in its place ---- */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *function; /* Owned. The tool's own. */
    ToolMoment moment;
    int leaves; /* The frame is left. */
} StandIn;

static void
stand_in_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Py_DECREF(((StandIn *)object)->function);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMemberDef stand_in_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(StandIn, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot stand_in_slots[] = {
    {Py_tp_dealloc, stand_in_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, stand_in_members},
    {Py_tp_doc, (void *)PyDoc_STR("Calls a callback of another tool, and compares before and after.")},
    {0, NULL},
};

PyType_Spec stand_in_spec = {
    .name = "stopwhen._core.StandIn",
    .basicsize = sizeof(StandIn),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = stand_in_slots,
};

#if HAS_MONITORING

static PyObject *
call_stand_in(PyObject *object, PyObject *const *args, size_t flags, PyObject *keywords)
{
    CoreState *state = state_for_callback();
    StandIn *self = (StandIn *)object;
    PyObject *function = Py_NewRef(self->function); /* This object may be gone when it returns. */
    int leaves = self->leaves;
    ToolCall running;
    tools_begin(state, &running, function, self->moment);
    PyObject *result = PyObject_Vectorcall(function, args, flags, keywords);
    tools_end(state, &running, leaves);
    Py_DECREF(function);
    return result;
}

/* Return a stand-in for `function`, new; NULL without memory, and no exception set. */
static PyObject *
make_stand_in(CoreState *state, PyObject *function, int event)
{
    StandIn *stand_in = PyObject_New(StandIn, state->stand_in_type);
    if (stand_in == NULL) {
        PyErr_Clear();
        return NULL;
    }
    stand_in->vectorcall = call_stand_in;
    stand_in->function = Py_NewRef(function);
    stand_in->moment = compat_event_begins_frame(event) ? BEFORE_FRAME
                       : compat_event_is_amid(event)    ? AMID_INSTRUCTION
                                                        : BEFORE_INSTRUCTION;
    stand_in->leaves = compat_event_leaves_frame(event);
    return (PyObject *)stand_in;
}

static void
stand_before_callbacks(CoreState *state)
{
    long ours = state->tool == NULL ? -1 : PyLong_AsLong(state->tool);
    for (int tool = 0; tool < COMPAT_TOOLS; tool++) {
        PyObject **place;
        for (int event = 0; tool != ours && (place = compat_callback(tool, event)) != NULL; event++) {
            PyObject *function = *place; /* Borrowed. */
            if (function == NULL || Py_IS_TYPE(function, state->stand_in_type) || is_harmless(function) ||
                (compat_event_is_branch(event) && tools_code_called(function) == NULL)) {
                continue; /* For branches the interpreter has objects of its own, which it looks for. */
            }
            PyObject *stand_in = make_stand_in(state, function, event);
            if (stand_in != NULL) {
                *place = stand_in;
                Py_DECREF(function); /* The stand-in has it. */
            }
        }
    }
}

static void
leave_callbacks(CoreState *state)
{
    for (int tool = 0; tool < COMPAT_TOOLS; tool++) {
        PyObject **place;
        for (int event = 0; (place = compat_callback(tool, event)) != NULL; event++) {
            PyObject *stand_in = *place; /* Ours, now. */
            if (stand_in != NULL && Py_IS_TYPE(stand_in, state->stand_in_type)) {
                *place = Py_NewRef(((StandIn *)stand_in)->function);
                Py_DECREF(stand_in);
            }
        }
    }
}

#endif

/* ---- the functions of `sys` that set them ---- */

static void
stand_everywhere(CoreState *state)
{
    stand_before_threads();
#if HAS_MONITORING
    stand_before_callbacks(state);
#else
    (void)state;
#endif
}

static void
leave_everywhere(CoreState *state)
{
    leave_threads();
#if HAS_MONITORING
    leave_callbacks(state);
#else
    (void)state;
#endif
}

typedef struct {
    const char *name;
    int flags;
    PyCFunction ours;
    PyObject *object; /* Owned; NULL while we do not stand before it. */
    PyMethodDef *original; /* Stays, for a thread that runs our function just now. */
    PyMethodDef replaced;
} Setter;

enum {
    SETPROFILE,
#if HAS_MONITORING
    SETTRACE,
    SETPROFILE_ALL,
    SETTRACE_ALL,
    REGISTER,
#endif
    SETTER_COUNT,
};

static Setter setters[SETTER_COUNT];

/* A function of `sys` with one argument is called. */
static PyObject *
set_function(int which, PyObject *module, PyObject *argument)
{
    CoreState *state = state_for_callback();
    PyObject *result = setters[which].original->ml_meth(module, argument);
    PyThreadState *me = PyThreadState_Get();
    if (state == NULL || !state->tools_stand || result == NULL || !is_in_main_interpreter()) {
        return result;
    }
    if (profile_function == NULL && which == SETPROFILE) {
        profile_function = me->c_profilefunc;
    }
#if HAS_MONITORING
    if (trace_function == NULL && which == SETTRACE) {
        trace_function = me->c_tracefunc;
    }
#endif
    stand_everywhere(state);
    return result;
}

static PyObject *
setprofile(PyObject *module, PyObject *function)
{
    return set_function(SETPROFILE, module, function);
}

#if HAS_MONITORING
static PyObject *
settrace(PyObject *module, PyObject *function)
{
    return set_function(SETTRACE, module, function);
}

static PyObject *
setprofile_all(PyObject *module, PyObject *function)
{
    return set_function(SETPROFILE_ALL, module, function);
}

static PyObject *
settrace_all(PyObject *module, PyObject *function)
{
    return set_function(SETTRACE_ALL, module, function);
}

static PyObject *
register_callback(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    CoreState *state = state_for_callback();
    int is_main = state != NULL && is_in_main_interpreter();
    if (is_main) {
        leave_callbacks(state); /* I3 */
    }
    PyObject *result = ((PyObject * (*)(PyObject *, PyObject *const *, Py_ssize_t))(void (*)(void))setters[REGISTER]
                            .original->ml_meth)(module, args, count);
    if (is_main && state->tools_stand) {
        PendingError error = take_pending_error();
        stand_everywhere(state);
        put_back_pending_error(error);
    }
    return result;
}
#endif

static Setter setters[SETTER_COUNT] = {
    [SETPROFILE] = {.name = "setprofile", .flags = METH_O, .ours = setprofile},
#if HAS_MONITORING
    [SETTRACE] = {.name = "settrace", .flags = METH_O, .ours = settrace},
    [SETPROFILE_ALL] = {.name = "_setprofileallthreads", .flags = METH_O, .ours = setprofile_all},
    [SETTRACE_ALL] = {.name = "_settraceallthreads", .flags = METH_O, .ours = settrace_all},
    [REGISTER] = {.name = "register_callback",
                  .flags = METH_FASTCALL,
                  .ours = (PyCFunction)(void (*)(void))register_callback},
#endif
};

/* Return what `sys` has under the setter's name, new; NULL for nothing, and no exception set. */
static PyObject *
find_setter(const Setter *setter)
{
    PyObject *object = NULL;
    if (setter->flags == METH_O) {
        object = Py_XNewRef(PySys_GetObject(setter->name));
    }
    else {
        PyObject *module = PySys_GetObject("monitoring"); /* Borrowed. */
        object = module == NULL || !PyModule_CheckExact(module)
                     ? NULL
                     : Py_XNewRef(PyDict_GetItemString(PyModule_GetDict(module), setter->name));
    }
    PyErr_Clear();
    return object;
}

/* Be called for each function that sets others, unless the program has put something else there. */
static void
stand_before_setters(void)
{
    for (int i = 0; i < SETTER_COUNT; i++) {
        Setter *setter = &setters[i];
        PyObject *object = setter->object != NULL ? NULL : find_setter(setter);
        if (object == NULL || !PyCFunction_CheckExact(object) || PyCFunction_GET_FLAGS(object) != setter->flags) {
            Py_XDECREF(object);
            continue;
        }
        PyCFunctionObject *builtin = (PyCFunctionObject *)object;
        setter->original = builtin->m_ml;
        setter->replaced = *builtin->m_ml;
        setter->replaced.ml_meth = setter->ours;
        setter->object = object;
        builtin->m_ml = &setter->replaced;
    }
}

static void
leave_setters(void)
{
    for (int i = 0; i < SETTER_COUNT; i++) {
        if (setters[i].object != NULL) {
            ((PyCFunctionObject *)setters[i].object)->m_ml = setters[i].original;
            Py_CLEAR(setters[i].object);
        }
    }
}

void
standins_begin(CoreState *state)
{
    if (!state->tools_stand) {
        state->tools_stand = 1;
        stand_before_setters();
    }
    stand_everywhere(state);
}

void
standins_end(CoreState *state)
{
    state->tools_stand = 0;
    leave_setters();
    leave_everywhere(state);
}
