/* Lets other threads wait while one brings what is watched up to date: what a change has led to is watched only then.
 *
 *     ND["a"] = {"b": 1}    # one thread; the new dict's item "b" is watched once the handler has read the expression again
 *     ND["a"]["b"] = 2      # another: unseen, if it gets the interpreter's lock meanwhile
 *
 * I1. `armers` is the number of threads that have noted such a change and not processed it yet; `arming` is set in each.
 *     While it is not 0, the lock is held.
 * I2. Other threads have an event before their next instruction, and wait there; never those that run the handler, nor for
 *     longer than PATIENCE: whoever they wait for may wait for them.
 */
#include "codeinfo.h"
#include "tools.h"

#define PATIENCE 1000000 /* Microseconds. The same as in session.py. */
#define MOST_ROUNDS 100 /* So often another thread may be waited for at one event. */

static _Thread_local int arming;
static int armers;
static PyThread_type_lock lock;

/* True for what leads to nothing that could be watched. */
static int
is_scalar(PyObject *object)
{
    if (PyTuple_CheckExact(object)) {
        Py_ssize_t i = 0;
        while (i < PyTuple_GET_SIZE(object) && is_scalar(PyTuple_GET_ITEM(object, i))) {
            i++;
        }
        return i == PyTuple_GET_SIZE(object);
    }
    return object == Py_None || PyLong_CheckExact(object) || PyBool_Check(object) || PyFloat_CheckExact(object) ||
           PyUnicode_CheckExact(object) || PyBytes_CheckExact(object);
}

static int
leads_further(CoreState *state, DeltaKind kind, PyObject *data)
{
    PyObject *new_value = NULL;
    switch (kind) {
    case DELTA_REBOUND:
        new_value = PyTuple_GET_ITEM(data, 1);
        break;
    case DELTA_ITEM:
        new_value = PyTuple_GET_ITEM(data, 2);
        break;
    case DELTA_SPLICED:
        new_value = PyTuple_GET_ITEM(data, 2); /* A tuple, or bytes. */
        break;
    case DELTA_WHOLE:
    case DELTA_UNKNOWN:
        return 1;
    default:
        return 0;
    }
    return new_value != state->absent && !is_scalar(new_value);
}

/* Have an event before the next instruction of each other thread. */
static void
stop_others(CoreState *state, const PyThreadState *me)
{
    PyThreadState *thread = PyInterpreterState_ThreadHead(me->interp);
    for (; thread != NULL; thread = PyThreadState_Next(thread)) {
        PyFrameObject *frame = thread == me ? NULL : PyThreadState_GetFrame(thread);
        PyCodeObject *code = frame == NULL ? NULL : PyFrame_GetCode(frame);
        CodeInfo *info = code == NULL ? NULL : code_info(state, code);
        if (info != NULL && !info->is_ours) {
#if HAS_MONITORING
            if (state->set_local_events != NULL && !info->awaited) {
                info->awaited = 1;
                info->awaited = instrument_code(state, info, 1) == 0;
            }
#else
            Blame blame = {.frame = frame};
            tracing_stop_after(&blame);
#endif
        }
        PyErr_Clear(); /* No memory: it is not stopped. */
        Py_XDECREF(code);
        Py_XDECREF(frame);
    }
}

/* This thread has noted a change: if that may lead to what is not watched yet, let the others wait until arming_end().
 * Sets no exception. */
void
arming_begin(CoreState *state, DeltaKind kind, PyObject *data, const Blame *blame)
{
    PyThreadState *me = PyThreadState_Get();
    if (arming || blame->thread != me || blame->frame == NULL || events_is_draining() ||
        (me->next == NULL && me->prev == NULL) || !leads_further(state, kind, data)) {
        return;
    }
    if (lock == NULL) {
        lock = PyThread_allocate_lock();
    }
    if (lock == NULL) {
        return; /* No memory: they are not stopped. */
    }
    if (armers == 0) {
        (void)PyThread_acquire_lock(lock, WAIT_LOCK); /* Who has waited gives it back at once, without the GIL. */
    }
    arming = 1; /* I1 */
    armers++;
    stop_others(state, me);
}

/* This thread has processed what it has noted. */
void
arming_end(void)
{
    if (arming) {
        arming = 0;
        if (armers > 0 && --armers == 0) {
            PyThread_release_lock(lock);
        }
    }
}

/* At an event: wait until no other thread has such a change to process (I2). */
void
arming_wait(CoreState *state)
{
    if (armers == 0 || events_is_draining()) {
        return;
    }
    if (arming && !events_wait_for(state, PyThreadState_Get())) {
        arming_end(); /* Another thread has processed what this one has noted. */
    }
    if (arming) {
        return;
    }
    int has_waited = 0;
    for (int round = 0; round < MOST_ROUNDS && armers > 0; round++) {
        has_waited = 1;
        int is_free;
        Py_BEGIN_ALLOW_THREADS is_free = PyThread_acquire_lock_timed(lock, PATIENCE, 0) == PY_LOCK_ACQUIRED;
        if (is_free) {
            PyThread_release_lock(lock);
        }
        Py_END_ALLOW_THREADS if (!is_free && armers > 0)
        {
            armers = 0; /* Whoever it was may never come. */
            PyThread_release_lock(lock);
        }
    }
    if (has_waited) {
        PendingError error = take_pending_error();
        recheck_catch_up(state); /* Who has run meanwhile has changed nothing that this thread could be blamed for. */
        put_back_pending_error(error);
    }
}

/* In a forked child, whose only thread runs the handler or none. */
void
arming_forget_threads(void)
{
    armers = 0;
    arming = 0;
    lock = NULL; /* What another thread may hold is left alone. */
}
