/* Where the attributes of an object are looked up: its class, the bases of that, and the dict that it keeps. */
#ifndef STOPWHEN_LAYOUT_H
#define STOPWHEN_LAYOUT_H

#include "state.h"

/* Return (class, its method resolution order, attribute dict or None, own method resolution order or None of a class) of
 * an object as a new tuple; NULL with an exception set. Runs no Python code. */
PyObject *layout_of(PyObject *object);

/* 1 when the layout of `object` is other than the tuple `seen`, else 0. Sets no exception. */
int layout_differs(PyObject *object, PyObject *seen);

#if !HAS_MONITORING
static inline PyGetSetDef *
layout_own_getset(const CoreState *Py_UNUSED(state), PyObject *descriptor)
{
    return ((PyGetSetDescrObject *)descriptor)->d_getset;
}
#else
PyObject *layout_arm(PyObject *module, PyObject *args);
PyObject *layout_disarm(PyObject *module, PyObject *owner);
/* Return what defines a descriptor in C when it calls nobody of ours. */
PyGetSetDef *layout_own_getset(CoreState *state, PyObject *descriptor);
Py_ssize_t layout_armed(const CoreState *state);
int layout_traverse(CoreState *state, visitproc visit, void *arg);
void layout_clear(CoreState *state);
#endif

#endif
