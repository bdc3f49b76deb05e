/* What functions of other tools change. While a function that `sys.settrace`, `sys.setprofile` or `sys.monitoring` calls
 * runs, the interpreter tells nobody of anything that happens in its thread. So we stand before such functions, and
 * compare right before and right after each call: what has changed meanwhile is laid to the function, somewhere in it.
 *
 * I1. While `tools_stand` is set we stand before every such function that is known to us; when it is not, before none.
 *     A function is known that was there when that began, or has been set since by way of the functions of `sys` that
 *     set them. Before these we stand, too.
 * I2. Functions in C that only count or note, as those of cProfile and coverage, are left alone (is_harmless).
 * I3. While a function of `sys` that sets others runs, or one that tells of them, none of ours is in the way: it finds and
 *     returns the tool's own. `sys.gettrace()` and `sys.getprofile()` know of objects alone, and those are never ours.
 * I4. `tool_calls` has an entry for each call that runs, of any thread, in the order in which they began; also for those
 *     that run already when something is armed first. Of these nobody tells the end: the next event of their thread does.
 */
#include "tools.h"

#include "codeinfo.h"
#include "frames.h"
#include "quick.h"
#include "shared.h"

struct RunningCall {
    uint64_t number;
    const PyThreadState *thread; /* Never followed. */
    PyObject *function; /* Borrowed: its caller owns it. NULL when it ran already, and then: */
    PyCodeObject *code; /* Owned: where it stood, NULL when that is not known. */
    int offset; /* In bytes. */
};

/* ---- what is called ---- */

/* Return the code that runs when `function` is called, borrowed; NULL when that is not Python code, or not known. */
static PyCodeObject *
code_called(PyObject *function)
{
    for (int i = 0; function != NULL && i < 10; i++) {
        if (PyFunction_Check(function)) {
            return (PyCodeObject *)PyFunction_GET_CODE(function);
        }
        if (PyMethod_Check(function)) {
            function = PyMethod_GET_FUNCTION(function);
        }
        else if (PyType_HasFeature(Py_TYPE(function), Py_TPFLAGS_HEAPTYPE)) {
            function = compat_class_call(Py_TYPE(function));
        }
        else {
            return NULL;
        }
    }
    return NULL;
}

#if HAS_MONITORING
/* True for a function in C of which it is known that it changes nothing of the program's (I2). */
static int
is_harmless(PyObject *function)
{
    PyObject *owner = PyCFunction_Check(function) ? PyCFunction_GET_SELF(function) : function;
    int is_in_c = PyCFunction_Check(function) || code_called(function) == NULL;
    for (PyTypeObject *type = is_in_c && owner != NULL ? Py_TYPE(owner) : NULL; type != NULL; type = type->tp_base) {
        if (strcmp(type->tp_name, "_lsprof.Profiler") == 0 || strcmp(type->tp_name, "coverage.CTracer") == 0) {
            return 1;
        }
    }
    return 0;
}
#endif

/* ---- comparing ---- */

static int
something_differs(CoreState *state, Look look)
{
    int found = recheck_finds_change(state, look);
    state->look -= !found; /* All is as it was at the latest look, whatever ran meanwhile (large.c, I1). */
    FrameRef *ref = found ? NULL : frames_running(state);
    found |= ref != NULL && frames_find_change(state, ref);
#if HAS_MONITORING
    found |= state->shared_count > 0 && shared_differs(state);
#endif
    return found;
}

/* Note what differs before the call, which the program did. Return 0 when that is to wait for an event of ours. */
static int
settle(CoreState *state, ToolMoment moment)
{
#if HAS_MONITORING
    return monitoring_settle(state, moment);
#else
    Blame blame;
    if (moment != AMID_INSTRUCTION) {
        return 0;
    }
    blame_current(&blame); /* The events of its line have come: it is this call, or another one of the line. */
    blame.one_of_several = 1;
    recheck_leave_ours(state, &blame);
    blame_weigh_other_thread(state, &blame);
    recheck_report_all(state, &blame, LOOK_QUICK);
    blame_release(&blame);
    return 1;
#endif
}

static RunningCall *
running_call(const CoreState *state, const PyThreadState *thread)
{
    for (Py_ssize_t i = state->tool_call_count; i-- > 0;) {
        if (state->tool_calls[i].thread == thread) {
            return &state->tool_calls[i];
        }
    }
    return NULL;
}

/* Make the call of a function of another tool the first of the two places. */
static void
blame_call(Blame *blame, const RunningCall *call)
{
    PyCodeObject *code = call->function == NULL ? call->code : code_called(call->function);
    if (code != NULL) {
        Py_XSETREF(blame->other_code, (PyCodeObject *)Py_NewRef(code));
        blame->other_offset = call->function == NULL ? call->offset : 0;
    }
    else if (blame->frame != NULL && blame->other_code == NULL) {
        blame->other_code = PyFrame_GetCode(blame->frame);
        blame->other_offset = blame->offset >= 0 ? blame->offset : PyFrame_GetLasti(blame->frame);
    }
    blame->other_offset = blame->other_offset < 0 ? 0 : blame->other_offset;
}

void
tools_doubt(CoreState *state, Blame *blame)
{
    RunningCall *call = state->tool_call_count == 0 ? NULL : running_call(state, blame->thread);
    if (call != NULL) {
        blame_call(blame, call);
    }
}

static int
is_needed(const CoreState *state)
{
    return (state->level | state->shared_level) != 0 || state->check_count > 0 || state->crowd_count > 0 ||
           state->shared_count > 0 || state->frame_check_count > 0 || state->function_count > 0;
}

/* True when nothing has changed, for all that is told by comparing lists alone: most of the time it is. */
static inline int
is_surely_same(const CoreState *state)
{
    Py_ssize_t others = state->large_count | state->crowd_count | state->shared_count | state->frame_refs.count;
    return others == 0 && are_surely_same(state);
}

static Py_NO_INLINE int
is_late(CoreState *state, ToolMoment moment)
{
    PendingError error = take_pending_error();
    int result = something_differs(state, LOOK_QUICK) && !settle(state, moment);
    put_back_pending_error(error);
    return result;
}

static Py_NO_INLINE int
make_room(CoreState *state)
{
    PendingError error = take_pending_error();
    RunningCall *calls =
        grow_memory(state->tool_calls, state->tool_call_count, &state->tool_call_capacity, sizeof(RunningCall));
    PyErr_Clear();
    put_back_pending_error(error);
    state->tool_calls = calls == NULL ? state->tool_calls : calls;
    return calls == NULL ? -1 : 0;
}

void
tools_begin(CoreState *state, ToolCall *call, PyObject *function, ToolMoment moment)
{
    *call = (ToolCall){0};
    if (state == NULL || !is_needed(state)) {
        return;
    }
    if (state->unfinished_calls > 0) {
        tools_finish(state);
    }
    if (moment != AFTER_LOOK && !is_surely_same(state)) {
        call->is_late = events_is_draining() || is_late(state, moment);
    }
    if (state->tool_call_count == state->tool_call_capacity && make_room(state) < 0) {
        return; /* Nothing is compared for it. */
    }
    call->number = ++state->tool_call_number;
    state->tool_calls[state->tool_call_count++] =
        (RunningCall){.number = call->number, .thread = PyThreadState_Get(), .function = function};
}

/* Take the call off the list. */
static void
drop_call(CoreState *state, RunningCall *call)
{
    state->unfinished_calls -= call->function == NULL;
    Py_XDECREF(call->code); /* Not the last reference, or that of code: runs nothing of the user's. */
    RunningCall *end = state->tool_calls + --state->tool_call_count;
    memmove(call, call + 1, (size_t)(end - call) * sizeof(RunningCall));
}

/* Note what the function has changed, or another thread meanwhile. */
static void
report(CoreState *state, const RunningCall *call, Look look, int leaves)
{
    Blame blame;
    blame_current(&blame);
    recheck_leave_ours(state, &blame);
    blame_weigh_other_thread(state, &blame);
    blame_call(&blame, call);
    FrameRef *ref = frames_running(state);
    if (ref != NULL) {
        frames_report(state, ref, &blame);
    }
    recheck_report_all(state, &blame, look);
#if HAS_MONITORING
    if (state->shared_count > 0) {
        shared_report(state, &blame);
    }
    if (state->queued > 0 && blame.thread == PyThreadState_Get()) {
        instrument_stop_in(state, blame.frame);
        blame_release(&blame);
        blame_current(&blame);
        if (leaves) {
            blame_caller(&blame);
            instrument_stop_in(state, blame.frame);
        }
    }
#else
    (void)leaves; /* The next event of the thread takes it. */
#endif
    blame_release(&blame);
}

static Py_NO_INLINE void
look_after(CoreState *state, const RunningCall *call, int leaves)
{
    PendingError error = take_pending_error();
    PyThreadState *me = PyThreadState_Get();
    int others = state->last_thread != NULL && state->last_thread != me;
    Look look = others ? LOOK_WHOLE : LOOK_QUICK;
    if (something_differs(state, look)) {
        report(state, call, look, leaves);
    }
    if (others) {
        state->last_thread = me; /* What the others have done has been compared. */
    }
    put_back_pending_error(error);
}

void
tools_end(CoreState *state, const ToolCall *call, int leaves)
{
    if (state == NULL || call->number == 0) {
        return;
    }
    Py_ssize_t i = state->tool_call_count - 1;
    while (i >= 0 && state->tool_calls[i].number != call->number) {
        i--;
    }
    if (i < 0) {
        return;
    }
    RunningCall done = state->tool_calls[i];
    drop_call(state, &state->tool_calls[i]);
    if (call->is_late || !is_needed(state)) {
        return;
    }
    int others = state->last_thread != NULL && state->last_thread != done.thread;
    if (others || !is_surely_same(state)) {
        look_after(state, &done, leaves);
    }
}

void
tools_finish(CoreState *state)
{
    RunningCall *call = running_call(state, PyThreadState_Get());
    if (call == NULL || call->function != NULL) {
        return;
    }
    PendingError error = take_pending_error();
    RunningCall done = *call;
    done.code = (PyCodeObject *)Py_XNewRef(done.code);
    drop_call(state, call);
    if (is_needed(state) && something_differs(state, LOOK_QUICK)) {
        report(state, &done, LOOK_QUICK, 0);
    }
    Py_XDECREF(done.code);
    put_back_pending_error(error);
}

/* Something is armed, and nothing was: take note of the calls that run. */
static void
find_running_calls(CoreState *state)
{
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; thread != NULL; thread = PyThreadState_Next(thread)) {
        if (thread->tracing == 0 || (thread == PyThreadState_Get() && events_is_draining())) {
            continue;
        }
        Blame blame = {.thread = thread, .frame = PyThreadState_GetFrame(thread), .offset = -1};
        recheck_leave_ours(state, &blame);
        RunningCall *calls =
            grow_memory(state->tool_calls, state->tool_call_count, &state->tool_call_capacity, sizeof(RunningCall));
        if (calls != NULL) {
            RunningCall call = {.thread = thread, .number = ++state->tool_call_number};
            call.code = blame.frame == NULL ? NULL : PyFrame_GetCode(blame.frame);
            call.offset = blame.frame == NULL ? 0 : PyFrame_GetLasti(blame.frame);
            state->tool_calls = calls;
            state->tool_calls[state->tool_call_count++] = call;
            state->unfinished_calls++;
        }
        PyErr_Clear();
        blame_release(&blame);
    }
}

void
tools_forget_threads(CoreState *state)
{
    for (Py_ssize_t i = state->tool_call_count; i-- > 0;) {
        if (state->tool_calls[i].thread != PyThreadState_Get()) {
            drop_call(state, &state->tool_calls[i]);
        }
    }
}

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
    if (*place != NULL && *known == NULL && code_called((PyObject *)object) != NULL) {
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
                (compat_event_is_branch(event) && code_called(function) == NULL)) {
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
tools_update(CoreState *state)
{
    if (!is_needed(state)) {
        tools_clear(state);
        return;
    }
    PendingError error = take_pending_error();
    if (!state->tools_stand) {
        state->tools_stand = 1;
        stand_before_setters();
        find_running_calls(state);
    }
    stand_everywhere(state);
    put_back_pending_error(error);
}

void
tools_clear(CoreState *state)
{
    if (state->tools_stand) {
        state->tools_stand = 0;
        leave_setters();
        leave_everywhere(state);
        for (Py_ssize_t i = state->tool_call_count; i-- > 0;) {
            if (state->tool_calls[i].function == NULL) {
                drop_call(state, &state->tool_calls[i]);
            }
        }
    }
}

void
tools_free(CoreState *state)
{
    PyMem_Free(state->tool_calls);
    state->tool_calls = NULL;
    state->tool_call_count = state->tool_call_capacity = 0;
}
