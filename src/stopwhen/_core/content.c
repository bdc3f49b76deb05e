/* What a cell holds now, and whether that is what it held when last looked at, told without running user code.
 *
 * I1. A check owns a reference to every object in its snapshot (differences.c), so an equal pointer is an equal object.
 */
#include "content.h"

#include "conditions.h"
#include "frames.h"
#include "keys.h"
#include "layout.h"
#include "links.h"
#include "memory.h"

#define STRIDE 256 /* The same in evaluation.py. */
#define MOST_ITEMS_OF_RESULT 32

/* ---- kinds that hold one object ---- */

/* Return what `dict` holds under `key`, which is plain, as a new reference; NULL for nothing. No user code is run. */
PyObject *
content_dict_item(PyObject *dict, PyObject *key)
{
    if (PyUnicode_CheckExact(key) && compat_has_only_str_keys(dict)) {
        return Py_XNewRef(PyDict_GetItemWithError(dict, key));
    }
    /* Only keys that are plain, as `key` is, may be compared: that runs no user code. `1` finds a `True`. */
    PyObject *candidate, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(dict, &position, &candidate, &value)) {
        if (candidate == key || (keys_is_plain(candidate) && PyObject_RichCompareBool(candidate, key, Py_EQ) == 1)) {
            return Py_NewRef(value);
        }
    }
    return NULL;
}

static PyObject *
read_list_item(PyObject *list, Py_ssize_t index)
{
    Py_ssize_t length = PyList_GET_SIZE(list);
    if (index < 0) {
        index += length;
    }
    return index < 0 || index >= length ? NULL : Py_NewRef(PyList_GET_ITEM(list, index));
}

static PyObject *
read_slot(PyObject *owner, PyObject *descriptor)
{
    assert(Py_IS_TYPE(descriptor, &PyMemberDescr_Type));
    Py_ssize_t offset = ((PyMemberDescrObject *)descriptor)->d_member->offset;
    return Py_XNewRef(*(PyObject **)((char *)owner + offset));
}

PyObject *
content_object(Check *check)
{
    PyObject *value;
    switch (check->kind) {
    case CHECK_DICT_ITEM:
        value = content_dict_item(check->owner, check->extra);
        break;
    case CHECK_LIST_ITEM:
        value = read_list_item(check->owner, check->index);
        break;
    case CHECK_SLOT:
        value = read_slot(check->owner, check->extra);
        break;
    case CHECK_LOCAL:
        value = frames_local(frames_of(check->owner), check->index);
        break;
    default:
        assert(check->kind == CHECK_CLOSURE);
        value = Py_XNewRef(PyCell_GET(check->owner));
    }
    PyErr_Clear();
    return value;
}

/* ---- kinds that hold many ---- */

int
check_raw_differs(Check *check, const void *now, Py_ssize_t length)
{
    return length != check->raw_length || (length > 0 && memcmp(now, check->raw, (size_t)length) != 0);
}

/* Compare what a method in C returns for the owner; when it cannot be asked, as after close(), there is nothing. */
static int
result_differs(Check *check)
{
    PyObject *now = PyObject_CallOneArg(check->extra, check->owner);
    PyErr_Clear();
    int differs = now != check->seen;
    if (differs && now != NULL && check->seen != NULL) {
        differs = PyObject_RichCompareBool(now, check->seen, Py_EQ) != 1; /* Both are str, or both bytes. */
    }
    Py_XDECREF(now);
    PyErr_Clear();
    return differs;
}

PyObject *
content_ordered_keys(PyObject *dict)
{
    PyObject *key;
    Py_ssize_t position = 0;
    if (!PyODict_Check(dict)) {
        return NULL;
    }
    while (PyDict_Next(dict, &position, &key, NULL)) {
        if (!keys_is_plain(key)) {
            return NULL;
        }
    }
    PyObject *iterator = PyODict_Type.tp_iter(dict);
    PyObject *keys = iterator == NULL ? NULL : PySequence_List(iterator);
    Py_XDECREF(iterator);
    return keys;
}

static int
ordered_differs(Check *check, PyObject *keys)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(keys); i++) {
        PyObject *key = PyList_GET_ITEM(keys, i);
        if (check->items[2 * i] != key || check->items[2 * i + 1] != PyDict_GetItemWithError(check->owner, key)) {
            return 1;
        }
    }
    return 0;
}

static int
dict_differs(Check *check)
{
    PyObject *dict = check->owner;
#if HAS_DICT_VERSIONS
    if (((PyDictObject *)dict)->ma_version_tag == check->version && !PyODict_Check(dict)) {
        return 0;
    }
#endif
    if (2 * PyDict_GET_SIZE(dict) != check->length) {
        return 1;
    }
    PyObject *keys = content_ordered_keys(dict);
    if (keys != NULL) {
        int differs = ordered_differs(check, keys);
        Py_DECREF(keys);
        return differs;
    }
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return 1; /* No memory to tell: what reports the difference finds none then, or misses it. */
    }
    PyObject *key, *value;
    Py_ssize_t position = 0;
    for (Py_ssize_t i = 0; PyDict_Next(dict, &position, &key, &value); i += 2) {
        if (check->items[i] != key || check->items[i + 1] != value) {
            return 1;
        }
    }
    content_keep_version(check);
    return 0;
}

static int
sequence_differs(Check *check)
{
    PyTypeObject *type = (PyTypeObject *)check->extra;
    int was_on = pause_collector();
    PyObject *iterator = type->tp_iter(check->owner);
    int differs = 0;
    Py_ssize_t i = 0;
    PyObject *item;
    while (iterator != NULL && !differs && (item = Py_TYPE(iterator)->tp_iternext(iterator)) != NULL) {
        differs = i >= check->length || check->items[i] != item;
        Py_DECREF(item); /* Not the last reference: the owner holds it. */
        i++;
    }
    differs |= iterator == NULL || PyErr_Occurred(); /* No memory to tell: as dict_differs(). */
    Py_XDECREF(iterator);
    PyErr_Clear();
    resume_collector(was_on);
    return differs || i != check->length;
}

/* True for two values that are the same object, or equal ones of one type of those that never change. No Python code runs. */
static int
is_same_value(PyObject *left, PyObject *right)
{
    if (left != right && PyTuple_CheckExact(left) && PyTuple_CheckExact(right)) {
        Py_ssize_t length = PyTuple_GET_SIZE(left);
        if (length != PyTuple_GET_SIZE(right) || length > MOST_ITEMS_OF_RESULT) {
            return 0;
        }
        for (Py_ssize_t i = 0; i < length; i++) {
            PyObject *one = PyTuple_GET_ITEM(left, i), *other = PyTuple_GET_ITEM(right, i);
            if (PyTuple_CheckExact(one) || !is_same_value(one, other)) {
                return 0;
            }
        }
        return 1;
    }
    return left == right || (condition_knows(left) && condition_are_same(left, right));
}

/* True when the call that gave the last value gives the same now: evaluation.py keeps both in `extra`, a list, or keeps
 * it empty where that would not do. Of each STRIDE such looks one takes the long way, which sees what they cost. */
int
check_call_is_surely_same(Check *check)
{
    PyObject *shortcut = check->extra;
    if (check->found || PyList_GET_SIZE(shortcut) != 2 || ++check->calls >= STRIDE) {
        check->calls = 0;
        return 0;
    }
    assert(PyList_CheckExact(shortcut));
    PyObject *call =
        Py_NewRef(PyList_GET_ITEM(shortcut, 0)); /* What it runs may clear the list, or disarm the check. */
    PyObject *seen = Py_NewRef(PyList_GET_ITEM(shortcut, 1));
    PyObject *now = events_call_as_own(call);
    int same = now != NULL && is_same_value(seen, now);
    PyErr_Clear();
    Py_XDECREF(now);
    Py_DECREF(seen);
    Py_DECREF(call);
    return same;
}

static int
call_differs(Check *check)
{
    if (check->found) {
        return 1;
    }
    if (check_call_is_surely_same(check)) {
        return 0;
    }
    Py_INCREF(check); /* The code that it runs may disarm it. */
    PyObject *result = events_call_as_own(check->owner);
    int changed = result == NULL ? -1 : PyObject_IsTrue(result);
    Py_XDECREF(result);
    check->found = changed != 0;
    Py_DECREF(check);
    return changed;
}

/* True when the frame is inside a comprehension whose own variable has the local's place meanwhile (PEP 709). */
static int
is_borrowed(Check *check)
{
    Py_ssize_t count = PyTuple_GET_SIZE(check->extra);
    if (count == 1 || frames_of(check->owner) == NULL) {
        return 0;
    }
    long offset = PyFrame_GetLasti(frames_of(check->owner));
    for (Py_ssize_t i = 1; i < count; i++) {
        PyObject *range = PyTuple_GET_ITEM(check->extra, i);
        if (PyLong_AsLong(PyTuple_GET_ITEM(range, 0)) <= offset &&
            offset <= PyLong_AsLong(PyTuple_GET_ITEM(range, 1))) {
            return 1;
        }
    }
    return 0;
}

/* 1 when the cell differs from its snapshot, else 0. Only CHECK_CALL runs Python code, and can fail: -1. */
int
check_changed(CoreState *Py_UNUSED(state), Check *check)
{
    switch (check->kind) {
    case CHECK_LIST:
        return check_list_differs(check);
    case CHECK_SET:
        return check_raw_differs(check, ((PySetObject *)check->owner)->table, content_table_size(check->owner));
    case CHECK_DICT:
        return dict_differs(check);
    case CHECK_BYTES:
        return check_raw_differs(check, PyByteArray_AS_STRING(check->owner), PyByteArray_GET_SIZE(check->owner));
    case CHECK_MEMORY:
        return memory_differs(check);
    case CHECK_OBJECTS:
        return memory_objects_differ(check);
    case CHECK_RESULT:
        return result_differs(check);
    case CHECK_LAYOUT:
        return layout_differs(check->owner, check->seen);
    case CHECK_LINKS:
        return links_differ(check->extra, check->seen);
    case CHECK_SEQUENCE:
        return sequence_differs(check);
    case CHECK_CALL:
        return call_differs(check);
    case CHECK_FRAME:
        return 0;
    case CHECK_LIST_ITEM: {
        PyObject *list = check->owner;
        Py_ssize_t length = PyList_GET_SIZE(list);
        Py_ssize_t index = check->index < 0 ? check->index + length : check->index;
        return (index < 0 || index >= length ? NULL : PyList_GET_ITEM(list, index)) != check->seen;
    }
    case CHECK_CLOSURE:
        return PyCell_GET(check->owner) != check->seen;
    case CHECK_DICT_ITEM:
#if HAS_DICT_VERSIONS
        if (((PyDictObject *)check->owner)->ma_version_tag == check->version) {
            return 0;
        }
#endif
        break;
    case CHECK_LOCAL:
        if (is_borrowed(check)) {
            return 0;
        }
        break;
    default:
        break;
    }
    PyObject *now = content_object(check);
    int changed = now != check->seen;
    Py_XDECREF(now); /* Not the last reference: the cell holds it. */
    if (!changed && check->kind == CHECK_DICT_ITEM) {
        content_keep_version(check);
    }
    return changed;
}
