/* Dict watcher: notes every store to chosen keys of chosen dicts, or to any key, with the place that stores.
 *
 * I1. The callback runs before the store lands: it runs no Python code and drops no last reference.
 * I2. `dicts` has an entry for a dict exactly while that dict carries our watcher id. The tokens in the entry hold the
 *     dict; when it dies all the same, since the interpreter ends and takes them apart, so does the entry.
 * I3. `current` of an item is what its dict holds under the key, `absent` for nothing, or the item's own token when
 *     that is not known since an event of I4.
 * I4. Keys in `items` are of exact immutable builtin types, with all that they contain. An event's key is compared with
 *     them only when it is too; any other key might be equal to each of them, which only the user's code could tell:
 *     then all become unknown.
 * I5. CLONED, which an empty dict gets that takes all of another, has that other dict for its key, and no value.
 * I6. While another has taken our watcher id away, no event tells that a dict has ended: only those that tokens hold are
 *     looked at then.
 */
#include "dictwatch.h"

#include "instances.h"
#include "judging.h"
#include "keys.h"

#if HAS_DICT_WATCHERS

WatchedDict *
dictwatch_find(const CoreState *state, PyObject *dict)
{
    return table_find(&state->dicts, dict);
}

static void
free_watched(WatchedDict *watched)
{
    Py_CLEAR(watched->items);
    Py_CLEAR(watched->content);
    PyMem_Free(watched);
}

static int
has_simple_keys(PyObject *dict)
{
    PyObject *key;
    Py_ssize_t position = 0;
    while (PyDict_Next(dict, &position, &key, NULL)) {
        if (!keys_is_simple(key)) {
            return 0;
        }
    }
    return 1;
}

PyObject *
dictwatch_present(WatchedDict *watched, PyObject *key, int *known)
{
    PyObject *dict = watched->dict;
    *known = 1;
    if (watched->simple_keys && keys_is_simple(key)) {
        PyObject *value = Py_XNewRef(PyDict_GetItemWithError(dict, key));
        if (value == NULL) {
            PyErr_Clear();
        }
        return value;
    }
    PyObject *candidate, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(dict, &position, &candidate, &value)) {
        if (candidate == key) {
            return Py_NewRef(value);
        }
    }
    *known = 0;
    return NULL;
}

static PyObject *
or_absent(CoreState *state, PyObject *value)
{
    return value == NULL ? state->absent : value;
}

static void
note(CoreState *state, PyObject *token, DeltaKind kind, PyObject *data, Blame *blame)
{
    if (events_note(state, token, kind, data, blame) < 0) {
        PyErr_Clear(); /* It counts as missed; the session tells the user. */
    }
}

/* `entry` is [token, current]: note that `new_value` (NULL for none) takes the place of the current value. */
static void
note_item(CoreState *state, PyObject *entry, PyObject *new_value, Blame *blame)
{
    PyObject *token = PyList_GET_ITEM(entry, 0);    /* Borrowed, as the two below. */
    PyObject *old = PyList_GET_ITEM(entry, 1);      /* Kept alive by the record. */
    PyObject *now = or_absent(state, new_value);
    if (old == now) {
        return;
    }
    PyObject *data = old == token ? Py_NewRef(Py_None) : PyTuple_Pack(2, old, now);
    note(state, token, old == token ? DELTA_UNKNOWN : DELTA_REBOUND, data, blame);
    if (data == NULL) {
        return; /* No memory: keep `current`, and with it the last reference that I1 forbids to drop. */
    }
    PyList_SET_ITEM(entry, 1, Py_NewRef(now)); /* I3 */
    Py_DECREF(old); /* Not the last reference: the record, or where that failed the dict, has one. */
}

/* Note that another value, it is not known which, may take the place of every item's. */
static void
note_all_unknown(CoreState *state, WatchedDict *watched, Blame *blame)
{
    PyObject *key, *entry;
    Py_ssize_t position = 0;
    while (PyDict_Next(watched->items, &position, &key, &entry)) {
        PyObject *token = PyList_GET_ITEM(entry, 0);
        PyObject *old = PyList_GET_ITEM(entry, 1);
        note(state, token, DELTA_UNKNOWN, Py_NewRef(Py_None), blame);
        PyList_SET_ITEM(entry, 1, Py_NewRef(token)); /* I3 */
        Py_DECREF(old); /* Not the last reference: the dict still holds it (I1). */
    }
}

/* Note that every item takes its value in `source`, or none when that is NULL. */
static void
note_all_items(CoreState *state, WatchedDict *watched, PyObject *source, Blame *blame)
{
    PyObject *key, *entry;
    Py_ssize_t position = 0;
    while (PyDict_Next(watched->items, &position, &key, &entry)) {
        note_item(state, entry, source == NULL ? NULL : PyDict_GetItemWithError(source, key), blame);
    }
}

PyObject *
dictwatch_flat_items(PyObject *dict)
{
    PyObject *items = PyList_New(0);
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (items != NULL && PyDict_Next(dict, &position, &key, &value)) {
        if (PyList_Append(items, key) < 0 || PyList_Append(items, value) < 0) {
            Py_CLEAR(items);
        }
    }
    return items;
}

static void
note_content(CoreState *state, WatchedDict *watched, PyDict_WatchEvent event, PyObject *key, PyObject *new_value,
             Blame *blame)
{
    PyObject *dict = watched->dict;
    if (event == PyDict_EVENT_CLEARED || event == PyDict_EVENT_CLONED) {
        PyObject *before = dictwatch_flat_items(dict);
        PyObject *after = event == PyDict_EVENT_CLONED ? dictwatch_flat_items(key) : PyList_New(0); /* I5 */
        PyObject *data = before == NULL || after == NULL ? NULL : PyTuple_Pack(2, before, after);
        Py_XDECREF(before);
        Py_XDECREF(after);
        note(state, watched->content, DELTA_WHOLE, data, blame);
        return;
    }
    int known;
    PyObject *old = dictwatch_present(watched, key, &known);
    if (!known && event == PyDict_EVENT_ADDED) {
        known = 1; /* There was none under an equal key, or it would be a modification. */
    }
    if (!known) {
        note(state, watched->content, DELTA_UNKNOWN, Py_NewRef(Py_None), blame);
        return;
    }
    Py_ssize_t length = PyDict_GET_SIZE(dict) + (event == PyDict_EVENT_ADDED) - (event == PyDict_EVENT_DELETED);
    PyObject *data = Py_BuildValue("OOOn", key, or_absent(state, old), or_absent(state, new_value), length);
    note(state, watched->content, DELTA_ITEM, data, blame);
    Py_XDECREF(old); /* Not the last reference: the dict still holds it (I1). */
}

static void
note_event(CoreState *state, WatchedDict *watched, PyDict_WatchEvent event, PyObject *key, PyObject *new_value,
           Blame *blame)
{
    if (watched->content != NULL) {
        note_content(state, watched, event, key, new_value, blame);
    }
    if (watched->items == NULL) {
        return;
    }
    if (event == PyDict_EVENT_CLEARED) {
        note_all_items(state, watched, NULL, blame);
    }
    else if (event == PyDict_EVENT_CLONED && watched->simple_keys) {
        note_all_items(state, watched, key, blame); /* I5 */
    }
    else if (event == PyDict_EVENT_CLONED || !keys_is_plain(key)) {
        note_all_unknown(state, watched, blame); /* I4 */
    }
    else {
        PyObject *entry = PyDict_GetItemWithError(watched->items, key);
        if (entry != NULL) {
            note_item(state, entry, new_value, blame);
        }
    }
}

/* True when this event is of no interest: the fast path of a busy namespace of which one name is watched. */
static int
is_of_no_interest(WatchedDict *watched, PyDict_WatchEvent event, PyObject *key)
{
    if (watched->content != NULL || attributes_care(watched, event, key)) {
        return 0;
    }
    if (watched->items == NULL) {
        return 1;
    }
    if (event == PyDict_EVENT_CLEARED || event == PyDict_EVENT_CLONED) {
        return 0;
    }
    return keys_is_plain(key) && PyDict_GetItemWithError(watched->items, key) == NULL;
}

static void
on_dealloc(CoreState *state, WatchedDict *watched)
{
    (void)table_take(&state->dicts, watched->dict); /* I2 */
    instances_lose_dict(state, watched);
    subclasses_lose_dict(state, watched);
    free_watched(watched);
}

/* Judge a store to one watched item, of which nobody else hears; true when that is all there is to it. */
static int
settles(CoreState *state, WatchedDict *watched, PyObject *key, PyObject *new_value)
{
    if (watched->content != NULL || watched->items == NULL || watched->instances != NULL || watched->parts != NULL ||
        watched->subclasses_of != NULL || !PyUnicode_CheckExact(key) || state->cases.count == 0) {
        return 0;
    }
    PyObject *entry = PyDict_GetItemWithError(watched->items, key);
    if (entry == NULL) {
        return 0;
    }
    PyObject *old = PyList_GET_ITEM(entry, 1); /* Its dict still holds it (I1, I3). */
    if (!judging_settles(state, PyList_GET_ITEM(entry, 0), old, new_value, NULL)) {
        return 0;
    }
    PyList_SET_ITEM(entry, 1, Py_NewRef(new_value)); /* I3 */
    Py_DECREF(old);
    if (state->queued > 0 || state->missed_count > 0) { /* Its action is due. */
        Blame blame;
        blame_current(&blame);
        instrument_stop_after(state, &blame);
        blame_release(&blame);
    }
    return 1;
}

static int
on_dict_event(PyDict_WatchEvent event, PyObject *dict, PyObject *key, PyObject *new_value)
{
    CoreState *state = state_for_callback();
    WatchedDict *watched = state == NULL ? NULL : dictwatch_find(state, dict);
    if (watched == NULL) {
        return 0;
    }
    PendingError error = take_pending_error();
    if (event == PyDict_EVENT_DEALLOCATED) {
        on_dealloc(state, watched);
        put_back_pending_error(error);
        return 0;
    }
    if (event == PyDict_EVENT_CLONED) {
        watched->simple_keys = has_simple_keys(key); /* I5 */
    }
    else if (event == PyDict_EVENT_ADDED && !keys_is_simple(key)) {
        watched->simple_keys = 0;
    }
    if (event == PyDict_EVENT_MODIFIED && settles(state, watched, key, new_value)) {
        put_back_pending_error(error);
        return 0;
    }
    if (watched->subclasses_of != NULL) {
        subclasses_on_event(state, watched->subclasses_of, event, key, new_value);
    }
    if (!is_of_no_interest(watched, event, key)) {
        Blame blame;
        blame_current(&blame);
        Py_ssize_t queued = state->queued;
        int missed = state->missed_count;
        note_event(state, watched, event, key, new_value, &blame);
        attributes_note(state, watched, event, key, new_value, &blame);
        if ((state->queued > queued || state->missed_count > missed) && !events_is_draining()) {
            instrument_stop_after(state, &blame);
        }
        blame_release(&blame);
    }
    put_back_pending_error(error);
    return 0;
}

static int
take_watcher_id(CoreState *state)
{
    if (state->watcher_id < 0) {
        state->watcher_id = PyDict_AddWatcher(on_dict_event);
    }
    return state->watcher_id < 0 ? -1 : 0;
}

static int
is_held(const WatchedDict *watched)
{
    return watched->items != NULL || watched->content != NULL; /* I2 */
}

int
dictwatch_is_ours(const CoreState *state)
{
    return state->watcher_id < 0 || compat_dict_watcher(state->watcher_id) == on_dict_event;
}

int
dictwatch_is_whole(const CoreState *state)
{
    int is_whole = dictwatch_is_ours(state);
    const WatchedDict *watched;
    for (Py_ssize_t i = 0; is_whole && (watched = table_next(&state->dicts, &i)) != NULL;) {
        is_whole = !is_held(watched) || compat_is_watched(watched->dict, state->watcher_id); /* I6 */
    }
    return is_whole;
}

static void
unwatch(const CoreState *state, const WatchedDict *watched)
{
    if (dictwatch_is_ours(state) || is_held(watched)) { /* I6 */
        compat_unwatch(watched->dict, state->watcher_id);
    }
}

/* Give the watcher id back when no dict is watched. May be called with an exception set, which stays. */
static void
give_back_watcher_id(CoreState *state)
{
    if (state->dicts.count == 0 && state->watcher_id >= 0) {
        PendingError error = take_pending_error();
        if (dictwatch_is_ours(state)) { /* Or somebody else has taken it away. */
            (void)PyDict_ClearWatcher(state->watcher_id);
        }
        state->watcher_id = -1;
        put_back_pending_error(error);
    }
}

WatchedDict *
dictwatch_find_or_add(CoreState *state, PyObject *dict)
{
    WatchedDict *watched = dictwatch_find(state, dict);
    if (watched != NULL) {
        return watched;
    }
    if (take_watcher_id(state) < 0) {
        return NULL;
    }
    watched = PyMem_Calloc(1, sizeof(WatchedDict));
    if (watched == NULL) {
        PyErr_NoMemory();
        goto failed;
    }
    watched->dict = dict;
    watched->simple_keys = has_simple_keys(dict);
    if (table_put(&state->dicts, dict, watched) < 0) { /* I2 */
        goto failed;
    }
    if (PyDict_Watch(state->watcher_id, dict) < 0) {
        (void)table_take(&state->dicts, dict);
        goto failed;
    }
    return watched;

failed:
    PyMem_Free(watched);
    give_back_watcher_id(state);
    return NULL;
}

int
dictwatch_drop_if_unused(CoreState *state, WatchedDict *watched)
{
    if (watched->content != NULL || watched->items != NULL || watched->instances != NULL || watched->parts != NULL ||
        watched->subclasses_of != NULL) {
        return 0;
    }
    unwatch(state, watched);
    (void)table_take(&state->dicts, watched->dict);
    free_watched(watched);
    give_back_watcher_id(state);
    return 0;
}

static void
drop_items_if_empty(WatchedDict *watched)
{
    if (watched->items != NULL && PyDict_GET_SIZE(watched->items) == 0) {
        Py_CLEAR(watched->items);
    }
}

/* arm_dict(dict, key, token) watches one item, arm_dict(dict, None, token, True) the whole content. */
PyObject *
dictwatch_arm(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *dict, *key, *token; /* Borrowed from args. */
    int whole = 0;
    if (!PyArg_ParseTuple(args, "O!OO|p", &PyDict_Type, &dict, &key, &token, &whole)) {
        return NULL;
    }
    WatchedDict *watched = dictwatch_find_or_add(state, dict);
    if (watched == NULL) {
        return NULL;
    }
    if (whole) {
        Py_XSETREF(watched->content, Py_NewRef(token));
        Py_RETURN_NONE;
    }
    int known;
    PyObject *value = dictwatch_present(watched, key, &known);
    if (!known) {
        /* A key of another type is in the dict: find ours among the plain ones. */
        PyObject *candidate, *found;
        Py_ssize_t position = 0;
        while (value == NULL && PyDict_Next(dict, &position, &candidate, &found)) {
            if (keys_is_plain(candidate) && PyObject_RichCompareBool(candidate, key, Py_EQ) == 1) {
                value = Py_NewRef(found);
            }
        }
        PyErr_Clear();
    }
    PyObject *entry = PyList_New(2);
    if (entry == NULL) {
        Py_XDECREF(value);
        goto failed;
    }
    PyList_SET_ITEM(entry, 0, Py_NewRef(token));
    PyList_SET_ITEM(entry, 1, value != NULL ? value : Py_NewRef(state->absent)); /* I3 */
    if (watched->items == NULL) {
        watched->items = PyDict_New();
    }
    int failed = watched->items == NULL ? -1 : PyDict_SetItem(watched->items, key, entry);
    Py_DECREF(entry);
    if (failed < 0) {
        goto failed;
    }
    Py_RETURN_NONE;
failed:
    drop_items_if_empty(watched);
    (void)dictwatch_drop_if_unused(state, watched);
    return NULL;
}

/* disarm_dict(dict, key) or disarm_dict(dict, None, True); nothing when it is not armed. */
PyObject *
dictwatch_disarm(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *dict, *key; /* Borrowed from args. */
    int whole = 0;
    if (!PyArg_ParseTuple(args, "O!O|p", &PyDict_Type, &dict, &key, &whole)) {
        return NULL;
    }
    WatchedDict *watched = dictwatch_find(state, dict);
    if (watched == NULL) {
        Py_RETURN_NONE;
    }
    if (whole) {
        Py_CLEAR(watched->content);
    }
    else if (watched->items != NULL && PyDict_DelItem(watched->items, key) < 0) {
        if (!PyErr_ExceptionMatches(PyExc_KeyError)) {
            return NULL;
        }
        PyErr_Clear();
    }
    /* Dropping a value may have run user code that armed or disarmed: look again. */
    watched = dictwatch_find(state, dict);
    if (watched == NULL) {
        Py_RETURN_NONE;
    }
    drop_items_if_empty(watched);
    if (dictwatch_drop_if_unused(state, watched) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* dict_watcher_is_free(): True when a watcher id is ours or can be had now. */
PyObject *
dictwatch_is_usable(PyObject *module, PyObject *Py_UNUSED(unused))
{
    CoreState *state = PyModule_GetState(module);
    if (state->watcher_id >= 0) {
        Py_RETURN_TRUE;
    }
    if (take_watcher_id(state) < 0) {
        PyErr_Clear();
        Py_RETURN_FALSE;
    }
    give_back_watcher_id(state);
    Py_RETURN_TRUE;
}

/* detach_dict(dict): make an instance's dict keep its values itself; nothing for any other dict.
 *
 * On 3.13.0 stores to a dict that shares its values with the object are never reported (cpython gh-125608). A key that
 * is not a str, put in and taken out again under one hold of the GIL, ends the sharing. */
PyObject *
dictwatch_detach(PyObject *Py_UNUSED(module), PyObject *dict)
{
    assert(PyDict_Check(dict));
    if (((PyDictObject *)dict)->ma_values == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *key = PyLong_FromLong(0);
    int failed = key == NULL || PyDict_SetItem(dict, key, Py_None) < 0 || PyDict_DelItem(dict, key) < 0;
    Py_XDECREF(key);
    return failed ? NULL : Py_NewRef(Py_None);
}

int
dictwatch_traverse(CoreState *state, visitproc visit, void *arg)
{
    WatchedDict *watched;
    for (Py_ssize_t i = 0; (watched = table_next(&state->dicts, &i)) != NULL;) {
        Py_VISIT(watched->items);
        Py_VISIT(watched->content);
    }
    return 0;
}

void
dictwatch_clear(CoreState *state)
{
    Table dicts = state->dicts;
    WatchedDict *watched;
    for (Py_ssize_t i = 0; (watched = table_next(&dicts, &i)) != NULL;) {
        unwatch(state, watched);
    }
    state->dicts = (Table){NULL, 0, 0};
    give_back_watcher_id(state);
    /* Dropping what was seen may run user code: only now, when nothing is armed any more. */
    for (Py_ssize_t i = 0; (watched = table_next(&dicts, &i)) != NULL;) {
        free_watched(watched);
    }
    table_free(&dicts);
}

#endif
