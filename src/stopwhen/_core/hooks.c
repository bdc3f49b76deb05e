/* C functions in the way of other instructions. `L.append` as a class's `__eq__`, in a property or as a weak reference's
 * callback changes the list at a comparison, at an attribute, at the end of some object: anywhere. Such a function is an
 * object that is bound to the list. While there is one, checks are due after nearly every instruction (EFFECT_HOOKS), so
 * that its line is named too; while there is none, they are due only after what can change the list without it.
 *
 * I1. `hooked` is set while a function that changes data is known to be bound to something checked. It is made by an
 *     instruction, and known from then on: what a call leaves on the stack is looked at, and what loading an attribute
 *     by the name of such a function leaves there. Those that were there before, a survey of all objects finds.
 * I2. Every object that a function has been bound to since the last survey has its bit in `bound_to`, as have others.
 *     Once it comes to be checked, a survey tells for certain.
 * I3. Some time after hooks have been found, and again later, a survey tells whether they are still there.
 * I4. Surveys take at most half of the processor's time, however often something begins to be checked: until the next one
 *     may be made, hooks count as found.
 * I5. `operator.methodcaller("append", 1)` and `staticmethod(operator.setitem)` are bound to nothing, but as a class's
 *     `__radd__` or the like they change whatever the operator is given: while there are such, `hooked` is set. So it is
 *     while a class has `heapq.heapify` itself as an operator (operators.c).
 */
#include "codeinfo.h"
#include "content.h"
#include "crowd.h"
#include "operators.h"

#define BITS ((size_t)8 * sizeof(((CoreState *)NULL)->bound_to))
#define FIRST_PATIENCE 100000
#define LONGEST_PATIENCE (1 << 26)
#define FREE_SURVEYS (CLOCKS_PER_SEC / 4) /* The time that they may take besides, so that the first ones are made. */

static size_t
bit_of(const PyObject *object)
{
    return (((size_t)object >> 4) * (size_t)0x9E3779B97F4A7C15u >> 40) % BITS;
}

static int
may_be_bound_to(const CoreState *state, const PyObject *object)
{
    return state->bound_to[bit_of(object) / 8] >> bit_of(object) % 8 & 1;
}

/* What is found out of functions: to be looked up in the checks at once, or when all have been found. */
typedef struct {
    CoreState *state;
    int survey; /* Keep the objects in `found`, for later. */
    PyObject **found; /* Owned memory, borrowed objects; alive as long as nothing else runs. */
    Py_ssize_t count;
    Py_ssize_t capacity;
    int hooked; /* One of them is checked; or there was no memory to tell. */
} Search;

static int
is_checked(const CoreState *state, const PyObject *object)
{
    for (Py_ssize_t i = 0; i < state->check_count; i++) {
        if (state->checks[i]->owner == object) {
            return 1;
        }
    }
    return crowd_watches(state, object);
}

/* Take note that a function is bound to `object`. */
static void
note_bound(Search *search, PyObject *object)
{
    search->state->bound_to[bit_of(object) / 8] |= (unsigned char)(1 << bit_of(object) % 8); /* I2 */
    if (!search->survey) {
        search->hooked |= is_checked(search->state, object);
        return;
    }
    PyObject **found = grow_memory(search->found, search->count, &search->capacity, sizeof(PyObject *));
    if (found == NULL) {
        PyErr_Clear(); /* To be on the safe side: */
        search->hooked = 1;
        return;
    }
    search->found = found;
    search->found[search->count++] = object;
}

static int
visit_wrapper_part(PyObject *part, void *search)
{
    if (!Py_IS_TYPE(part, &PyWrapperDescr_Type)) {
        note_bound(search, part);
    }
    return 0;
}

static int
visit_wrapper_name(PyObject *part, void *state)
{
    return Py_IS_TYPE(part, &PyWrapperDescr_Type) && operators_name_changes(state, PyDescr_NAME(part));
}

static int
is_python_function(PyObject *part, void *Py_UNUSED(unused))
{
    return PyFunction_Check(part) || (PyMethod_Check(part) && PyFunction_Check(PyMethod_GET_FUNCTION(part)));
}

static int
visit_partial_part(PyObject *part, void *search)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    for (Py_ssize_t i = 0; PyTuple_CheckExact(part) && i < PyTuple_GET_SIZE(part); i++) {
        note_bound(search, PyTuple_GET_ITEM(part, i));
    }
    while (PyDict_CheckExact(part) && PyDict_Next(part, &position, &key, &value)) {
        note_bound(search, value);
    }
    return 0;
}

static int
visit_changing_name(PyObject *part, void *state)
{
    return PyUnicode_CheckExact(part) && operators_name_changes(state, part);
}

/* If `object` is a C function that changes data and is bound to some, note to which. */
static void
note_function(Search *search, PyObject *object)
{
    CoreState *state = search->state;
    PyTypeObject *type = Py_TYPE(object);
    if (PyCFunction_Check(object)) {
        PyObject *self = PyCFunction_GET_SELF(object);
        if (self != NULL && !PyModule_Check(self) && !PyType_Check(self) && operators_function_changes(state, object)) {
            note_bound(search, self);
        }
    }
    else if (type == state->method_wrapper_type) {
        if (compat_visit_parts(object, visit_wrapper_name, state)) {
            (void)compat_visit_parts(object, visit_wrapper_part, search);
        }
    }
    else if (type == &PyMethod_Type) {
        if (!PyFunction_Check(PyMethod_GET_FUNCTION(object))) {
            note_bound(search, PyMethod_GET_SELF(object));
        }
    }
    else if (PyType_Check(object)) {
        search->hooked |= operators_change_operands(state, (PyTypeObject *)object);
    }
    else if (type == state->methodcaller_type) {
        search->hooked |= compat_visit_parts(object, visit_changing_name, state) != 0; /* I5 */
    }
    else if (type == &PyStaticMethod_Type) {
        search->hooked |= compat_visit_parts(object, operators_visit_property, state) != 0;
    }
    else if (type == state->partial_type && !compat_visit_parts(object, is_python_function, NULL)) {
        (void)compat_visit_parts(object, visit_partial_part, search);
    }
}

static void
set_hooked(CoreState *state, int hooked)
{
#if HAS_MONITORING
    if (instrument_set_hooked(state, hooked) < 0) {
        PyErr_Clear();
    }
#else
    state->hooked = hooked; /* tracing.c asks at each line. */
#endif
}

static void
begin(CoreState *state)
{
    state->patience = state->next_patience = FIRST_PATIENCE;
    set_hooked(state, 1);
}

/* A class has got an operator that may change data. */
void
hooks_begin(CoreState *state)
{
    if (!state->hooked) {
        begin(state);
    }
}

/* An instruction has left `object`, something callable, on the stack (I1). */
void
hooks_see(CoreState *state, PyObject *object)
{
    Search search = {.state = state};
    note_function(&search, object);
    if (search.hooked) {
        hooks_begin(state);
    }
}

static int
visit_tracked(PyObject *object, void *search)
{
    note_function(search, object);
    return 1;
}

/* Find out whether there are hooks, among all objects that there are. Runs no Python code. */
static int
find_hooks(CoreState *state)
{
    Search search = {.state = state, .survey = 1};
    memset(state->bound_to, 0, sizeof(state->bound_to));
    compat_visit_objects(visit_tracked, &search);
    for (Py_ssize_t i = 0; i < state->check_count && !search.hooked; i++) {
        PyObject *owner = state->checks[i]->owner;
        search.hooked =
            PyType_HasFeature(Py_TYPE(owner), Py_TPFLAGS_HEAPTYPE) && operators_change_instances(state, Py_TYPE(owner));
        for (Py_ssize_t j = 0; may_be_bound_to(state, owner) && j < search.count && !search.hooked; j++) {
            search.hooked = search.found[j] == owner;
        }
    }
    for (Py_ssize_t j = 0; j < search.count && !search.hooked; j++) {
        search.hooked = crowd_watches(state, search.found[j]);
    }
    for (Py_ssize_t i = 0; state->crowd_plain > 0 && i < state->crowd_count && !search.hooked; i++) {
        PyTypeObject *type = state->crowd[i]->part == NULL ? Py_TYPE(state->crowd[i]->owner) : &PyList_Type;
        search.hooked = PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) && operators_change_instances(state, type);
    }
    PyMem_Free(search.found);
    return search.hooked;
}

/* Find out whether there are hooks, if there is time for it (I4). Runs no Python code. */
void
hooks_survey(CoreState *state)
{
    assert(state->names != NULL);
    clock_t start = clock();
    state->unsurveyed = 0;
    if (state->surveys > FREE_SURVEYS && state->surveys > start / 2) {
        begin(state);
        return;
    }
    int hooked = find_hooks(state);
    state->surveys += clock() - start;
    if (!state->hooked || state->next_patience == 0) {
        state->next_patience = FIRST_PATIENCE;
    }
    else if (state->next_patience < LONGEST_PATIENCE) {
        state->next_patience *= 2;
    }
    state->patience = state->next_patience;
    set_hooked(state, hooked);
}

/* The level was `before`. While it is 0 nothing is noted: a survey is due as soon as anything is checked. */
void
hooks_take_level(CoreState *state, long before)
{
    state->unsurveyed |= before == 0;
    if (state->level != 0 && state->unsurveyed && state->check_count + state->crowd_count > 0) {
        hooks_survey(state);
    }
}

/* `check` has begun: find out whether there are hooks that concern it. Runs no Python code. */
void
hooks_expect(CoreState *state, const Check *check)
{
    PyTypeObject *type = Py_TYPE(check->owner);
    if (state->level == 0) {
        return; /* A survey comes with the level. */
    }
    if (state->unsurveyed || may_be_bound_to(state, check->owner)) {
        hooks_survey(state);
    }
    else if (!state->hooked && PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) &&
             operators_change_instances(state, type)) {
        begin(state);
    }
}
