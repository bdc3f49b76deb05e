/* Conditions that Python has compiled to a few steps over an old and a new value. */
#ifndef STOPWHEN_CONDITIONS_H
#define STOPWHEN_CONDITIONS_H

#include "compat.h"

typedef enum {
    VERDICT_FALSE = 0,
    VERDICT_TRUE = 1,
    VERDICT_OPEN = 2, /* It is Python's to say: for an error, or values that are not for us. */
} Verdict;

/* True for an object of an exact builtin type that holds no other: comparing such runs no code of the user's. */
int condition_knows(PyObject *value);

/* True when two such values are the same to the user: the type counts, and of a float each bit. */
int condition_are_same(PyObject *one, PyObject *other);

/* Return the truth of the steps for two such values, by `constants`. Sets no exception. */
Verdict condition_holds(PyObject *steps, PyObject *constants, PyObject *absent, PyObject *old, PyObject *now);

/* True when the steps are whole: no jump leaves them, each constant is there. */
int condition_is_whole(PyObject *steps, PyObject *constants);

#endif
