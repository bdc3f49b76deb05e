/* Instances of watched classes: notes what happens to the dict of each.
 *
 * I1. `instances` has an entry for an object exactly while it lives, is of a hooked class and its attributes are
 *     watched. An entry owns nothing of the program's but what the checks of its parts own.
 * I2. An entry's dict is the object's, as long as that is alive and the object has no other (classes.c).
 * I3. An object whose last reference is gone is not spoken of any more, though its dict may still change.
 */
#include "instances.h"

#include "keys.h"
#include "layout.h"

#if HAS_DICT_WATCHERS

/* ---- entries ---- */

static Instance *
find(const CoreState *state, const PyObject *object)
{
    return table_find(&state->instances, object);
}

static void
leave_dict(CoreState *state, Instance *instance)
{
    WatchedDict *watched = instance->watched;
    if (watched != NULL) {
        instance->watched = NULL;
        Instance **link = &watched->instances;
        while (*link != instance) {
            link = &(*link)->next_in_dict;
        }
        *link = instance->next_in_dict;
        if (dictwatch_drop_if_unused(state, watched) < 0) {
            PyErr_Clear();
        }
    }
}

/* Watch the dict that the object has now; nothing when it has none. */
static int
enter_dict(CoreState *state, Instance *instance)
{
    PyObject *dict = PyObject_GenericGetDict(instance->object, NULL);
    if (dict == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear();
        return 0;
    }
    int result = -1;
    WatchedDict *watched = NULL;
    if (state->detaches) {
        PyObject *done = dictwatch_detach(NULL, dict);
        if (done == NULL) {
            goto done;
        }
        Py_DECREF(done);
    }
    watched = dictwatch_find_or_add(state, dict);
    if (watched != NULL) {
        instance->watched = watched;
        instance->next_in_dict = watched->instances;
        watched->instances = instance;
        result = 0;
    }
done:
    Py_DECREF(dict); /* The object has it (I2). */
    return result;
}

Instance *
instances_adopt(CoreState *state, PyObject *object)
{
    Instance *instance = find(state, object);
    if (instance != NULL) {
        return instance;
    }
    const HookedClass *hooked = classes_find(state, Py_TYPE(object));
    if (hooked == NULL) {
        PyErr_SetString(PyExc_TypeError, "not an instance of a watched class");
        return NULL;
    }
    instance = PyMem_Calloc(1, sizeof(Instance));
    if (instance == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    instance->hooked = hooked;
    if (state->newborn == object) {
        state->newborn = NULL;
    }
    instance->object = object;
    instance->number = ++state->instance_number;
    if (table_put(&state->instances, object, instance) < 0) { /* I1 */
        PyMem_Free(instance);
        return NULL;
    }
    if (enter_dict(state, instance) < 0) {
        (void)table_take(&state->instances, object);
        PyMem_Free(instance);
        return NULL;
    }
    return instance;
}

void
instances_forget(CoreState *state, PyObject *object)
{
    Instance *instance = table_take(&state->instances, object);
    if (instance == NULL) {
        return;
    }
    PendingError error = take_pending_error();
    leave_dict(state, instance);
    Knowledge *knowledge = instance->knowledge;
    PyMem_Free(instance);
    parts_free(state, knowledge);
    put_back_pending_error(error);
}

/* The dict is gone, or is taken apart by the collector: its instances are past being watched, and parts in it gone. */
void
instances_lose_dict(CoreState *state, WatchedDict *watched)
{
    parts_lose_dict(watched);
    while (watched->instances != NULL) {
        Instance *instance = watched->instances;
        watched->instances = instance->next_in_dict;
        instance->watched = NULL;
        instances_forget(state, instance->object);
    }
}

int
instances_traverse(CoreState *state, PyObject *dict, visitproc visit, void *arg)
{
    WatchedDict *watched = dictwatch_find(state, dict);
    const Instance *instance = watched == NULL ? NULL : watched->instances;
    int result = 0;
    for (; instance != NULL && result == 0; instance = instance->next_in_dict) {
        result = parts_traverse(instance, visit, arg);
    }
    return result;
}

/* ---- noting ---- */

void
instances_miss(CoreState *state)
{
    for (Py_ssize_t i = 0; i < state->scope_count; i++) {
        events_miss(state, state->scopes[i]->token);
    }
}

int
instances_note_one(CoreState *state, const ClassScope *scope, const Instance *instance, PyObject *known_by,
                   PyObject *owner, DeltaKind kind, PyObject *data, const Blame *blame)
{
    if (Py_REFCNT(instance->object) == 0) {
        Py_XDECREF(data); /* I3 */
        return 0;
    }
    PyObject *token = PyTuple_Pack(4, scope->token, instance->object, known_by, owner);
    if (token == NULL) {
        Py_XDECREF(data);
        events_miss(state, scope->token);
        return -1;
    }
    int result = events_note(state, token, kind, data, blame);
    Py_DECREF(token);
    return result;
}

/* Return (old, new) for a store of `new_value` under `key`; NULL without an exception when that changes nothing. */
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
instances_note_item(CoreState *state, const ClassScope *scope, const Instance *instance, PyObject *known_by,
                    WatchedDict *watched, PyObject *key, PyObject *new_value, const Blame *blame)
{
    PyObject *data = rebound(state, watched, key, new_value);
    if (data != NULL) {
        (void)instances_note_one(state, scope, instance, known_by, watched->dict, DELTA_REBOUND, data, blame);
    }
    PyErr_Clear();
}

void
instances_note_content(CoreState *state, const ClassScope *scope, const Instance *instance, PyObject *known_by,
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
            instances_note_item(state, scope, instance, known_by, watched, name, value, blame);
        }
        if (!is_wholesale(event) && (known_by = known_name(scope, key)) != NULL) {
            instances_note_item(state, scope, instance, known_by, watched, key, new_value, blame);
        }
        if (scope->whole != NULL) {
            instances_note_content(state, scope, instance, scope->whole, watched, event, key, new_value, blame);
        }
    }
}

/* True when an event of the dict may be of interest to some scope. */
int
instances_care(const WatchedDict *watched, PyDict_WatchEvent event, PyObject *key)
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
instances_note(CoreState *state, WatchedDict *watched, PyDict_WatchEvent event, PyObject *key, PyObject *new_value,
               const Blame *blame)
{
    for (const Instance *instance = watched->instances; instance != NULL; instance = instance->next_in_dict) {
        note_attributes(state, instance, event, key, new_value, blame);
    }
    parts_note_event(state, watched, event, key, new_value, blame);
}

void
instances_stop_after(CoreState *state, const Blame *blame)
{
    if (!events_is_draining()) {
        instrument_stop_after(state, blame);
    }
}

void
instances_note_layout(CoreState *state, PyObject *object, PyObject *before)
{
    Instance *instance = find(state, object);
    const HookedClass *hooked = classes_find(state, Py_TYPE(object));
    if (instance == NULL || hooked == NULL || !layout_differs(object, before)) {
        return;
    }
    PyObject *now = layout_of(object); /* Owned. */
    PyObject *data = now == NULL ? NULL : PyTuple_Pack(2, before, now);
    Blame blame;
    blame_current(&blame);
    leave_dict(state, instance);
    if (enter_dict(state, instance) < 0) {
        instances_miss(state);
    }
    PyTypeObject *class_before = (PyTypeObject *)PyTuple_GET_ITEM(before, 0);
    instance->hooked = hooked;
    for (Py_ssize_t i = 0; i < hooked->scope_count; i++) {
        if (PyType_IsSubtype(class_before, hooked->scopes[i]->root)) {
            (void)instances_note_one(state, hooked->scopes[i], instance, Py_None, object, DELTA_REBOUND,
                                     Py_XNewRef(data), &blame);
        }
    }
    instances_stop_after(state, &blame);
    blame_release(&blame);
    PyErr_Clear();
    Py_XDECREF(data);
    Py_XDECREF(now);
    (void)parts_leave_others(state, instance); /* May run code of the user's: last. */
}

void
instances_note_bases(CoreState *state, PyTypeObject *type)
{
    Blame blame;
    blame_current(&blame);
    const Instance *instance;
    for (Py_ssize_t i = 0; (instance = table_next(&state->instances, &i)) != NULL;) {
        if (!PyType_IsSubtype(Py_TYPE(instance->object), type)) {
            continue;
        }
        for (Py_ssize_t j = 0; j < instance->hooked->scope_count; j++) {
            (void)instances_note_one(state, instance->hooked->scopes[j], instance, Py_None, instance->object,
                                     DELTA_UNKNOWN, Py_NewRef(Py_None), &blame);
        }
    }
    instances_stop_after(state, &blame);
    blame_release(&blame);
    PyErr_Clear();
}

int
instances_born(CoreState *state, HookedClass *hooked, PyObject *object, int is_new, PyTypeObject *known)
{
    PendingError error = take_pending_error();
    if (known == NULL) {
        instances_forget(state, object); /* One that died without a word may have been at its address. */
    }
    if (instances_adopt(state, object) == NULL) {
        PyErr_Clear();
        instances_miss(state);
    }
    Blame blame = {.thread = NULL};
    for (Py_ssize_t i = 0; i < hooked->scope_count; i++) {
        if ((is_new && hooked->is_quiet[i]) || (known != NULL && PyType_IsSubtype(known, hooked->scopes[i]->root))) {
            continue;
        }
        if (blame.thread == NULL) {
            blame_current(&blame);
        }
        if (events_note(state, hooked->scopes[i]->token, DELTA_BORN, Py_NewRef(object), &blame) < 0) {
            PyErr_Clear(); /* It counts as missed. */
        }
    }
    put_back_pending_error(error);
    if (blame.thread == NULL) {
        return 0;
    }
    blame_release(&blame);
    return events_is_draining() ? 0 : events_drain(state);
}

/* ---- for Python ---- */

ClassScope *
instances_scope(const CoreState *state, const PyObject *handle)
{
    for (Py_ssize_t i = 0; i < state->scope_count; i++) {
        if (state->scopes[i]->handle == handle) {
            return state->scopes[i];
        }
    }
    return NULL;
}

static void
free_scope(ClassScope *scope)
{
    Py_XDECREF(scope->names);
    Py_XDECREF(scope->whole);
    Py_DECREF(scope->token); /* Lets go of the root. */
    PyMem_Free(scope);
}

/* Take the scope at `index` off everything. */
static void
drop_scope(CoreState *state, Py_ssize_t index)
{
    ClassScope *scope = state->scopes[index];
    state->scopes[index] = state->scopes[--state->scope_count];
    classes_unhook(state, scope);
    instances_sweep(state);
    free_scope(scope);
}

/* arm_class(cls, names, whole, a Python class, detaches, token, handle): note what happens to the instances of `cls`. */
PyObject *
instances_arm(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *root, *names, *whole, *sample, *token, *handle; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "O!O!OO!pOO", &PyType_Type, &root, &PyDict_Type, &names, &whole, &PyType_Type, &sample,
                          &state->detaches, &token, &handle)) {
        return NULL;
    }
    ClassScope **scopes = state->scopes;
    PyMem_Resize(scopes, ClassScope *, (size_t)state->scope_count + 1); /* Assigns, NULL on failure. */
    ClassScope *scope = PyMem_Calloc(1, sizeof(ClassScope));
    if (scopes != NULL) {
        state->scopes = scopes;
    }
    if (scopes == NULL || scope == NULL) {
        PyMem_Free(scope);
        return PyErr_NoMemory();
    }
    state->python_dealloc = ((PyTypeObject *)sample)->tp_dealloc;
    scope->token = Py_NewRef(token);
    scope->handle = handle;
    scope->root = (PyTypeObject *)root;
    scope->names = Py_NewRef(names);
    scope->whole = whole == Py_None ? NULL : Py_NewRef(whole);
    if (PyDict_GET_SIZE(names) <= (Py_ssize_t)Py_ARRAY_LENGTH(scope->few)) {
        PyObject *name;
        Py_ssize_t position = 0;
        for (size_t i = 0; PyDict_Next(names, &position, &name, NULL); i++) {
            assert(PyUnicode_CHECK_INTERNED(name)); /* The parser interns names. */
            scope->few[i] = name;
        }
    }
    state->scopes[state->scope_count++] = scope;
    if (classes_hook(state, scope) < 0) {
        PendingError error = take_pending_error();
        drop_scope(state, state->scope_count - 1);
        put_back_pending_error(error);
        return NULL;
    }
    Py_RETURN_NONE;
}

/* disarm_class(handle); nothing when it is not armed. */
PyObject *
instances_disarm(PyObject *module, PyObject *handle)
{
    CoreState *state = PyModule_GetState(module);
    for (Py_ssize_t i = 0; i < state->scope_count; i++) {
        if (state->scopes[i]->handle == handle) {
            drop_scope(state, i);
            break;
        }
    }
    Py_RETURN_NONE;
}

/* Let no instance refer to an entry of a class that is gone. */
static void
leave_classes(CoreState *state)
{
    static const HookedClass none; /* Under no scope. */
    Instance *instance;
    for (Py_ssize_t i = 0; (instance = table_next(&state->instances, &i)) != NULL;) {
        const HookedClass *hooked = classes_find(state, Py_TYPE(instance->object));
        instance->hooked = hooked == NULL ? &none : hooked;
    }
}

void
instances_sweep(CoreState *state)
{
    leave_classes(state);
    /* This may run code of the user's and move entries to other places: what one pass leaves out, the next one finds. */
    int found = 1;
    while (found) {
        found = 0;
        Instance *instance;
        for (Py_ssize_t i = 0; (instance = table_next(&state->instances, &i)) != NULL;) {
            if (instance->hooked->scope_count > 0) {
                found |= parts_leave_others(state, instance);
            }
            else {
                instances_forget(state, instance->object);
                found = 1;
                i--; /* Another one may have moved up. */
            }
        }
    }
}

static int
is_of_scope(const CoreState *state, const PyObject *object, const ClassScope *scope)
{
    const HookedClass *hooked = classes_find(state, Py_TYPE(object));
    for (Py_ssize_t i = 0; hooked != NULL && i < hooked->scope_count; i++) {
        if (hooked->scopes[i] == scope) {
            return 1;
        }
    }
    return 0;
}

static int
compare_numbers(const void *left, const void *right)
{
    uint64_t one = (*(const Instance *const *)left)->number;
    uint64_t other = (*(const Instance *const *)right)->number;
    return one < other ? -1 : one > other;
}

/* instances(handle): those that are watched, in the order in which they were taken on, as a new list. */
PyObject *
instances_all(PyObject *module, PyObject *handle)
{
    CoreState *state = PyModule_GetState(module);
    const ClassScope *scope = instances_scope(state, handle);
    Instance **all = PyMem_Calloc((size_t)state->instances.count + 1, sizeof(Instance *));
    if (all == NULL) {
        return PyErr_NoMemory();
    }
    Py_ssize_t count = 0;
    Instance *instance;
    for (Py_ssize_t i = 0; (instance = table_next(&state->instances, &i)) != NULL;) {
        if (Py_REFCNT(instance->object) > 0 && is_of_scope(state, instance->object, scope)) { /* I3 */
            all[count++] = instance;
        }
    }
    qsort(all, (size_t)count, sizeof(Instance *), compare_numbers);
    PyObject *found = PyList_New(count);
    for (Py_ssize_t i = 0; found != NULL && i < count; i++) {
        PyList_SET_ITEM(found, i, Py_NewRef(all[i]->object));
    }
    PyMem_Free(all);
    return found;
}

typedef struct {
    const CoreState *state;
    const ClassScope *scope;
    PyObject *found; /* Owned; NULL after an error. */
} Search;

static int
look_at_object(PyObject *object, void *data)
{
    Search *search = data;
    if (is_of_scope(search->state, object, search->scope) && PyList_Append(search->found, object) < 0) {
        Py_CLEAR(search->found);
        return 0;
    }
    return 1;
}

static int
look_for_new(PyObject *object, void *data)
{
    Search *search = data;
    if (classes_find(search->state, Py_TYPE(object)) != NULL && find(search->state, object) == NULL &&
        PyList_Append(search->found, object) < 0) {
        Py_CLEAR(search->found);
        return 0;
    }
    return 1;
}

int
instances_find_born(CoreState *state)
{
    Search search = {state, NULL, PyList_New(0)};
    if (search.found != NULL) {
        PyUnstable_GC_VisitObjects(look_for_new, &search);
    }
    int result = search.found == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; result == 0 && i < PyList_GET_SIZE(search.found); i++) {
        PyObject *object = PyList_GET_ITEM(search.found, i);
        HookedClass *hooked = classes_find(state, Py_TYPE(object));
        result = hooked == NULL ? 0 : instances_born(state, hooked, object, 0, NULL);
    }
    Py_XDECREF(search.found);
    return result;
}

/* find_instances(handle): all that exist, taken on from now on, as a new list. */
PyObject *
instances_found(PyObject *module, PyObject *handle)
{
    CoreState *state = PyModule_GetState(module);
    Search search = {state, instances_scope(state, handle), PyList_New(0)};
    if (search.found != NULL) {
        PyUnstable_GC_VisitObjects(look_at_object, &search);
    }
    for (Py_ssize_t i = 0; search.found != NULL && i < PyList_GET_SIZE(search.found); i++) {
        if (instances_adopt(state, PyList_GET_ITEM(search.found, i)) == NULL) {
            Py_CLEAR(search.found);
        }
    }
    return search.found;
}

/* set_quiet(handle, cls, flag): need new instances of the very class `cls`, or of all for None, be told of? */
PyObject *
instances_set_quiet(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *handle, *type; /* Borrowed from args. */
    int is_quiet;
    if (!PyArg_ParseTuple(args, "OOp", &handle, &type, &is_quiet)) {
        return NULL;
    }
    const ClassScope *scope = instances_scope(state, handle);
    HookedClass *hooked;
    for (Py_ssize_t i = 0; (hooked = table_next(&state->classes, &i)) != NULL;) {
        for (Py_ssize_t j = 0; j < hooked->scope_count; j++) {
            if (hooked->scopes[j] == scope && (type == Py_None || type == (PyObject *)hooked->type)) {
                hooked->is_quiet[j] = (char)is_quiet;
            }
        }
    }
    Py_RETURN_NONE;
}

void
instances_clear(CoreState *state)
{
    while (state->scope_count > 0) {
        drop_scope(state, state->scope_count - 1);
    }
    assert(state->instances.count == 0 && state->classes.count == 0);
    PyMem_Free(state->scopes);
    state->scopes = NULL;
    table_free(&state->instances);
    table_free(&state->classes);
}

#endif
