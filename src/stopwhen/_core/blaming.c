/* Who is held to have made a change, where other threads have run since the latest look.
 *
 * The interpreter counts how often threads take turns: where it has counted none, the running thread made the change. If one
 * has run, it is one of these:
 *
 * - The thread that had the latest look has begun an instruction then, which has made the change; it has lost the lock after
 *   that. By rule threads do, and look at once when they have it again, so that the running one has done nothing.
 * - The running thread has lost the lock amid its instruction, a call that lets go of it, as `L.extend(file)` does, or in a
 *   function of another tool right before one, and has gone on with it.
 * - Any other thread has gone on with such a call, and waits again, without an event (`weigh_unseen`).
 *
 * What tells them apart is the kinds of their instructions, and the names on their lines. Where two may have made the change,
 * both are named, first the one that tells more, and neither is certain.
 */
#include "evidence.h"
#include "tools.h"

static void
name_other(Blame *blame, PyFrameObject *frame, int offset)
{
    Py_XSETREF(blame->other_code, PyFrame_GetCode(frame));
    blame->other_offset = offset < 0 ? PyFrame_GetLasti(frame) : offset;
}

/* Blame the instruction at `offset` of `frame`, a new reference, which `thread` runs; unless that is certain, name the one
 * that was blamed as well. */
static void
blame_instead(CoreState *state, Blame *blame, PyThreadState *thread, PyFrameObject *frame, int offset, int is_certain)
{
    Blame before = *blame;
    *blame = (Blame){.thread = thread, .frame = frame, .offset = offset, .unknown = before.unknown};
    tools_doubt(state, blame);
    if (!is_certain && before.frame != NULL) {
        name_other(blame, before.frame, before.offset);
    }
    blame_release(&before);
}

int
others_have_run(const CoreState *state)
{
    return state->last_thread != PyThreadState_Get() || *state->switches_now != state->switches;
}

static Suspended *
find_suspended(CoreState *state, const PyThreadState *thread)
{
    for (int i = 0; i < MOST_SUSPENDED; i++) {
        if (state->suspended[i].id == thread->id) {
            return &state->suspended[i];
        }
    }
    return NULL;
}

/* Take note of how another thread, which had the latest look, is suspended, and take what was noted so of this one. */
static void
see_switch(CoreState *state)
{
    Suspended *mine = find_suspended(state, PyThreadState_Get());
    state->was = (Suspended){.is_amid = 1};
    if (mine != NULL) {
        state->was = *mine;
        mine->id = 0;
    }
    PyThreadState *last = compat_living_thread(state->last_thread);
    Suspended *place = last == NULL ? NULL : find_suspended(state, last);
    if (last != NULL && place == NULL) {
        place = &state->suspended[state->next_suspended];
        state->next_suspended = (state->next_suspended + 1) % MOST_SUSPENDED;
    }
    PyCodeObject *code;
    if (place != NULL) {
        *place = (Suspended){.id = last->id};
        if (compat_stack_of(last, &code, &place->unit) != NULL) {
            place->code = code;
        }
        (void)evidence_called(state, last, &place->is_amid);
    }
}

unsigned long
blame_begin_look(CoreState *state)
{
    if (state->last_thread != NULL && state->last_thread != PyThreadState_Get()) {
        see_switch(state);
    }
    return *state->switches_now;
}

/* True when the running thread has begun the blamed instruction after it got the lock again, which it had lost where a
 * function begins, say: there has been no look between. */
static int
is_fresh(const CoreState *state, const Blame *blame)
{
    if (state->was.code == NULL) {
        return 0;
    }
    PyCodeObject *code = PyFrame_GetCode(blame->frame);
    Py_DECREF(code); /* The frame keeps it. */
    int unit = (blame->offset < 0 ? PyFrame_GetLasti(blame->frame) : blame->offset) / 2;
    int distance = unit - state->was.unit; /* On 3.11 a call is two instructions, either of which may do it. */
    return code != state->was.code || !(distance == 0 || (!HAS_MONITORING && (distance == 2 || distance == -2)));
}

/* The last event was another thread's, `last`: weigh its suspended instruction and what `blame` says. */
static void
weigh_last(CoreState *state, Blame *blame, PyThreadState *last)
{
    PyFrameObject *frame = PyThreadState_GetFrame(last);
    if (frame == NULL) {
        blame->unknown |= compat_runs_python(last); /* There is no memory to tell. */
        return;
    }
    int offset, is_known;
    Evidence others = evidence_of_thread(state, last, frame, &offset, &is_known);
    int is_vague = blame->other_code != NULL;
    Evidence mine = evidence_of_blamed(state, blame);
    long tool = state->tool == NULL ? -1 : PyLong_AsLong(state->tool);
    int has_tools = compat_has_other_tools(tool);
    int fresh = mine != NOTHING_TELLS && is_fresh(state, blame);
    int slow = mine != NOTHING_TELLS && state->was.is_amid && evidence_is_slow(state, blame->frame, blame->offset);
    int may_be_late = has_tools || fresh || slow;
    if (others == NOTHING_TELLS) {
        Py_DECREF(frame);
    }
    else if (mine <= others || !may_be_late) {
        int is_doubtful = is_vague || fresh || (mine == others && slow && !has_tools);
        blame_instead(state, blame, last, frame, offset, !is_doubtful);
    }
    else {
        if (state->hooked || !waiting_elsewhere(last)) {
            name_other(blame, frame, offset);
        }
        Py_DECREF(frame);
    }
}

/* True when `thread` is where it was when it was found suspended. Set whether it was done with its instruction there: then it
 * has not run since. */
static int
has_stayed(CoreState *state, PyThreadState *thread, int *was_done)
{
    PyCodeObject *code;
    int unit;
    const Suspended *before = find_suspended(state, thread);
    int stayed =
        before != NULL && compat_stack_of(thread, &code, &unit) != NULL && before->code == code && before->unit == unit;
    *was_done = stayed && !before->is_amid;
    return stayed;
}

/* Some thread has run since the latest look without an event: amid a call that lets go of the lock it has got that, and has
 * let go of it again. Weigh all that may have, but for `last`, and what `blame` says. */
static void
weigh_unseen(CoreState *state, Blame *blame, const PyThreadState *last)
{
    PyThreadState *me = PyThreadState_Get();
    PyThreadState *suspect = NULL;
    PyFrameObject *place = NULL; /* Owned. */
    int place_offset = -1;
    Evidence most = NOTHING_TELLS;
    int suspects = 0;
    for (PyThreadState *thread = PyInterpreterState_ThreadHead(me->interp); thread != NULL;
         thread = PyThreadState_Next(thread)) {
        int was_done;
        int stayed = has_stayed(state, thread, &was_done);
        int is_out = thread == me || thread == last || was_done;
        PyFrameObject *frame = is_out ? NULL : PyThreadState_GetFrame(thread);
        int offset, is_known;
        Evidence tells = frame == NULL ? NOTHING_TELLS : evidence_of_thread(state, thread, frame, &offset, &is_known);
        if (tells != NOTHING_TELLS && (!stayed || !is_known || evidence_may_go_on(state, frame, offset))) {
            suspects++;
            if (tells > most) {
                most = tells;
                suspect = thread;
                place_offset = offset;
                Py_XSETREF(place, (PyFrameObject *)Py_NewRef(frame));
            }
        }
        Py_XDECREF(frame);
    }
    if (suspects == 0 || (most == A_CALL_TELLS && unheard_may_run(state))) {
        Py_XDECREF(place);
        blame->unknown |= PyErr_Occurred() != NULL; /* There is no memory to tell of some. */
        PyErr_Clear();
        return;
    }
    Evidence mine = evidence_of_blamed(state, blame);
    int is_certain = mine == NOTHING_TELLS && suspects == 1 && blame->other_code == NULL;
    if (most == A_STORE_TELLS && most > mine) {
        blame_instead(state, blame, suspect, place, place_offset, is_certain);
        return;
    }
    if (blame->other_code == NULL) {
        name_other(blame, place, place_offset);
    }
    Py_DECREF(place);
}

/* If another thread has run since the latest look, its instruction may have made the change, rather than that which `blame`
 * says: weigh them. */
void
blame_weigh_threads(CoreState *state, Blame *blame)
{
    PyThreadState *me = PyThreadState_Get();
    PyThreadState *last =
        state->last_thread == NULL || state->last_thread == me ? NULL : compat_living_thread(state->last_thread);
    unsigned long switches = *state->switches_now - state->switches;
    if (last != NULL) {
        weigh_last(state, blame, last);
    }
    if (switches > (last != NULL)) {
        weigh_unseen(state, blame, last);
    }
}

/* Memory has changed, which another thread may have written that has let go of the GIL, amid a call. Where one is amid
 * such a call, by the names on its line, both places are told: first the one that tells more. */
void
blame_weigh_all_threads(CoreState *state, Blame *blame)
{
    if (!state->several_threads || blame->frame == NULL) {
        return;
    }
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    PyFrameObject *frame = NULL;
    for (; thread != NULL; thread = PyThreadState_Next(thread)) {
        frame = thread == blame->thread ? NULL : PyThreadState_GetFrame(thread);
        if (frame != NULL && evidence_fills_memory(state, frame, -1)) {
            break;
        }
        Py_CLEAR(frame);
    }
    PyErr_Clear(); /* No memory to tell of a thread: what is blamed stays. */
    if (frame == NULL) {
        return;
    }
    Blame other = {.thread = thread, .frame = frame, .offset = PyFrame_GetLasti(frame), .unknown = blame->unknown};
    if (evidence(state, blame->frame, blame->offset) < A_STORE_TELLS) {
        Blame mine = *blame;
        *blame = other;
        other = mine;
    }
    Py_XSETREF(blame->other_code, PyFrame_GetCode(other.frame));
    blame->other_offset = other.offset >= 0 ? other.offset : PyFrame_GetLasti(other.frame);
    blame_release(&other);
}
