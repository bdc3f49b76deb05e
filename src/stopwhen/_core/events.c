/* The queue of changes: each mechanism notes here what changed where, and Python takes the notes from here.
 *
 * I1. Records stand in the order in which the changes happened, whichever thread made them.
 * I2. Noting runs no Python code and drops no last reference to a foreign object, so a dict watcher may call it. On
 *     3.11 the caller has paused the garbage collector.
 * I3. What cannot be noted for want of memory is missed, with its token where there is room; the handler is called at
 *     the next event, as for an action that is due, and tells the user.
 * I4. `draining` is set in a thread exactly while that thread runs the handler: events of the handler's own Python
 *     code never call it again; what they note is taken by the handler's loop.
 * I5. While the handler runs, no code of the program's does, as it would have no events: the garbage collector and the
 *     signal handlers wait until it is done, and so do the finalisers of what it drops (releasing.c). Only where the
 *     session runs an action or a condition of the user's may they run, and count as its work (events_let_run()).
 */
#include "containers/told.h"
#include "places.h"
#include "tools.h"

static _Thread_local int draining; /* I4 */
static _Thread_local int own;      /* Depth of the user's actions and conditions that this thread runs. */
static _Thread_local int
    evaluating; /* Depth of evaluations that this thread makes: what waits is handled after them. */
static _Thread_local int users;    /* Depth of those among them that are the user's own code. */
static _Thread_local int collecting; /* The garbage collector was on when this thread began to drain. */
static _Thread_local Waiting waiting; /* What the interpreter puts off meanwhile (I5). */
static int failures; /* Runs of the handler, one after the other, that failed for want of memory or stack. */
static int paused; /* Number of threads that have turned the garbage collector off and will turn it on again. */

/* After that many failures nothing is tried again but at events that come anyway: there may never be memory again. */
#define MOST_FAILURES 100

/* Python frames that the handler may use beyond the recursion limit: where the program stands just below it, a hit must
 * make no difference. */
#define EXTRA_STACK 200

/* Let code of the program's run between instructions of this thread, or not (I5). */
static void
let_run(int on)
{
    if (collecting) {
        (void)(on ? PyGC_Enable() : PyGC_Disable());
        paused += on ? -1 : 1;
    }
    if (on) {
        compat_end_wait(&waiting);
    }
    else {
        waiting = compat_begin_wait();
    }
}

static int
pending_call(void *Py_UNUSED(unused))
{
    CoreState *state = state_for_callback();
    return state == NULL ? 0 : events_drain(state, ANYWHERE);
}

/* Have the handler called at the next opportunity, if not too much waits for that. */
void
events_drain_later(void)
{
    (void)Py_AddPendingCall(pending_call, NULL);
}

/* drain_later(): the same. */
PyObject *
events_ask_for_drain(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    events_drain_later();
    Py_RETURN_NONE;
}

int
events_is_own(void)
{
    return own > 0;
}

/* True while this thread runs the handler, whose loop takes whatever is noted meanwhile. */
int
events_is_draining(void)
{
    return draining;
}

void
blame_release(Blame *blame)
{
    Py_CLEAR(blame->frame);
    Py_CLEAR(blame->other_code);
}

/* Fill `blame` with the running thread and the instruction that its innermost frame executes. */
void
blame_current(Blame *blame)
{
    PyThreadState *thread = PyThreadState_Get();
    *blame = (Blame){.thread = thread, .frame = PyThreadState_GetFrame(thread), .offset = -1};
    blame->unknown = blame->frame == NULL && compat_runs_python(thread);
}

/* Blame the caller of the blamed frame instead: C code that has no Python frame, where there is none. */
void
blame_caller(Blame *blame)
{
    PyFrameObject *caller = blame->frame == NULL ? NULL : PyFrame_GetBack(blame->frame);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        blame->unknown = 1;
    }
    Py_XSETREF(blame->frame, caller);
}

static PyObject *
place(PyCodeObject *code, int offset)
{
    return Py_BuildValue("Oi", code, offset);
}

static int
reserve_record(CoreState *state)
{
    Record *queue = grow_memory(state->queue, state->queued, &state->queue_capacity, sizeof(Record));
    if (queue == NULL) {
        return -1;
    }
    state->queue = queue;
    return 0;
}

/* A change of the cell of `token` cannot be noted (I3). */
void
events_miss(CoreState *state, PyObject *token)
{
    int i = 0;
    while (i < state->missed_count && state->missed[i] != token) {
        i++;
    }
    if (i == MOST_MISSED) {
        state->missed_more = 1;
    }
    else if (i == state->missed_count) {
        state->missed[state->missed_count++] = Py_NewRef(token);
    }
    if (state->due == 0) {
        state->due = 1;
    }
}

/* Put a change of the cell of `token` at the end of the queue. Steals `data`, which may be NULL after an error. When that
 * fails, the change is missed (I3). */
int
events_note(CoreState *state, PyObject *token, DeltaKind kind, PyObject *data, const Blame *blame)
{
    int result = -1;
    PyObject *stack = NULL;
    PyObject *other = NULL;
    PyObject *by = NULL;
    if (data == NULL || blame->unknown) {
        goto done;
    }
    /* Where a frame begins or ends is told by the frame. */
    stack = kind == DELTA_CALLED || kind == DELTA_ENDED || kind == DELTA_HIT
                ? PyTuple_New(0)
                : places_of(state, blame->frame, blame->offset);
    other = blame->other_code == NULL ? Py_NewRef(Py_None) : place(blame->other_code, blame->other_offset);
    by = blame->by_name == NULL ? Py_NewRef(Py_None) : PyUnicode_FromFormat("%s.%s", blame->by_owner, blame->by_name);
    if (stack == NULL || other == NULL || by == NULL) {
        goto done;
    }
    PyObject *frame = blame->frame == NULL ? Py_None : (PyObject *)blame->frame; /* Borrowed. */
    PyObject *tuple = Py_BuildValue("OiOkOOOiiO", token, (int)kind, data, blame->thread->thread_id, frame, stack, other,
                                    blame->one_of_several, events_is_own() && blame->thread == PyThreadState_Get(), by);
    if (tuple == NULL || reserve_record(state) < 0) {
        Py_XDECREF(tuple);
        goto done;
    }
    int offset = blame->offset >= 0 || blame->frame == NULL ? blame->offset : PyFrame_GetLasti(blame->frame);
    state->queue[state->queued++] = (Record){tuple, blame->thread->thread_id, frame, offset};
    if (state->begun_count > 0 && kind != DELTA_WRITTEN && kind != DELTA_READ) {
        access_saw_change(state, token, blame->thread);
    }
    arming_begin(state, kind, data, blame);
    result = 0;
done:
    if (result < 0) {
        events_miss(state, token);
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
    }
    Py_XDECREF(data);
    Py_XDECREF(stack);
    Py_XDECREF(other);
    Py_XDECREF(by);
    return result;
}

/* True when a change waits that `thread` has made. What was done without a Python frame waits for any thread: the one that
 * did it may never have an event. */
static int
changes_wait_for(const CoreState *state, const PyThreadState *thread)
{
    for (Py_ssize_t i = 0; i < state->queued; i++) {
        if (state->queue[i].thread_id == thread->thread_id || state->queue[i].frame == Py_None) {
            return 1;
        }
    }
    return 0;
}

/* True when something waits for `thread`: a change that it made, an action that is to run in it, or what it is to drop. */
int
events_wait_for(CoreState *state, PyThreadState *thread)
{
    return state->due > 0 || changes_wait_for(state, thread) || releasing_waits_for(state, thread);
}

/* Have the handler called again: it has failed. */
static void
call_again(CoreState *state)
{
    if (state->due == 0) {
        state->due = 1; /* I3 */
    }
    if (failures < MOST_FAILURES) {
        failures++;
#if HAS_MONITORING
        instrument_stop_here(state);
#endif
        events_drain_later();
    }
}

/* Do what the handler says: raise for the program (exception, frame that wrote, offset of the write), or call it again. */
static int
obey(CoreState *state, PyObject *result)
{
    PyObject *exception, *frame; /* Borrowed from result. */
    int offset;
    if (result == Py_True) {
        call_again(state);
        return 0;
    }
    failures = 0;
    if (result == Py_False || result == Py_None) {
        return 0;
    }
    if (!PyArg_ParseTuple(result, "OOi", &exception, &frame, &offset)) {
        return -1;
    }
    return raising_raise(state, exception, frame, offset);
}

/* The handler has raised. Meant for the program is what a signal handler raised meanwhile, not want of memory or stack. */
static int
let_through(CoreState *state)
{
    /* What waits is handled later, perhaps too late to see what changes meanwhile in an object that it has brought. */
    for (Py_ssize_t i = 0; i < state->queued; i++) {
        events_miss(state, PyTuple_GET_ITEM(state->queue[i].tuple, 0));
    }
    call_again(state);
    if (!PyErr_ExceptionMatches(PyExc_MemoryError) && !PyErr_ExceptionMatches(PyExc_RecursionError)) {
        PyObject *error = compat_take_exception();
        (void)PyException_SetTraceback(error, Py_None); /* None of the program's frames was left by it. */
        compat_put_back_exception(error);
        return -1;
    }
    PyErr_Clear();
    return 0;
}

/* Call the handler; what it returns is for obey(), NULL for let_through(). */
static PyObject *
call_handler(CoreState *state)
{
    draining = 1; /* I4 */
    collecting = PyGC_IsEnabled();
    let_run(0); /* I5 */
    PyObject *handler = Py_NewRef(state->handler);
    /* This thread has compared what it did; until it goes on, whatever changes is another thread's work. */
    state->last_thread = NULL;
    state->switches = *state->switches_now;
    state->called_code = NULL;
#if !HAS_MONITORING
    Position position = tracing_position(state, PyThreadState_Get());
    /* Our own frames are not traced, even if no trace event led here: at the first instruction of a traced frame the
     * interpreter handles pending calls and signals until none is left, and I5 keeps them waiting: it would never go on. */
    PyThreadState_EnterTracing(PyThreadState_Get());
#endif
    compat_lend_stack(EXTRA_STACK);
    PyObject *result = PyObject_CallNoArgs(handler);
    compat_lend_stack(-EXTRA_STACK);
    result = calling_take_steps(state, result);
#if !HAS_MONITORING
    PyThreadState_LeaveTracing(PyThreadState_Get());
    tracing_go_back(state, position);
#endif
    Py_DECREF(handler);
    PendingError error = take_pending_error();
    recheck_catch_up(state);
    put_back_pending_error(error);
    let_run(1);
    draining = 0;
    arming_end(state);
    return result;
}

/* Have the signals handled that have come while the handler ran (I5): now, or once this thread is done with the one that it
 * handles. */
static void
see_signals(CoreState *state)
{
    if (!waiting.is_main) {
        return;
    }
    PyFrameObject *interrupted = compat_handle_signals_soon();
    state->signals_wait = interrupted != NULL;
#if HAS_MONITORING
    if (interrupted != NULL) {
        instrument_stop_in(state, interrupted);
    }
#endif
}

/* At an event: the same for what waits since an earlier one. */
void
events_see_signals(CoreState *state)
{
    if (state->signals_wait && compat_is_main_thread()) {
        state->signals_wait = compat_handle_signals_soon() != NULL;
    }
}

/* So often the handler is called at one event for what has changed while its changes were handled. */
#define MOST_ROUNDS 100

/* Let the handler take the queue, and drop what was replaced. -1 with an exception that is meant for the program. */
int
events_drain(CoreState *state, Caller caller)
{
    if (draining || evaluating || state->handler == NULL || Py_IsFinalizing()) {
        return 0;
    }
    PyThreadState *me = PyThreadState_Get();
    for (int round = 0; round < MOST_ROUNDS; round++) {
        PyObject *result = call_handler(state);
        arming_wait(state); /* It was not stopped before an instruction, as it ran the handler. */
        int is_to_be_tried_again = result == NULL || result == Py_True;
        releasing_release(state, caller);
        int outcome = result == NULL ? let_through(state) : obey(state, result);
        Py_XDECREF(result);
        see_signals(state);
        if (outcome < 0) {
            return -1;
        }
        if (is_to_be_tried_again || state->handler == NULL || !changes_wait_for(state, me)) {
            break;
        }
    }
    return 0;
}

/* own(flag): begin (True) or end (False) what is no work of the program's: its changes are no hits. */
PyObject *
events_own(PyObject *Py_UNUSED(module), PyObject *flag)
{
    int begins = PyObject_IsTrue(flag);
    if (begins < 0) {
        return NULL;
    }
    assert(begins || own > 0);
    own += begins ? 1 : -1;
    Py_RETURN_NONE;
}

/* Call `function`, which evaluates a watch expression: what it changes is no work of the program's, and this thread has no
 * events meanwhile. */
PyObject *
events_call_as_own(PyObject *function)
{
    PyThreadState *me = PyThreadState_Get();
    PyThreadState_EnterTracing(me);
    own++;
    evaluating++;
    PyObject *result = PyObject_CallNoArgs(function);
    evaluating--;
    own--;
    PyThreadState_LeaveTracing(me);
    CoreState *state = state_for_callback();
    if (!evaluating && state != NULL && state->queued > 0) {
        events_drain_later();
    }
    return result;
}

/* evaluate(function): as that. */
PyObject *
events_evaluate(PyObject *Py_UNUSED(module), PyObject *function)
{
    return events_call_as_own(function);
}

/* let_run(flag): begin (True) or end (False) code of the user's, during which signals are handled and garbage is collected
 * (I5). */
PyObject *
events_let_run(PyObject *Py_UNUSED(module), PyObject *flag)
{
    int begins = PyObject_IsTrue(flag);
    if (begins < 0) {
        return NULL;
    }
    assert(begins || users > 0);
    users += begins ? 1 : -1;
    if (draining && users == begins) { /* The outermost begins, or has ended. */
        collecting =
            begins ? collecting : PyGC_IsEnabled(); /* The user's code may have turned it on or off for good. */
        let_run(begins);
    }
    Py_RETURN_NONE;
}

/* take(): the records noted since the last call, as a list of tuples. */
PyObject *
events_take(PyObject *module, PyObject *Py_UNUSED(unused))
{
    CoreState *state = PyModule_GetState(module);
    int was_on = pause_collector(); /* Nothing may be noted or taken between counting and taking. */
    PyObject *records = PyList_New(state->queued);
    resume_collector(was_on);
    if (records == NULL || releasing_hold_records(state) < 0) {
        Py_XDECREF(records);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < state->queued; i++) {
        PyList_SET_ITEM(records, i, state->queue[i].tuple); /* Steals the queue's reference. */
    }
    if (state->queued > 0 && state->due == 0) {
        state->due = 1; /* Actions may be, once these are processed: until set_due() each thread waits for that. */
    }
    state->queued = 0;
    return records;
}

/* forget_threads(): in a forked child, let go of what the parent's other threads had begun. */
PyObject *
events_forget_threads(PyObject *module, PyObject *Py_UNUSED(unused))
{
    CoreState *state = PyModule_GetState(module);
    unsigned long me = PyThread_get_thread_ident();
    state->pid = compat_pid();
    tools_forget_threads(state);
    Py_ssize_t kept = 0;
    PyObject *dropped = PyList_New(0);
    if (dropped == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < state->queued; i++) {
        Record record = state->queue[i];
        if (record.thread_id == me || PyList_Append(dropped, record.tuple) < 0) {
            state->queue[kept++] = record;
        }
        else {
            Py_DECREF(record.tuple); /* Not the last reference. */
        }
    }
    state->queued = kept;
    state->due = 0;
    compat_forget_waits();
    arming_forget_threads(state);
    told_forget_threads();
    releasing_forget_threads(state);
    int mine = draining && collecting && users == 0;
    if (paused > mine && !mine) {
        PyGC_Enable();
    }
    paused = mine;
    Py_DECREF(dropped); /* May run code of the user's: only now. */
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static void
forget_missed(CoreState *state)
{
    state->missed_more = 0;
    while (state->missed_count > 0) {
        Py_DECREF(state->missed[--state->missed_count]);
    }
}

/* take_missed(): the tokens of cells of which changes were missed since the last call, and whether there are others. */
PyObject *
events_take_missed(PyObject *module, PyObject *Py_UNUSED(unused))
{
    CoreState *state = PyModule_GetState(module);
    int was_on = pause_collector(); /* Nothing may be missed between counting and taking. */
    PyObject *tokens = PyTuple_New(state->missed_count);
    for (int i = 0; tokens != NULL && i < state->missed_count; i++) {
        PyTuple_SET_ITEM(tokens, i, Py_NewRef(state->missed[i]));
    }
    PyObject *result = tokens == NULL ? NULL : PyTuple_Pack(2, tokens, state->missed_more ? Py_True : Py_False);
    if (result != NULL) {
        forget_missed(state); /* The tuple has them. */
    }
    resume_collector(was_on);
    Py_XDECREF(tokens);
    return result;
}

PyObject *
events_set_due(PyObject *module, PyObject *number)
{
    CoreState *state = PyModule_GetState(module);
    int due = (int)PyLong_AsLong(number);
    if (due == -1 && PyErr_Occurred()) {
        return NULL;
    }
    int has_more = state->missed_count > 0 || state->missed_more || state->taken != 0; /* I3; takeovers.c */
    state->due = due == 0 && has_more ? 1 : due;
    releasing_make_ready(state);
    arming_end(state);
    Py_RETURN_NONE;
}

void
events_clear(CoreState *state)
{
    while (state->queued > 0) {
        Py_DECREF(state->queue[--state->queued].tuple);
    }
    releasing_clear(state);
    forget_missed(state);
    PyMem_Free(state->queue);
    state->queue = NULL;
    state->queue_capacity = 0;
    Py_CLEAR(state->handler);
}
