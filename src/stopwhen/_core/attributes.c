/* Attributes of instances: what happens to those that scopes ask for. From 3.12 on the dict watcher tells. On 3.11 they are
 * compared, as slots are: a dict has a version, which changes with each store, so that one comparison is for all its keys.
 *
 * I1. On 3.11 `dicts` has an entry for each dict that some watched instance has for its attributes. The entry holds the
 *     dict. To the eyes of the collector that is done by the dict itself (classes.c, I4), so a cycle is found.
 * I2. `attributes` of an instance has a part for each name that a scope asks for, or for all together, in that dict. They
 *     stand in the crowd (crowd.c): whoever takes the instance as an operand, or the dict, takes them.
 */
#include "instances.h"

#if HAS_DICT_WATCHERS

/* Return (old, new) for a store of `new_value` under `key`; NULL without an exception when that changes nothing, with
 * one for want of memory. */
static PyObject *
rebound(CoreState *state, WatchedDict *watched, PyObject *key, PyObject *new_value)
{
    int known;
    PyObject *old = dictwatch_present(watched, key, &known);
    PyObject *now = new_value == NULL ? state->absent : new_value;
    PyObject *before = old == NULL ? state->absent : old;
    PyObject *data = before == now ? NULL : PyTuple_Pack(2, before, now);
    Py_XDECREF(old); /* Not the last reference: the dict still holds it. */
    return data;
}

void
attributes_note_item(CoreState *state, const ClassScope *scope, const Instance *instance, PyObject *known_by,
                     WatchedDict *watched, PyObject *key, PyObject *new_value, const Blame *blame)
{
    PyObject *data = rebound(state, watched, key, new_value);
    if (data != NULL) {
        (void)instances_note_one(state, scope, instance, known_by, watched->dict, DELTA_REBOUND, data, blame);
    }
    else if (PyErr_Occurred()) {
        events_miss(state, scope->token);
    }
    PyErr_Clear();
}

void
attributes_note_content(CoreState *state, const ClassScope *scope, const Instance *instance, PyObject *known_by,
                        WatchedDict *watched, PyDict_WatchEvent event, PyObject *key, PyObject *new_value,
                        const Blame *blame)
{
    PyObject *dict = watched->dict;
    PyObject *data;
    if (event == PyDict_EVENT_CLEARED || event == PyDict_EVENT_CLONED) {
        PyObject *before = dictwatch_flat_items(dict);
        PyObject *after = event == PyDict_EVENT_CLONED ? dictwatch_flat_items(key) : PyList_New(0);
        data = before == NULL || after == NULL ? NULL : PyTuple_Pack(2, before, after);
        Py_XDECREF(before);
        Py_XDECREF(after);
        (void)instances_note_one(state, scope, instance, known_by, dict, DELTA_WHOLE, data, blame);
        return;
    }
    int known;
    PyObject *old = dictwatch_present(watched, key, &known);
    if (!known && event != PyDict_EVENT_ADDED) {
        (void)instances_note_one(state, scope, instance, known_by, dict, DELTA_UNKNOWN, Py_NewRef(Py_None), blame);
        return;
    }
    Py_ssize_t length = PyDict_GET_SIZE(dict) + (event == PyDict_EVENT_ADDED) - (event == PyDict_EVENT_DELETED);
    data = Py_BuildValue("OOOn", key, old == NULL ? state->absent : old, new_value == NULL ? state->absent : new_value,
                         length);
    (void)instances_note_one(state, scope, instance, known_by, dict, DELTA_ITEM, data, blame);
    Py_XDECREF(old); /* Not the last reference: the dict still holds it. */
}

/* Return what Python knows the attribute `key` by, borrowed; NULL when it is of no interest. */
static PyObject *
known_name(const ClassScope *scope, PyObject *key)
{
    return PyUnicode_CheckExact(key) ? PyDict_GetItemWithError(scope->names, key) : NULL;
}

/* True when the attribute `key` is of interest: the fast path of an instance of which another one is. */
static int
is_of_interest(const ClassScope *scope, PyObject *key)
{
    if (scope->whole != NULL) {
        return 1;
    }
    if (PyUnicode_CheckExact(key) && PyUnicode_CHECK_INTERNED(key) && scope->few[0] != NULL) {
        return key == scope->few[0] || key == scope->few[1] || key == scope->few[2] || key == scope->few[3];
    }
    return known_name(scope, key) != NULL;
}

static void
note_attributes(CoreState *state, const Instance *instance, PyDict_WatchEvent event, PyObject *key, PyObject *new_value,
                const Blame *blame)
{
    WatchedDict *watched = instance->watched;
    const HookedClass *hooked = instance->hooked;
    for (Py_ssize_t i = 0; i < hooked->scope_count; i++) {
        const ClassScope *scope = hooked->scopes[i];
        PyObject *name, *known_by;
        Py_ssize_t position = 0;
        while (is_wholesale(event) && PyDict_Next(scope->names, &position, &name, &known_by)) {
            PyObject *value = event == PyDict_EVENT_CLONED ? PyDict_GetItemWithError(key, name) : NULL;
            attributes_note_item(state, scope, instance, known_by, watched, name, value, blame);
        }
        if (!is_wholesale(event) && (known_by = known_name(scope, key)) != NULL) {
            attributes_note_item(state, scope, instance, known_by, watched, key, new_value, blame);
        }
        if (scope->whole != NULL) {
            attributes_note_content(state, scope, instance, scope->whole, watched, event, key, new_value, blame);
        }
    }
}

/* True when an event of the dict may be of interest to some scope. */
int
attributes_care(const WatchedDict *watched, PyDict_WatchEvent event, PyObject *key)
{
    if (watched->parts != NULL || (watched->instances != NULL && is_wholesale(event))) {
        return 1;
    }
    for (const Instance *instance = watched->instances; instance != NULL; instance = instance->next_in_dict) {
        for (Py_ssize_t i = 0; i < instance->hooked->scope_count; i++) {
            if (is_of_interest(instance->hooked->scopes[i], key)) {
                return 1;
            }
        }
    }
    return 0;
}

void
attributes_note(CoreState *state, WatchedDict *watched, PyDict_WatchEvent event, PyObject *key, PyObject *new_value,
                const Blame *blame)
{
    for (const Instance *instance = watched->instances; instance != NULL; instance = instance->next_in_dict) {
        note_attributes(state, instance, event, key, new_value, blame);
    }
    parts_note_event(state, watched, event, key, new_value, blame);
}

#else

#include "content.h"

/* ---- dicts ---- */

WatchedDict *
dictwatch_find(const CoreState *state, PyObject *dict)
{
    return table_find(&state->dicts, dict);
}

WatchedDict *
dictwatch_find_or_add(CoreState *state, PyObject *dict)
{
    WatchedDict *watched = dictwatch_find(state, dict);
    if (watched != NULL) {
        return watched;
    }
    watched = PyMem_Calloc(1, sizeof(WatchedDict));
    if (watched == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (table_put(&state->dicts, dict, watched) < 0) { /* I1 */
        PyMem_Free(watched);
        return NULL;
    }
    watched->dict = Py_NewRef(dict);
    return watched;
}

int
dictwatch_drop_if_unused(CoreState *state, WatchedDict *watched)
{
    if (watched->instances == NULL) {
        PyObject *dict = watched->dict;
        (void)table_take(&state->dicts, dict); /* I1 */
        PyMem_Free(watched);
        Py_DECREF(dict);
    }
    return 0;
}

void
attributes_clear(CoreState *state)
{
    assert(state->dicts.count == 0);
    table_free(&state->dicts);
}

/* ---- parts ---- */

static int
is_compared(const Instance *instance, const ClassScope *scope)
{
    const Part *part = instance->attributes;
    while (part != NULL && part->scope != scope) {
        part = part->next;
    }
    return part != NULL;
}

/* Compare `name` of the instance, NULL for all attributes. */
static int
add(CoreState *state, Instance *instance, const ClassScope *scope, PyObject *name, PyObject *known_by)
{
    PyObject *check = check_of_dict(state, instance->watched->dict, name, known_by);
    Part *part = check == NULL ? NULL : parts_make(state, instance, scope, known_by, check);
    Py_XDECREF(check);
    if (part == NULL) {
        return -1;
    }
    part->next = instance->attributes; /* I2 */
    instance->attributes = part;
    return 0;
}

static int
compare_for(CoreState *state, Instance *instance, const ClassScope *scope)
{
    PyObject *name, *known_by; /* Borrowed. */
    Py_ssize_t position = 0;
    int result = 0;
    while (result == 0 && PyDict_Next(scope->names, &position, &name, &known_by)) {
        result = add(state, instance, scope, name, known_by);
    }
    if (result == 0 && scope->whole != NULL) {
        result = add(state, instance, scope, NULL, scope->whole);
    }
    return result;
}

int
attributes_compare(CoreState *state, Instance *instance)
{
    const HookedClass *hooked = instance->hooked;
    int result = 0;
    for (Py_ssize_t i = 0; result == 0 && instance->watched != NULL && i < hooked->scope_count; i++) {
        if (!is_compared(instance, hooked->scopes[i])) {
            result = compare_for(state, instance, hooked->scopes[i]);
        }
    }
    return result;
}

Part *
attributes_take(Instance *instance, int all)
{
    Part *taken = NULL;
    for (Part **link = &instance->attributes; *link != NULL;) {
        Part *part = *link;
        if (!all && classes_has_scope(instance->hooked, part->scope)) {
            link = &part->next;
            continue;
        }
        *link = part->next;
        part->next = taken;
        taken = part;
    }
    return taken;
}

#endif
