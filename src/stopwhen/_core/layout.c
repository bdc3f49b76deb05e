/* Layouts: which class, which bases of it and which attribute dict an object has. Few programs ever change one, so that
 * must be learnt of without a look: whoever stores to `__class__`, `__bases__` or `__dict__`, by whatever way, does it
 * through a descriptor in C. While layouts are watched, such a descriptor calls us, and then what it called before.
 *
 * I1. `relays` has an entry for a descriptor exactly while its `d_getset` is that entry's `getset`.
 * I2. A relay's functions do what the original ones do, with the same result. What is noted comes after that.
 * I3. `layouts` maps the address of an owner to [token, layout as last seen]. The token holds the owner.
 */
#include "layout.h"

/* Return the dict in which an object keeps its attributes as a new reference; NULL without an exception for none. */
static PyObject *
attribute_dict(PyObject *object)
{
    if (PyType_Check(object)) {
        return NULL;
    }
    PyObject *dict = PyObject_GenericGetDict(object, NULL);
    PyErr_Clear();
    return dict;
}

static PyObject *
or_none(PyObject *object)
{
    return object == NULL ? Py_None : object;
}

PyObject *
layout_of(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject *dict = attribute_dict(object);
    PyObject *own = PyType_Check(object) ? ((PyTypeObject *)object)->tp_mro : NULL;
    PyObject *layout = PyTuple_Pack(4, type, or_none(type->tp_mro), or_none(dict), or_none(own));
    Py_XDECREF(dict);
    return layout;
}

int
layout_differs(PyObject *object, PyObject *seen)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject *own = PyType_Check(object) ? ((PyTypeObject *)object)->tp_mro : NULL;
    if ((PyObject *)type != PyTuple_GET_ITEM(seen, 0) || or_none(type->tp_mro) != PyTuple_GET_ITEM(seen, 1) ||
        or_none(own) != PyTuple_GET_ITEM(seen, 3)) {
        return 1;
    }
    PyObject *dict = attribute_dict(object);
    int differs = or_none(dict) != PyTuple_GET_ITEM(seen, 2);
    Py_XDECREF(dict);
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

static void
note_layout(CoreState *state, PyObject *owner, PyObject *entry)
{
    PyObject *seen = PyList_GET_ITEM(entry, 1);
    if (!layout_differs(owner, seen)) {
        return;
    }
    PyObject *now = layout_of(owner);
    PyObject *data = now == NULL ? NULL : PyTuple_Pack(2, seen, now);
    Blame blame;
    blame_current(&blame);
    Py_ssize_t queued = state->queued;
    if (events_note(state, PyList_GET_ITEM(entry, 0), DELTA_REBOUND, data, &blame) < 0) {
        PyErr_Clear(); /* Counted in state->lost; the session reports it. */
    }
    if (now != NULL) {
        PyList_SetItem(entry, 1, now); /* Steals it. */
    }
    if (state->queued > queued && !events_is_draining() && instrument_stop_after(state, &blame) < 0) {
        PyErr_Clear(); /* The next event of any kind takes the record, with its place as noted here. */
    }
    blame_release(&blame);
}

/* Note what a store to one of the descriptors has done: to `object`, or to all whose class is `object` or derived. */
static void
note_store(PyObject *object)
{
    CoreState *state = state_for_callback();
    if (state == NULL || state->layouts == NULL || PyInterpreterState_Get() != PyInterpreterState_Main()) {
        return;
    }
    PendingError error = take_pending_error();
    if (PyType_Check(object)) {
        PyObject *entries = PyDict_Items(state->layouts); /* A copy, which holds them: noting may run finalisers. */
        for (Py_ssize_t i = 0; entries != NULL && i < PyList_GET_SIZE(entries); i++) {
            PyObject *item = PyList_GET_ITEM(entries, i);
            note_layout(state, PyLong_AsVoidPtr(PyTuple_GET_ITEM(item, 0)), PyTuple_GET_ITEM(item, 1));
        }
        Py_XDECREF(entries);
    }
    else {
        PyObject *key = PyLong_FromVoidPtr(object);
        PyObject *entry = key == NULL ? NULL : Py_XNewRef(PyDict_GetItemWithError(state->layouts, key));
        Py_XDECREF(key);
        if (entry != NULL) {
            note_layout(state, object, entry);
            Py_DECREF(entry);
        }
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
    if (result == 0) {
        note_store(object);
    }
    return result;
}

static Relay **
find_relay(CoreState *state, PyObject *descriptor)
{
    Relay **link = &state->relays;
    while (*link != NULL && (PyObject *)(*link)->descriptor != descriptor) {
        link = &(*link)->next;
    }
    return link;
}

static int
use_relay(CoreState *state, PyObject *descriptor)
{
    Relay *relay = *find_relay(state, descriptor);
    PyGetSetDescrObject *getset = (PyGetSetDescrObject *)descriptor;
    if (relay == NULL && getset->d_getset->set == NULL) {
        return 0; /* Nobody can store to it. */
    }
    if (relay == NULL) {
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
drop_relay(CoreState *state, PyObject *descriptor, int whole)
{
    Relay **link = find_relay(state, descriptor);
    Relay *relay = *link;
    if (relay == NULL || (--relay->uses > 0 && !whole)) {
        return;
    }
    *link = relay->next;
    relay->descriptor->d_getset = relay->original; /* I1 */
    Py_DECREF(relay->descriptor);
    PyMem_Free(relay);
}

/* arm_layout(owner, descriptors, token): note when the layout of `owner` changes by a store to one of `descriptors`. */
PyObject *
layout_arm(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *owner, *descriptors, *token; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "OO!O", &owner, &PyTuple_Type, &descriptors, &token)) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(descriptors); i++) {
        PyObject *descriptor = PyTuple_GET_ITEM(descriptors, i);
        if (!Py_IS_TYPE(descriptor, &PyGetSetDescr_Type)) {
            PyErr_SetString(PyExc_TypeError, "a relay is for a descriptor in C that gets and sets");
            return NULL;
        }
    }
    if (state->layouts == NULL && (state->layouts = PyDict_New()) == NULL) {
        return NULL;
    }
    PyObject *key = PyLong_FromVoidPtr(owner);
    PyObject *seen = key == NULL ? NULL : layout_of(owner);
    PyObject *entry = seen == NULL ? NULL : Py_BuildValue("[OOO]", token, seen, descriptors);
    int failed = entry == NULL || PyDict_SetItem(state->layouts, key, entry) < 0;
    for (Py_ssize_t i = 0; !failed && i < PyTuple_GET_SIZE(descriptors); i++) {
        failed = use_relay(state, PyTuple_GET_ITEM(descriptors, i)) < 0;
    }
    Py_XDECREF(key);
    Py_XDECREF(seen);
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
        PyObject *descriptors = PyList_GET_ITEM(entry, 2);
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(descriptors); i++) {
            drop_relay(state, PyTuple_GET_ITEM(descriptors, i), 0);
        }
    }
    Py_XDECREF(key);
    Py_XDECREF(entry);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
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
        drop_relay(state, (PyObject *)state->relays->descriptor, 1);
    }
    Py_CLEAR(state->layouts);
}

#endif
