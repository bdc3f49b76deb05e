/* Dicts that are watched, and what of each is of interest to whom. On 3.11, where the interpreter tells of none, only those
 * that instances keep their attributes in, for which stands what is compared (attributes.c). */
#ifndef STOPWHEN_DICTWATCH_H
#define STOPWHEN_DICTWATCH_H

#include "state.h"

#if HAS_DICT_WATCHERS

struct WatchedDict {
    PyObject *dict; /* Borrowed; valid by I2 of dictwatch.c. */
    PyObject *items; /* Owned dict: key -> list [token, current]; NULL while no item is armed. */
    PyObject *content; /* Owned token of the whole content; NULL when it is not watched. */
    int simple_keys; /* All keys of `dict` are of exact builtin types: looking one up runs no user code. */
    Instance *instances; /* instances.c: those that have this dict for their attributes. */
    Part *parts; /* instances.c: parts of instances that this dict holds. */
    HookedClass *subclasses_of; /* subclasses.c: the dict holds the subclasses of that class; NULL for none. */
};

/* Return what the dict holds under `key`, new or NULL for nothing; *known is 0 when only user code could tell. */
PyObject *dictwatch_present(WatchedDict *watched, PyObject *key, int *known);

/* True unless another has taken away our watcher id; or, for the second, has ended the watching of a dict that we hold. */
int dictwatch_is_ours(const CoreState *state);
int dictwatch_is_whole(const CoreState *state);

/* Return keys and values of `dict` in turn as a new list. */
PyObject *dictwatch_flat_items(PyObject *dict);

#else

struct WatchedDict {
    PyObject *dict; /* Owned: nobody would tell of its end. */
    Instance *instances; /* Those that have this dict for their attributes. */
};

#endif

WatchedDict *dictwatch_find(const CoreState *state, PyObject *dict);

/* Return the entry of `dict`, watched from now on; NULL with an exception set. */
WatchedDict *dictwatch_find_or_add(CoreState *state, PyObject *dict);

/* Watch the dict no more if it is of no interest to anybody now. -1 with an exception set. On 3.11 that may run code of the
 * user's, unless the caller holds the dict. */
int dictwatch_drop_if_unused(CoreState *state, WatchedDict *watched);

#endif
