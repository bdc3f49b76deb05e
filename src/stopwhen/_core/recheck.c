/* Recheck: compares the armed checks, and notes what has changed. When a look is due, and by whom a change was made, is
 * told by the events: monitoring.c, and tracing.c on 3.11.
 *
 * I1. `checks` holds exactly the armed checks that are not suspended, but for those of I3 and of the crowd (crowd.c).
 * I2. A change is found at the first event after it in any thread. Where the last event was this thread's, the
 *     instruction that this event follows made the change; where it was another thread's, see blaming.c.
 * I3. Checks on locals stand with their frames (frames.c), and are compared at events of those.
 * I4. Checks on items of dicts are the last of `checks`. Where dicts have versions, and there are many of these checks, they
 *     are not compared while no dict at all has been stored to since that was done last (`items_compared`).
 */
#include "clock.h"
#include "codeinfo.h"
#include "containers/told.h"
#include "crowd.h"
#include "frames.h"
#include "large.h"
#include "tools.h"

/* More are compared one by one as long as they are large, or anything may change them; others join the crowd. */
#define FEW_CHECKS 16

int
recheck_add(CoreState *state, Check *check)
{
    if (state->check_count >= FEW_CHECKS && crowd_has_room_for(check)) {
        if (crowd_add(state, check) < 0) {
            return -1;
        }
        hooks_expect(state, check);
        return 0;
    }
    Check **checks = grow_memory(state->checks, state->check_count, &state->check_capacity, sizeof(Check *));
    if (checks == NULL) {
        return -1;
    }
    state->checks = checks;
    Py_ssize_t place = state->check_count - (check->kind == CHECK_DICT_ITEM ? 0 : state->item_checks); /* I4 */
    memmove(&checks[place + 1], &checks[place], (size_t)(state->check_count - place) * sizeof(Check *));
    checks[place] = check; /* I1 */
    state->check_count++;
    state->item_checks += check->kind == CHECK_DICT_ITEM;
    state->other_checks += check->kind != CHECK_LIST;
    state->call_checks += check->kind == CHECK_CALL;
    hooks_expect(state, check);
    return 0;
}

void
recheck_remove(CoreState *state, Check *check)
{
    check_take_out(state->checks, &state->check_count, check); /* I1 */
    state->item_checks -= check->kind == CHECK_DICT_ITEM;
    state->other_checks -= check->kind != CHECK_LIST;
    state->call_checks -= check->kind == CHECK_CALL;
    state->patience = 0; /* What hooks there are may have been to this (hooks.c). */
}

#if HAS_DICT_VERSIONS
/* From how many checks on items on it is cheaper to ask whether dicts have been stored to. */
#define MANY_ITEMS 32

int
recheck_items_are_still(CoreState *state)
{
    return state->item_checks >= MANY_ITEMS && !clock_has_moved(state, &state->items_compared);
}
#endif

/* True when some cell has changed. An error in a check that calls Python is its own change. */
int
recheck_finds_change(CoreState *state, Look look)
{
    state->look++;
    Py_ssize_t items = state->check_count - state->item_checks;
    for (Py_ssize_t i = 0; i < state->check_count; i++) {
        if (i == items && recheck_items_are_still(state)) {
            break;
        }
        Check *check = state->checks[i];
        int changed = large_is(check)               ? large_differs(state, check, look)
                      : check->kind == CHECK_LIST   ? check_list_differs(check)
                      : check_is_surely_same(check) ? 0
                                                    : check_changed(state, check);
        if (changed != 0) {
            PyErr_Clear();
            recheck_forget_items(state);
            return 1;
        }
    }
    return state->crowd_count > 0 && crowd_finds_change(state, look);
}

/* Note a change of one check, which differs. */
int
recheck_report(CoreState *state, Check *check, const Blame *blame, Look look)
{
    Blame found = *blame;
    Py_XINCREF(found.frame);
    Py_XINCREF(found.other_code);
    if (check->kind == CHECK_BYTES || check->kind == CHECK_MEMORY) {
        blame_weigh_all_threads(state, &found);
    }
    if (large_is(check) && check->place != NULL && !large_is_certain(state, check, look)) {
        Py_XSETREF(found.other_code, (PyCodeObject *)Py_NewRef(check->place));
        found.other_offset = check->place_offset;
    }
    int result = check_report(state, check, &found);
    blame_release(&found);
    large_weigh(state, check);
    return result;
}

/* Note every change there is, blaming `blame`. What cannot be noted is missed, never raised. */
void
recheck_report_all(CoreState *state, const Blame *blame, Look look)
{
    int was_on = pause_collector();
    for (Py_ssize_t i = 0; i < state->check_count;) {
        Check *check = (Check *)Py_NewRef(state->checks[i]);
        int changed = check_changed(state, check);
        if (changed != 0) {
            PyErr_Clear();
            if (recheck_report(state, check, blame, look) < 0) {
                PyErr_Clear();
                if (i < state->check_count && state->checks[i] == check) {
                    check_suspend(check);
                }
            }
        }
        i += i < state->check_count && state->checks[i] == check; /* It may be gone. */
        Py_DECREF(check);
    }
    if (state->crowd_count > 0) {
        crowd_report(state, blame, look);
    }
    resume_collector(was_on);
}

static int
copy_table(void *table, Py_ssize_t size, Py_buffer *from)
{
    int result = 0;
    if (from->len == size) {
        memcpy(table, from->buf, (size_t)size);
    }
    else {
        PyErr_Format(PyExc_ValueError, "an opcode table of %zd bytes, not %zd", size, from->len);
        result = -1;
    }
    PyBuffer_Release(from);
    return result;
}

/* set_opcodes(caches, effects, operators, name shifts, jumps, local stores, names, EXTENDED_ARG, YIELD_VALUE, BINARY_OP,
 * GET_ITER, FOR_ITER, CALL, skip): mechanisms/opcodes.py. */
PyObject *
recheck_set_opcodes(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    Py_buffer caches, effects, operators, name_shift, jumps, local_stores;
    PyObject *names; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*O!bbbbbbb", &caches, &effects, &operators, &name_shift, &jumps,
                          &local_stores, &PyDict_Type, &names, &state->extended_arg, &state->yield_value,
                          &state->binary_op, &state->get_iter, &state->for_iter, &state->call, &state->for_skip)) {
        return NULL;
    }
    int failed = copy_table(state->caches, sizeof(state->caches), &caches);
    failed |= copy_table(state->effects, sizeof(state->effects), &effects);
    failed |= copy_table(state->operators, sizeof(state->operators), &operators);
    failed |= copy_table(state->name_shift, sizeof(state->name_shift), &name_shift);
    failed |= copy_table(state->jump_kind, sizeof(state->jump_kind), &jumps);
    failed |= copy_table(state->local_stores, sizeof(state->local_stores), &local_stores);
    Py_XSETREF(state->names, Py_NewRef(names));
    return failed ? NULL : Py_NewRef(Py_None);
}

#if !HAS_MONITORING
/* set_level(effects): after which instructions, in any code, checks are due; 0 for none. */
PyObject *
recheck_set_level(PyObject *module, PyObject *effects)
{
    CoreState *state = PyModule_GetState(module);
    long level = PyLong_AsLong(effects);
    if (level == -1 && PyErr_Occurred()) {
        return NULL;
    }
    long before = state->level;
    state->level = (int)level;
    hooks_take_level(state, before);
    tools_update(state);
    Py_RETURN_NONE;
}
#endif

/* Blame the caller of a frame of which nothing has run yet: the interpreter handles what waits at its very start, too. */
static void
leave_starting_frame(Blame *blame)
{
    if (blame->frame != NULL) {
        PyCodeObject *code = PyFrame_GetCode(blame->frame);
        /* Amid its first instruction 3.13 names the next one, which is no call either. */
        int starts = PyFrame_GetLasti(blame->frame) / 2 <= code->_co_firsttraceable + 1;
        Py_DECREF(code); /* The frame keeps it. */
        if (starts) {
            blame_caller(blame);
        }
    }
}

/* Blame the frame that called stopwhen, when it is stopwhen's own that runs. */
void
recheck_leave_ours(CoreState *state, Blame *blame)
{
    while (blame->frame != NULL) {
        PyCodeObject *code = PyFrame_GetCode(blame->frame);
        CodeInfo *info = code_info(state, code);
        Py_DECREF(code); /* The frame keeps it. */
        if (info == NULL || !info->is_ours) {
            blame->unknown |= info == NULL;
            PyErr_Clear();
            return;
        }
        PyFrameObject *caller = PyFrame_GetBack(blame->frame);
        blame->unknown |= PyErr_Occurred() != NULL;
        PyErr_Clear();
        Py_XSETREF(blame->frame, caller);
    }
}

/* As that; and blame the frame that was about to call another one. */
void
recheck_leave_own_frames(CoreState *state, Blame *blame)
{
    recheck_leave_ours(state, blame);
    leave_starting_frame(blame);
}

#define MOST_FRAMES 100

/* A debugger may have stored to locals of the frames that it stopped in, or of those that called them. */
static void
catch_up_with_locals(CoreState *state)
{
    if (state->frame_refs.count == 0) {
        return;
    }
    PendingError error = take_pending_error();
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
    for (int i = 0; frame != NULL && i < MOST_FRAMES; i++) {
        FrameRef *ref = frames_find(state, frame);
        if (ref != NULL && frames_find_change(state, ref)) {
            Blame blame;
            blame_current(&blame);
            recheck_leave_own_frames(state, &blame);
            tools_doubt(state, &blame);
            frames_report(state, ref, &blame);
            blame_release(&blame);
        }
        Py_SETREF(frame, PyFrame_GetBack(frame));
    }
    PyErr_Clear(); /* Those of frames further out are found at their next events. */
    Py_XDECREF(frame);
    put_back_pending_error(error);
}

/* Note what has changed since the last check, blaming the thread that had the last event, if it was another one. */
void
recheck_catch_up(CoreState *state)
{
    int offset = 0;
    PyCodeObject *code = compat_place(&offset);
    unheard_begin(state, code,
                  offset); /* Threads that have begun since have done so by what runs now, at the latest. */
    unsigned long switches = blame_begin_look(state);
    state->was = (Suspended){.is_amid = 0}; /* What this thread had begun was compared before code of ours began. */
    if (recheck_finds_change(state, LOOK_WHOLE)) {
        PendingError error = take_pending_error();
        Blame blame;
        blame_current(&blame);
        recheck_leave_own_frames(state, &blame);
        blame_weigh_threads(state, &blame);
        unheard_doubt(state, &blame);
        tools_doubt(state, &blame);
        recheck_report_all(state, &blame, LOOK_WHOLE);
        blame_release(&blame);
        put_back_pending_error(error);
    }
    else {
        state->look--; /* All is as it was at the latest look, whatever ran meanwhile (large.c, I1). */
    }
    told_look(state, 0);
    catch_up_with_locals(state);
    state->last_thread = PyThreadState_Get();
    state->switches = switches;
}

/* resync(): note what has changed since the last check; what no other thread did, the caller's thread did. */
PyObject *
recheck_resync(PyObject *module, PyObject *Py_UNUSED(unused))
{
    CoreState *state = PyModule_GetState(module);
    recheck_catch_up(state);
    state->last_thread = NULL; /* It is about to run more code without events. */
    Py_RETURN_NONE;
}

/* Note the end of the running frame to the checks on it, and let the handler take it. */
int
recheck_end_frame(CoreState *state)
{
    FrameRef *ref = frames_running(state);
    if (ref == NULL) {
        return 0;
    }
    PendingError error = take_pending_error();
    frames_note_end(state, ref, ref->frame);
    put_back_pending_error(error);
    return state->queued > 0 ? events_drain(state, IN_EVENT) : 0;
}
