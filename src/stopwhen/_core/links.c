/* Links: places in objects of other libraries where another object may come to stand, each read by C code alone, so that
 * no other thread runs meanwhile. A link is a pair: a dict and a key, a list and an index, or a getter in C and an owner.
 */
#include "links.h"

/* Return what stands there, None for nothing. A new reference; NULL with an exception set. */
static PyObject *
held_by(PyObject *link)
{
    PyObject *source = PyTuple_GET_ITEM(link, 0); /* Borrowed, as the next. */
    PyObject *key = PyTuple_GET_ITEM(link, 1);
    PyObject *held = NULL;
    if (PyDict_CheckExact(source)) {
        held = Py_XNewRef(PyDict_GetItemWithError(source, key));
    }
    else if (PyList_CheckExact(source)) {
        Py_ssize_t index = PyLong_AsSsize_t(key);
        held = index >= 0 && index < PyList_GET_SIZE(source) ? Py_NewRef(PyList_GET_ITEM(source, index)) : NULL;
    }
    else {
        held = Py_TYPE(source)->tp_descr_get(source, key, (PyObject *)Py_TYPE(key));
    }
    if (held == NULL && (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_AttributeError))) {
        PyErr_Clear();
        held = Py_NewRef(Py_None);
    }
    return held;
}

PyObject *
links_held(PyObject *links)
{
    PyObject *held = PyTuple_New(PyTuple_GET_SIZE(links));
    for (Py_ssize_t i = 0; held != NULL && i < PyTuple_GET_SIZE(links); i++) {
        PyObject *one = held_by(PyTuple_GET_ITEM(links, i));
        if (one == NULL) {
            Py_CLEAR(held);
        }
        else {
            PyTuple_SET_ITEM(held, i, one); /* Steals it. */
        }
    }
    return held;
}

int
links_differ(PyObject *links, PyObject *seen)
{
    int differs = 0;
    for (Py_ssize_t i = 0; !differs && i < PyTuple_GET_SIZE(links); i++) {
        PyObject *one = held_by(PyTuple_GET_ITEM(links, i));
        if (one == NULL) {
            PyErr_Clear(); /* No memory: the next look tells. */
            return 0;
        }
        differs = one != PyTuple_GET_ITEM(seen, i);
        Py_DECREF(one); /* Not the last reference: whatever it was read from has one. */
    }
    return differs;
}

int
links_fit(PyObject *links)
{
    if (!PyTuple_Check(links)) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(links); i++) {
        PyObject *link = PyTuple_GET_ITEM(links, i);
        if (!PyTuple_Check(link) || PyTuple_GET_SIZE(link) != 2) {
            return 0;
        }
        PyObject *source = PyTuple_GET_ITEM(link, 0);
        PyObject *key = PyTuple_GET_ITEM(link, 1);
        int is_getter = Py_IS_TYPE(source, &PyGetSetDescr_Type) || Py_IS_TYPE(source, &PyMemberDescr_Type);
        if (!(PyDict_CheckExact(source) && PyUnicode_CheckExact(key)) &&
            !(PyList_CheckExact(source) && PyLong_CheckExact(key)) && !is_getter) {
            return 0;
        }
    }
    return 1;
}
