/* The queue of changes: each mechanism notes here what changed where, and Python takes the notes from here.
 *
 * I1. Records stand in the order in which the changes happened, whichever thread made them.
 * I2. Noting runs no Python code and drops no last reference to a foreign object, so a dict watcher may call it. On
 *     3.11 the caller has paused the garbage collector.
 * I3. `draining` is set in a thread exactly while that thread runs the handler: events of the handler's own Python
 *     code never call it again; what they note is taken by the handler's loop.
 */
#include "state.h"

static _Thread_local int draining; /* I3 */
static _Thread_local int own;      /* Depth of the user's actions and conditions that this thread runs. */
static _Thread_local int collecting; /* The garbage collector was on when this thread began to drain. */
static int paused; /* Number of threads that have turned the garbage collector off and will turn it on again. */

static void
set_collecting(int on)
{
    if (collecting) {
        (void)(on ? PyGC_Enable() : PyGC_Disable());
        paused += on ? -1 : 1;
    }
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
    blame->thread = PyThreadState_Get();
    blame->frame = PyThreadState_GetFrame(blame->thread);
    blame->offset = -1;
    blame->one_of_several = 0;
    blame->other_code = NULL;
    blame->other_offset = 0;
}

#define MOST_PLACES 500 /* The same as in mechanisms/recheck.py. */

static PyObject *
place(PyCodeObject *code, int offset)
{
    return Py_BuildValue("Oi", code, offset);
}

/* Return the places of the innermost frames of the blamed thread, innermost first, as a new tuple. */
static PyObject *
stack_of(const Blame *blame)
{
    PyObject *places = PyList_New(0);
    PyObject *result = NULL;
    PyFrameObject *frame = (PyFrameObject *)Py_XNewRef(blame->frame);
    int offset = blame->offset;
    while (places != NULL && frame != NULL && PyList_GET_SIZE(places) < MOST_PLACES) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        PyObject *item = place(code, offset >= 0 ? offset : PyFrame_GetLasti(frame));
        Py_DECREF(code);
        if (item == NULL || PyList_Append(places, item) < 0) {
            Py_XDECREF(item);
            goto done;
        }
        Py_DECREF(item);
        offset = -1;
        Py_SETREF(frame, PyFrame_GetBack(frame));
    }
    result = places == NULL ? NULL : PyList_AsTuple(places);
done:
    Py_XDECREF(frame);
    Py_XDECREF(places);
    return result;
}

static int
reserve_record(CoreState *state)
{
    if (state->queued < state->queue_capacity) {
        return 0;
    }
    Py_ssize_t capacity = state->queue_capacity == 0 ? 16 : 2 * state->queue_capacity;
    Record *queue = PyMem_Resize(state->queue, Record, (size_t)capacity);
    if (queue == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    state->queue = queue;
    state->queue_capacity = capacity;
    return 0;
}

/* Put a change of the cell of `token` at the end of the queue. Steals `data`, which may be NULL after an error. */
int
events_note(CoreState *state, PyObject *token, DeltaKind kind, PyObject *data, const Blame *blame)
{
    int result = -1;
    PyObject *stack = NULL;
    PyObject *other = NULL;
    if (data == NULL) {
        goto done;
    }
    /* Where a frame begins or ends is told by the frame. */
    stack = kind == DELTA_CALLED || kind == DELTA_ENDED ? PyTuple_New(0) : stack_of(blame);
    other = blame->other_code == NULL ? Py_NewRef(Py_None) : place(blame->other_code, blame->other_offset);
    if (stack == NULL || other == NULL) {
        goto done;
    }
    PyObject *frame = blame->frame == NULL ? Py_None : (PyObject *)blame->frame; /* Borrowed. */
    PyObject *tuple = Py_BuildValue("OiOkOOOii", token, (int)kind, data, blame->thread->thread_id, frame, stack, other,
                                    blame->one_of_several, events_is_own() && blame->thread == PyThreadState_Get());
    if (tuple == NULL || reserve_record(state) < 0) {
        Py_XDECREF(tuple);
        goto done;
    }
    state->queue[state->queued++] = (Record){tuple, blame->thread->thread_id, frame};
    result = 0;
done:
    if (result < 0) {
        state->lost++;
    }
    Py_XDECREF(data);
    Py_XDECREF(stack);
    Py_XDECREF(other);
    return result;
}

/* True when something waits for `thread`: a change that it made, or an action that is to run in it. */
int
events_wait_for(CoreState *state, PyThreadState *thread)
{
    if (state->due > 0) {
        return 1;
    }
    for (Py_ssize_t i = 0; i < state->queued; i++) {
        if (state->queue[i].thread_id == thread->thread_id) {
            return 1;
        }
    }
    return 0;
}

/* Raise what the handler returned for the program: None, or (exception, frame that wrote, offset of the write). */
static int
raise_result(CoreState *state, PyObject *result)
{
    PyObject *exception, *frame; /* Borrowed from result. */
    int offset;
    if (result == Py_None) {
        return 0;
    }
    if (!PyArg_ParseTuple(result, "OOi", &exception, &frame, &offset)) {
        return -1;
    }
    return raising_raise(state, exception, frame, offset);
}

/* Let the handler take the queue. -1 with an exception that the handler means for the program. */
int
events_drain(CoreState *state)
{
    if (draining || state->handler == NULL || Py_IsFinalizing()) {
        return 0;
    }
    draining = 1; /* I3 */
    /* Finalisers of the user's must not run inside the handler, where no event shows what they write. */
    collecting = PyGC_IsEnabled();
    set_collecting(0);
    PyObject *handler = Py_NewRef(state->handler);
    /* This thread has compared what it did; until it goes on, whatever changes is another thread's work. */
    state->last_thread = NULL;
    PyObject *result = calling_take_steps(state, PyObject_CallNoArgs(handler));
    Py_DECREF(handler);
    recheck_catch_up(state);
    set_collecting(1);
    draining = 0;
    if (result == NULL) { /* Ctrl-C has come to the handler; none of the program's frames was left by it. */
        PyObject *error = compat_take_exception();
        (void)PyException_SetTraceback(error, Py_None);
        compat_put_back_exception(error);
    }
    int outcome = result == NULL ? -1 : raise_result(state, result);
    Py_XDECREF(result);
    return outcome;
}

/* own(flag): begin (True) or end (False) code of the user's that stopwhen itself runs. */
PyObject *
events_own(PyObject *Py_UNUSED(module), PyObject *flag)
{
    int begins = PyObject_IsTrue(flag);
    if (begins < 0) {
        return NULL;
    }
    assert(begins || own > 0);
    own += begins ? 1 : -1;
    if (draining && own == begins) { /* The outermost begins, or has ended. */
        collecting =
            begins ? collecting : PyGC_IsEnabled(); /* The user's code may have turned it on or off for good. */
        set_collecting(begins);
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
    if (records == NULL) {
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
    int mine = draining && collecting && own == 0;
    if (paused > mine && !mine) {
        PyGC_Enable();
    }
    paused = mine;
    Py_DECREF(dropped); /* May run code of the user's: only now. */
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

PyObject *
events_set_due(PyObject *module, PyObject *number)
{
    CoreState *state = PyModule_GetState(module);
    int due = (int)PyLong_AsLong(number);
    if (due == -1 && PyErr_Occurred()) {
        return NULL;
    }
    state->due = due;
    Py_RETURN_NONE;
}

void
events_clear(CoreState *state)
{
    while (state->queued > 0) {
        Py_DECREF(state->queue[--state->queued].tuple);
    }
    PyMem_Free(state->queue);
    state->queue = NULL;
    state->queue_capacity = 0;
    Py_CLEAR(state->handler);
}
