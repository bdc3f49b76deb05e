/* Recheck on sys.monitoring: looks after each instruction that may have changed a check, and knows which one that was.
 *
 * I1. Nothing here relies on DISABLE: an event that comes although it was disabled does no harm, nor does one that another
 *     thread meets once nothing is armed any more, or not yet again.
 * I2. While `blind` is set, some code may run without events, for want of memory to turn them on: nobody is blamed for what
 *     a look finds then, it counts as missed.
 * I3. Where nothing can have changed since the last look, none is taken: no C code runs between a CALL and the start of
 *     the Python function that it calls, nor after that has returned, whose own looks come before. `called_code` is set
 *     from the start of such a function to the next start, exception or run of the handler, or to the event after the
 *     CALL. It is not set where the function has the same code, whose events could be mistaken for the caller's, nor
 *     where earlier calls of the line still wait for their look. What else happens at a return, the end of objects that
 *     were in locals, cannot change a list, but by hooks.
 */
#include "codeinfo.h"
#include "containers/told.h"
#include "frames.h"
#include "instances.h"
#include "large.h"
#include "quick.h"
#include "shared.h"
#include "tools.h"

#if HAS_MONITORING

typedef enum { AFTER_INSTRUCTION, AT_START, AT_RAISE } Moment;

/* Blame what can have run just before the instruction at `offset`: `begun`, if that is known and not -1. */
static void
blame_before(CoreState *state, const CodeInfo *info, int offset, int begun, Blame *blame)
{
    int culprit = begun >= 0 ? begun : info->culprit[offset / 2];
    int other = begun >= 0 ? -1 : info->other[offset / 2];
    blame->offset = culprit < 0 ? offset : 2 * culprit;
    blame->one_of_several = culprit >= 0 && info->merged[culprit] && !state->hooked;
    if (state->hooked && (other >= 0 || culprit < 0)) {
        blame->other_code = (PyCodeObject *)Py_NewRef(info->code);
        blame->other_offset = other < 0 ? 0 : 2 * other;
    }
}

static void
settle_blame(CoreState *state, const CodeInfo *info, int offset, int begun, Moment moment, Blame *blame)
{
    blame_current(blame);
    if (moment == AT_RAISE) {
        blame->offset = offset;
    }
    else if (moment == AFTER_INSTRUCTION) {
        blame_before(state, info, offset, begun, blame);
    }
    else {
        /* Nothing of this frame has run: its caller's instruction is still executing and made the change. */
        blame_caller(blame);
        recheck_leave_own_frames(state, blame);
    }
    blame_weigh_threads(state, blame);
}

static int
instrument_frame_checks(CoreState *state)
{
    int result = 0;
    const FrameRef *ref;
    for (Py_ssize_t i = 0; result == 0 && (ref = table_next(&state->frame_refs, &i)) != NULL;) {
        if (ref->check_count > 0) {
            CodeInfo *info = code_info(state, ref->code);
            result = info == NULL ? -1 : instrument_code(state, info, 0);
        }
    }
    return result;
}

/* A look has been taken: get the events back that are missing, if there is memory now (I2). */
static void
regain_sight(CoreState *state)
{
    PendingError error = take_pending_error();
    state->blind = instrument_anew(state) < 0 || instrument_frame_checks(state) < 0;
    PyErr_Clear();
    put_back_pending_error(error);
}

/* The frame itself has changed its locals, by the instruction that it has just finished; what that does not store to,
 * somebody else has written at some time since the frame began. */
static void
report_locals(CoreState *state, FrameRef *ref, int offset, Moment moment)
{
    PendingError error = take_pending_error();
    CodeInfo *info = code_info(state, ref->code);
    int culprit = info == NULL || moment != AFTER_INSTRUCTION ? -1 : info->culprit[offset / 2];
    Blame blame;
    blame_current(&blame);
    blame.offset = culprit < 0 ? offset : 2 * culprit;
    blame.unknown |= info == NULL;
    PyErr_Clear();
    frames_report_after(state, ref, &blame, info, culprit);
    blame_release(&blame);
    put_back_pending_error(error);
}

/* Take note of threads that have begun since the last look, by what can have run just before this moment. */
static void
see_new_threads_after(CoreState *state, const CodeInfo *info, int offset, int begun, Moment moment)
{
    Blame blame = {.offset = offset};
    if (moment == AFTER_INSTRUCTION) {
        blame_before(state, info, offset, begun, &blame);
    }
    unheard_begin(state, info->code, blame.offset);
    blame_release(&blame);
}

/* Compare all checks; the change, if there is one, was made just before this moment. */
static inline Py_ALWAYS_INLINE void
look(CoreState *state, CodeInfo *info, int offset, int begun, Moment moment)
{
    if (*state->latest_thread_now != state->latest_thread || state->unheard_count > 0) {
        see_new_threads_after(state, info, offset, begun, moment);
    }
    FrameRef *ref = frames_running(state);
    if (ref != NULL && frames_find_change(state, ref)) {
        report_locals(state, ref, offset, moment);
    }
    unsigned long switches = blame_begin_look(state);
    if (recheck_finds_change(state, LOOK_QUICK)) {
        PendingError error = take_pending_error();
        Blame blame;
        settle_blame(state, info, offset, begun, moment, &blame);
        blame.unknown |= state->blind; /* I2 */
        unheard_doubt(state, &blame);
        recheck_report_all(state, &blame, LOOK_QUICK);
        blame_release(&blame);
        put_back_pending_error(error);
    }
    if (state->shared_count > 0) {
        shared_look(state, info, moment == AFTER_INSTRUCTION ? offset / 2 : -1);
    }
    if (state->unheard_count > 0) {
        unheard_end(state);
    }
    if (state->blind) {
        regain_sight(state);
    }
    if (state->several_threads || state->last_thread == NULL) {
        state->last_thread = PyThreadState_Get();
    }
    state->switches = switches;
}

/* look_back(frame): note what the running `frame` has changed by the instruction before the one that it is about to
 * begin, for whom an event of another tool has called before our own look. */
PyObject *
monitoring_look_back(PyObject *module, PyObject *object)
{
    CoreState *state = PyModule_GetState(module);
    if (!PyFrame_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "a frame is needed");
        return NULL;
    }
    PyFrameObject *frame = (PyFrameObject *)object;
    FrameRef *ref = state->frame_refs.count == 0 ? NULL : frames_find(state, frame);
    if (state->check_count == 0 && state->crowd_count == 0 && state->shared_count == 0 && ref == NULL) {
        Py_RETURN_NONE; /* Nothing is known of code either as long as nothing was compared. */
    }
    PyCodeObject *code = PyFrame_GetCode(frame);
    int unit = PyFrame_GetLasti(frame) / 2;
    CodeInfo *info = code_info(state, code);
    Py_DECREF(code); /* The frame keeps it. */
    if (info == NULL) {
        return NULL;
    }
    int interest = state->interest | (code_has_locals(info) ? EFFECT_LOCAL : 0);
    if (info->events == 0 || unit >= info->length || !(info->due[unit] & interest)) {
        Py_RETURN_NONE;
    }
    Blame blame = {.thread = PyThreadState_Get(), .frame = (PyFrameObject *)Py_NewRef(object)};
    blame_before(state, info, 2 * unit, -1, &blame);
    if (ref != NULL && info->culprit[unit] >= 0 && frames_find_change(state, ref)) {
        frames_report_after(state, ref, &blame, info, info->culprit[unit]);
    }
    if (recheck_finds_change(state, LOOK_QUICK)) {
        recheck_report_all(state, &blame, LOOK_QUICK);
    }
    if (state->shared_count > 0) {
        shared_look(state, info, unit);
    }
    blame_release(&blame);
    Py_RETURN_NONE;
}

int
monitoring_settle(CoreState *state, ToolMoment moment)
{
    static const Moment as_ours[] = {
        [BEFORE_INSTRUCTION] = AFTER_INSTRUCTION, [AMID_INSTRUCTION] = AT_RAISE, [BEFORE_FRAME] = AT_START};
    int offset = 0;
    PyCodeObject *code = compat_place(&offset);
    CodeInfo *info = code == NULL ? NULL : code_info(state, code);
    if (info == NULL || info->is_ours || offset / 2 >= info->length) {
        PyErr_Clear();
        return 0;
    }
    int interest = state->interest | (code_has_locals(info) ? EFFECT_LOCAL : 0);
    int begun = -1;
    if (moment == BEFORE_INSTRUCTION) {
        if (info->events == 0 || !(info->due[offset / 2] & interest)) {
            return 0;
        }
        if (state->hooked && state->latest_frame == compat_top_frame() && state->latest_code == code) {
            begun = state->latest_unit;
        }
    }
    look(state, info, offset, begun, as_ours[moment]);
    return 1;
}

/* Let the handler take what waits for this thread. -1 with an exception for the program. */
static inline Py_ALWAYS_INLINE int
drain_own(CoreState *state)
{
    events_see_signals(state);
    arming_wait(state);
    if (state->queued == 0 && state->due == 0 && state->held_count == 0) {
        return 0;
    }
    int result = events_wait_for(state, PyThreadState_Get()) ? events_drain(state, IN_EVENT) : 0;
    if (result == 0 && state->shared_count > 0 && shared_catch_up(state)) {
        result = events_drain(state, IN_EVENT);
    }
    return result;
}

static inline int
offset_of(PyObject *number)
{
    /* The interpreter passes exact ints, far within one digit. */
    assert(PyUnstable_Long_IsCompact((PyLongObject *)number));
    return (int)PyUnstable_Long_CompactValue((PyLongObject *)number);
}

static inline PyObject *
none_unless(int result)
{
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

/* The event comes no more, while there is a tool that it comes for. */
static inline PyObject *
disabled(const CoreState *state)
{
    return Py_NewRef(state->disable == NULL ? Py_None : state->disable); /* I1 */
}

/* While there are hooks every instruction has its event: note this one, and return which the frame has begun before it;
 * -1 when another frame's events have come between, or nothing is known. */
static int
begin_instruction(CoreState *state, const CodeInfo *info, int unit)
{
    const InterpreterFrame *frame = compat_top_frame();
    int begun = state->latest_frame == frame && state->latest_code == info->code ? state->latest_unit : -1;
    state->latest_frame = frame;
    state->latest_code = info->code;
    state->latest_unit = unit;
    return begun;
}

/* True when what the instruction takes as operands matters. */
static inline int
takes_data(const CoreState *state, const CodeInfo *info, unsigned int unit)
{
    return (info->due[unit] & DUE_OPERANDS) && state->large_count > 0 && (info->effect[unit] & state->level) &&
           !info->is_ours;
}

/* Take a look, where it is plain, and return whether all is as it was. */
static inline int
finds_no_change(CoreState *state)
{
    if (!are_surely_same(state)) {
        return 0;
    }
    state->look++;
    if (state->crowd_count > 0 && crowd_finds_change(state, LOOK_QUICK)) {
        state->look--; /* It is to be taken anew. */
        return 0;
    }
    return 1;
}

static Py_NO_INLINE PyObject *on_instruction(CoreState *state, CodeInfo *info, int offset);

/* Most events are such as this knows, and what they cost is what watching costs; the others go the long way. */
PyObject *
monitoring_on_instruction(CoreState *state, PyObject *const *args, Py_ssize_t Py_UNUSED(count))
{
    CodeInfo *info = code_info(state, (PyCodeObject *)args[0]);
    int offset = offset_of(args[1]);
    if (info == NULL) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    unsigned int unit = (unsigned int)offset / 2;
    int due = info->due[unit];
    int is_taking = takes_data(state, info, unit);
    if (state->item_stores && !(due & state->interest) && !is_taking && code_stores_item(info, unit) &&
        !info->awaited && is_quiet(state, info)) {
        Py_RETURN_NONE; /* The event is there for its own sake (instrument_watch_item_stores). */
    }
    if (!((due & state->interest) | is_taking) || (due & (DUE_LOOP_STARTS | DUE_LOOP_TURNS | DUE_RESULT)) ||
        state->other_checks > state->call_checks || !is_plain_but_for_crowd(state, info)) {
        return on_instruction(state, info, offset);
    }
    if (state->called_code == info->code && state->called_unit == info->culprit[unit]) {
        state->called_code = NULL; /* I3 */
    }
    else if ((due & state->interest) && !finds_no_change(state)) {
        return on_instruction(state, info, offset);
    }
    if (is_taking) {
        large_see_operands(state, info, unit);
        return none_unless(drain_own(state));
    }
    Py_RETURN_NONE;
}

static PyObject *
on_instruction(CoreState *state, CodeInfo *info, int offset)
{
    PyCodeObject *code = info->code;
    if (state->unfinished_calls > 0) {
        tools_finish(state);
    }
    if (state->raising.code == code) {
        raising_end(state);
    }
    if ((state->newborn != NULL || state->has_new_class) && classes_catch_up(state) < 0) {
        return NULL;
    }
    int interest = state->interest | (code_has_locals(info) ? EFFECT_LOCAL : 0);
    int due = info->due[offset / 2];
    int is_due = state->several_threads && state->level != 0 && (due & DUE_SWITCH) && !info->is_ours;
    if (due & (DUE_LOOP_STARTS | DUE_LOOP_TURNS)) {
        due = loops_due(state, info, offset / 2, due) | (due & EFFECT_SHARED);
    }
    is_due |= (due & interest) != 0 && !info->is_ours;
    InterpreterFrame *begun_store = state->begun_count > 0 ? access_ending(state) : NULL;
    is_due |= begun_store != NULL;
    int begun = state->hooked ? begin_instruction(state, info, offset / 2) : -1;
    if (is_due) {
        look(state, info, offset, begun, AFTER_INSTRUCTION);
        if (due & DUE_RESULT) {
            PyObject *result = compat_stack_top(info->depth[offset / 2]);
            if (result != NULL && Py_TYPE(result)->tp_call != NULL) {
                hooks_see(state, result);
            }
        }
        if (state->hooked && --state->patience <= 0) {
            hooks_survey(state);
        }
    }
    if (takes_data(state, info, (unsigned int)offset / 2)) {
        is_due = 1;
        large_see_operands(state, info, offset / 2);
    }
    if (begun_store != NULL) {
        access_end(state, info, offset / 2, begun_store);
    }
    is_due |= state->hooked && !info->is_ours;
    int result = is_due || info->awaited ? drain_own(state) : 0;
    /* What the handler has armed just now counts for this very instruction. */
    int begins = result == 0 && state->access_count > 0 ? access_begin(state, info, offset / 2, compat_top_frame()) : 0;
    if (begins != 0) {
        is_due = 1;
        result = begins < 0 ? -1 : drain_own(state);
    }
    if (!info->awaited) {
        /* Where an instruction loses its event, the interpreter may make it store items by itself (item_stores.c, I2). */
        if (!is_due && result == 0 && !(state->told.count > 0 && code_stores_item(info, offset / 2))) {
            return disabled(state);
        }
        return none_unless(result);
    }
    PendingError error = take_pending_error();
    if (instrument_end_stop(state, info) < 0) {
        PyErr_Clear();
    }
    put_back_pending_error(error);
    return none_unless(result);
}

/* True when the running frame, which begins, is of a function that a CALL has called, and nothing can have changed since
 * the look before that (I3). */
static int
begins_by_call(CoreState *state, const CodeInfo *info)
{
    if (state->other_checks > state->call_checks || state->check_count == 0 || info->events == 0 ||
        !is_plain_but_for_crowd(state, info)) {
        return 0;
    }
    int unit = 0;
    PyCodeObject *code = compat_direct_caller(&unit);
    CodeInfo *caller = code == NULL || code == info->code ? NULL : state->recent[recent_place(code)].info;
    if (caller == NULL || caller->code != code || unit < 0 || unit >= caller->length) {
        return 0;
    }
    while (unit > 0 && (caller->effect[unit] & EFFECT_CACHE)) {
        unit--;
    }
    if (!(caller->effect[unit] & EFFECT_PYTHON) || caller->merged[unit] || caller->events == 0) {
        return 0;
    }
    state->called_code = code;
    state->called_unit = unit;
    return 1;
}

/* True for code that stores to no variable which functions share, where nothing else counts: it need not be read. */
static int
is_of_no_interest(const CoreState *state, const PyCodeObject *code)
{
    Py_ssize_t others = state->access_count | state->function_count | state->frame_refs.count | state->queued;
    return !(others | state->level | state->due | state->blind | state->item_stores) && !compat_has_cells(code);
}

/* PY_START, PY_RESUME, PY_THROW; PY_START alone for code whose calls are noted. */
PyObject *
monitoring_on_start(CoreState *state, PyObject *const *args, Py_ssize_t count)
{
    assert(count >= 2);
    PyCodeObject *code = (PyCodeObject *)args[0];
    if (state->unfinished_calls > 0) {
        tools_finish(state);
    }
    if (is_of_no_interest(state, code) && count == 2) {
        state->starts_disabled |= STARTS_UNREAD;
        return disabled(state);
    }
    CodeInfo *info = code_info(state, code);
    state->called_code = NULL;
    if (info != NULL && begins_by_call(state, info)) {
        Py_RETURN_NONE;
    }
    if (info == NULL) {
        PyErr_Clear();
        state->blind = 1; /* I2 */
        return none_unless(drain_own(state));
    }
    if (info->is_ours) {
        Py_RETURN_NONE; /* PY_THROW cannot be disabled. */
    }
    if (info->events == 0 && instrument_code(state, info, 0) < 0) {
        PyErr_Clear(); /* I2 */
    }
    if (instrument_see_threads(state) < 0) {
        PyErr_Clear();
    }
    look(state, info, offset_of(args[1]), -1, AT_START);
    if (info->calls > 0 && calls_note(state, info) < 0) {
        PyErr_Clear(); /* It counts as missed. */
    }
    int result = drain_own(state);
    if (result == 0 && state->level == 0 && info->calls == 0 && count == 2) {
        /* Only whether the code has sites of accesses is of interest, and that is known now (access_set_interest). */
        state->starts_disabled |= STARTS_READ;
        return disabled(state);
    }
    return none_unless(result);
}

PyObject *
monitoring_on_raise(CoreState *state, PyObject *const *args, Py_ssize_t count)
{
    assert(count == 3);
    state->called_code = NULL;
    if (state->unfinished_calls > 0) {
        tools_finish(state);
    }
    if (state->raising.exception != NULL && state->raising.exception == args[2]) {
        PyObject *traceback = PyException_GetTraceback(args[2]);
        raising_correct_traceback(state, args[2], traceback);
        Py_XDECREF(traceback);
    }
    if (state->begun_count > 0) {
        access_leave(state, compat_top_frame());
    }
    CodeInfo *info = code_info(state, (PyCodeObject *)args[0]);
    if (info == NULL || info->is_ours) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    look(state, info, offset_of(args[1]), -1, AT_RAISE);
    told_look(state, 0);
    return none_unless(drain_own(state));
}

/* PY_RETURN and PY_UNWIND: a frame ends, and with it the checks on its locals. */
PyObject *
monitoring_on_exit(CoreState *state, PyObject *const *args, Py_ssize_t count)
{
    assert(count == 3);
    if (state->unfinished_calls > 0) {
        tools_finish(state);
    }
    if (state->raising.code == (PyCodeObject *)args[0]) {
        raising_end(state);
    }
    if (state->begun_count > 0) {
        access_leave(state, compat_top_frame());
    }
    CodeInfo *info = code_info(state, (PyCodeObject *)args[0]);
    if (info == NULL || info->local_checks == 0) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return none_unless(recheck_end_frame(state));
}

#endif
