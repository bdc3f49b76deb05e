/* What functions of other tools change. While a function that `sys.settrace`, `sys.setprofile` or `sys.monitoring` calls
 * runs, the interpreter tells nobody of anything that happens in its thread. So we stand before such functions
 * (standins.c), and compare right before and right after each call: what has changed meanwhile is laid to the function,
 * somewhere in it.
 *
 * I1. `tool_calls` has an entry for each call that runs, of any thread, in the order in which they began; also for those
 *     that run already when something is armed first. Of these nobody tells the end: the next event of their thread does.
 */
#include "tools.h"

#include "codeinfo.h"
#include "frames.h"
#include "quick.h"
#include "shared.h"
#include "standins.h"

struct RunningCall {
    uint64_t number;
    const PyThreadState *thread; /* Never followed. */
    PyObject *function; /* Borrowed: its caller owns it. NULL when it ran already, and then: */
    PyCodeObject *code; /* Owned: where it stood, NULL when that is not known. */
    int offset; /* In bytes. */
};

PyCodeObject *
tools_code_called(PyObject *function)
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
    blame_weigh_threads(state, &blame);
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
    PyCodeObject *code = call->function == NULL ? call->code : tools_code_called(call->function);
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
is_surely_same(CoreState *state)
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
    blame_weigh_threads(state, &blame);
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
    int others = state->last_thread != NULL && others_have_run(state);
    unsigned long switches = *state->switches_now;
    Look look = others ? LOOK_WHOLE : LOOK_QUICK;
    if (something_differs(state, look)) {
        report(state, call, look, leaves);
    }
    if (others) {
        state->last_thread = me; /* What the others have done has been compared. */
        state->switches = switches;
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

void
tools_update(CoreState *state)
{
    if (!is_needed(state)) {
        tools_clear(state);
        return;
    }
    PendingError error = take_pending_error();
    if (!state->tools_stand) {
        find_running_calls(state);
    }
    standins_begin(state);
    put_back_pending_error(error);
}

void
tools_clear(CoreState *state)
{
    if (state->tools_stand) {
        standins_end(state);
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
