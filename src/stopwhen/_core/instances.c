/* Instances of watched classes: which there are, and by whom what happens to each is told to Python.
 *
 * I1. `instances` has an entry for an object exactly while it lives, is of a hooked class and its attributes are
 *     watched. An entry owns nothing of the program's but what the checks of its parts own.
 * I2. An entry's dict is the object's, as long as that is alive and the object has no other (classes.c).
 * I3. An object whose last reference is gone is not spoken of any more, though its dict may still change.
 * I4. On 3.11 the collector, and with it finalisers of the user's, may run in any allocation: it is paused where lists of
 *     ours are walked or changed.
 */
#include "instances.h"

#include "layout.h"

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
#if HAS_DICT_WATCHERS
    if (state->detaches) {
        PyObject *done = dictwatch_detach(NULL, dict);
        if (done == NULL) {
            goto done;
        }
        Py_DECREF(done);
    }
#endif
    watched = dictwatch_find_or_add(state, dict);
    if (watched != NULL) {
        instance->watched = watched;
        instance->next_in_dict = watched->instances;
        watched->instances = instance;
        result = 0;
    }
#if HAS_DICT_WATCHERS
done:
#endif
    Py_DECREF(dict); /* The object has it (I2). */
    return result;
}

/* Let what is compared of the attributes of the instance be what the scopes ask for that it is under. Where that fails, it
 * counts as missed. May run code of the user's: to be done last. */
static void
follow_scopes(CoreState *state, Instance *instance)
{
#if HAS_DICT_WATCHERS
    (void)state, (void)instance;
#else
    int was_on = pause_collector(); /* I4 */
    Part *others = attributes_take(instance, 0);
    if (attributes_compare(state, instance) < 0) {
        PyErr_Clear();
        instances_miss(state);
    }
    resume_collector(was_on);
    parts_drop(state, others);
#endif
}

/* Return the entry of `object`, which is new; NULL with an exception set. */
static Instance *
take_on(CoreState *state, PyObject *object)
{
    const HookedClass *hooked = classes_find(state, Py_TYPE(object));
    if (hooked == NULL) {
        PyErr_SetString(PyExc_TypeError, "not an instance of a watched class");
        return NULL;
    }
    Instance *instance = PyMem_Calloc(1, sizeof(Instance));
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
#if !HAS_DICT_WATCHERS
    if (attributes_compare(state, instance) < 0) {
        instances_forget(state, object);
        return NULL;
    }
#endif
    return instance;
}

Instance *
instances_adopt(CoreState *state, PyObject *object)
{
    int was_on = pause_collector(); /* I4 */
    Instance *instance = find(state, object);
    if (instance == NULL) {
        instance = take_on(state, object);
    }
    resume_collector(was_on);
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
    Knowledge *knowledge = instance->knowledge;
#if HAS_DICT_WATCHERS
    leave_dict(state, instance);
    PyMem_Free(instance);
    parts_free(state, knowledge);
#else
    PyObject *dict = instance->watched == NULL ? NULL : Py_NewRef(instance->watched->dict);
    leave_dict(state, instance);
    Part *attributes = attributes_take(instance, 1);
    PyMem_Free(instance);
    parts_end(knowledge); /* Before any of them runs code of the user's. */
    parts_drop(state, attributes);
    parts_free(state, knowledge);
    Py_XDECREF(dict);
#endif
    put_back_pending_error(error);
}

#if HAS_DICT_WATCHERS
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
#else
void
instances_lose_dict(CoreState *state, WatchedDict *watched)
{
    PyObject *dict = Py_NewRef(watched->dict);
    while (watched != NULL) { /* It goes with the last of its instances. */
        instances_forget(state, watched->instances->object);
        watched = dictwatch_find(state, dict);
    }
    Py_DECREF(dict);
}
#endif

int
instances_traverse(CoreState *state, PyObject *dict, visitproc visit, void *arg)
{
    WatchedDict *watched = dictwatch_find(state, dict);
    const Instance *instance = watched == NULL ? NULL : watched->instances;
    int result = 0;
#if !HAS_DICT_WATCHERS
    if (watched != NULL) {
        Py_VISIT(watched->dict); /* I1 of attributes.c */
    }
#endif
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

void
instances_stop_after(CoreState *state, const Blame *blame)
{
    if (!events_is_draining()) {
#if HAS_MONITORING
        instrument_stop_after(state, blame);
#else
        (void)state;
        tracing_stop_after(blame);
#endif
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
    int was_on = pause_collector(); /* I4 */
    PyObject *now = layout_of(object); /* Owned. */
    PyObject *data = now == NULL ? NULL : PyTuple_Pack(2, before, now);
    Blame blame;
    blame_current(&blame);
#if !HAS_DICT_WATCHERS
    Part *attributes = attributes_take(instance, 1);
#endif
    leave_dict(state, instance); /* `before` holds it. */
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
#if !HAS_DICT_WATCHERS
    follow_scopes(state, instance);
    resume_collector(was_on);
    PyObject *kept = Py_NewRef(object);
    parts_drop(state, attributes);
    instance = find(state, kept);
    if (instance != NULL) {
        (void)parts_leave_others(state, instance);
    }
    Py_DECREF(kept);
#else
    resume_collector(was_on);
    (void)parts_leave_others(state, instance); /* May run code of the user's: last. */
#endif
}

void
instances_note_bases(CoreState *state, PyTypeObject *type)
{
    int was_on = pause_collector(); /* I4 */
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
    resume_collector(was_on);
}

int
instances_note_born(CoreState *state, HookedClass *hooked, PyObject *object, int is_new, PyTypeObject *known,
                    const Blame *blame)
{
    PendingError error = take_pending_error();
    int was_on = pause_collector(); /* I4 */
    if (known == NULL) {
        instances_forget(state, object); /* One that died without a word may have been at its address. */
    }
    if (instances_adopt(state, object) == NULL) {
        PyErr_Clear();
        instances_miss(state);
    }
    Blame current = {.thread = NULL};
    int is_noted = 0;
    for (Py_ssize_t i = 0; i < hooked->scope_count; i++) {
        if ((is_new && hooked->is_quiet[i]) || (known != NULL && PyType_IsSubtype(known, hooked->scopes[i]->root))) {
            continue;
        }
        if (blame == NULL) {
            blame_current(&current);
            blame = &current;
        }
        if (events_note(state, hooked->scopes[i]->token, DELTA_BORN, Py_NewRef(object), blame) < 0) {
            PyErr_Clear(); /* It counts as missed. */
        }
        is_noted = 1;
    }
    blame_release(&current);
    resume_collector(was_on);
    put_back_pending_error(error);
    return is_noted;
}

int
instances_born(CoreState *state, HookedClass *hooked, PyObject *object, int is_new, PyTypeObject *known)
{
    int is_noted = instances_note_born(state, hooked, object, is_new, known, NULL);
    return !is_noted || events_is_draining() ? 0 : events_drain(state, ANYWHERE);
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
#if !HAS_DICT_WATCHERS
    Instance *one;
    int was_on = pause_collector(); /* I4 */
    Part *others = NULL; /* What is compared for nobody any more. */
    for (Py_ssize_t i = 0; (one = table_next(&state->instances, &i)) != NULL;) {
        Part *taken = attributes_take(one, 0);
        while (taken != NULL) {
            Part *next = taken->next;
            taken->next = others;
            others = taken;
            taken = next;
        }
        if (Py_REFCNT(one->object) > 0 && attributes_compare(state, one) < 0) {
            PyErr_Clear();
            instances_miss(state);
        }
    }
    resume_collector(was_on);
    parts_drop(state, others);
#endif
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
    return hooked != NULL && classes_has_scope(hooked, scope);
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
    int was_on = pause_collector(); /* I4 */
    Instance **all = PyMem_Calloc((size_t)state->instances.count + 1, sizeof(Instance *));
    if (all == NULL) {
        resume_collector(was_on);
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
    resume_collector(was_on);
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
        compat_visit_objects(look_for_new, &search);
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
        compat_visit_objects(look_at_object, &search);
    }
    for (Py_ssize_t i = 0; search.found != NULL && i < PyList_GET_SIZE(search.found); i++) {
        Instance *instance = instances_adopt(state, PyList_GET_ITEM(search.found, i));
        if (instance == NULL) {
            Py_CLEAR(search.found);
            break;
        }
        follow_scopes(state, instance); /* It may have been another scope's alone. */
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
#if !HAS_DICT_WATCHERS
    attributes_clear(state);
#endif
}
