/* Which keys can be hashed and compared without running code of the user's. */
#ifndef STOPWHEN_KEYS_H
#define STOPWHEN_KEYS_H

#include "compat.h"

int keys_is_simple(PyObject *key);
int keys_is_plain(PyObject *key);

#endif
