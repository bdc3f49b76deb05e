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
#include "codeinfo.h"
#include "tools.h"

/* Return what is known of the frame's code, and the effects of its instruction at `offset`, of its current one for -1.
 * NULL where there is no memory. */
static CodeInfo *
find_effects(CoreState *state, PyFrameObject *frame, int offset, Py_ssize_t *unit, int *effects)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    CodeInfo *info = code_info(state, code);
    Py_DECREF(code); /* The frame keeps it. */
    if (info == NULL) {
        PyErr_Clear();
        return NULL;
    }
    *unit = (offset < 0 ? PyFrame_GetLasti(frame) : offset) / 2;
    *effects = *unit < 0 || *unit >= info->length ? 0 : info->effect[*unit];
    return info;
}

/* How much tells that an instruction has changed data. */
typedef enum { NOTHING_TELLS, A_CALL_TELLS, A_STORE_TELLS } Evidence;

/* True when the instruction calls a function, or enters a `with` block, and the names of all functions that its line calls
 * are of such as leave all data as it is. */
static int
is_harmless(const CodeInfo *info, Py_ssize_t unit)
{
    int effects = info->effect[unit];
    if (!(effects & (EFFECT_MAKES | EFFECT_ENTERS)) && (effects & EFFECT_HOOKS)) {
        return 0; /* Nor is it PRECALL of 3.11. */
    }
    int calls = 0;
    int harmless = 0;
    Py_ssize_t i = unit;
    while (i > 0 && info->line[i - 1] == info->line[unit]) {
        i--;
    }
    for (; i < info->length && info->line[i] == info->line[unit]; i++) {
        int of_call = info->effect[i] & (EFFECT_CALL | EFFECT_MAKES | EFFECT_CACHE);
        calls += of_call == (EFFECT_CALL | EFFECT_MAKES);
        harmless += (info->names[i] & (NAMES_HARMLESS | NAMES_PLAIN)) || (info->effect[i] & EFFECT_ENTERS);
    }
    return harmless >= calls;
}

static Evidence
evidence_of_unit(const CoreState *state, const CodeInfo *info, Py_ssize_t unit)
{
    int effects = info->effect[unit];
    int interest = EFFECT_CALL | EFFECT_STORE | EFFECT_SETS | EFFECT_MISSING | (state->hooked ? EFFECT_HOOKS : 0);
    if (!(effects & interest) || info->is_ours) {
        return NOTHING_TELLS;
    }
    if ((effects & (EFFECT_DIRECT | EFFECT_INPLACE)) || code_line_names(info, unit, NAMES_MUTATOR)) {
        return A_STORE_TELLS;
    }
    return is_harmless(info, unit) && !state->hooked ? NOTHING_TELLS : A_CALL_TELLS;
}

static Evidence
evidence(CoreState *state, PyFrameObject *frame, int offset)
{
    Py_ssize_t unit;
    int effects;
    CodeInfo *info = frame == NULL ? NULL : find_effects(state, frame, offset, &unit, &effects);
    if (info == NULL) {
        return frame == NULL ? NOTHING_TELLS : A_CALL_TELLS;
    }
    return effects == 0 ? NOTHING_TELLS : evidence_of_unit(state, info, unit);
}

/* As `evidence`, of an instruction that the suspended `thread` has begun since its latest event: set `offset` to where that
 * tells most, to -1 for the current one. `is_known` is cleared where no event of the frame has told where it stood. */
static Evidence
evidence_of_thread(CoreState *state, PyThreadState *thread, PyFrameObject *frame, int *offset, int *is_known)
{
    *offset = -1;
    *is_known = 1;
#if HAS_MONITORING
    (void)thread;
    return evidence(state, frame, -1);
#else
    Py_ssize_t current;
    int effects;
    CodeInfo *info = find_effects(state, frame, -1, &current, &effects);
    if (info == NULL || current < 0 || current >= info->length) {
        return info == NULL ? A_CALL_TELLS : NOTHING_TELLS;
    }
    Position position = tracing_position(state, thread);
    *is_known = position.code == info->code;
    Evidence most = evidence_of_unit(state, info, current);
    for (Py_ssize_t i = 0; i < info->length && !(*is_known && position.exact); i++) {
        if (info->line[i] == info->line[current] && evidence_of_unit(state, info, i) > most) {
            most = evidence_of_unit(state, info, i);
            *offset = (int)i * 2;
        }
    }
    return most;
#endif
}

/* As that, of the instruction that is blamed; set its offset, where only the line was known. */
static Evidence
evidence_of_blamed(CoreState *state, Blame *blame)
{
    if (blame->frame == NULL || blame->offset >= 0) {
        return evidence(state, blame->frame, blame->offset);
    }
    int is_known;
    return evidence_of_thread(state, blame->thread, blame->frame, &blame->offset, &is_known);
}

/* True when the instruction lets other threads run amid its change, or before that, by what it is and the names on its line:
 * a call of a function that is not known, or of one that is known to. */
static int
is_slow(CoreState *state, PyFrameObject *frame, int offset)
{
    Py_ssize_t unit;
    int effects;
    CodeInfo *info = find_effects(state, frame, offset, &unit, &effects);
    if (info == NULL || (effects & EFFECT_INPLACE)) {
        return 1;
    }
    if (!(effects & EFFECT_CALL)) {
        return 0;
    }
    if (!code_line_names(info, unit, NAMES_MUTATOR) || code_line_names(info, unit, NAMES_SLOW | NAMES_FILLER)) {
        return 1;
    }
    for (Py_ssize_t i = 0; i < info->length; i++) {
        if (info->line[i] == info->line[unit] && (info->due[i] & DUE_RESULT)) {
            return 1; /* `map(L.append, file)` */
        }
    }
    return 0;
}

/* True when the instruction is a call that changes memory while other threads run, by the names on its line. */
static int
fills_memory(CoreState *state, PyFrameObject *frame, int offset)
{
    Py_ssize_t unit;
    int effects;
    CodeInfo *info = find_effects(state, frame, offset, &unit, &effects);
    return info != NULL && (effects & EFFECT_CALL) && code_line_names(info, unit, NAMES_FILLER);
}

static void
name_other(Blame *blame, PyFrameObject *frame, int offset)
{
    Py_XSETREF(blame->other_code, PyFrame_GetCode(frame));
    blame->other_offset = offset < 0 ? PyFrame_GetLasti(frame) : offset;
}

/* Blame the instruction at `offset` of `frame`, a new reference, which `thread` runs. */
static void
blame_thread(CoreState *state, Blame *blame, PyThreadState *thread, PyFrameObject *frame, int offset)
{
    int unknown = blame->unknown;
    blame_release(blame);
    *blame = (Blame){.thread = thread, .frame = frame, .offset = offset, .unknown = unknown};
    tools_doubt(state, blame);
}

int
others_have_run(const CoreState *state)
{
    return state->last_thread != PyThreadState_Get() || *state->switches_now != state->switches;
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
    int may_be_late = has_tools || (mine != NOTHING_TELLS && is_slow(state, blame->frame, blame->offset));
    if (others == NOTHING_TELLS) {
        Py_DECREF(frame);
    }
    else if (mine <= others || !may_be_late) {
        PyFrameObject *own = (PyFrameObject *)Py_XNewRef(blame->frame);
        int own_offset = blame->offset;
        blame_thread(state, blame, last, frame, offset);
        if (own != NULL && (is_vague || (mine == others && may_be_late && !has_tools))) {
            name_other(blame, own, own_offset);
        }
        Py_XDECREF(own);
    }
    else {
        if (state->hooked || !waiting_elsewhere(last)) {
            name_other(blame, frame, offset);
        }
        Py_DECREF(frame);
    }
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
        PyFrameObject *frame = thread == me || thread == last ? NULL : PyThreadState_GetFrame(thread);
        int offset, is_known;
        Evidence tells = frame == NULL ? NOTHING_TELLS : evidence_of_thread(state, thread, frame, &offset, &is_known);
        if (tells != NOTHING_TELLS && (!is_known || is_slow(state, frame, offset))) {
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
    if (suspects == 0) {
        blame->unknown |= PyErr_Occurred() != NULL; /* There is no memory to tell of some. */
        PyErr_Clear();
        return;
    }
    Evidence mine = evidence_of_blamed(state, blame);
    int is_certain = mine == NOTHING_TELLS && suspects == 1 && blame->other_code == NULL;
    if (most > mine) {
        PyFrameObject *own = (PyFrameObject *)Py_XNewRef(blame->frame);
        int own_offset = blame->offset;
        blame_thread(state, blame, suspect, (PyFrameObject *)Py_NewRef(place), place_offset);
        if (!is_certain && own != NULL) {
            name_other(blame, own, own_offset);
        }
        Py_XDECREF(own);
    }
    else if (blame->other_code == NULL) {
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
        if (frame != NULL && fills_memory(state, frame, -1)) {
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
