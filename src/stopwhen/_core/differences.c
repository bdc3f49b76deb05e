/* What has become different in a cell, and the snapshot of what it holds.
 *
 * I1. `check_report` notes the difference and takes the new snapshot, in this order, so that nothing that happens while
 *     noting is lost.
 */
#include "content.h"

#include "instances.h"
#include "judging.h"
#include "layout.h"
#include "links.h"
#include "memory.h"

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
    PyObject *keys = content_ordered_keys(dict);
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
            if (content_is_member(&set->table[i]) && PyList_Append(content, set->table[i].key) < 0) {
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

int
check_report_items_within(CoreState *state, Check *check, const Blame *blame, PyObject *const *now, Py_ssize_t length,
                          Py_ssize_t start, Py_ssize_t tail)
{
    Py_ssize_t common = length < check->length ? length : check->length;
    assert(0 <= start && 0 <= tail && start + tail <= common);
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

/* Note which items of a sequence gave way to others, and keep those as the snapshot. */
int
check_report_items(CoreState *state, Check *check, const Blame *blame, PyObject *const *now, Py_ssize_t length)
{
    return check_report_items_within(state, check, blame, now, length, 0, 0);
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
         check_keep_raw(check, ((PySetObject *)check->owner)->table, content_table_size(check->owner)) < 0)) {
        result = -1;
    }
    Py_DECREF(content);
    return result;
}

static int
report_one(CoreState *state, Check *check, const Blame *blame)
{
    PyObject *now = content_object(check); /* Owned, NULL for absent. */
    if (check->part == NULL && check->seen != NULL && now != NULL &&
        judging_settles(state, check->token, check->seen, now, blame)) {
        Py_SETREF(check->seen, now); /* What goes holds no other object. */
        return 0;
    }
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

int
check_take_snapshot(Check *check)
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
            result = check_keep_raw(check, ((PySetObject *)owner)->table, content_table_size(owner));
        }
        if (check->kind == CHECK_DICT) {
            content_keep_version(check);
        }
        return result;
    }
    default:
        if (check->kind == CHECK_DICT_ITEM) {
            content_keep_version(check);
        }
        Py_XSETREF(check->seen, content_object(check));
        return 0;
    }
}
