/* Places in objects of other libraries where another object may come to stand. */
#ifndef STOPWHEN_LINKS_H
#define STOPWHEN_LINKS_H

#include "state.h"

/* Return what stands at each of a tuple of links as a new tuple; NULL with an exception set. */
PyObject *links_held(PyObject *links);

/* 1 when something else than in the tuple `seen` stands at one of them, else 0. Sets no exception. */
int links_differ(PyObject *links, PyObject *seen);

/* 1 when `links` is a tuple of links. */
int links_fit(PyObject *links);

#endif
