/* Large contents: comparing a list of a million items after every call would stall the program. They are compared whole
 * right before and right after an instruction that takes them as an operand and may change them, and now and then.
 *
 * I1. What the comparison after such an instruction finds, that instruction did: nothing else has run since the one
 *     before it (`reached` is the number of the look before, and no look has come between).
 * I2. What another comparison finds happened at some time since the last one: the hit is not exact, and `place`, where
 *     that was, is the first of its two places. What shows at once, such as another length, is looked at always, so a
 *     difference there is the work of the instruction before.
 * I3. Where another thread has run since the last look, everything is compared whole.
 * I4. How often whole comparisons come besides depends on their cost: they take less time than the looks between them.
 */
#include "large.h"

#include "crowd.h"
#include "memory.h"

/* Bytes compared in the time of one look, about. */
#define BYTES_PER_LOOK 64

/* True when the content has changed by what can be seen of it at once, or anybody can change it at any time. */
static int
may_differ(const Check *check)
{
    PyObject *owner = check->owner;
    switch (check->kind) {
    case CHECK_LIST: {
        Py_ssize_t length = PyList_GET_SIZE(owner);
        PyObject **items = ((PyListObject *)owner)->ob_item;
        return length != check->length || items[0] != check->items[0] || items[length - 1] != check->items[length - 1];
    }
    case CHECK_SET: {
        PySetObject *set = (PySetObject *)owner;
        return set->used != check->length || set->table != check->memory || set->fill != check->fill;
    }
    case CHECK_BYTES:
        /* While a memoryview has it out, whoever has that view can write. */
        return PyByteArray_GET_SIZE(owner) != check->raw_length || ((PyByteArrayObject *)owner)->ob_exports > 0;
    case CHECK_DICT:
        return 2 * PyDict_GET_SIZE(owner) != check->length;
    case CHECK_SEQUENCE:
        return Py_SIZE(owner) != check->length;
    default:
        return 0;
    }
}

static void
count(CoreState *state, Check *check)
{
    int is_large = check->armed && !check->suspended && check->cost >= LARGE;
    if (is_large == check->is_counted) {
        return;
    }
    check->is_counted = is_large;
    state->large_count += is_large ? 1 : -1;
#if HAS_MONITORING
    /* The events of instructions that matter by what they take alone have been disabled. */
    if (is_large && state->large_count == 1 && instrument_all(state, 1) < 0) {
        PyErr_Clear(); /* No memory: changes are found later, and not exactly. */
    }
#endif
}

void
large_weigh(CoreState *state, Check *check)
{
    switch (check->kind) {
    case CHECK_LIST:
        check->cost = check->length * (Py_ssize_t)sizeof(PyObject *);
        break;
    case CHECK_SET:
        check->cost = check->raw_length;
        check->memory = ((PySetObject *)check->owner)->table;
        check->fill = ((PySetObject *)check->owner)->fill;
        break;
    case CHECK_BYTES:
        check->cost = check->raw_length;
        break;
    case CHECK_MEMORY:
        check->cost = check->size;
        break;
    case CHECK_OBJECTS:
        check->cost = check->length * (Py_ssize_t)sizeof(PyObject *);
        break;
    case CHECK_RESULT:
        /* Other files give out what has been written without a copy. */
        check->cost = check->seen != NULL && PyUnicode_Check(check->seen) ? PyUnicode_GET_LENGTH(check->seen) : 0;
        break;
    case CHECK_SEQUENCE:
        check->cost = check->length * 64;
        break;
    case CHECK_DICT:
        check->cost = HAS_DICT_VERSIONS && !PyODict_Check(check->owner) ? 0 : check->length * 64;
        break;
    default:
        break;
    }
    check->looks = PY_SSIZE_T_MAX; /* The next look compares whole, and so has a place to remember (I2). */
    check->reached = 0;
    count(state, check);
}

/* Compare whole; without a difference, take note of where that was (I2). */
static int
compare(CoreState *state, Check *check)
{
    if (check_changed(state, check) != 0) {
        return 1;
    }
    check->looks = 0;
    Py_XSETREF(check->place, (PyCodeObject *)Py_XNewRef(compat_place(&check->place_offset)));
    return 0;
}

/* True when the latest look is the first one since that before an instruction which took the owner (I1). */
static int
was_reached(const CoreState *state, const Check *check)
{
    return check->reached != 0 && check->reached + 1 == state->look;
}

int
large_is_certain(const CoreState *state, const Check *check, Look look)
{
    return may_differ(check) || (look == LOOK_QUICK && was_reached(state, check));
}

int
large_differs(CoreState *state, Check *check, Look look)
{
    if (look == LOOK_WHOLE) {
        return check_changed(state, check) != 0;
    }
    if (check->looks < check->cost / BYTES_PER_LOOK && !others_have_run(state) && /* I3, I4 */
        !large_is_certain(state, check, look)) {
        check->looks++;
        return 0;
    }
    return compare(state, check);
}

/* True when `object` is the owner, or a tuple of arguments that has it, or a method that is bound to it. */
static int
leads_to(const CoreState *state, PyObject *object, const Check *check)
{
    if (object == NULL || object == check->owner) {
        return object != NULL;
    }
    if (PyCFunction_Check(object)) {
        PyObject *self = PyCFunction_GET_SELF(object); /* Borrowed. */
        return self == check->owner || memory_is_shared(check, self);
    }
    for (Py_ssize_t i = 0; PyTuple_CheckExact(object) && i < PyTuple_GET_SIZE(object); i++) {
        PyObject *item = PyTuple_GET_ITEM(object, i);
        if (item == check->owner || memory_is_shared(check, item)) {
            return 1;
        }
    }
    if (memory_is_shared(check, object)) {
        return 1;
    }
    return Py_IS_TYPE(object, state->method_wrapper_type); /* It does not tell to what it is bound. */
}

/* True when what is called changes none of its arguments itself; Python code has looks of its own. */
static int
is_harmless(const CoreState *state, PyObject *callable)
{
    if (PyFunction_Check(callable) || PyMethod_Check(callable) || PyType_Check(callable)) {
        return 1;
    }
    PyObject *name = NULL; /* Owned. */
    if (Py_IS_TYPE(callable, &PyMethodDescr_Type)) {
        name = Py_NewRef(PyDescr_NAME(callable));
    }
    else if (PyCFunction_CheckExact(callable)) {
        PyObject *module =
            ((PyCFunctionObject *)callable)->m_module; /* Borrowed; of a function of a module, its name. */
        if (module != NULL && PyUnicode_CheckExact(module) &&
            PyUnicode_CompareWithASCIIString(module, "builtins") == 0) {
            name = PyUnicode_InternFromString(((PyCFunctionObject *)callable)->m_ml->ml_name);
        }
    }
    if (name == NULL) {
        PyErr_Clear();
        return 0;
    }
    int is_known = !(code_what_names(state, name) & NAMES_MUTATOR);
    Py_DECREF(name);
    return is_known;
}

/* Note a difference that was there before the instruction that is about to run (I2). */
static void
report_late(CoreState *state, Check *check)
{
    PendingError error = take_pending_error();
    Blame blame;
    blame_current(&blame);
    if (recheck_report(state, check, &blame, LOOK_WHOLE) < 0) {
        PyErr_Clear();
        check_suspend(check);
    }
    blame_release(&blame);
    put_back_pending_error(error);
    check->looks = 0; /* The snapshot is of now. */
}

void
large_see_operands(CoreState *state, const CodeInfo *info, Py_ssize_t unit)
{
    int first, end;
    if (!depths_operands(info, unit, &first, &end)) {
        return;
    }
    const uintptr_t *stack = compat_stack();
    int harmless = 0;
    if ((info->effect[unit] & (EFFECT_CALL | EFFECT_DIRECT)) == EFFECT_CALL) {
        /* What is called stands first, or behind an empty slot. */
        PyObject *callable = compat_stack_item(stack, first);
        if (callable == NULL && first + 1 < end) {
            callable = compat_stack_item(stack, first + 1);
        }
        if (callable != NULL && (PyFunction_Check(callable) || PyMethod_Check(callable))) {
            return;
        }
        harmless = callable != NULL && is_harmless(state, callable);
    }
    int is_in_crowd = crowd_is_large(state);
    for (int slot = first; is_in_crowd && slot < end; slot++) {
        PyObject *operand = compat_stack_item(stack, slot);
        if (operand != NULL) {
            crowd_see_operand(state, operand, !harmless); /* `list(map(...))` runs what is in the map. */
        }
    }
    if (harmless || state->large_count == is_in_crowd) {
        return;
    }
    for (Py_ssize_t i = 0; i < state->check_count; i++) {
        Check *check = state->checks[i];
        int taken = 0;
        for (int slot = first; large_is(check) && slot < end && !taken; slot++) {
            taken = leads_to(state, compat_stack_item(stack, slot), check);
        }
        if (!taken) {
            continue;
        }
        if (check->looks != 0 && compare(state, check) != 0) {
            report_late(state, check);
        }
        check->reached = state->look;
    }
}
