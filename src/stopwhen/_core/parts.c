/* Parts of instances: what lies beyond an instance's own attributes and yet has a say, such as the items of a list that an
 * attribute holds; and what Python remembers of each instance.
 *
 * I1. A part in a dict stands in that dict's list until the dict dies, or the part is dropped.
 * I2. A part to be compared owns its check, and the check what it compares, but for the instance itself. To the eyes of
 *     the collector the instance's dict owns the check (classes.c, I4), so a cycle through both is found.
 * I3. A memo holds nothing of the program's but objects that refer to no other.
 */
#include "content.h"
#include "instances.h"
#include "keys.h"

/* What one scope knows of one instance. */
struct Knowledge {
    const ClassScope *scope;
    PyObject *memo; /* Owned; holds nothing of the program's. */
    Part *parts;
    Knowledge *next;
};

#if HAS_DICT_WATCHERS
static void
take_from_dict(CoreState *state, Part *part)
{
    WatchedDict *watched = part->watched;
    part->watched = NULL;
    Part **link = &watched->parts;
    while (*link != part) {
        link = &(*link)->next_in_dict;
    }
    *link = part->next_in_dict;
    if (dictwatch_drop_if_unused(state, watched) < 0) {
        PyErr_Clear();
    }
}
#endif

/* Let none of a list of parts be compared any more: what is freed may run code of the user's, which is looked after. */
static void
end_parts(const Part *part)
{
    for (; part != NULL; part = part->next) {
        if (part->check != NULL) {
            check_end(part->check);
        }
    }
}

void
parts_drop(CoreState *state, Part *part)
{
    end_parts(part);
    for (Part *next; part != NULL; part = next) {
        next = part->next;
#if HAS_DICT_WATCHERS
        if (part->watched != NULL) {
            take_from_dict(state, part);
        }
#else
        (void)state;
#endif
        Py_XDECREF(part->check);
        Py_XDECREF(part->key);
        Py_DECREF(part->known_by);
        PyMem_Free(part);
    }
}

void
parts_end(const Knowledge *knowledge)
{
    for (; knowledge != NULL; knowledge = knowledge->next) {
        end_parts(knowledge->parts);
    }
}

void
parts_free(CoreState *state, Knowledge *knowledge)
{
    parts_end(knowledge);
    for (Knowledge *next; knowledge != NULL; knowledge = next) {
        next = knowledge->next;
        parts_drop(state, knowledge->parts);
        Py_XDECREF(knowledge->memo);
        PyMem_Free(knowledge);
    }
}

static Knowledge *
knowledge_of(const Instance *instance, const ClassScope *scope)
{
    Knowledge *one = instance->knowledge;
    while (one != NULL && one->scope != scope) {
        one = one->next;
    }
    return one;
}

int
parts_leave_others(CoreState *state, Instance *instance)
{
    Knowledge *others = NULL;
    for (Knowledge **link = &instance->knowledge; *link != NULL;) {
        Knowledge *one = *link;
        if (classes_has_scope(instance->hooked, one->scope)) {
            link = &one->next;
        }
        else {
            *link = one->next;
            one->next = others;
            others = one;
        }
    }
    parts_free(state, others); /* That may run code of the user's: `instance` may be gone. */
    return others != NULL;
}

#if HAS_DICT_WATCHERS
void
parts_lose_dict(WatchedDict *watched)
{
    for (Part *part = watched->parts; part != NULL; part = part->next_in_dict) {
        part->watched = NULL; /* I1 */
    }
    watched->parts = NULL;
}
#endif

int
parts_traverse(const Instance *instance, visitproc visit, void *arg)
{
#if !HAS_DICT_WATCHERS
    for (const Part *part = instance->attributes; part != NULL; part = part->next) {
        Py_VISIT(part->check); /* I2 */
    }
#endif
    for (const Knowledge *one = instance->knowledge; one != NULL; one = one->next) {
        for (const Part *part = one->parts; part != NULL; part = part->next) {
            Py_VISIT(part->check); /* I2 */
        }
    }
    return 0;
}

/* ---- noting ---- */

int
parts_note(CoreState *state, const Part *part, PyObject *known_by, PyObject *owner, DeltaKind kind, PyObject *data,
           const Blame *blame)
{
    return instances_note_one(state, part->scope, part->instance, known_by, owner, kind, data, blame);
}

#if HAS_DICT_WATCHERS
static int
is_key_of(const Part *part, PyObject *key)
{
    return part->key == key || (keys_is_plain(key) && PyObject_RichCompareBool(part->key, key, Py_EQ) == 1);
}

void
parts_note_event(CoreState *state, WatchedDict *watched, PyDict_WatchEvent event, PyObject *key, PyObject *new_value,
                 const Blame *blame)
{
    for (const Part *part = watched->parts; part != NULL; part = part->next_in_dict) {
        if (part->key == NULL) {
            attributes_note_content(state, part->scope, part->instance, part->known_by, watched, event, key, new_value,
                                    blame);
        }
        else if (is_wholesale(event)) {
            PyObject *value = event == PyDict_EVENT_CLONED ? PyDict_GetItemWithError(key, part->key) : NULL;
            attributes_note_item(state, part->scope, part->instance, part->known_by, watched, part->key, value, blame);
        }
        else if (is_key_of(part, key)) {
            attributes_note_item(state, part->scope, part->instance, part->known_by, watched, part->key, new_value,
                                 blame);
        }
    }
}
#endif

/* ---- for Python ---- */

/* memo(handle, object): what set_parts() was given last; None for nothing. */
PyObject *
instances_memo(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *handle, *object; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "OO", &handle, &object)) {
        return NULL;
    }
    Instance *instance = table_find(&state->instances, object);
    Knowledge *one = instance == NULL ? NULL : knowledge_of(instance, instances_scope(state, handle));
    return Py_NewRef(one == NULL || one->memo == NULL ? Py_None : one->memo);
}

/* True when `part` is what `item`, a tuple for set_parts(), asks for. */
static int
is_same(const Part *part, PyObject *owner, PyObject *key, PyObject *check)
{
    if (check != Py_None) {
        return part->check != NULL && check_is_like(part->check, check);
    }
#if HAS_DICT_WATCHERS
    return part->watched != NULL && part->watched->dict == owner &&
           (part->key == NULL ? key == Py_None
                              : key != Py_None && PyObject_RichCompareBool(part->key, key, Py_EQ) == 1);
#else
    (void)owner, (void)key;
    return 0;
#endif
}

static Part *
new_part(Instance *instance, const ClassScope *scope, PyObject *known_by)
{
    Part *part = PyMem_Calloc(1, sizeof(Part));
    if (part == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    part->instance = instance;
    part->scope = scope;
    part->known_by = Py_NewRef(known_by);
    return part;
}

Part *
parts_make(CoreState *state, Instance *instance, const ClassScope *scope, PyObject *known_by, PyObject *check)
{
    Part *part = new_part(instance, scope, known_by);
    if (part == NULL) {
        return NULL;
    }
    part->check = Py_NewRef(check);
    check_belong(check, part, instance->object);
    if (check_begin(check) < 0) {
        parts_drop(state, part);
        return NULL;
    }
    return part;
}

/* Return a part that is the item `key` of a dict, or its content for None; NULL with an exception. */
static Part *
make_part_in_dict(CoreState *state, Instance *instance, const ClassScope *scope, PyObject *known_by, PyObject *owner,
                  PyObject *key)
{
#if HAS_DICT_WATCHERS
    Part *part = new_part(instance, scope, known_by);
    if (part == NULL) {
        return NULL;
    }
    part->key = key == Py_None ? NULL : Py_NewRef(key);
    WatchedDict *watched = dictwatch_find_or_add(state, owner);
    if (watched == NULL) {
        parts_drop(state, part);
        return NULL;
    }
    part->watched = watched;
    part->next_in_dict = watched->parts;
    watched->parts = part;
    return part;
#else
    (void)state, (void)instance, (void)scope, (void)known_by, (void)owner, (void)key;
    PyErr_SetString(PyExc_TypeError, "a part needs a check");
    return NULL;
#endif
}

/* Take the part that `owner`, `key`, `check` ask for out of the list; NULL when it is not there. */
static Part *
take_same(Part **list, PyObject *owner, PyObject *key, PyObject *check)
{
    while (*list != NULL && !is_same(*list, owner, key, check)) {
        list = &(*list)->next;
    }
    Part *part = *list;
    if (part != NULL) {
        *list = part->next;
        part->next = NULL;
    }
    return part;
}

/* set_parts(handle, object, [(known by, dict, key, None), (known by, None, None, check), ...], memo): watch these and no
 * other parts of the object for the scope. Those that are there already stay as they are. */
PyObject *
instances_set_parts(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *handle, *object, *items, *memo; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "OOO!O", &handle, &object, &PyList_Type, &items, &memo)) {
        return NULL;
    }
    const ClassScope *scope = instances_scope(state, handle);
    int was_on = pause_collector(); /* I4 of instances.c */
    Instance *instance = scope == NULL ? NULL : instances_adopt(state, object);
    if (instance == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear(); /* It has been given another class since. */
    }
    if (instance == NULL) {
        resume_collector(was_on);
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    }
    Knowledge *one = knowledge_of(instance, scope);
    if (one == NULL) {
        if (PyList_GET_SIZE(items) == 0 && memo == Py_None) {
            resume_collector(was_on);
            Py_RETURN_NONE;
        }
        one = PyMem_Calloc(1, sizeof(Knowledge));
        if (one == NULL) {
            resume_collector(was_on);
            return PyErr_NoMemory();
        }
        one->scope = scope;
        one->next = instance->knowledge;
        instance->knowledge = one;
    }
    Part *parts = NULL;
    int failed = 0;
    for (Py_ssize_t i = PyList_GET_SIZE(items); i-- > 0 && !failed;) {
        PyObject *known_by, *owner, *key, *check; /* Borrowed from items. */
        if (!PyArg_ParseTuple(PyList_GET_ITEM(items, i), "OOOO", &known_by, &owner, &key, &check)) {
            failed = 1;
            break;
        }
        Part *part = take_same(&one->parts, owner, key, check);
        if (part == NULL) {
            part = check != Py_None ? parts_make(state, instance, scope, known_by, check)
                                    : make_part_in_dict(state, instance, scope, known_by, owner, key);
        }
        failed = part == NULL;
        if (part != NULL) {
            part->next = parts;
            parts = part;
        }
    }
    Part *dropped = one->parts;
    one->parts = parts;
    PyObject *forgotten = one->memo; /* Owned. */
    one->memo = Py_NewRef(memo);
    PendingError error = take_pending_error();
    resume_collector(was_on);
    parts_drop(state, dropped);
    Py_XDECREF(forgotten);
    put_back_pending_error(error);
    return failed ? NULL : Py_NewRef(Py_None);
}
