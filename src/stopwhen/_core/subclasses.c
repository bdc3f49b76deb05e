/* Subclasses of watched classes: learns of new ones before they have instances, and of the end of each. From 3.12 on the
 * dict in which a class keeps its subclasses is watched. On 3.11 `type.__new__` calls us once it has made a class. What it
 * runs of the user's before, such as `__init_subclass__`, has events, at which the dicts are looked through.
 *
 * I1. On 3.11, while there are hooked classes, `type` and each class of classes that would share its tp_new and tp_dealloc
 *     has ours. `type.__new__` compares both types' tp_new, and refuses where they differ.
 * I2. On 3.11 `has_new_class` counts the calls of tp_new that run.
 * I3. A type made by C code inherits slots, ours among them, and is known from its first instance on, or when the next
 *     look through the dicts comes: before its base is hooked no more at the latest.
 */
#include "instances.h"

#if HAS_DICT_WATCHERS

void
subclasses_begin(CoreState *Py_UNUSED(state))
{
}

void
subclasses_end(CoreState *Py_UNUSED(state))
{
}

void
subclasses_find(CoreState *Py_UNUSED(state))
{
}

/* Watch the dict in which the class keeps its subclasses; it gets one if it has none. */
int
subclasses_watch(CoreState *state, HookedClass *hooked)
{
    PyTypeObject *type = hooked->type;
    if (hooked->subclasses != NULL) {
        return 0;
    }
    if (type->tp_subclasses == NULL) {
        type->tp_subclasses = PyDict_New();
        if (type->tp_subclasses == NULL) {
            return -1;
        }
    }
    WatchedDict *watched = dictwatch_find_or_add(state, (PyObject *)type->tp_subclasses);
    if (watched == NULL) {
        return -1;
    }
    watched->subclasses_of = hooked;
    hooked->subclasses = watched->dict;
    return 0;
}

void
subclasses_watch_no_more(CoreState *state, const HookedClass *hooked)
{
    WatchedDict *watched = hooked->subclasses == NULL ? NULL : dictwatch_find(state, hooked->subclasses);
    if (watched != NULL) {
        watched->subclasses_of = NULL;
        if (dictwatch_drop_if_unused(state, watched) < 0) {
            PyErr_Clear();
        }
    }
}

static void
on_new_subclass(CoreState *state, HookedClass *hooked, PyObject *reference)
{
    PyObject *subclass = compat_referent(reference);
    if (subclass != NULL) {
        for (Py_ssize_t i = 0; i < hooked->scope_count; i++) {
            if (classes_hook_all(state, (PyTypeObject *)subclass, hooked->scopes[i]) < 0) {
                PyErr_Clear();
                instances_miss(state);
            }
        }
        /* Its own tp_init it gets only after this (I6 of classes.c). */
        Blame blame;
        blame_current(&blame);
        state->has_new_class = 1;
        instrument_stop_after(state, &blame);
        blame_release(&blame);
    }
    Py_XDECREF(subclass);
}

static void
on_lost_subclass(CoreState *state, PyTypeObject *type)
{
    HookedClass *hooked = classes_find(state, type);
    if (hooked != NULL && Py_REFCNT(type) == 0) { /* Else it has been given other bases: on_set_bases() sees to that. */
        classes_unhook_one(state, hooked, 0);
    }
}

void
subclasses_on_event(CoreState *state, HookedClass *hooked, PyDict_WatchEvent event, PyObject *key, PyObject *value)
{
    if (event == PyDict_EVENT_ADDED || event == PyDict_EVENT_MODIFIED) {
        on_new_subclass(state, hooked, value);
    }
    else if (event == PyDict_EVENT_DELETED) {
        on_lost_subclass(state, PyLong_AsVoidPtr(key));
    }
    PyErr_Clear();
}

/* The interpreter throws an empty dict of subclasses away: put another one in its place. */
void
subclasses_lose_dict(CoreState *state, WatchedDict *watched)
{
    HookedClass *hooked = watched->subclasses_of;
    if (hooked == NULL) {
        return;
    }
    hooked->subclasses = NULL;
    if (hooked->type->tp_subclasses == NULL && Py_REFCNT(hooked->type) > 0 && subclasses_watch(state, hooked) < 0) {
        PyErr_Clear();
        instances_miss(state);
    }
}

#else

static PyObject *
on_type_new(PyTypeObject *metatype, PyObject *args, PyObject *keywords)
{
    CoreState *state = state_for_callback();
    if (!is_in_main_interpreter()) {
        return state->type_new(metatype, args, keywords);
    }
    state->has_new_class++; /* I2 */
    PyObject *type = state->type_new(metatype, args, keywords);
    state->has_new_class--;
    if (type != NULL && state->classes.count > 0) {
        subclasses_find(state);
    }
    return type;
}

static void
on_type_dealloc(PyObject *type)
{
    CoreState *state = state_for_callback();
    destructor own = state->type_dealloc;
    HookedClass *hooked = is_in_main_interpreter() ? classes_find(state, (PyTypeObject *)type) : NULL;
    if (hooked != NULL) {
        classes_unhook_one(state, hooked, 0);
    }
    own(type);
}

/* Let `metatype`, and all under it, have one function in the place of another. */
static void
replace(PyTypeObject *metatype, newfunc old_new, newfunc new_new, destructor old_dealloc, destructor new_dealloc)
{
    if (metatype->tp_new == old_new) {
        metatype->tp_new = new_new;
    }
    if (metatype->tp_dealloc == old_dealloc) {
        metatype->tp_dealloc = new_dealloc;
    }
    PyObject *key, *reference; /* Borrowed. */
    Py_ssize_t position = 0;
    while (metatype->tp_subclasses != NULL && PyDict_Next(metatype->tp_subclasses, &position, &key, &reference)) {
        PyObject *under = PyWeakref_GET_OBJECT(reference); /* Borrowed; nothing runs that could end it. */
        if (under != Py_None) {
            replace((PyTypeObject *)under, old_new, new_new, old_dealloc, new_dealloc);
        }
    }
}

void
subclasses_begin(CoreState *state)
{
    state->type_new = PyType_Type.tp_new;
    state->type_dealloc = PyType_Type.tp_dealloc;
    replace(&PyType_Type, state->type_new, on_type_new, state->type_dealloc, on_type_dealloc); /* I1 */
}

/* `type_new` and `type_dealloc` stay, for functions of ours that run just now. */
void
subclasses_end(CoreState *state)
{
    replace(&PyType_Type, on_type_new, state->type_new, on_type_dealloc, state->type_dealloc);
}

int
subclasses_watch(CoreState *Py_UNUSED(state), HookedClass *Py_UNUSED(hooked))
{
    return 0;
}

void
subclasses_watch_no_more(CoreState *Py_UNUSED(state), const HookedClass *Py_UNUSED(hooked))
{
}

/* Hook the first class under `hooked` that is not under each of its scopes; return whether there was one. */
static int
hook_one(CoreState *state, const HookedClass *hooked)
{
    PyObject *key, *reference; /* Borrowed. */
    Py_ssize_t position = 0;
    while (hooked->type->tp_subclasses != NULL &&
           PyDict_Next(hooked->type->tp_subclasses, &position, &key, &reference)) {
        PyObject *type = compat_referent(reference);
        const HookedClass *known = type == NULL ? NULL : classes_find(state, (PyTypeObject *)type);
        int found = 0;
        for (Py_ssize_t i = 0; type != NULL && !found && i < hooked->scope_count; i++) {
            if (known == NULL || !classes_has_scope(known, hooked->scopes[i])) {
                found = classes_hook_all(state, (PyTypeObject *)type, hooked->scopes[i]) == 0;
                if (!found) {
                    PyErr_Clear();
                    instances_miss(state);
                }
            }
        }
        Py_XDECREF(type); /* Not the last reference: nothing has run since. */
        if (found) {
            return 1;
        }
    }
    return 0;
}

void
subclasses_find(CoreState *state)
{
    HookedClass *hooked;
    for (Py_ssize_t i = 0; (hooked = table_next(&state->classes, &i)) != NULL;) {
        PyDictObject *subclasses = (PyDictObject *)hooked->type->tp_subclasses; /* Borrowed; NULL for none. */
        uint64_t version = subclasses == NULL ? 0 : subclasses->ma_version_tag;
        if (hooked->subclasses_version == version) {
            continue;
        }
        if (hook_one(state, hooked)) {
            i = 0; /* The table may have moved what stood behind it. */
        }
        else {
            hooked->subclasses_version = version;
        }
    }
}

#endif
