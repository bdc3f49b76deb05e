/* What tells that an instruction has changed data: its kind, the names on its line, and what stands on its thread's stack. */
#include "evidence.h"

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

Evidence
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

PyObject *
evidence_called(CoreState *state, PyThreadState *thread, int *is_amid)
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
    PyObject *function = evidence_called(state, thread, &is_amid);
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

Evidence
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

Evidence
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

int
evidence_is_slow(CoreState *state, PyFrameObject *frame, int offset)
{
    Py_ssize_t unit;
    int effects;
    CodeInfo *info = find_effects(state, frame, offset, &unit, &effects);
    if (info == NULL || (effects & EFFECT_INPLACE)) {
        return 1;
    }
    return (effects & EFFECT_CALL) && !(effects & EFFECT_DIRECT) && !is_quick(info, unit);
}

int
evidence_may_go_on(CoreState *state, PyFrameObject *frame, int offset)
{
    Py_ssize_t unit;
    int effects;
    CodeInfo *info = find_effects(state, frame, offset, &unit, &effects);
    return info == NULL || (effects & EFFECT_DIRECT) || !(effects & EFFECT_CALL) || !is_quick(info, unit);
}

int
evidence_fills_memory(CoreState *state, PyFrameObject *frame, int offset)
{
    Py_ssize_t unit;
    int effects;
    CodeInfo *info = find_effects(state, frame, offset, &unit, &effects);
    return info != NULL && (effects & EFFECT_CALL) && code_line_names(info, unit, NAMES_FILLER);
}
