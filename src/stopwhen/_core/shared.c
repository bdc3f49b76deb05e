/* Variables that functions share: cell objects, compared right before and right after each instruction that stores to one.
 * Code without such instructions has no events for them. (3.12+; on 3.11 recheck.c compares them with all else.)
 *
 * I1. `shared` holds exactly the armed checks of cell objects that are not suspended. While there are any, we stand before
 *     the setter of `cell_contents`, and that of frames' `f_locals` (frames.c), by which all other code stores: a change
 *     by these is noted at once.
 * I2. At the event before an instruction that stores, its place is kept as `storing`. What differs at the next event of
 *     that frame, the instruction has done.
 * I3. What differs at any other event is the work of an instruction that is not done: the old value, which it has let go
 *     of, has run code at its end. It stands in some frame of some thread. If none is found, it was code in C that asks
 *     nobody, such as PyCell_Set of a debugger (3.12), some time ago.
 */
#include "shared.h"

#include "codeinfo.h"
#include "content.h"
#include "frames.h"

#if HAS_MONITORING

static PyGetSetDef *
contents_setter(void)
{
    return compat_find_getset(PyCell_Type.tp_getset, "cell_contents");
}

int
shared_differs(CoreState *state)
{
    for (Py_ssize_t i = 0; i < state->shared_count; i++) {
        if (check_changed(state, state->shared[i])) {
            return 1;
        }
    }
    return 0;
}

static int
is_store(const CodeInfo *info, Py_ssize_t unit)
{
    return unit >= 0 && unit < info->length && (info->effect[unit] & EFFECT_SHARED);
}

/* Return the frame of `thread` whose instruction, not done yet, stores to `cell`, and add to `count` how many there are. */
static PyFrameObject *
find_in_thread(CoreState *state, PyThreadState *thread, const PyObject *cell, int *count)
{
    PyFrameObject *found = NULL;
    PyFrameObject *frame = PyThreadState_GetFrame(thread);
    if (frame != NULL && thread == PyThreadState_Get()) {
        Py_SETREF(frame, PyFrame_GetBack(frame)); /* The running one has its event before an instruction. */
    }
    while (frame != NULL) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        CodeInfo *info = code_info(state, code);
        Py_ssize_t unit = PyFrame_GetLasti(frame) / 2;
        if (info != NULL && is_store(info, unit)) {
            PyObject *variable = compat_fast_local(frame, info->stored[unit] >> 2);
            if (variable == cell) {
                ++*count;
                Py_XSETREF(found, (PyFrameObject *)Py_NewRef(frame));
            }
            Py_XDECREF(variable);
        }
        Py_DECREF(code);
        Py_SETREF(frame, PyFrame_GetBack(frame));
    }
    PyErr_Clear(); /* Where there is no memory for a frame, the writer may not be found. */
    return found;
}

/* I3 */
static void
find_writer(CoreState *state, const PyObject *cell, Blame *blame)
{
    int count = 0;
    blame_current(blame);
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; thread != NULL; thread = PyThreadState_Next(thread)) {
        PyFrameObject *frame = find_in_thread(state, thread, cell, &count);
        if (frame != NULL) {
            blame_release(blame);
            *blame = (Blame){.thread = thread, .frame = frame, .offset = -1};
        }
    }
    if (count != 1 && blame->frame != NULL) {
        blame->other_code = PyFrame_GetCode(blame->frame);
        blame->other_offset = 0;
    }
}

/* Note each change: that of `cell`, of all for NULL, blaming `blame`; the others' writers are to be found. */
static void
report(CoreState *state, const Blame *blame, const PyObject *cell)
{
    int was_on = pause_collector();
    for (Py_ssize_t i = 0; i < state->shared_count;) {
        Check *check = (Check *)Py_NewRef(state->shared[i]);
        if (check_changed(state, check)) {
            int is_known = blame != NULL && (cell == NULL || check->owner == cell);
            Blame found = {.frame = NULL};
            if (!is_known) {
                find_writer(state, check->owner, &found);
            }
            if (check_report(state, check, is_known ? blame : &found) < 0) {
                PyErr_Clear();
                if (i < state->shared_count && state->shared[i] == check) {
                    check_suspend(check);
                }
            }
            blame_release(&found);
        }
        i += i < state->shared_count && state->shared[i] == check; /* It may be gone. */
        Py_DECREF(check);
    }
    resume_collector(was_on);
}

void
shared_report(CoreState *state, const Blame *blame)
{
    report(state, blame, NULL);
}

void
shared_see_store(CoreState *state, const PyObject *cell)
{
    if (!is_in_main_interpreter() || !shared_differs(state)) {
        return;
    }
    PendingError error = take_pending_error();
    Blame blame;
    blame_current(&blame);
    report(state, &blame, cell);
    if (!events_is_draining()) {
        instrument_stop_after(state, &blame); /* The handler comes as soon as the instruction is done. */
    }
    blame_release(&blame);
    put_back_pending_error(error);
}

static int
on_set_contents(PyObject *cell, PyObject *value, void *closure)
{
    CoreState *state = state_for_callback();
    int result = state->set_contents(cell, value, closure);
    shared_see_store(state, cell);
    return result;
}

int
shared_add(CoreState *state, Check *check)
{
    Check **shared = grow_memory(state->shared, state->shared_count, &state->shared_capacity, sizeof(Check *));
    if (shared == NULL) {
        return -1;
    }
    state->shared = shared;
    if (state->shared_count == 0) {
        state->set_contents = contents_setter()->set;
        contents_setter()->set = on_set_contents;
        frames_stand_before_locals(state);
    }
    state->shared[state->shared_count++] = check; /* I1 */
    return 0;
}

void
shared_remove(CoreState *state, Check *check)
{
    check_take_out(state->shared, &state->shared_count, check); /* I1 */
    if (state->shared_count == 0) {
        contents_setter()->set = state->set_contents;
        frames_step_aside_of_locals(state);
        state->storing.frame = NULL;
    }
}

int
shared_catch_up(CoreState *state)
{
    if (!shared_differs(state)) {
        return 0;
    }
    PendingError error = take_pending_error();
    report(state, NULL, NULL);
    put_back_pending_error(error);
    return 1;
}

/* Return the unit of the instruction that the running frame has done, if `unit` is where that leads to; -1 else (I2). */
static int
stored_before(const CoreState *state, const CodeInfo *info, int unit)
{
    int store = state->storing.unit;
    int is_next = unit >= 0 && state->storing.frame == compat_top_frame() && state->storing.code == info->code &&
                  (info->culprit[unit] == store || info->other[unit] == store);
    return is_next ? store : -1;
}

void
shared_look(CoreState *state, const CodeInfo *info, int unit)
{
    if (shared_differs(state)) {
        PendingError error = take_pending_error();
        int store = stored_before(state, info, unit);
        if (store < 0) {
            report(state, NULL, NULL);
        }
        else {
            Blame blame;
            blame_current(&blame);
            blame.offset = 2 * store;
            report(state, &blame, compat_variable(compat_top_frame(), info->stored[store] >> 2));
            blame_release(&blame);
        }
        put_back_pending_error(error);
    }
    while (unit >= 0 && unit + 1 < info->length && !is_store(info, unit) && (info->due[unit + 1] & EFFECT_SHARED)) {
        unit++; /* A prefix may be all that has an event. */
    }
    state->storing.frame = is_store(info, unit) ? compat_top_frame() : NULL;
    state->storing.code = info->code;
    state->storing.unit = unit;
}

#endif
