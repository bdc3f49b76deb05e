/* Checks: what a cell held when last looked at, compared with what it holds now, without running user code.
 *
 * I1. A check owns a reference to every object in its snapshot, so an equal pointer is an equal object.
 * I2. `check_changed` only compares; `check_report` notes the difference and takes the new snapshot, in this order, so
 *     that nothing that happens while noting is lost.
 * I3. `armed` is set exactly while the check stands in state->checks or state->shared, with the checks of its frame, or in
 *     the crowd; or did until a change of it was missed for want of memory (`suspended`): its snapshot may be wrong then,
 *     and so would be the blame for the difference, so that it is compared no more until the session arms it anew.
 */
#include "content.h"

#include "codeinfo.h"
#include "crowd.h"
#include "frames.h"
#include "instances.h"
#include "keys.h"
#include "large.h"
#include "layout.h"
#include "links.h"
#include "memory.h"
#include "shared.h"

/* ---- reading kinds that hold one object ---- */

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

/* True when functions share the variable, which is then kept in a cell object from the frame's first instructions on. */
static int
is_shared(PyFrameObject *frame, Py_ssize_t index)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    int shared = (PyBytes_AS_STRING(code->co_localspluskinds)[index] & 0xC0) != 0; /* CO_FAST_CELL, CO_FAST_FREE */
    Py_DECREF(code);
    return shared;
}

static PyFrameObject *
frame_of(const Check *check)
{
    return ((FrameRef *)check->owner)->frame; /* Borrowed; NULL once it is gone. */
}

static PyObject *
read_local(PyFrameObject *frame, Py_ssize_t index)
{
    PyObject *value = frame == NULL ? NULL : compat_fast_local(frame, index);
    if (value != NULL && PyCell_Check(value) && is_shared(frame, index)) {
        Py_SETREF(value, Py_XNewRef(PyCell_GET(value)));
    }
    return value;
}

/* Return the object that the cell holds now as a new reference; NULL for none, never with an exception. */
static PyObject *
read_one(Check *check)
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
        value = read_local(frame_of(check), check->index);
        break;
    default:
        assert(check->kind == CHECK_CLOSURE);
        value = Py_XNewRef(PyCell_GET(check->owner));
    }
    PyErr_Clear();
    return value;
}

/* ---- reading kinds that hold many ---- */

static Py_ssize_t
set_table_size(PyObject *set)
{
    return (((PySetObject *)set)->mask + 1) * (Py_ssize_t)sizeof(setentry);
}

static int
is_member(const setentry *entry)
{
    return entry->key != NULL && entry->hash != -1; /* The mark of a deleted entry has the hash -1, which no key has. */
}

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

/* Take note that the owner, a dict, is as last seen: until its version changes there is nothing to compare. */
static void
keep_version(Check *check)
{
#if HAS_DICT_VERSIONS
    check->version = ((PyDictObject *)check->owner)->ma_version_tag;
#else
    (void)check;
#endif
}

/* Return the keys of an OrderedDict in its own order, which its version does not tell of, as a new list.
 *
 * NULL without an exception for any other dict, and where walking it would run a `__hash__` of the user's; NULL with one
 * for want of memory. */
static PyObject *
ordered_keys(PyObject *dict)
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
    PyObject *keys = ordered_keys(dict);
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
    keep_version(check);
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

static int
call_differs(Check *check)
{
    if (check->found) {
        return 1;
    }
    Py_INCREF(check); /* The code that it runs may disarm it. */
    PyObject *result = PyObject_CallNoArgs(check->owner);
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
    if (count == 1 || frame_of(check) == NULL) {
        return 0;
    }
    long offset = PyFrame_GetLasti(frame_of(check));
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
        return check_raw_differs(check, ((PySetObject *)check->owner)->table, set_table_size(check->owner));
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
    PyObject *now = read_one(check);
    int changed = now != check->seen;
    Py_XDECREF(now); /* Not the last reference: the cell holds it. */
    if (!changed && check->kind == CHECK_DICT_ITEM) {
        keep_version(check);
    }
    return changed;
}

/* ---- snapshots ---- */

/* Replace items[start : start + removed] of the snapshot by `inserted` new references; 0, or -1 without memory. */
int
check_splice_items(Check *check, Py_ssize_t start, Py_ssize_t removed, PyObject *const *inserted, Py_ssize_t count)
{
    Py_ssize_t length = check->length - removed + count;
    if (length > check->capacity) {
        Py_ssize_t capacity = length + length / 8 + 8;
        PyObject **items = resize_memory(check->items, capacity, sizeof(PyObject *));
        if (items == NULL) {
            return -1;
        }
        check->items = items;
        check->capacity = capacity;
    }
    PyObject **dropped = PyMem_Malloc(((size_t)removed + 1) * sizeof(PyObject *));
    if (dropped == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (check->items != NULL) { /* NULL is no argument for memcpy(), not even with a length of 0. */
        memcpy(dropped, check->items + start, (size_t)removed * sizeof(PyObject *));
        memmove(check->items + start + count, check->items + start + removed,
                (size_t)(check->length - start - removed) * sizeof(PyObject *));
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        check->items[start + i] = Py_XNewRef(inserted[i]);
    }
    check->length = length;
    for (Py_ssize_t i = 0; i < removed; i++) {
        Py_XDECREF(dropped[i]); /* May be the last: only now, when the snapshot is whole again. */
    }
    PyMem_Free(dropped);
    return 0;
}

int
check_keep_raw(Check *check, const void *bytes, Py_ssize_t length)
{
    void *raw = PyMem_Realloc(check->raw, (size_t)length + 1);
    if (raw == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(raw, bytes, (size_t)length);
    check->raw = raw;
    check->raw_length = length;
    return 0;
}

static PyObject *
dict_content(PyObject *dict)
{
    PyObject *keys = ordered_keys(dict);
    if (keys == NULL && PyErr_Occurred()) {
        return NULL;
    }
    PyObject *content = PyList_New(0);
    PyObject *key, *value;
    Py_ssize_t position = 0;
    for (Py_ssize_t i = 0; keys != NULL && content != NULL && i < PyList_GET_SIZE(keys); i++) {
        key = PyList_GET_ITEM(keys, i);
        value = PyDict_GetItemWithError(dict, key);
        if (value != NULL && (PyList_Append(content, key) < 0 || PyList_Append(content, value) < 0)) {
            Py_CLEAR(content);
        }
    }
    while (keys == NULL && content != NULL && PyDict_Next(dict, &position, &key, &value)) {
        if (PyList_Append(content, key) < 0 || PyList_Append(content, value) < 0) {
            Py_CLEAR(content);
        }
    }
    Py_XDECREF(keys);
    return content;
}

/* Return the content as a new list of items; for a dict keys and values alternate. */
static PyObject *
list_content(Check *check)
{
    PyObject *owner = check->owner;
    switch (check->kind) {
    case CHECK_LIST:
        return PyList_GetSlice(owner, 0, PY_SSIZE_T_MAX);
    case CHECK_SET: {
        PyObject *content = PyList_New(0);
        PySetObject *set = (PySetObject *)owner;
        for (Py_ssize_t i = 0; content != NULL && i <= set->mask; i++) {
            if (is_member(&set->table[i]) && PyList_Append(content, set->table[i].key) < 0) {
                Py_CLEAR(content);
            }
        }
        return content;
    }
    case CHECK_DICT:
        return dict_content(owner);
    default: {
        assert(check->kind == CHECK_SEQUENCE);
        PyObject *iterator = ((PyTypeObject *)check->extra)->tp_iter(owner);
        PyObject *content = iterator == NULL ? NULL : PySequence_List(iterator);
        Py_XDECREF(iterator);
        return content;
    }
    }
}

/* Return items as a new tuple; what stands for nothing in an array of objects is None. */
static PyObject *
snapshot_tuple(PyObject *const *items, Py_ssize_t length)
{
    PyObject *tuple = PyTuple_New(length);
    for (Py_ssize_t i = 0; tuple != NULL && i < length; i++) {
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(items[i] == NULL ? Py_None : items[i]));
    }
    return tuple;
}

static PyObject *
snapshot_list(PyObject *const *items, Py_ssize_t length)
{
    PyObject *list = PyList_New(length);
    for (Py_ssize_t i = 0; list != NULL && i < length; i++) {
        PyList_SET_ITEM(list, i, Py_NewRef(items[i]));
    }
    return list;
}

static int
keep_items(Check *check, PyObject *content)
{
    return check_splice_items(check, 0, check->length, ((PyListObject *)content)->ob_item, PyList_GET_SIZE(content));
}

/* ---- noting a difference ---- */

/* Put a change of the check's cell at the end of the queue. Steals `data`, which may be NULL after an error. */
int
check_note(CoreState *state, Check *check, DeltaKind kind, PyObject *data, const Blame *blame)
{
    if (check->part != NULL) {
        return parts_note(state, check->part, check->token, check->owner, kind, data, blame);
    }
    return events_note(state, check->token, kind, data, blame);
}

/* Note which items of a sequence gave way to others, and keep those as the snapshot. */
int
check_report_items(CoreState *state, Check *check, const Blame *blame, PyObject *const *now, Py_ssize_t length)
{
    Py_ssize_t start = 0;
    Py_ssize_t tail = 0;
    Py_ssize_t common = length < check->length ? length : check->length;
    while (start < common && now[start] == check->items[start]) {
        start++;
    }
    while (tail < common - start && now[length - 1 - tail] == check->items[check->length - 1 - tail]) {
        tail++;
    }
    Py_ssize_t removed = check->length - start - tail;
    Py_ssize_t inserted = length - start - tail;
    if (removed == 0 && inserted == 0) {
        return 0;
    }
    PyObject *data = Py_BuildValue("nNNn", start, snapshot_tuple(check->items + start, removed),
                                   snapshot_tuple(now + start, inserted), length);
    /* The tuple keeps the new items, should the owner lose them while old ones are dropped. */
    Py_XINCREF(data);
    int result = check_note(state, check, DELTA_SPLICED, data, blame);
    if (data != NULL && check_splice_items(check, start, removed, now + start, inserted) < 0) {
        result = -1;
    }
    Py_XDECREF(data);
    return result;
}

static int
report_bytes(CoreState *state, Check *check, const Blame *blame, const char *now, Py_ssize_t length)
{
    const char *old = check->raw;
    Py_ssize_t start = 0;
    Py_ssize_t tail = 0;
    Py_ssize_t common = length < check->raw_length ? length : check->raw_length;
    while (start < common && now[start] == old[start]) {
        start++;
    }
    while (tail < common - start && now[length - 1 - tail] == old[check->raw_length - 1 - tail]) {
        tail++;
    }
    PyObject *data = Py_BuildValue("ny#y#n", start, old + start, check->raw_length - start - tail, now + start,
                                   length - start - tail, length);
    int result = check_note(state, check, DELTA_SPLICED, data, blame);
    return check_keep_raw(check, now, length) < 0 ? -1 : result;
}

static int
report_result(CoreState *state, Check *check, const Blame *blame)
{
    PyObject *now = PyObject_CallOneArg(check->extra, check->owner);
    if (now == NULL && PyErr_ExceptionMatches(PyExc_MemoryError)) {
        return -1;
    }
    PyErr_Clear();
    int is_known = now != NULL && check->seen != NULL;
    PyObject *data = is_known ? PyTuple_Pack(2, check->seen, now) : Py_NewRef(Py_None);
    int result = check_note(state, check, is_known ? DELTA_WHOLE : DELTA_UNKNOWN, data, blame);
    Py_XSETREF(check->seen, now);
    return result;
}

static int
report_layout(CoreState *state, Check *check, const Blame *blame)
{
    PyObject *now = layout_of(check->owner);
    if (now == NULL) {
        return -1;
    }
    PyObject *data = PyTuple_Pack(2, check->seen, now);
    int result = check_note(state, check, DELTA_REBOUND, data, blame);
    Py_SETREF(check->seen, now);
    return result;
}

static int
report_links(CoreState *state, Check *check, const Blame *blame)
{
    PyObject *now = links_held(check->extra);
    if (now == NULL) {
        return -1;
    }
    int result = events_note(state, check->token, DELTA_UNKNOWN, Py_NewRef(Py_None), blame);
    Py_SETREF(check->seen, now);
    return result;
}

/* For sets and dicts: note old and new content as lists, in which Python finds the difference. */
static int
report_whole(CoreState *state, Check *check, const Blame *blame)
{
    PyObject *content = list_content(check);
    if (content == NULL) {
        return -1;
    }
    PyObject *data = Py_BuildValue("NO", snapshot_list(check->items, check->length), content);
    int result = check_note(state, check, DELTA_WHOLE, data, blame);
    if (keep_items(check, content) < 0 ||
        (check->kind == CHECK_SET &&
         check_keep_raw(check, ((PySetObject *)check->owner)->table, set_table_size(check->owner)) < 0)) {
        result = -1;
    }
    Py_DECREF(content);
    return result;
}

static int
report_one(CoreState *state, Check *check, const Blame *blame)
{
    PyObject *now = read_one(check); /* Owned, NULL for absent. */
    PyObject *data =
        Py_BuildValue("OO", check->seen == NULL ? state->absent : check->seen, now == NULL ? state->absent : now);
    int result = check_note(state, check, DELTA_REBOUND, data, blame);
    Py_XSETREF(check->seen, now);
    return result;
}

/* Note how the cell differs from its snapshot, then take the present state as the snapshot (I2). */
int
check_report(CoreState *state, Check *check, const Blame *blame)
{
    PyObject *owner = check->owner;
    switch (check->kind) {
    case CHECK_LIST:
        return check_report_items(state, check, blame, ((PyListObject *)owner)->ob_item, PyList_GET_SIZE(owner));
    case CHECK_SEQUENCE: {
        PyObject *content = list_content(check);
        if (content == NULL) {
            return -1;
        }
        int result =
            check_report_items(state, check, blame, ((PyListObject *)content)->ob_item, PyList_GET_SIZE(content));
        Py_DECREF(content);
        return result;
    }
    case CHECK_SET:
    case CHECK_DICT:
        return report_whole(state, check, blame);
    case CHECK_BYTES:
        return report_bytes(state, check, blame, PyByteArray_AS_STRING(owner), PyByteArray_GET_SIZE(owner));
    case CHECK_MEMORY:
        return memory_report(state, check, blame);
    case CHECK_OBJECTS:
        return memory_report_objects(state, check, blame);
    case CHECK_RESULT:
        return report_result(state, check, blame);
    case CHECK_LAYOUT:
        return report_layout(state, check, blame);
    case CHECK_LINKS:
        return report_links(state, check, blame);
    case CHECK_CALL:
        check->found = 0;
        return check_note(state, check, DELTA_UNKNOWN, Py_NewRef(Py_None), blame);
    default:
        return report_one(state, check, blame);
    }
}

/* Note that the frame of the check ends. */
int
check_note_end(CoreState *state, Check *check, const Blame *blame)
{
    assert(check_is_of_frame(check));
    return check_note(state, check, DELTA_ENDED, Py_NewRef(Py_None), blame);
}

static int
take_snapshot(Check *check)
{
    PyObject *owner = check->owner;
    switch (check->kind) {
    case CHECK_BYTES:
        return check_keep_raw(check, PyByteArray_AS_STRING(owner), PyByteArray_GET_SIZE(owner));
    case CHECK_MEMORY:
        return memory_keep(check);
    case CHECK_OBJECTS:
        return memory_keep_objects(check);
    case CHECK_RESULT:
        Py_XSETREF(check->seen, PyObject_CallOneArg(check->extra, owner));
        return check->seen == NULL ? -1 : 0;
    case CHECK_LAYOUT:
        Py_XSETREF(check->seen, layout_of(owner));
        return check->seen == NULL ? -1 : 0;
    case CHECK_LINKS:
        Py_XSETREF(check->seen, links_held(check->extra));
        return check->seen == NULL ? -1 : 0;
    case CHECK_CALL:
    case CHECK_FRAME:
        return 0;
    case CHECK_LIST:
    case CHECK_SET:
    case CHECK_DICT:
    case CHECK_SEQUENCE: {
        PyObject *content = list_content(check);
        int result = content == NULL ? -1 : keep_items(check, content);
        Py_XDECREF(content);
        if (result == 0 && check->kind == CHECK_SET) {
            result = check_keep_raw(check, ((PySetObject *)owner)->table, set_table_size(owner));
        }
        if (check->kind == CHECK_DICT) {
            keep_version(check);
        }
        return result;
    }
    default:
        if (check->kind == CHECK_DICT_ITEM) {
            keep_version(check);
        }
        Py_XSETREF(check->seen, read_one(check));
        return 0;
    }
}

/* ---- the Python type ---- */

static int
is_of_type(PyObject *object, PyObject *type)
{
    return PyType_Check(type) && PyObject_TypeCheck(object, (PyTypeObject *)type);
}

static int
owner_fits(CoreState *state, CheckKind kind, PyObject *owner, PyObject *extra)
{
    switch (kind) {
    case CHECK_LIST:
    case CHECK_LIST_ITEM:
        return PyList_Check(owner);
    case CHECK_SET:
        return PySet_Check(owner);
    case CHECK_DICT:
    case CHECK_DICT_ITEM:
        return PyDict_Check(owner);
    case CHECK_BYTES:
        return PyByteArray_Check(owner);
    case CHECK_RESULT:
        return Py_IS_TYPE(extra, &PyMethodDescr_Type) && PyObject_TypeCheck(owner, PyDescr_TYPE(extra));
    case CHECK_MEMORY:
    case CHECK_OBJECTS:
        return is_of_type(owner, extra) && ((PyTypeObject *)extra)->tp_as_buffer != NULL &&
               ((PyTypeObject *)extra)->tp_as_buffer->bf_getbuffer != NULL;
    case CHECK_SEQUENCE:
        return is_of_type(owner, extra) && ((PyTypeObject *)extra)->tp_iter != NULL;
    case CHECK_SLOT:
        return Py_IS_TYPE(extra, &PyMemberDescr_Type) &&
               ((PyMemberDescrObject *)extra)->d_member->type == T_OBJECT_EX &&
               PyObject_TypeCheck(owner, PyDescr_TYPE(extra));
    case CHECK_LOCAL:
        return Py_IS_TYPE(owner, state->frame_ref_type) && PyTuple_Check(extra) && PyTuple_GET_SIZE(extra) > 0 &&
               PyUnicode_Check(PyTuple_GET_ITEM(extra, 0));
    case CHECK_CLOSURE:
        return PyCell_Check(owner);
    case CHECK_CALL:
        return PyCallable_Check(owner);
    case CHECK_LAYOUT:
        return 1;
    case CHECK_LINKS:
        return links_fit(extra);
    case CHECK_FRAME:
        return Py_IS_TYPE(owner, state->frame_ref_type);
    }
    return 0;
}

Py_ssize_t
fast_local_index(const PyCodeObject *code, PyObject *name)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_localsplusnames); i++) {
        if (PyUnicode_Compare(PyTuple_GET_ITEM(code->co_localsplusnames, i), name) == 0) {
            return i;
        }
    }
    return -1;
}

static Check *
new_check(CoreState *state, CheckKind kind, PyObject *owner, PyObject *extra, PyObject *token)
{
    Check *self = (Check *)state->check_type->tp_alloc(state->check_type, 0);
    if (self != NULL) {
        self->kind = kind;
        self->state = state;
        self->owner = Py_NewRef(owner);
        self->extra = Py_NewRef(extra);
        self->token = Py_NewRef(token);
    }
    return self;
}

PyObject *
check_of_dict(CoreState *state, PyObject *dict, PyObject *key, PyObject *token)
{
    CheckKind kind = key == NULL ? CHECK_DICT : CHECK_DICT_ITEM;
    return (PyObject *)new_check(state, kind, dict, key == NULL ? Py_None : key, token);
}

static PyObject *
check_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    int kind;
    PyObject *owner, *extra, *token; /* Borrowed from args. */
    if (keywords != NULL && PyDict_GET_SIZE(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Check takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "iOOO", &kind, &owner, &extra, &token)) {
        return NULL;
    }
    CoreState *state = PyType_GetModuleState(type);
    if (kind < CHECK_LIST || kind > CHECK_LINKS || !owner_fits(state, (CheckKind)kind, owner, extra)) {
        return PyErr_Format(PyExc_TypeError, "a check of kind %d cannot look at a %.100s", kind,
                            Py_TYPE(owner)->tp_name);
    }
    Check *self = new_check(state, (CheckKind)kind, owner, extra, token);
    if (self == NULL) {
        return NULL;
    }
    if (kind == CHECK_LIST_ITEM) {
        self->index = PyLong_AsSsize_t(extra);
        if (self->index == -1 && PyErr_Occurred()) {
            PyErr_Clear(); /* Beyond any list: never there. */
            self->index = PY_SSIZE_T_MAX;
        }
    }
    else if (kind == CHECK_LOCAL) {
        PyObject *name = PyTuple_GET_ITEM(extra, 0);
        self->index = fast_local_index(((FrameRef *)owner)->code, name);
        if (self->index < 0) {
            PyErr_Format(PyExc_KeyError, "the frame has no local %R", name);
            Py_DECREF(self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

/* Count one more or one less of the checks on frames of the code, and have the events for them. -1 with an exception
 * set: then it is not counted more, but counted less all the same. */
static int
count_local_check(Check *check, int change)
{
    int result = -1;
    CodeInfo *info = code_info(check->state, ((FrameRef *)check->owner)->code);
    if (info != NULL) {
#if HAS_MONITORING
        /* What was of no interest before has its events disabled. */
        int again = change > 0 && info->local_checks == 0 && info->calls == 0;
#endif
        info->local_checks += change;
#if HAS_MONITORING
        result = instrument_code(check->state, info, again);
#else
        result = 0;
#endif
        info->local_checks -= result < 0 && change > 0;
    }
    check->state->frame_check_count += result < 0 && change > 0 ? 0 : change;
    return result;
}

static void
count_local_check_less(Check *check)
{
    PendingError error = take_pending_error();
    if (count_local_check(check, -1) < 0) {
        PyErr_Clear(); /* More events than are needed do no harm. */
    }
    put_back_pending_error(error);
}

static int
add_to_list(Check *check)
{
    if (check->part != NULL) {
        return crowd_add(check->state, check);
    }
#if HAS_MONITORING
    if (check_is_shared(check)) {
        return shared_add(check->state, check);
    }
#endif
    if (!check_is_of_frame(check)) {
        return recheck_add(check->state, check);
    }
    if (frame_of(check) == NULL) {
        return 1; /* Nothing will ever happen to it. */
    }
    if (frames_add_check((FrameRef *)check->owner, check) < 0) {
        return -1;
    }
    if (count_local_check(check, 1) < 0) {
        frames_remove_check((FrameRef *)check->owner, check);
        return -1;
    }
    return 0;
}

static void
take_from_list(Check *check)
{
    if (check_is_of_frame(check)) {
        frames_remove_check((FrameRef *)check->owner, check); /* I3 */
    }
    else if (check_is_of_crowd(check)) {
        crowd_remove(check->state, check); /* I3 */
    }
#if HAS_MONITORING
    else if (check_is_shared(check)) {
        shared_remove(check->state, check); /* I3 */
    }
#endif
    else {
        recheck_remove(check->state, check); /* I3 */
    }
}

static void
disarm(Check *check)
{
    if (!check->armed) {
        return;
    }
    check->armed = 0;
    if (check_is_of_crowd(check)) {
        crowd_remove(check->state, check); /* I3 */
        return;
    }
    large_weigh(check->state, check);
    if (!check->suspended) {
        take_from_list(check);
    }
    check->suspended = 0;
    if (check_is_of_frame(check)) {
        count_local_check_less(check);
    }
}

/* A change of this check has been missed: count that, and compare it no more until it is armed anew (I3). Events go on to
 * come, and with them the call of the handler. */
void
check_suspend(Check *check)
{
    assert(check->armed && !check->suspended);
    events_miss(check->state, check->token);
    take_from_list(check);
    check->suspended = 1;
    large_weigh(check->state, check);
}

/* The frame of an armed check is gone, and has taken the check off its list. */
void
check_lose_frame(Check *check)
{
    assert(check->armed && check_is_of_frame(check));
    check->armed = 0; /* I3 */
    count_local_check_less(check);
}

int
check_begin(PyObject *object)
{
    Check *self = (Check *)object;
    if (self->armed) {
        return 0;
    }
    int added = take_snapshot(self) < 0 ? -1 : add_to_list(self);
    if (added < 0) {
        return -1;
    }
    self->armed = added == 0; /* I3 */
    if (self->armed && !check_is_of_crowd(self)) {
        large_weigh(self->state, self);
    }
    return 0;
}

void
check_end(PyObject *object)
{
    disarm((Check *)object);
}

static PyObject *
check_arm(PyObject *object, PyObject *Py_UNUSED(unused))
{
    return check_begin(object) < 0 ? NULL : Py_NewRef(Py_None);
}

static void
forget(Check *self)
{
    Py_CLEAR(self->seen);
    Py_CLEAR(self->place);
    PyObject **items = self->items;
    Py_ssize_t length = self->length;
    self->items = NULL;
    self->length = self->capacity = 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        Py_XDECREF(items[i]);
    }
    PyMem_Free(items);
    PyMem_Free(self->raw);
    self->raw = NULL;
    self->raw_length = 0;
}

static PyObject *
check_disarm(PyObject *object, PyObject *Py_UNUSED(unused))
{
    disarm((Check *)object);
    forget((Check *)object);
    Py_RETURN_NONE;
}

static int
check_traverse(PyObject *object, visitproc visit, void *arg)
{
    Check *self = (Check *)object;
    Py_VISIT(Py_TYPE(self));
    if (!self->borrows_owner) {
        Py_VISIT(self->owner);
    }
    Py_VISIT(self->extra);
    Py_VISIT(self->token);
    Py_VISIT(self->seen);
    Py_VISIT(self->place);
    for (Py_ssize_t i = 0; i < self->length && self->items != NULL; i++) {
        Py_VISIT(self->items[i]);
    }
    return 0;
}

static int
check_clear(PyObject *object)
{
    Check *self = (Check *)object;
    disarm(self);
    forget(self);
    if (self->borrows_owner) {
        self->owner = NULL;
    }
    Py_CLEAR(self->owner);
    Py_CLEAR(self->extra);
    Py_CLEAR(self->token);
    return 0;
}

static void
check_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    (void)check_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

/* Let a check that is not armed be that of `part`. Where the owner is `object` itself, that is not kept alive. */
void
check_belong(PyObject *check, Part *part, PyObject *object)
{
    Check *self = (Check *)check;
    assert(!self->armed && self->part == NULL);
    self->part = part;
    if (self->owner == object) {
        self->borrows_owner = 1;
        Py_DECREF(object); /* Not the last reference: it is alive, or nobody would speak of it. */
    }
}

int
check_is_like(PyObject *one, PyObject *other)
{
    const Check *left = (const Check *)one;
    const Check *right = (const Check *)other;
    if (left->kind != right->kind || left->owner != right->owner || left->index != right->index) {
        return 0;
    }
    return left->extra == right->extra ||
           (left->kind == CHECK_DICT_ITEM && PyObject_RichCompareBool(left->extra, right->extra, Py_EQ) == 1) ||
           left->kind == CHECK_LIST_ITEM;
}

static PyMethodDef check_methods[] = {
    {"arm", check_arm, METH_NOARGS, PyDoc_STR("Take the present state as last seen and compare with it from now on.")},
    {"disarm", check_disarm, METH_NOARGS, PyDoc_STR("Compare no more and let go of the snapshot.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot check_slots[] = {
    {Py_tp_new, check_new},
    {Py_tp_dealloc, check_dealloc},
    {Py_tp_traverse, check_traverse},
    {Py_tp_clear, check_clear},
    {Py_tp_methods, check_methods},
    {Py_tp_doc, (void *)PyDoc_STR("Check(kind, owner, extra, token): the last seen state of one cell.")},
    {0, NULL},
};

PyType_Spec check_spec = {
    .name = "stopwhen._core.Check",
    .basicsize = sizeof(Check),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = check_slots,
};

/* ---- frames, for Python ---- */

static int
parse_frame_and_index(PyObject *args, PyFrameObject **frame, Py_ssize_t *index)
{
    PyObject *name;
    if (!PyArg_ParseTuple(args, "O!U", &PyFrame_Type, frame, &name)) {
        return -1;
    }
    PyCodeObject *code = PyFrame_GetCode(*frame);
    *index = fast_local_index(code, name);
    Py_DECREF(code);
    return PyErr_Occurred() ? -1 : 0;
}

/* frame_local(frame, name): what a local, cell or free variable holds; ABSENT when it is unbound or not there. */
PyObject *
frame_local(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyFrameObject *frame;
    Py_ssize_t index;
    if (parse_frame_and_index(args, &frame, &index) < 0) {
        return NULL;
    }
    PyObject *value = index < 0 ? NULL : read_local(frame, index);
    if (value == NULL && state->absent == NULL) { /* nobody has called open() yet */
        PyErr_SetNone(PyExc_KeyError);
        return NULL;
    }
    return value == NULL ? Py_NewRef(state->absent) : value;
}

/* frame_cell(frame, name): the cell object of a variable that functions share; None when it has none. */
PyObject *
frame_cell(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyFrameObject *frame;
    Py_ssize_t index;
    if (parse_frame_and_index(args, &frame, &index) < 0) {
        return NULL;
    }
    if (index < 0) {
        Py_RETURN_NONE;
    }
    PyObject *value = is_shared(frame, index) ? compat_fast_local(frame, index) : NULL;
    if (value == NULL || !PyCell_Check(value)) {
        Py_XSETREF(value, Py_NewRef(Py_None));
    }
    return value;
}
