/* Tells keys of dicts that can be hashed and compared without running code of the user's from those that cannot. */
#include "keys.h"

#define DEEPEST_KEY 50

/* True when `key` is of an exact builtin type that holds no other object. */
int
keys_is_simple(PyObject *key)
{
    return PyUnicode_CheckExact(key) || PyLong_CheckExact(key) || PyBytes_CheckExact(key) || PyFloat_CheckExact(key) ||
           PyBool_Check(key) || key == Py_None || PyComplex_CheckExact(key);
}

static int
is_plain(PyObject *key, int depth)
{
    if (keys_is_simple(key)) {
        return 1;
    }
    if (depth == DEEPEST_KEY) {
        return 0;
    }
    if (PyTuple_CheckExact(key)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++) {
            if (!is_plain(PyTuple_GET_ITEM(key, i), depth + 1)) {
                return 0;
            }
        }
        return 1;
    }
    if (PyFrozenSet_CheckExact(key)) {
        PySetObject *set = (PySetObject *)key;
        for (Py_ssize_t i = 0; i <= set->mask; i++) {
            const setentry *entry = &set->table[i]; /* The hash of a deleted entry is -1; a frozenset has none. */
            if (entry->key != NULL && entry->hash != -1 && !is_plain(entry->key, depth + 1)) {
                return 0;
            }
        }
        return 1;
    }
    return 0;
}

/* True when hashing and comparing `key` runs no user code: it is simple, or a tuple or frozenset of such. */
int
keys_is_plain(PyObject *key)
{
    return is_plain(key, 0);
}
