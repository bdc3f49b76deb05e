/* Classes whose operators or attributes are C functions that change what they are given, or their instance. */
#ifndef STOPWHEN_OPERATORS_H
#define STOPWHEN_OPERATORS_H

#include "state.h"

/* True when something in C of that name may change data. */
int operators_name_changes(const CoreState *state, PyObject *name);

/* The same for an object of the type of C functions. */
int operators_function_changes(const CoreState *state, PyObject *function);

/* For compat_visit_parts() of a property or static method: 1 when it holds a function in C that changes what it is called with. */
int operators_visit_property(PyObject *part, void *state);

/* True when operators of a class written in Python change what they are given. The class is watched from now on. */
int operators_change_operands(CoreState *state, PyTypeObject *type);

/* True when operators or attributes of a class written in Python change its instances. */
int operators_change_instances(const CoreState *state, PyTypeObject *type);

/* True unless another has taken away the id of the dict watcher for classes. */
int operators_are_told(const CoreState *state);

/* Classes are of no interest any more. */
void operators_end(CoreState *state);

#endif
