/* Layouts: which class, which bases of it and which attribute dict an object has. Few programs ever change one, so that
 * must be learnt of without a look: whoever stores to `__class__`, `__bases__` or `__dict__`, by whatever way, does it
 * through a descriptor in C. While layouts are watched, such a descriptor calls us, and then what it called before.
 *
 * I1. `relays` has an entry for a descriptor exactly while its `d_getset` is that entry's `getset`.
 * I2. A relay's functions do what the original ones do, with the same result and exception. What is noted comes after.
 * I3. `layouts` maps the address of an owner to [token, layout as last seen, setters]. The token holds the owner.
 * I4. A relay has one use for each time that its descriptor stands in the setters of an entry of `layouts`.
 *
 * A subinterpreter has descriptors of its own for builtin types. Should it share another with us, it is passed on.
 */
#include "layout.h"

/* Return the dict in which an object keeps its attributes, None for none; NULL with an exception set. A new reference. */
static PyObject *
attribute_dict(PyObject *object)
{
    if (PyType_Check(object) || Py_TYPE(object)->tp_dictoffset == 0) {
        return Py_NewRef(Py_None);
    }
    PyObject *dict = PyObject_GenericGetDict(object, NULL);
    if (dict == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        return Py_NewRef(Py_None);
    }
    return dict;
}

/* Borrowed. A class has no method resolution order before it is ready. */
static PyObject *
bases_of(PyObject *class)
{
    PyObject *bases = PyType_Check(class) ? ((PyTypeObject *)class)->tp_mro : NULL;
    return bases == NULL ? Py_None : bases;
}

PyObject *
layout_of(PyObject *object)
{
    PyObject *dict = attribute_dict(object);
    PyObject *type = (PyObject *)Py_TYPE(object);
    PyObject *layout = dict == NULL ? NULL : PyTuple_Pack(4, type, bases_of(type), dict, bases_of(object));
    Py_XDECREF(dict);
    return layout;
}

int
layout_differs(PyObject *object, PyObject *seen)
{
    PyObject *type = (PyObject *)Py_TYPE(object);
    if (type != PyTuple_GET_ITEM(seen, 0) || bases_of(type) != PyTuple_GET_ITEM(seen, 1) ||
        bases_of(object) != PyTuple_GET_ITEM(seen, 3)) {
        return 1;
    }
    PyObject *dict = attribute_dict(object);
    if (dict == NULL) {
        PyErr_Clear(); /* No memory to make one: then there is none that another could have taken the place of. */
        return 0;
    }
    int differs = dict != PyTuple_GET_ITEM(seen, 2);
    Py_DECREF(dict);
    return differs;
}

#if HAS_MONITORING

struct Relay {
    PyGetSetDescrObject *descriptor; /* Owned. */
    PyGetSetDef *original; /* Borrowed: as static as the class in C that defines it, or held by the descriptor. */
    PyGetSetDef getset; /* Ours; its closure is this relay. */
    Py_ssize_t uses;
    Relay *next;
};

static PyObject *relay_get(PyObject *object, void *closure);
static int relay_set(PyObject *object, PyObject *value, void *closure);

static Relay **
find_relay(CoreState *state, PyObject *descriptor)
{
    Relay **link = &state->relays;
    while (*link != NULL && (PyObject *)(*link)->descriptor != descriptor) {
        link = &(*link)->next;
    }
    return link;
}

PyGetSetDef *
layout_own_getset(CoreState *state, PyObject *descriptor)
{
    const Relay *relay = *find_relay(state, descriptor);
    return relay == NULL ? ((PyGetSetDescrObject *)descriptor)->d_getset : relay->original;
}

static int
use_relay(CoreState *state, PyObject *descriptor)
{
    Relay *relay = *find_relay(state, descriptor);
    if (relay == NULL) {
        PyGetSetDescrObject *getset = (PyGetSetDescrObject *)descriptor;
        relay = PyMem_Calloc(1, sizeof(Relay));
        if (relay == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        relay->descriptor = (PyGetSetDescrObject *)Py_NewRef(descriptor);
        relay->original = getset->d_getset;
        relay->getset = *relay->original;
        relay->getset.get = relay->original->get == NULL ? NULL : relay_get;
        relay->getset.set = relay_set;
        relay->getset.closure = relay;
        relay->next = state->relays;
        state->relays = relay;
        getset->d_getset = &relay->getset; /* I1 */
    }
    relay->uses++;
    return 0;
}

static void
end_relay(Relay **link)
{
    Relay *relay = *link;
    assert(relay->descriptor->d_getset == &relay->getset); /* I1 */
    relay->descriptor->d_getset = relay->original;
    *link = relay->next;
    Py_DECREF(relay->descriptor);
    PyMem_Free(relay);
}

/* Give back one use of the relay of each of the first `count` descriptors. */
static void
drop_relays(CoreState *state, PyObject *setters, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        Relay **link = find_relay(state, PyTuple_GET_ITEM(setters, i));
        if (*link != NULL && --(*link)->uses == 0) { /* There is none once all were ended at once. */
            end_relay(link);
        }
    }
}

static int
use_relays(CoreState *state, PyObject *setters)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(setters); i++) {
        if (use_relay(state, PyTuple_GET_ITEM(setters, i)) < 0) {
            drop_relays(state, setters, i);
            return -1;
        }
    }
    return 0;
}

/* Append the descriptor that `type` itself has under `name`, if it is one in C that can be stored to. */
static int
append_setter(PyObject *setters, PyTypeObject *type, const char *name)
{
    int result = -1;
    PyObject *dict = PyType_GetDict(type);
    PyObject *key = dict == NULL ? NULL : PyUnicode_InternFromString(name);
    if (key == NULL) {
        goto done;
    }
    PyObject *candidate, *found; /* Borrowed. */
    Py_ssize_t position = 0;
    result = 0;
    /* Looked for by identity: whatever other key is there could run code of the user's when it is compared. */
    while (result == 0 && PyDict_Next(dict, &position, &candidate, &found)) {
        if (candidate == key && Py_IS_TYPE(found, &PyGetSetDescr_Type) &&
            ((PyGetSetDescrObject *)found)->d_getset->set != NULL) {
            result = PyList_Append(setters, found);
        }
    }
done:
    Py_XDECREF(key);
    Py_XDECREF(dict);
    return result;
}

/* Return the descriptors by which the layout of `owner`, as it is now, can change, as a new tuple. */
static PyObject *
setters_of(PyObject *owner)
{
    PyObject *result = NULL;
    PyObject *setters = PyList_New(0);
    PyObject *bases = Py_NewRef(bases_of((PyObject *)Py_TYPE(owner)));
    if (setters == NULL || append_setter(setters, &PyBaseObject_Type, "__class__") < 0 ||
        append_setter(setters, &PyType_Type, "__bases__") < 0) {
        goto done;
    }
    for (Py_ssize_t i = 0; bases != Py_None && i < PyTuple_GET_SIZE(bases); i++) {
        if (append_setter(setters, (PyTypeObject *)PyTuple_GET_ITEM(bases, i), "__dict__") < 0) {
            goto done;
        }
    }
    result = PyList_AsTuple(setters);
done:
    Py_DECREF(bases);
    Py_XDECREF(setters);
    return result;
}

/* Keep in `entry` how `owner` is laid out now, and by what that can change. -1 with an exception set: all is as before. */
static int
renew_entry(CoreState *state, PyObject *owner, PyObject *entry)
{
    PyObject *now = layout_of(owner);
    PyObject *setters = now == NULL ? NULL : setters_of(owner);
    if (setters == NULL || use_relays(state, setters) < 0) {
        Py_XDECREF(now);
        Py_XDECREF(setters);
        return -1;
    }
    PyObject *seen = PyList_GET_ITEM(entry, 1);
    PyObject *before = PyList_GET_ITEM(entry, 2);
    PyList_SET_ITEM(entry, 1, now); /* Steals it; `seen` and `before` are ours now. */
    PyList_SET_ITEM(entry, 2, setters);
    if (before != Py_None) {
        drop_relays(state, before, PyTuple_GET_SIZE(before));
    }
    Py_DECREF(before);
    Py_DECREF(seen); /* May run finalisers: last. */
    return 0;
}

/* Note how the owner whose address is `key` is laid out now, if `entry` is still the one for it and tells otherwise. */
static void
note_layout(CoreState *state, PyObject *key, PyObject *entry)
{
    PyObject *owner = PyLong_AsVoidPtr(key);
    if (state->layouts == NULL || PyDict_GetItemWithError(state->layouts, key) != entry ||
        !layout_differs(owner, PyList_GET_ITEM(entry, 1))) {
        return;
    }
    Py_INCREF(entry); /* Keeps the owner too, by I3. */
    PyObject *seen = Py_NewRef(PyList_GET_ITEM(entry, 1)); /* Let go last: that may run finalisers. */
    PyObject *data = NULL;
    if (renew_entry(state, owner, entry) == 0) {
        data = PyTuple_Pack(2, seen, PyList_GET_ITEM(entry, 1));
    }
    Blame blame;
    blame_current(&blame);
    Py_ssize_t queued = state->queued;
    int missed = state->missed_count;
    if (events_note(state, PyList_GET_ITEM(entry, 0), DELTA_REBOUND, data, &blame) < 0) {
        PyErr_Clear(); /* It counts as missed. */
    }
    if ((state->queued > queued || state->missed_count > missed) && !events_is_draining()) {
        instrument_stop_after(state, &blame);
    }
    blame_release(&blame);
    Py_DECREF(seen);
    Py_DECREF(entry);
}

/* There is no memory to look for what has changed. */
static void
miss_any(CoreState *state)
{
    Blame blame;
    blame_current(&blame);
    PyErr_Clear();
    state->missed_more = 1;
    state->due = state->due == 0 ? 1 : state->due;
    if (!events_is_draining()) {
        instrument_stop_after(state, &blame);
    }
    blame_release(&blame);
}

/* Note what a store to one of the descriptors has done: to `object`, or to all whose class is `object` or derived. */
static void
note_store(PyObject *object)
{
    CoreState *state = state_for_callback();
    if (!is_in_main_interpreter() || state == NULL || state->layouts == NULL) {
        return;
    }
    PendingError error = take_pending_error();
    if (PyType_Check(object)) {
        PyObject *entries = PyDict_Items(state->layouts); /* A copy, which holds them: noting may run finalisers. */
        for (Py_ssize_t i = 0; entries != NULL && i < PyList_GET_SIZE(entries); i++) {
            PyObject *item = PyList_GET_ITEM(entries, i);
            note_layout(state, PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1));
        }
        if (entries == NULL) {
            miss_any(state);
        }
        Py_XDECREF(entries);
    }
    else {
        PyObject *key = PyLong_FromVoidPtr(object);
        PyObject *entry = key == NULL ? NULL : PyDict_GetItemWithError(state->layouts, key);
        if (entry != NULL) {
            note_layout(state, key, entry);
        }
        else if (key == NULL) {
            miss_any(state);
        }
        Py_XDECREF(key);
    }
    PyErr_Clear();
    put_back_pending_error(error);
}

static PyObject *
relay_get(PyObject *object, void *closure)
{
    const PyGetSetDef *original = ((Relay *)closure)->original;
    return original->get(object, original->closure); /* I2 */
}

static int
relay_set(PyObject *object, PyObject *value, void *closure)
{
    const PyGetSetDef *original = ((Relay *)closure)->original;
    int result = original->set(object, value, original->closure); /* I2. The relay may be gone after this. */
    note_store(object); /* Also after a failure, before which something may have been stored. */
    return result;
}

/* arm_layout(owner, token): note when the layout of `owner` changes by a store to one of its setters. */
PyObject *
layout_arm(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *owner, *token; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "OO", &owner, &token)) {
        return NULL;
    }
    if (state->layouts == NULL && (state->layouts = PyDict_New()) == NULL) {
        return NULL;
    }
    PyObject *key = PyLong_FromVoidPtr(owner);
    PyObject *entry = key == NULL ? NULL : Py_BuildValue("[OOO]", token, Py_None, Py_None);
    int failed = entry == NULL || renew_entry(state, owner, entry) < 0;
    if (!failed) {
        assert(PyDict_GetItemWithError(state->layouts, key) == NULL);
        failed = PyDict_SetItem(state->layouts, key, entry) < 0; /* I3 */
        if (failed) {
            PyObject *setters = PyList_GET_ITEM(entry, 2);
            drop_relays(state, setters, PyTuple_GET_SIZE(setters));
        }
    }
    Py_XDECREF(key);
    Py_XDECREF(entry);
    return failed ? NULL : Py_NewRef(Py_None);
}

/* disarm_layout(owner); nothing when it is not armed. */
PyObject *
layout_disarm(PyObject *module, PyObject *owner)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *key = state->layouts == NULL ? NULL : PyLong_FromVoidPtr(owner);
    PyObject *entry = key == NULL ? NULL : Py_XNewRef(PyDict_GetItemWithError(state->layouts, key));
    if (entry != NULL && PyDict_DelItem(state->layouts, key) == 0) {
        PyObject *setters = PyList_GET_ITEM(entry, 2);
        drop_relays(state, setters, PyTuple_GET_SIZE(setters));
    }
    Py_XDECREF(key);
    Py_XDECREF(entry);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

Py_ssize_t
layout_armed(const CoreState *state)
{
    return state->layouts == NULL ? 0 : PyDict_GET_SIZE(state->layouts);
}

int
layout_traverse(CoreState *state, visitproc visit, void *arg)
{
    Py_VISIT(state->layouts);
    for (Relay *relay = state->relays; relay != NULL; relay = relay->next) {
        Py_VISIT(relay->descriptor);
    }
    return 0;
}

void
layout_clear(CoreState *state)
{
    while (state->relays != NULL) {
        end_relay(&state->relays);
    }
    Py_CLEAR(state->layouts);
}

#endif
