/* Lets other threads wait while one brings what is watched up to date: what a change has led to is watched only then.
 *
 *     ND["a"] = {"b": 1}    # one thread; the new dict's item "b" is watched once the handler has read the expression again
 *     ND["a"]["b"] = 2      # another: unseen, if it gets the interpreter's lock meanwhile
 *
 * I1. `armers` is the number of threads that have noted such a change and not processed it yet; `arming` is set in each.
 *     While it is not 0, the lock is held.
 * I2. Other threads have an event before their next instruction, and wait there; never those that run the handler, nor for
 *     longer than PATIENCE: whoever they wait for may wait for them. A frame that C code begins, the first one of a new
 *     thread too, waits before it runs (threads.c).
 * I3. From the first such change until the last is processed is a window; `arming` is its number. What I2 cannot hold for
 *     a thread that may have run is told by arming_is_doubtful(): there was no memory to stop it, it has waited for too
 *     long, it runs no Python code, or the change was found by another thread than the one that has made it.
 */
#include "codeinfo.h"
#include "tools.h"

#define PATIENCE 1000000 /* Microseconds. The same as in session.py. */
#define MOST_ROUNDS 10000 /* So often another thread may be waited for at one event. */

static _Thread_local uint64_t arming; /* 0 for none. */
static int armers;
static PyThread_type_lock lock;

/* The latest window (I3). */
static uint64_t window;
static uint64_t doubted; /* Number of the latest window in which a thread has not waited that had to. */
static unsigned long switches_before; /* How often threads had taken turns. */
static int some_before;               /* There were threads that ran no Python code. */
static int newborn;                   /* Number of threads that wait before their first frame. */

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

/* Return the innermost frame of `thread` that runs code of the program, as a new reference; NULL if there is none. */
static PyFrameObject *
frame_to_stop(CoreState *state, PyThreadState *thread, CodeInfo **info)
{
    PyFrameObject *frame = PyThreadState_GetFrame(thread);
    if (frame == NULL && compat_runs_python(thread)) {
        doubted = window; /* No memory. */
    }
    while (frame != NULL) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        *info = code_info(state, code);
        Py_DECREF(code); /* The frame keeps it. */
        if (*info == NULL) {
            doubted = window;
            Py_CLEAR(frame);
        }
        else if (!(*info)->is_ours) {
            break;
        }
        else {
            Py_SETREF(frame, PyFrame_GetBack(frame));
        }
    }
    return frame;
}

/* Have an event before the next instruction of each other thread. */
static void
stop_others(CoreState *state, const PyThreadState *me)
{
    PyThreadState *thread = PyInterpreterState_ThreadHead(me->interp);
    for (; thread != NULL; thread = PyThreadState_Next(thread)) {
        CodeInfo *info = NULL;
        PyFrameObject *frame = thread == me ? NULL : frame_to_stop(state, thread, &info);
#if HAS_MONITORING
        if (frame != NULL && !info->awaited) {
            info->awaited = state->set_local_events != NULL;
            if (!info->awaited || instrument_code(state, info, 1) < 0) {
                info->awaited = 0;
                doubted = window;
            }
        }
#else
        if (frame != NULL) {
            Blame blame = {.frame = frame};
            tracing_stop_after(&blame);
        }
#endif
        PyErr_Clear(); /* No memory: it is not stopped. */
        Py_XDECREF(frame);
    }
}

/* The number of threads that run no Python code, but for those that wait before their first frame. */
static Py_ssize_t
count_c_only(void)
{
    return compat_count_c_only() + compat_count_foreign() - newborn;
}

static void
begin_window(const CoreState *state)
{
    (void)PyThread_acquire_lock(lock, WAIT_LOCK); /* Who has waited gives it back at once, without the GIL. */
    window++;
    switches_before = *state->switches_now;
    some_before = count_c_only() > 0;
}

static void
end_window(CoreState *state)
{
    armers = 0;
    PyThread_release_lock(lock);
    threads_update(state);
}

/* This thread has noted a change: if that may lead to what is not watched yet, let the others wait until arming_end().
 * Sets no exception. */
void
arming_begin(CoreState *state, DeltaKind kind, PyObject *data, const Blame *blame)
{
    PyThreadState *me = PyThreadState_Get();
    if (arming || blame->frame == NULL || events_is_draining() || (me->next == NULL && me->prev == NULL) ||
        !leads_further(state, kind, data)) {
        return;
    }
    if (blame->thread != me) { /* Found by this one's look: what it has led to could be written until now. */
        window += armers == 0;
        doubted = window;
        return;
    }
    if (lock == NULL) {
        lock = PyThread_allocate_lock();
    }
    if (lock == NULL) {
        return; /* No memory: they are not stopped. */
    }
    if (armers == 0) {
        begin_window(state);
    }
    arming = window; /* I1, I3 */
    armers++;
    threads_update(state);
    stop_others(state, me);
}

/* This thread has processed what it has noted. */
void
arming_end(CoreState *state)
{
    if (arming == 0) {
        doubted = armers == 0 && state->queued == 0 ? 0 : doubted;
        return;
    }
    if (arming == window && armers > 0 && --armers == 0) {
        end_window(state);
    }
    if (armers == 0 && doubted == arming) {
        doubted = 0;
    }
    arming = 0;
}

/* is_doubtful(): True when what a change that is being processed has led to, and was not watched yet, may have been written
 * by a thread that did not wait (I3). */
PyObject *
arming_is_doubtful(PyObject *module, PyObject *Py_UNUSED(unused))
{
    const CoreState *state = PyModule_GetState(module);
    if (armers > 0 && *state->switches_now != switches_before && (some_before || count_c_only() > 0)) {
        doubted = window;
    }
    uint64_t mine = arming == 0 ? window : arming;
    return PyBool_FromLong(mine != 0 && mine <= doubted);
}

/* At an event: wait until no other thread has such a change to process (I2). */
void
arming_wait(CoreState *state)
{
    if (armers == 0 || events_is_draining()) {
        return;
    }
    if (arming != 0 && !events_wait_for(state, PyThreadState_Get())) {
        arming_end(state); /* Another thread has processed what this one has noted. */
    }
    if (arming != 0) {
        return;
    }
    int has_waited = 0;
    for (int round = 0; round < MOST_ROUNDS && armers > 0; round++) {
        has_waited = 1;
        int is_free;
        uint64_t awaited = window;
        Py_BEGIN_ALLOW_THREADS is_free = PyThread_acquire_lock_timed(lock, PATIENCE, 0) == PY_LOCK_ACQUIRED;
        if (is_free) {
            PyThread_release_lock(lock);
        }
        Py_END_ALLOW_THREADS if (!is_free && armers > 0 && awaited == window)
        {
            doubted = window;
            end_window(state); /* Whoever it was may never come. */
        }
    }
    if (armers > 0) {
        doubted = window;
    }
    if (has_waited) {
        PendingError error = take_pending_error();
        recheck_catch_up(state); /* Who has run meanwhile has changed nothing that this thread could be blamed for. */
        put_back_pending_error(error);
    }
}

/* True while threads are to wait. */
int
arming_keeps_waiting(void)
{
    return armers > 0;
}

/* Before a frame of `code` that C code begins: the same. */
void
arming_wait_to_begin(CoreState *state, PyThreadState *me, PyCodeObject *code)
{
    if (armers == 0 || arming != 0 || events_is_draining()) {
        return;
    }
    PendingError error = take_pending_error();
    const CodeInfo *info = code_info(state, code);
    if (info == NULL || !info->is_ours) { /* Ours may hold what the handler waits for. */
        PyErr_Clear();
        int is_newborn = !compat_runs_python(me);
        newborn += is_newborn;
        arming_wait(state);
        newborn -= is_newborn && newborn > 0; /* None counts after a fork. */
    }
    put_back_pending_error(error);
}

/* In a forked child, whose only thread runs the handler or none. */
void
arming_forget_threads(CoreState *state)
{
    armers = 0;
    arming = 0;
    newborn = 0;
    lock = NULL; /* What another thread may hold is left alone. */
    threads_update(state);
}
