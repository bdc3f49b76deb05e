/* Reads a code object once and notes, for each code unit, whether a check is due before it and which instruction that
 * check would blame. The opcode tables come from Python (mechanisms/opcodes.py), so no opcode number stands here.
 *
 * I1. A check is due right after every instruction with an effect, bar those of I2, so whatever a check finds was done
 *     by the instruction that stands statically before it, or by the one that jumps there (EFFECT_JUMPS).
 * I2. Of several calls in one straight run on one line only the last is followed by a check, unless the line names a
 *     function that changes data, such as `append`, or there are hooks (hooks.c). The line blamed is right all the
 *     same. Missed could be a change undone on its very line by two functions under other names, `f(1); g()`, with
 *     `f, g = L.append, L.pop`: where such functions are, so are hooks.
 * I3. A thread lets another one run after a call and at a jump backwards. Where there are several, a check is due right
 *     after both, so that of two threads only one has done anything since the last check.
 * I4. `culprit` of a unit is an instruction with an effect for which a check is always due, if one such can have run
 *     just before it. Another one, which leads there by a jump or before one, is `other`.
 */
#include "codeinfo.h"
#include "exctable.h"

#include "sites.h"

static void
link_known(CoreState *state, CodeInfo *info)
{
    info->next_known = state->known;
    if (info->next_known != NULL) {
        info->next_known->previous_known = info;
    }
    state->known = info;
}

static void
unlink_known(CoreState *state, CodeInfo *info)
{
    if (info->previous_known != NULL) {
        info->previous_known->next_known = info->next_known;
    }
    else if (state->known == info) {
        state->known = info->next_known;
    }
    if (info->next_known != NULL) {
        info->next_known->previous_known = info->previous_known;
    }
}

void
code_info_free(void *pointer)
{
    CodeInfo *info = pointer;
    if (info == NULL) {
        return;
    }
    CoreState *state = state_for_callback();
    if (state != NULL) {
        size_t place = recent_place(info->code);
        if (state->recent[place].info == info) {
            state->recent[place].code = NULL;
            state->recent[place].info = NULL;
        }
#if HAS_MONITORING
        instrument_unlink(state, info);
#endif
        unlink_known(state, info);
    }
    sites_free(info);
    PyMem_Free(info->effect);
    PyMem_Free(info->due);
    PyMem_Free(info->culprit);
    PyMem_Free(info->other);
    PyMem_Free(info->line);
    PyMem_Free(info->loop);
    PyMem_Free(info->depth);
    PyMem_Free(info->depth_after);
    PyMem_Free(info->names);
    PyMem_Free(info->merged);
    PyMem_Free(info->grain);
    PyMem_Free(info->stored);
    PyMem_Free(info);
}

static void
note_culprit(CodeInfo *info, Py_ssize_t unit, Py_ssize_t culprit)
{
    int before = info->culprit[unit];
    if (before < 0 || before == culprit) {
        info->culprit[unit] = (int)culprit;
    }
    else if ((info->effect[culprit] & EFFECT_PLAIN) && !(info->effect[before] & EFFECT_PLAIN)) {
        info->other[unit] = before; /* I4 */
        info->culprit[unit] = (int)culprit;
    }
    else {
        info->other[unit] = (int)culprit;
    }
}

static void
mark_due(CoreState *state, CodeInfo *info, const unsigned char *bytes, Py_ssize_t unit, Py_ssize_t culprit)
{
    /* An EXTENDED_ARG may or may not get an event of its own: mark the instruction behind it as well. */
    for (; unit < info->length; unit++) {
        info->due[unit] |= info->effect[culprit] & EFFECT_ANY;
        note_culprit(info, unit, culprit);
        if (bytes[2 * unit] != state->extended_arg) {
            break;
        }
    }
}

/* Mark `unit` with `flags` of DUE_..., which need no culprit. */
static void
mark_flags(CoreState *state, CodeInfo *info, const unsigned char *bytes, Py_ssize_t unit, int flags)
{
    for (; unit < info->length; unit++) {
        info->due[unit] |= (unsigned short)flags;
        if (bytes[2 * unit] != state->extended_arg) {
            break;
        }
    }
}

int
code_what_names(const CoreState *state, PyObject *name)
{
    PyObject *what = PyDict_GetItemWithError(state->names, name); /* Borrowed: an int, or NULL for nothing. */
    if (what == NULL) {
        PyErr_Clear();
    }
    return what == NULL ? 0 : (int)PyLong_AsLong(what);
}

/* Note the effect of each instruction and of its caches, and which lines name a function that changes data. */
static void
find_effects(CoreState *state, CodeInfo *info, const unsigned char *bytes, PyObject *names)
{
    unsigned int extended = 0;
    for (Py_ssize_t unit = 0; unit < info->length;) {
        unsigned char opcode = bytes[2 * unit];
        unsigned int argument = bytes[2 * unit + 1] | (extended << 8);
        Py_ssize_t next = unit + 1 + state->caches[opcode];
        extended = opcode == state->extended_arg ? argument : 0;
        unsigned short effect = state->effects[opcode];
        if (opcode == state->binary_op) {
            effect |= argument < 32 ? state->operators[argument] : 0;
        }
        effect |= opcode == state->call ? EFFECT_PYTHON : 0;
        unsigned char shift = state->name_shift[opcode];
        if (shift != NO_NAME && (Py_ssize_t)(argument >> shift) < PyTuple_GET_SIZE(names)) {
            info->names[unit] = (unsigned char)code_what_names(state, PyTuple_GET_ITEM(names, argument >> shift));
            info->starts_threads |= (info->names[unit] & NAMES_STARTER) != 0;
        }
        info->effect[unit] = effect;
        info->stores_items |= code_stores_item(info, unit);
        if (effect & EFFECT_PLAIN) {
            info->due[unit] |= DUE_OPERANDS;
        }
        if (effect & EFFECT_SHARED) {
            info->stores_shared = 1;
            info->due[unit] |= EFFECT_SHARED;
            for (Py_ssize_t i = unit; i > 0 && bytes[2 * (i - 1)] == state->extended_arg; i--) {
                info->due[i - 1] |= EFFECT_SHARED;
            }
        }
        info->stored[unit] = state->local_stores[opcode] | (int)(argument << 2);
        for (Py_ssize_t cache = unit + 1; effect && cache < next && cache < info->length; cache++) {
            info->effect[cache] = effect | EFFECT_CACHE;
        }
        unit = next;
    }
}

static int
is_effect(const CodeInfo *info, Py_ssize_t unit)
{
    return (info->effect[unit] & EFFECT_ANY) != 0 && !(info->effect[unit] & EFFECT_CACHE);
}

int
code_line_names(const CodeInfo *info, Py_ssize_t unit, int what)
{
    for (Py_ssize_t i = unit; i >= 0 && info->line[i] == info->line[unit]; i--) {
        if (info->names[i] & what) {
            return 1;
        }
    }
    for (Py_ssize_t i = unit + 1; i < info->length && info->line[i] == info->line[unit]; i++) {
        if (info->names[i] & what) {
            return 1;
        }
    }
    return 0;
}

/* Return the unit of the later instruction on the same line to whose check that after `unit` can be left (I2), or -1. */
static Py_ssize_t
can_wait_for(const CodeInfo *info, Py_ssize_t unit)
{
    if (!(info->effect[unit] & EFFECT_CALL) || (info->effect[unit] & (EFFECT_BREAKS | EFFECT_DIRECT))) {
        return -1;
    }
    for (Py_ssize_t i = unit + 1; i < info->length; i++) {
        if (info->effect[i] & EFFECT_CACHE) {
            continue;
        }
        if (info->line[i] != info->line[unit] || (info->effect[i] & EFFECT_BREAKS)) {
            return -1;
        }
        if (info->effect[i] & EFFECT_CALL) {
            return code_line_names(info, unit, NAMES_MUTATOR) ? -1 : i;
        }
        if ((info->effect[unit] & EFFECT_INPLACE) && !(info->effect[i] & EFFECT_SHUFFLES)) {
            return -1; /* Only for the store of the same statement, as in `a[0] += 1`. */
        }
    }
    return -1;
}

/* Mark where the instruction at `unit` can lead as units before which a check is due for its sake. */
static void
mark_successors(CoreState *state, CodeInfo *info, const unsigned char *bytes, Py_ssize_t unit, unsigned int argument)
{
    unsigned char opcode = bytes[2 * unit];
    int kind = state->jump_kind[opcode];
    Py_ssize_t next = unit + 1 + state->caches[opcode];
    if (!(kind & JUMP_AWAY)) {
        mark_due(state, info, bytes, next, unit);
    }
    if (kind & JUMP_AHEAD) {
        /* Exhausted, an iterator makes it jump to the target, past an END_FOR in some versions. */
        mark_due(state, info, bytes, next + (Py_ssize_t)argument + (opcode == state->for_iter ? state->for_skip : 0),
                 unit);
    }
    if ((kind & JUMP_BACK) && next >= (Py_ssize_t)argument) {
        mark_due(state, info, bytes, next - (Py_ssize_t)argument, unit);
    }
}

/* True when the instruction leaves on the stack what may be a C function bound to some object. */
static int
makes_function(CoreState *state, const CodeInfo *info, const unsigned char *bytes, Py_ssize_t unit,
               unsigned int argument)
{
    if (!(info->effect[unit] & EFFECT_MAKES)) {
        return 0;
    }
    if (bytes[2 * unit] == state->call) {
        return makers_may_make_function(state, info, bytes, unit, (int)argument);
    }
    /* Since 3.12 an attribute's argument is odd where it is called right away; until then that was LOAD_METHOD. */
    return (info->effect[unit] & EFFECT_CALL) ||
           ((info->names[unit] & NAMES_MUTATOR) && !(HAS_MONITORING && (argument & 1)));
}

static void
find_checks(CoreState *state, CodeInfo *info, const unsigned char *bytes)
{
    unsigned int extended = 0;
    for (Py_ssize_t unit = 0, next; unit < info->length; unit = next) {
        unsigned char opcode = bytes[2 * unit];
        unsigned int argument = bytes[2 * unit + 1] | (extended << 8);
        next = unit + 1 + state->caches[opcode];
        extended = opcode == state->extended_arg ? argument : 0;
        Py_ssize_t later = is_effect(info, unit) ? can_wait_for(info, unit) : -1;
        if (later >= 0) {
            info->merged[later] = 1;
            mark_flags(state, info, bytes, next, DUE_SWITCH | EFFECT_HOOKS);
            note_culprit(info, next, unit);
        }
        else if (is_effect(info, unit)) {
            mark_successors(state, info, bytes, unit, argument);
            if (makes_function(state, info, bytes, unit, argument)) {
                mark_flags(state, info, bytes, next, DUE_RESULT);
            }
        }
        if ((state->jump_kind[opcode] & JUMP_BACK) && next >= (Py_ssize_t)argument) {
            mark_flags(state, info, bytes, next - (Py_ssize_t)argument, DUE_SWITCH);
        }
    }
}

/* Where an exception leads, what was on the stack has been dropped. */
static void
find_handlers(CoreState *state, CodeInfo *info, PyCodeObject *code, const unsigned char *bytes)
{
    const unsigned char *byte = (const unsigned char *)PyBytes_AS_STRING(code->co_exceptiontable);
    const unsigned char *end = byte + PyBytes_GET_SIZE(code->co_exceptiontable);
    while (byte < end) {
        ExceptionEntry entry;
        byte = read_exception_entry(byte, &entry);
        mark_flags(state, info, bytes, entry.target, EFFECT_HOOKS);
    }
}

static int
find_lines(CodeInfo *info, PyCodeObject *code)
{
    info->line = PyMem_Malloc(sizeof(int) * (size_t)(info->length + 1));
    if (info->line == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t unit = 0; unit <= info->length; unit++) {
        info->line[unit] = -1;
    }
    if (compat_kept_lines(code, info->line, info->length)) {
        return 0;
    }
    PyObject *lines = PyObject_CallMethod((PyObject *)code, "co_lines", NULL);
    PyObject *item = NULL;
    while (lines != NULL && (item = PyIter_Next(lines)) != NULL) {
        /* (start, end, line): offsets in bytes, and a line or None. */
        assert(PyTuple_CheckExact(item) && PyTuple_GET_SIZE(item) == 3);
        Py_ssize_t start = PyLong_AsSsize_t(PyTuple_GET_ITEM(item, 0)) / 2;
        Py_ssize_t end = Py_MIN(PyLong_AsSsize_t(PyTuple_GET_ITEM(item, 1)) / 2, info->length);
        PyObject *number = PyTuple_GET_ITEM(item, 2); /* Borrowed. */
        int line = number == Py_None ? -1 : (int)PyLong_AsLong(number);
        for (Py_ssize_t unit = start; unit < end; unit++) {
            info->line[unit] = line;
        }
        Py_DECREF(item);
    }
    Py_XDECREF(lines);
    return PyErr_Occurred() ? -1 : 0;
}

/* Stores without a line are those of `e = None; del e`, by which a handler ends that another exception leaves. */
static void
find_unlined(CodeInfo *info)
{
    info->unlined = -1;
    for (Py_ssize_t unit = 0; unit < info->length && info->unlined < 0; unit++) {
        if (info->line[unit] < 0 && (info->effect[unit] & EFFECT_DIRECT)) {
            info->unlined = unit;
        }
    }
}

static CodeInfo *
make_info(CoreState *state, PyCodeObject *code)
{
    CodeInfo *info = NULL;
    PyObject *bytecode = PyCode_GetCode(code);
    if (bytecode == NULL) {
        return NULL;
    }
    size_t length = (size_t)PyBytes_GET_SIZE(bytecode) / 2;
    info = PyMem_Calloc(1, sizeof(CodeInfo));
    if (info == NULL) {
        goto failed;
    }
    info->length = (Py_ssize_t)length;
    info->code = code;
    info->effect = PyMem_Calloc(length + 1, sizeof(unsigned short));
    info->due = PyMem_Calloc(length + 1, sizeof(unsigned short));
    info->culprit = PyMem_Malloc(sizeof(int) * (length + 1));
    info->other = PyMem_Malloc(sizeof(int) * (length + 1));
    info->depth = PyMem_Malloc(sizeof(int) * (length + 1));
    info->depth_after = PyMem_Malloc(sizeof(int) * (length + 1));
    info->names = PyMem_Calloc(length + 1, 1);
    info->merged = PyMem_Calloc(length + 1, 1);
    info->grain = PyMem_Calloc(length + 1, 1);
    info->stored = PyMem_Calloc(length + 1, sizeof(int));
    if (info->effect == NULL || info->due == NULL || info->culprit == NULL || info->other == NULL ||
        info->depth == NULL || info->depth_after == NULL || info->names == NULL || info->merged == NULL ||
        info->grain == NULL || info->stored == NULL) {
        goto failed;
    }
    for (size_t unit = 0; unit <= length; unit++) {
        info->culprit[unit] = info->other[unit] = -1;
    }
    if (state->own_folder != NULL) {
        Py_ssize_t ours = PyUnicode_Tailmatch(code->co_filename, state->own_folder, 0, PY_SSIZE_T_MAX, -1);
        if (ours < 0) {
            goto failed;
        }
        info->is_ours = (int)ours;
    }
    if (find_lines(info, code) < 0) {
        goto failed;
    }
    const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(bytecode);
    find_effects(state, info, bytes, code->co_names);
    find_unlined(info);
    depths_find(state, info, code, bytes);
    find_checks(state, info, bytes);
    find_handlers(state, info, code, bytes);
#if HAS_MONITORING
    if (loops_find(state, info, bytes) < 0) {
        goto failed;
    }
#endif
    Py_DECREF(bytecode);
    return info;

failed:
    if (!PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    code_info_free(info);
    Py_DECREF(bytecode);
    return NULL;
}

CodeInfo *
code_info_not_recent(CoreState *state, PyCodeObject *code)
{
    void *info = NULL;
    if (PyUnstable_Code_GetExtra((PyObject *)code, state->code_extra, &info) < 0) {
        return NULL;
    }
    if (info == NULL) {
        int was_on = pause_collector(); /* Two may not make it at once. */
        info = make_info(state, code);
        resume_collector(was_on);
        if (info != NULL && PyUnstable_Code_SetExtra((PyObject *)code, state->code_extra, info) < 0) {
            code_info_free(info);
            return NULL;
        }
        if (info != NULL) {
            link_known(state, info);
        }
    }
    if (info != NULL) {
        state->recent[recent_place(code)].code = code;
        state->recent[recent_place(code)].info = info;
    }
    return info;
}

int
code_stores_local(const CodeInfo *info, Py_ssize_t unit, Py_ssize_t index)
{
    int argument = info->stored[unit] >> 2;
    switch (info->stored[unit] & 3) {
    case LOCAL_STORE:
        return argument == index;
    case LOCAL_STORE_HIGH:
        return argument >> 4 == index;
    case LOCAL_STORE_BOTH:
        return argument >> 4 == index || (argument & 15) == index;
    default:
        return 0;
    }
}

Py_ssize_t
code_local_store_on_line(const CodeInfo *info, Py_ssize_t unit, Py_ssize_t index)
{
    for (Py_ssize_t i = unit; i >= 0 && i < info->length && info->line[i] == info->line[unit]; i++) {
        if (code_stores_local(info, i, index)) {
            return i;
        }
    }
    return -1;
}
