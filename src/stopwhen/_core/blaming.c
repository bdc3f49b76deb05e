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
    int plain = effects & EFFECT_PLAIN & ~EFFECT_LOCAL;
    if (info->is_ours || !(plain || (state->hooked && (effects & EFFECT_HOOKS)))) {
        return NOTHING_TELLS;
    }
    if (plain && ((effects & (EFFECT_DIRECT | EFFECT_INPLACE)) || code_line_names(info, unit, NAMES_MUTATOR))) {
        return A_STORE_TELLS;
    }
    return !state->hooked && is_harmless(info, unit) ? NOTHING_TELLS : A_CALL_TELLS;
}

/* True when the frame runs what `dataclasses` has made for a class of stopwhen's. */
static int
is_made_for_us(PyFrameObject *frame, const CodeInfo *info)
{
    if (PyUnicode_CompareWithASCIIString(info->code->co_filename, "<string>") != 0) {
        return 0;
    }
    PyObject *globals = PyFrame_GetGlobals(frame);
    PyObject *name = PyDict_GetItemString(globals, "__name__"); /* Borrowed. */
    const char *text = name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    int result = text != NULL && strncmp(text, "stopwhen.", 9) == 0;
    Py_DECREF(globals);
    PyErr_Clear();
    return result;
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
    return effects == 0 || is_made_for_us(frame, info) ? NOTHING_TELLS : evidence_of_unit(state, info, unit);
}

/* What stands where the function stood that the suspended `thread` calls by the instruction it has begun: the function
 * itself, while it runs, or its result. Set `is_amid`, as far as that can be told: by rule threads lose the lock where
 * functions and loops begin, and after calls. Borrowed; NULL where there is no such call. */
static PyObject *
called(CoreState *state, PyThreadState *thread, int *is_amid)
{
    PyCodeObject *code;
    int unit, first, end;
    const uintptr_t *stack = compat_stack_of(thread, &code, &unit);
    CodeInfo *info = stack == NULL ? NULL : code_info(state, code);
    PyErr_Clear();
    *is_amid = 1;
    if (info == NULL || unit < 0 || unit >= info->length) {
        return NULL;
    }
    int effects = info->effect[unit];
    if (!(effects & EFFECT_PLAIN)) {
        *is_amid = 0;
        return NULL;
    }
    int is_call = (effects & EFFECT_CALL) && ((effects & EFFECT_MAKES) || !(effects & EFFECT_HOOKS)); /* Or PRECALL. */
    if (!is_call || !depths_operands(info, unit, &first, &end)) {
        return NULL;
    }
    PyObject *object = compat_stack_item(stack, first);
    if (object == NULL && first + 1 < end) {
        return compat_stack_item(stack, first + 1); /* A result is never NULL. */
    }
    *is_amid = object == NULL || Py_TYPE(object)->tp_call != NULL;
    return object;
}

/* True when what the suspended `thread` is amid is a function in C that leaves all data as it is, by its own name. */
static int
calls_harmless(CoreState *state, PyThreadState *thread)
{
    int is_amid;
    PyObject *function = called(state, thread, &is_amid);
    const PyMethodDef *method = NULL;
    if (function != NULL && is_amid && PyCFunction_Check(function)) {
        method = ((PyCFunctionObject *)function)->m_ml;
    }
    else if (function != NULL && is_amid && Py_IS_TYPE(function, &PyMethodDescr_Type)) {
        method = ((PyMethodDescrObject *)function)->d_method;
    }
    PyObject *name = method == NULL ? NULL : PyUnicode_FromString(method->ml_name);
    int result = name != NULL && (code_what_names(state, name) & NAMES_HARMLESS);
    Py_XDECREF(name);
    PyErr_Clear();
    return result;
}

/* As `evidence`, of an instruction that the suspended `thread` has begun since its latest event: set `offset` to where that
 * tells most, to -1 for the current one. `is_known` is cleared where no event of the frame has told where it stood. */
static Evidence
evidence_of_thread(CoreState *state, PyThreadState *thread, PyFrameObject *frame, int *offset, int *is_known)
{
    *offset = -1;
    *is_known = 1;
#if HAS_MONITORING
    Evidence tells = evidence(state, frame, -1);
    return tells == A_CALL_TELLS && calls_harmless(state, thread) ? NOTHING_TELLS : tells;
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
    return most == A_CALL_TELLS && calls_harmless(state, thread) ? NOTHING_TELLS : most;
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

/* True when the instruction is a call of a function that changes data at once, by the names on its line: it is not known to
 * let other threads run before it has done so. */
static int
is_quick(const CodeInfo *info, Py_ssize_t unit)
{
    if (!code_line_names(info, unit, NAMES_MUTATOR) || code_line_names(info, unit, NAMES_SLOW | NAMES_FILLER)) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < info->length; i++) {
        if (info->line[i] == info->line[unit] && (info->due[i] & DUE_RESULT)) {
            return 0; /* `map(L.append, file)` */
        }
    }
    return 1;
}

/* True when the instruction may have let other threads run before its change, or amid that: a call that is not quick. */
static int
is_slow(CoreState *state, PyFrameObject *frame, int offset)
{
    Py_ssize_t unit;
    int effects;
    CodeInfo *info = find_effects(state, frame, offset, &unit, &effects);
    if (info == NULL || (effects & EFFECT_INPLACE)) {
        return 1;
    }
    return (effects & EFFECT_CALL) && !(effects & EFFECT_DIRECT) && !is_quick(info, unit);
}

/* True when a thread that is suspended at the instruction may go on with it. By rule threads lose the lock after a call, where
 * one that is quick is done, but only amid a store. */
static int
may_go_on(CoreState *state, PyFrameObject *frame, int offset)
{
    Py_ssize_t unit;
    int effects;
    CodeInfo *info = find_effects(state, frame, offset, &unit, &effects);
    return info == NULL || (effects & EFFECT_DIRECT) || !(effects & EFFECT_CALL) || !is_quick(info, unit);
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

/* Where the latest look was another thread's: take note of how that is suspended, and take what was noted so of this one. */
void
blame_see_switch(CoreState *state)
{
    PyThreadState *me = PyThreadState_Get();
    PyThreadState *last = compat_living_thread(state->last_thread);
    int place = -1;
    state->was_amid = 1;
    for (int i = 0; i < MOST_SUSPENDED; i++) {
        if (state->suspended[i].id == me->id) {
            state->was_amid = state->suspended[i].is_amid;
            state->suspended[i].id = 0;
        }
        if (last != NULL && state->suspended[i].id == last->id) {
            place = i;
        }
    }
    if (last != NULL) {
        if (place < 0) {
            place = state->next_suspended;
            state->next_suspended = (place + 1) % MOST_SUSPENDED;
        }
        state->suspended[place].id = last->id;
        (void)called(state, last, &state->suspended[place].is_amid);
    }
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
    int may_be_late =
        has_tools || (state->was_amid && mine != NOTHING_TELLS && is_slow(state, blame->frame, blame->offset));
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

/* True when `thread` was done with its instruction when it was suspended after its latest look: without an event, which
 * would be another look, it has not run since. */
static int
was_done(const CoreState *state, const PyThreadState *thread)
{
    for (int i = 0; i < MOST_SUSPENDED; i++) {
        if (state->suspended[i].id == thread->id) {
            return !state->suspended[i].is_amid;
        }
    }
    return 0;
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
        int is_out = thread == me || thread == last || was_done(state, thread);
        PyFrameObject *frame = is_out ? NULL : PyThreadState_GetFrame(thread);
        int offset, is_known;
        Evidence tells = frame == NULL ? NOTHING_TELLS : evidence_of_thread(state, thread, frame, &offset, &is_known);
        if (tells != NOTHING_TELLS && (!is_known || may_go_on(state, frame, offset))) {
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
