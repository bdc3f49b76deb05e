/* Threads that run no Python code. `_thread.start_new_thread(L.append, (1,))` changes the list in a thread that has no
 * instructions, hence no events: the look that finds the change is another thread's, whose last instruction may have
 * nothing to do with it. What is found while there may be such a thread is laid to that instruction, but not for certain:
 * it happened somewhere between it and the instruction that began the thread.
 *
 * I1. Of each thread that there has been since checks began an event has come; or it is in `unheard`; or it was gone
 *     before the latest look; or its id is beyond `latest_thread`, and it began since that look.
 * I2. A thread that has gone stays in `unheard` for the one look that finds it gone: it may have written until then.
 * I3. `latest_thread` is 0 until the first look. No thread has that id.
 */
#include "state.h"

struct Unheard {
    uint64_t id;
    PyCodeObject *code; /* Owned: of the instruction that began the thread; NULL when that is not known. */
    int offset;         /* In bytes. */
};

static _Thread_local uint64_t heard; /* Id of this thread, once an event of it has come. */

static void
drop(CoreState *state, Py_ssize_t index)
{
    Py_XDECREF(state->unheard[index].code);
    state->unheard_count--;
    memmove(&state->unheard[index], &state->unheard[index + 1],
            (size_t)(state->unheard_count - index) * sizeof(Unheard));
}

static int
add(CoreState *state, uint64_t id, PyCodeObject *code, int offset)
{
    Unheard *unheard = grow_memory(state->unheard, state->unheard_count, &state->unheard_capacity, sizeof(Unheard));
    if (unheard == NULL) {
        return -1;
    }
    state->unheard = unheard;
    state->unheard[state->unheard_count++] = (Unheard){id, (PyCodeObject *)Py_XNewRef(code), offset};
    return 0;
}

static PyThreadState *
living(uint64_t id)
{
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    while (thread != NULL && thread->id != id) {
        thread = PyThreadState_Next(thread);
    }
    return thread;
}

/* Add the threads that run no Python code now; others have come here by events, or will. */
static int
add_those_there(CoreState *state)
{
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; thread != NULL; thread = PyThreadState_Next(thread)) {
        if (thread->id != heard && !compat_runs_python(thread) && add(state, thread->id, NULL, 0) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
add_new(CoreState *state, uint64_t latest, PyCodeObject *code, int offset)
{
    for (uint64_t id = state->latest_thread + 1; id <= latest; id++) {
        if (id != heard && add(state, id, code, offset) < 0) {
            return -1;
        }
        state->latest_thread = id; /* I1 */
    }
    return 0;
}

/* A look begins in the running thread, which has just done the instruction of `code` at `offset`: take note of the
 * threads that have begun. Where there is no memory for that, the next look tries again. */
void
unheard_begin(CoreState *state, PyCodeObject *code, int offset)
{
    uint64_t me = PyThreadState_Get()->id;
    if (heard != me) {
        heard = me;
        for (Py_ssize_t i = 0; i < state->unheard_count; i++) {
            if (state->unheard[i].id == me) {
                drop(state, i);
                break;
            }
        }
    }
    uint64_t latest = *state->latest_thread_now;
    if (latest == state->latest_thread) {
        return;
    }
    PendingError error = take_pending_error();
    int result = state->latest_thread == 0 ? add_those_there(state) : add_new(state, latest, code, offset);
    if (result == 0) {
        state->latest_thread = latest; /* I1, I3 */
    }
    PyErr_Clear();
    put_back_pending_error(error);
}

/* Return a thread of which no event tells, and which may have run since the latest look; NULL for none. */
static const Unheard *
find_suspect(const CoreState *state)
{
    for (Py_ssize_t i = 0; i < state->unheard_count; i++) {
        if (living(state->unheard[i].id) == NULL || compat_count_c_only() > 0) {
            return &state->unheard[i];
        }
    }
    return NULL;
}

int
unheard_may_run(const CoreState *state)
{
    return find_suspect(state) != NULL;
}

/* If a thread of which no event tells may have made the change instead, let `blame` say so. */
void
unheard_doubt(const CoreState *state, Blame *blame)
{
    if (blame->frame == NULL || blame->unknown || blame->other_code != NULL || !others_have_run(state)) {
        return;
    }
    if (*state->latest_thread_now != state->latest_thread) {
        blame->unknown = 1; /* There was no memory to take note of some. */
        return;
    }
    const Unheard *unheard = find_suspect(state);
    if (unheard != NULL) {
        blame->other_code = (PyCodeObject *)Py_XNewRef(unheard->code);
        blame->other_offset = unheard->offset;
        if (unheard->code == NULL) {
            blame->other_code = PyFrame_GetCode(blame->frame); /* Some time since that began, or before. */
        }
    }
}

/* A look has ended: forget the threads that have gone. */
void
unheard_end(CoreState *state)
{
    for (Py_ssize_t i = state->unheard_count; i-- > 0;) {
        if (living(state->unheard[i].id) == NULL) { /* I2 */
            drop(state, i);
        }
    }
}

/* Checks begin, or end for good. */
void
unheard_clear(CoreState *state)
{
    while (state->unheard_count > 0) {
        drop(state, state->unheard_count - 1);
    }
    PyMem_Free(state->unheard);
    state->unheard = NULL;
    state->unheard_capacity = 0;
    state->latest_thread = 0; /* I3 */
}
