/* C functions as operators of classes: with `__getitem__ = heapq.heapify`, `odd[rows]` changes `rows`, and no Python code
 * runs. Each counts as a hook (hooks.c), from the store on that puts it there.
 *
 * I1. While checks are due in any code, a class that a survey or an instruction has come across, and which is written in
 *     Python, has its dict in `class_dicts`; such a dict carries `class_watcher_id`. A dict that dies takes itself out.
 */
#include "operators.h"

#include "codeinfo.h"

int
operators_name_changes(const CoreState *state, PyObject *name)
{
    return (code_what_names(state, name) & NAMES_MUTATOR) != 0;
}

int
operators_function_changes(const CoreState *state, PyObject *function)
{
    PyObject *name = PyUnicode_FromString(((PyCFunctionObject *)function)->m_ml->ml_name);
    int result = name == NULL || operators_name_changes(state, name);
    PyErr_Clear();
    Py_XDECREF(name);
    return result;
}

static int
is_descriptor(PyObject *object)
{
    return Py_IS_TYPE(object, &PyMethodDescr_Type) || Py_IS_TYPE(object, &PyWrapperDescr_Type);
}

int
operators_visit_property(PyObject *part, void *state)
{
    return is_descriptor(part) ? operators_name_changes(state, PyDescr_NAME(part))
                               : PyCFunction_Check(part) && operators_function_changes(state, part);
}

/* True when `value`, an entry of a class's dict under `key`, is an operator that changes its operand. */
static int
changes_operand(const CoreState *state, PyObject *key, PyObject *value)
{
    /* `__new__` is bound to a class, and by far the most frequent one. */
    return PyCFunction_Check(value) && PyCFunction_GET_SELF(value) != NULL &&
           PyModule_Check(PyCFunction_GET_SELF(value)) && PyUnicode_CheckExact(key) && PyUnicode_GET_LENGTH(key) > 2 &&
           PyUnicode_READ_CHAR(key, 0) == '_' && PyUnicode_READ_CHAR(key, 1) == '_' &&
           operators_function_changes(state, value);
}

/* True when `value`, an entry of a class's dict under `key`, lets an operator or attribute change its instance. */
static int
changes_instance(const CoreState *state, PyObject *key, PyObject *value)
{
    if (Py_IS_TYPE(value, &PyProperty_Type)) {
        return compat_visit_parts(value, operators_visit_property, (void *)state);
    }
    return is_descriptor(value) && PyUnicode_CheckExact(key) && PyUnicode_Compare(key, PyDescr_NAME(value)) != 0 &&
           operators_name_changes(state, PyDescr_NAME(value));
}

typedef int (*Predicate)(const CoreState *state, PyObject *key, PyObject *value);

static int
has_entry(const CoreState *state, PyObject *entries, Predicate is_such)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(entries, &position, &key, &value)) {
        if (is_such(state, key, value)) {
            return 1;
        }
    }
    return 0;
}

int
operators_change_instances(const CoreState *state, PyTypeObject *type)
{
    PyObject *mro = type->tp_mro; /* Borrowed. */
    int found = 0;
    for (Py_ssize_t i = 0; mro != NULL && i < PyTuple_GET_SIZE(mro) && !found; i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        PyObject *entries = PyType_HasFeature(base, Py_TPFLAGS_HEAPTYPE) ? compat_type_dict(base) : NULL;
        found = entries != NULL && has_entry(state, entries, changes_instance);
        Py_XDECREF(entries);
    }
    return found;
}

#if HAS_DICT_WATCHERS

/* An entry of a class is about to be stored: runs no Python code (dictwatch.c, I1). */
static int
on_class_event(PyDict_WatchEvent event, PyObject *dict, PyObject *key, PyObject *value)
{
    CoreState *state = state_for_callback();
    if (event == PyDict_EVENT_DEALLOCATED) {
        (void)table_take(&state->class_dicts, dict);
    }
    else if ((event == PyDict_EVENT_ADDED || event == PyDict_EVENT_MODIFIED) &&
             (changes_operand(state, key, value) || changes_instance(state, key, value))) {
        PendingError error = take_pending_error();
        hooks_begin(state);
        put_back_pending_error(error);
    }
    return 0;
}

/* Be told of what becomes an entry of a class's dict; without memory or a watcher id, nobody is. */
static void
watch(CoreState *state, PyObject *dict)
{
    if (state->level == 0 || table_find(&state->class_dicts, dict) != NULL) {
        return;
    }
    PendingError error = take_pending_error();
    if (state->class_watcher_id < 0) {
        state->class_watcher_id = PyDict_AddWatcher(on_class_event);
    }
    if (state->class_watcher_id >= 0 && table_put(&state->class_dicts, dict, dict) == 0) {
        (void)PyDict_Watch(state->class_watcher_id, dict);
    }
    PyErr_Clear();
    put_back_pending_error(error);
}

int
operators_are_told(const CoreState *state)
{
    return state->class_watcher_id < 0 || compat_dict_watcher(state->class_watcher_id) == on_class_event;
}

void
operators_end(CoreState *state)
{
    PendingError error = take_pending_error();
    /* Or another has taken the id away: nobody has told of the end of dicts since. */
    if (state->class_watcher_id >= 0 && operators_are_told(state)) {
        PyObject *dict;
        for (Py_ssize_t i = 0; (dict = table_next(&state->class_dicts, &i)) != NULL;) {
            compat_unwatch(dict, state->class_watcher_id);
        }
        (void)PyDict_ClearWatcher(state->class_watcher_id);
    }
    state->class_watcher_id = -1;
    table_free(&state->class_dicts);
    PyErr_Clear();
    put_back_pending_error(error);
}

#endif

int
operators_change_operands(CoreState *state, PyTypeObject *type)
{
    PyObject *entries = PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) ? compat_type_dict(type) : NULL;
    if (entries == NULL) {
        return 0;
    }
#if HAS_DICT_WATCHERS
    watch(state, entries);
#endif
    int found = has_entry(state, entries, changes_operand);
    Py_DECREF(entries);
    return found;
}
