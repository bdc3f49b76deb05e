/* Recheck on a C trace function, for 3.11, which has no sys.monitoring: compares the checks at every event of every
 * thread and passes the event on to the trace function that was there before.
 *
 * I1. `position` of a thread is the instruction that it has begun since its last event. Where the line holds several
 *     instructions with an effect, opcode events are on for its frame, and the position is that one instruction;
 *     elsewhere it is the line's start, and the culprit is the one instruction with an effect on that line.
 * I2. A thread's trace object stays the program's own, so sys.gettrace() answers as without us.
 * I3. New threads stand at the head of the interpreter's list: when the head changes, some thread is not traced yet.
 */
#define Py_BUILD_CORE 1
#include "codeinfo.h"
#include "content.h"

#if !HAS_MONITORING

#include <internal/pycore_frame.h>

struct Traced {
    PyThreadState *thread;         /* Borrowed; compared with the living ones before it is followed. */
    Py_tracefunc previous;         /* The program's own trace function, NULL for none. */
    PyCodeObject *code;            /* Owned. Position (I1); NULL when unknown. */
    int offset;                    /* In bytes. */
    int exact;                     /* The position is one instruction. */
    PyFrameObject *with_opcodes;   /* Never followed: the frame whose opcode events are on for our sake. */
};

static int tracer(PyObject *object, PyFrameObject *frame, int what, PyObject *argument);

static Traced *
traced_of(CoreState *state, PyThreadState *thread)
{
    for (Py_ssize_t i = 0; i < state->traced_count; i++) {
        if (state->traced[i]->thread == thread) {
            return state->traced[i];
        }
    }
    return NULL;
}

static int
set_trace(PyThreadState *thread, Py_tracefunc function)
{
    PyObject *object = Py_XNewRef(thread->c_traceobj); /* I2 */
    int result = _PyEval_SetTrace(thread, function, object);
    Py_XDECREF(object);
    return result;
}

static Traced *
add_traced(CoreState *state, PyThreadState *thread)
{
    Traced **list = PyMem_Resize(state->traced, Traced *, (size_t)state->traced_count + 1);
    Traced *traced = PyMem_Calloc(1, sizeof(Traced));
    if (list != NULL) {
        state->traced = list;
    }
    if (list == NULL || traced == NULL) {
        PyMem_Free(traced);
        PyErr_NoMemory();
        return NULL;
    }
    traced->thread = thread;
    list[state->traced_count++] = traced;
    return traced;
}

static int
is_alive(PyThreadState *thread)
{
    PyThreadState *living = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    while (living != NULL && living != thread) {
        living = PyThreadState_Next(living);
    }
    return living != NULL;
}

static void
drop_traced(CoreState *state, Py_ssize_t index)
{
    Traced *traced = state->traced[index];
    state->traced[index] = state->traced[--state->traced_count];
    Py_XDECREF(traced->code);
    PyMem_Free(traced);
}

static void
drop_dead(CoreState *state)
{
    for (Py_ssize_t i = state->traced_count; i-- > 0;) {
        if (!is_alive(state->traced[i]->thread)) {
            drop_traced(state, i);
        }
    }
}

/* Put our trace function on every thread that lacks it, keeping the one that it has to pass events on to. */
static int
trace_all(CoreState *state)
{
    state->installing = 1;
    int result = 0;
    drop_dead(state);
    PyThreadState *head = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (PyThreadState *thread = head; thread != NULL && result == 0; thread = PyThreadState_Next(thread)) {
        if (thread->c_tracefunc == tracer) {
            continue;
        }
        Traced *traced = traced_of(state, thread);
        if (traced == NULL) {
            traced = add_traced(state, thread);
        }
        if (traced == NULL) {
            result = -1;
            break;
        }
        traced->previous = thread->c_tracefunc;
        result = set_trace(thread, tracer);
    }
    state->thread_head = head; /* I3 */
    state->installing = 0;
    return result;
}

static int
trace_all_later(void *Py_UNUSED(unused))
{
    CoreState *state = state_for_callback();
    if (state != NULL && state->tracing && trace_all(state) < 0) {
        PyErr_Clear();
    }
    return 0;
}

/* Somebody sets a trace function: once that is done, put ours before it again. */
static int
on_audit(const char *event, PyObject *Py_UNUSED(args), void *Py_UNUSED(data))
{
    if (event[0] == 's' && strcmp(event, "sys.settrace") == 0) {
        CoreState *state = state_for_callback();
        if (state != NULL && state->tracing && !state->installing) {
            (void)Py_AddPendingCall(trace_all_later, NULL);
        }
    }
    return 0;
}

static int
effects_of_interest(CoreState *state, const CodeInfo *info)
{
    return state->level | (info->local_checks > 0 ? EFFECT_LOCAL : 0);
}

/* Return the first unit from `unit` on, on the same line, whose instruction has an effect of interest; -1 for none. */
static int
effect_on_line(CoreState *state, const CodeInfo *info, int unit)
{
    int line = info->line[unit];
    for (Py_ssize_t i = unit; i < info->length && info->line[i] == line; i++) {
        if (info->effect[i] & effects_of_interest(state, info) && !(info->effect[i] & EFFECT_CACHE)) {
            return (int)i;
        }
    }
    return -1;
}

static int
count_effects_on_line(CoreState *state, const CodeInfo *info, int line)
{
    int count = 0;
    for (Py_ssize_t i = 0; i < info->length && count < 2; i++) {
        count += info->line[i] == line && (info->effect[i] & effects_of_interest(state, info)) != 0 &&
                 !(info->effect[i] & EFFECT_CACHE);
    }
    return count;
}

static void
set_position(Traced *traced, PyFrameObject *frame, int exact)
{
    PyCodeObject *code = frame == NULL ? NULL : PyFrame_GetCode(frame);
    Py_XSETREF(traced->code, code);
    int offset = frame == NULL ? 0 : PyFrame_GetLasti(frame);
    traced->offset = offset < 0 ? 0 : offset;
    traced->exact = exact;
}

static void
settle_blame(CoreState *state, Traced *traced, PyFrameObject *frame, int what, Blame *blame)
{
    if (recheck_blame_other_thread(state, blame)) {
        return;
    }
    *blame = (Blame){.thread = traced->thread, .frame = (PyFrameObject *)Py_NewRef(frame), .offset = -1};
    PyCodeObject *code = PyFrame_GetCode(frame);
    if (what == PyTrace_CALL) {
        PyFrameObject *caller = PyFrame_GetBack(frame);
        if (caller != NULL) {
            Py_SETREF(blame->frame, caller);
        }
    }
    else if (what == PyTrace_EXCEPTION) {
        /* The frame's current instruction raised. */
    }
    else if (traced->code == code) {
        CodeInfo *info = code_info(state, code);
        int unit = traced->exact || info == NULL ? -1 : effect_on_line(state, info, traced->offset / 2);
        blame->offset = unit >= 0 ? 2 * unit : traced->offset;
    }
    else {
        /* The first event of a frame that ran already: between there and here. */
        blame->other_code = traced->code == NULL ? (PyCodeObject *)Py_NewRef(code) : (PyCodeObject *)Py_NewRef(traced->code);
        blame->other_offset = traced->offset;
    }
    Py_DECREF(code);
}

/* Opcode events only where one line holds several instructions with an effect (I1). */
static void
choose_granularity(CoreState *state, Traced *traced, PyFrameObject *frame)
{
    CodeInfo *info = code_info(state, traced->code);
    int unit = traced->offset / 2;
    if (info == NULL || unit >= info->length) {
        PyErr_Clear();
        return;
    }
    int several = count_effects_on_line(state, info, info->line[unit]) > 1;
    if (several && !frame->f_trace_opcodes) {
        frame->f_trace_opcodes = 1;
        traced->with_opcodes = frame;
    }
    else if (!several && traced->with_opcodes == frame) {
        frame->f_trace_opcodes = 0;
        traced->with_opcodes = NULL;
    }
    traced->exact = several;
}

static int
is_yield(CoreState *state, PyCodeObject *code, int offset)
{
    return offset >= 0 && _Py_OPCODE(_PyCode_CODE(code)[offset / 2]) == state->yield_value;
}

static int
look(CoreState *state, Traced *traced, PyFrameObject *frame, int what, PyObject *argument)
{
    if (recheck_first_changed(state) != NULL) {
        Blame blame;
        settle_blame(state, traced, frame, what, &blame);
        recheck_report_all(state, &blame);
        blame_release(&blame);
    }
    state->last_thread = traced->thread;
    int result = 0;
    if (what == PyTrace_RETURN) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        CodeInfo *info = code_info(state, code);
        if (info != NULL && info->local_checks > 0 &&
            (argument == NULL || !is_yield(state, code, PyFrame_GetLasti(frame)))) {
            result = recheck_end_locals(state);
        }
        PyErr_Clear();
        Py_DECREF(code);
        PyFrameObject *caller = PyFrame_GetBack(frame);
        set_position(traced, caller, 1);
        Py_XDECREF(caller);
    }
    else {
        set_position(traced, frame, what != PyTrace_LINE);
        if (what == PyTrace_LINE) {
            choose_granularity(state, traced, frame);
        }
    }
    if (result == 0 && (state->queued > 0 || state->due > 0) && events_wait_for(state, traced->thread)) {
        result = events_drain(state);
    }
    return result;
}

static int
tracer(PyObject *object, PyFrameObject *frame, int what, PyObject *argument)
{
    CoreState *state = state_for_callback();
    PyThreadState *me = PyThreadState_Get();
    Traced *traced = state == NULL || !state->tracing ? NULL : traced_of(state, me);
    if (traced == NULL) {
        return 0;
    }
    if (PyInterpreterState_ThreadHead(me->interp) != state->thread_head && trace_all(state) < 0) {
        PyErr_Clear();
    }
    int for_us_alone = what == PyTrace_OPCODE && traced->with_opcodes == frame;
    if (look(state, traced, frame, what, argument) < 0) {
        return -1;
    }
    traced = state->tracing ? traced_of(state, me) : NULL; /* The handler may have disarmed everything. */
    if (traced == NULL || traced->previous == NULL || for_us_alone) {
        return 0;
    }
    return traced->previous(object, frame, what, argument);
}

PyObject *
tracing_start(PyObject *module, PyObject *Py_UNUSED(unused))
{
    CoreState *state = PyModule_GetState(module);
    if (!state->audited) {
        if (PySys_AddAuditHook(on_audit, NULL) < 0) {
            return NULL;
        }
        state->audited = 1;
    }
    state->tracing = 1;
    return trace_all(state) < 0 ? NULL : Py_NewRef(Py_None);
}

/* Give every thread back the trace function that it had. Returns nothing; never fails. */
void
tracing_clear(CoreState *state)
{
    state->tracing = 0;
    drop_dead(state);
    state->installing = 1;
    while (state->traced_count > 0) {
        Traced *traced = state->traced[state->traced_count - 1];
        PyThreadState *thread = traced->thread;
        Py_tracefunc previous = traced->previous;
        drop_traced(state, state->traced_count - 1);
        if (thread->c_tracefunc == tracer && set_trace(thread, previous) < 0) {
            PyErr_Clear();
        }
    }
    state->installing = 0;
    PyMem_Free(state->traced);
    state->traced = NULL;
    state->thread_head = NULL;
}

PyObject *
tracing_stop(PyObject *module, PyObject *Py_UNUSED(unused))
{
    tracing_clear(PyModule_GetState(module));
    Py_RETURN_NONE;
}

#endif
