/* Who is held to have made a change that is found when another thread has run since the last look.
 *
 * That thread has lost the GIL between its change and its look, after its suspended instruction: by rule threads lose it
 * there, and look at once when they have it again, so that the running one has done nothing. But that one may have lost
 * it amid an instruction that lets go of it, or in a function of another tool right before one. Then blamed is the one
 * that rather changes data, by its kind and by the names on its line, and the other thread's where they are equal. Where
 * it is the running one's, the other is named too, as it may be uncertain, unless its thread waits in a function in C
 * that it has not returned from.
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
enum { NOTHING_TELLS, A_CALL_TELLS, A_STORE_TELLS };

static int
evidence(CoreState *state, PyFrameObject *frame, int offset)
{
    Py_ssize_t unit;
    int effects;
    CodeInfo *info = find_effects(state, frame, offset, &unit, &effects);
    if (info == NULL) {
        return A_CALL_TELLS;
    }
    if (!(effects & EFFECT_ANY & ~EFFECT_LOCAL)) {
        return NOTHING_TELLS;
    }
    int stores = (effects & (EFFECT_DIRECT | EFFECT_INPLACE)) || code_line_names(info, unit, NAMES_MUTATOR);
    return stores ? A_STORE_TELLS : A_CALL_TELLS;
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

/* True when the running thread may have lost the GIL right before its instruction, or amid it, not after it. */
static int
may_be_late(CoreState *state, const Blame *blame)
{
    long tool = state->tool == NULL ? -1 : PyLong_AsLong(state->tool);
    return compat_has_other_tools(tool) || (blame->frame != NULL && fills_memory(state, blame->frame, blame->offset));
}

/* If the last event was another thread's, its suspended instruction may have made the change, rather than that which
 * `blame` says: weigh the two. */
void
blame_weigh_other_thread(CoreState *state, Blame *blame)
{
    PyThreadState *me = PyThreadState_Get();
    PyThreadState *thread =
        state->last_thread == NULL || state->last_thread == me ? NULL : compat_living_thread(state->last_thread);
    PyFrameObject *frame = thread == NULL ? NULL : PyThreadState_GetFrame(thread);
    if (frame == NULL) {
        blame->unknown |= thread != NULL && compat_runs_python(thread); /* There is no memory to tell. */
        return;
    }
    int others = evidence(state, frame, -1);
    int mine = blame->frame == NULL ? NOTHING_TELLS : evidence(state, blame->frame, blame->offset);
    if (others == NOTHING_TELLS) {
        Py_DECREF(frame);
    }
    else if (mine <= others || !may_be_late(state, blame)) {
        blame_release(blame);
        *blame = (Blame){.thread = thread, .frame = frame, .offset = -1, .unknown = blame->unknown};
        tools_doubt(state, blame);
    }
    else {
        if (state->hooked || !waiting_elsewhere(thread)) {
            Py_XSETREF(blame->other_code, PyFrame_GetCode(frame));
            blame->other_offset = PyFrame_GetLasti(frame);
        }
        Py_DECREF(frame);
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
