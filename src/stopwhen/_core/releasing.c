/* Drops what changes have replaced as the program would have: in the thread that made them, where it made them.
 *
 * A record in the queue owns the old value, and so does the session while it works. Were one of them the last to drop it,
 * its finaliser would run below frames of the session's, in the thread that handles the change, without events.
 *
 * I1. Each record that Python has taken is held here until the handler has returned: nothing that Python drops meanwhile is
 *     the last reference to what the record replaced, or to what that leads to.
 * I2. `is_ready` is set once the session has processed what it has taken: it speaks of none of that any more.
 * I3. What is dropped has been taken off the list before: its finaliser may come here again.
 * I4. A hit that the user's action keeps holds the old value. What nothing else holds, once all of the above is dropped, would
 *     have ended: its text takes its place in the hit then.
 */
#include "tools.h"

/* Let there be room for `count` more. -1 with an exception set. */
static int
reserve(CoreState *state, Py_ssize_t count)
{
    Py_ssize_t wanted = state->held_count + count;
    if (wanted > state->held_capacity) {
        Py_ssize_t capacity = 2 * wanted;
        Held *held = resize_memory(state->held, capacity, sizeof(Held));
        if (held == NULL) {
            return -1;
        }
        state->held = held;
        state->held_capacity = capacity;
    }
    return 0;
}

/* Hold all records of the queue. -1 with an exception set: then none. */
int
releasing_hold_records(CoreState *state)
{
    if (reserve(state, state->queued) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < state->queued; i++) {
        const Record *record = &state->queue[i];
        state->held[state->held_count++] =
            (Held){Py_NewRef(record->tuple), record->thread_id, record->frame, record->offset, 0, NULL};
    }
    return 0;
}

/* hold(object, thread id): let it be dropped in that thread, 0 for this one, behind the records that have been taken. What is dropped while
 * no handler runs needs no help. */
PyObject *
releasing_hold(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *object; /* Borrowed from args. */
    unsigned long thread_id;
    if (!PyArg_ParseTuple(args, "Ok", &object, &thread_id)) {
        return NULL;
    }
    if (events_is_draining()) {
        thread_id = thread_id == 0 ? PyThread_get_thread_ident() : thread_id;
        if (reserve(state, 1) < 0) {
            return NULL;
        }
        state->held[state->held_count++] = (Held){Py_NewRef(object), thread_id, NULL, 0, 0, NULL};
    }
    Py_RETURN_NONE;
}

#define MOST_DEPTH 4 /* What lies deeper may be anything. */
#define MOST_ITEMS 16384 /* What holds more may hold anything: to look at all of a long list takes longer than a hit. */

/* True when code may run as the last reference to `object` is dropped. */
static int
ends_in_code(PyObject *object, int depth)
{
    if (object == Py_None || PyLong_CheckExact(object) || PyBool_Check(object) || PyUnicode_CheckExact(object) ||
        PyFloat_CheckExact(object) || PyBytes_CheckExact(object)) {
        return 0;
    }
    if (depth == MOST_DEPTH) {
        return 1;
    }
    PyObject *key, *value;
    Py_ssize_t position = 0;
    if (PyDict_CheckExact(object)) {
        if (PyDict_GET_SIZE(object) > MOST_ITEMS) {
            return 1;
        }
        while (PyDict_Next(object, &position, &key, &value)) {
            if (ends_in_code(key, depth + 1) || ends_in_code(value, depth + 1)) {
                return 1;
            }
        }
        return 0;
    }
    if ((!PyTuple_CheckExact(object) && !PyList_CheckExact(object)) || PySequence_Fast_GET_SIZE(object) > MOST_ITEMS) {
        return 1;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(object); i++) {
        if (ends_in_code(PySequence_Fast_GET_ITEM(object, i), depth + 1)) {
            return 1;
        }
    }
    return 0;
}

/* lighten(attributes of a hit, text): let the text take the place of the old value, if nothing else holds that (I4). */
PyObject *
releasing_lighten(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *attributes, *text; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "O!O", &PyDict_Type, &attributes, &text)) {
        return NULL;
    }
    PyObject *old = PyDict_GetItemString(attributes, "old"); /* Borrowed. */
    if (old != NULL && events_is_draining() && ends_in_code(old, 0)) {
        if (reserve(state, 1) < 0) {
            return NULL;
        }
        state->held[state->held_count++] =
            (Held){Py_NewRef(attributes), PyThread_get_thread_ident(), NULL, 0, 1, Py_NewRef(text)};
    }
    Py_RETURN_NONE;
}

/* The session has processed what it has taken (I2). */
void
releasing_make_ready(CoreState *state)
{
    for (Py_ssize_t i = 0; i < state->held_count; i++) {
        state->held[i].is_ready = 1;
    }
}

static PyThreadState *
thread_of(unsigned long thread_id)
{
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    while (thread != NULL && thread->thread_id != thread_id) {
        thread = PyThreadState_Next(thread);
    }
    return thread;
}

/* has_thread(thread id): whether it has not ended. */
PyObject *
releasing_has_thread(PyObject *Py_UNUSED(module), PyObject *number)
{
    unsigned long thread_id = PyLong_AsUnsignedLong(number);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(thread_of(thread_id) != NULL);
}

/* True when `thread` is to drop it, or may: that which should may never come here. */
static int
is_for(const Held *held, const PyThreadState *thread)
{
    return held->is_ready &&
           (held->thread_id == thread->thread_id || held->frame == Py_None || thread_of(held->thread_id) == NULL);
}

int
releasing_waits_for(const CoreState *state, const PyThreadState *thread)
{
    for (Py_ssize_t i = 0; i < state->held_count; i++) {
        if (is_for(&state->held[i], thread)) {
            return 1;
        }
    }
    return 0;
}

/* Take what comes first for `thread`; 0 for nothing. */
static int
take_first(CoreState *state, const PyThreadState *thread, Held *first)
{
    Py_ssize_t i = 0;
    while (i < state->held_count && !is_for(&state->held[i], thread)) {
        i++;
    }
    if (i == state->held_count) {
        return 0;
    }
    *first = state->held[i];
    state->held_count--;
    memmove(&state->held[i], &state->held[i + 1], (size_t)(state->held_count - i) * sizeof(Held));
    return 1;
}

/* Have an event in each other thread for which something is held, so that it comes for that. */
static void
call_others(CoreState *state, const PyThreadState *me)
{
#if HAS_MONITORING
    for (Py_ssize_t i = 0; i < state->held_count; i++) {
        PyThreadState *thread = state->held[i].thread_id == me->thread_id ? NULL : thread_of(state->held[i].thread_id);
        PyFrameObject *frame = thread == NULL ? NULL : PyThreadState_GetFrame(thread);
        if (frame != NULL) {
            instrument_stop_in(state, frame);
        }
        PyErr_Clear();
        Py_XDECREF(frame);
    }
#else
    (void)state, (void)me; /* There are events at each line. */
#endif
}

/* True when code may run as what is held is dropped, as far as we know of other references. */
static int
may_run_code(const Held *held)
{
    PyObject *object = held->object;
    if (Py_REFCNT(object) > 1 && held->text == NULL) {
        return 0;
    }
    return ends_in_code(object, 0);
}

/* Drop it, which is on the list no more. Sets no exception. */
static void
drop(Held *held)
{
    if (held->text != NULL && Py_REFCNT(held->object) > 1) { /* Somebody keeps the hit (I4). */
        PyObject *old = PyDict_GetItemString(held->object, "old"); /* Borrowed. */
        if (old != NULL && Py_REFCNT(old) == 1 && PyDict_SetItemString(held->object, "old", held->text) < 0) {
            PyErr_Clear(); /* No memory: the hit holds it. */
        }
    }
    Py_XDECREF(held->text);
    Py_DECREF(held->object);
}

/* Drop what is held for this thread, in the order in which it was replaced. Does not change the exception that is set. */
void
releasing_release(CoreState *state, Caller caller)
{
    PyThreadState *me = PyThreadState_Get();
    Held held;
    if (state->held_count == 0 || !take_first(state, me, &held)) {
        return;
    }
    PendingError error = take_pending_error();
#if !HAS_MONITORING
    Position position = tracing_position(state, me);
#endif
    Quiet quiet = compat_end_quiet(caller == IN_EVENT);
    PyObject *running = (PyObject *)compat_running_frame(); /* Borrowed; NULL when nobody can speak of it. */
    Standing standing = {.frame = NULL};
    int has_run = 0;
    do {
        if (held.frame != NULL) {
            compat_stand_again(standing);
            standing = (Standing){.frame = NULL};
            if (held.frame == running && held.offset >= 0) {
                standing = compat_stand_at((PyFrameObject *)running, held.offset);
            }
        }
        has_run |= may_run_code(&held);
        drop(&held); /* I3 */
    } while (take_first(state, me, &held));
    if (has_run && state->handler != NULL) {
        state->called_code = NULL;
#if !HAS_MONITORING
        tracing_go_back(state, position);
#endif
        recheck_catch_up(
            state); /* Finalisers in C have no events of their own: the line that dropped it has run them. */
    }
    compat_stand_again(standing);
    compat_begin_quiet(quiet);
    call_others(state, me);
    put_back_pending_error(error);
}

/* In a forked child: nothing waits for another thread any more. */
void
releasing_forget_threads(CoreState *state)
{
    unsigned long me = PyThread_get_thread_ident();
    for (Py_ssize_t i = 0; i < state->held_count; i++) {
        state->held[i].thread_id = me;
    }
}

void
releasing_clear(CoreState *state)
{
    Held *held = state->held;
    Py_ssize_t count = state->held_count;
    state->held = NULL; /* I3 */
    state->held_count = state->held_capacity = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        drop(&held[i]);
    }
    PyMem_Free(held);
}
