/* Where the frames of a thread stand: code and offset of each, innermost first. */
#ifndef STOPWHEN_PLACES_H
#define STOPWHEN_PLACES_H

#include "state.h"

extern PyType_Spec places_spec;

/* Return the places of the innermost frames from `frame` on, which is at `offset`, at its own where that is negative. New;
 * NULL with an exception set. `frame` may be NULL. Makes no frame objects, and runs no Python code. */
PyObject *places_of(CoreState *state, PyFrameObject *frame, int offset);

/* Return the offset of the innermost place, and its code, borrowed; *code is NULL where there is none. */
int places_first(const PyObject *places, PyCodeObject **code);

/* The same as places_of() for the running frame. */
PyObject *places_here(CoreState *state);

#endif
