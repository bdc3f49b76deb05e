/* What an instruction that comes next touches of the armed accesses, by its operands on the stack of its frame.
 *
 * I1. Keys are compared by C code only: none that is not of a builtin type, with all it holds, is taken to be equal.
 * I2. All objects here are borrowed: from the stack, a namespace, a class, which keep them until the instruction runs.
 *     Python code that is asked may let other threads run, so it gets references of its own.
 */
#include "access.h"
#include "content.h"
#include "frames.h"
#include "keys.h"
#include "sites.h"

void
touch_token(Touched *touched, PyObject *token, int is_read)
{
    PyObject **list = is_read ? &touched->read : &touched->stored;
    if (*list == NULL) {
        *list = PyList_New(0);
    }
    for (Py_ssize_t i = 0; *list != NULL && i < PyList_GET_SIZE(*list); i++) {
        if (PyList_GET_ITEM(*list, i) == token) {
            return;
        }
    }
    if (*list == NULL || PyList_Append(*list, token) < 0) {
        PyErr_Clear();
    }
}

static int
same_key(PyObject *mine, PyObject *key)
{
    if (mine == key) {
        return 1;
    }
    if (PyUnicode_CheckExact(mine) && PyUnicode_CheckExact(key)) {
        return PyUnicode_Compare(mine, key) == 0;
    }
    return keys_is_plain(key) && PyObject_RichCompareBool(mine, key, Py_EQ) == 1; /* I1 */
}

static int
is_index_in(PyObject *key, Py_ssize_t index, Py_ssize_t length)
{
    if (PyLong_CheckExact(key) || PyBool_Check(key)) {
        Py_ssize_t wanted = PyLong_AsSsize_t(key);
        if (wanted == -1 && PyErr_Occurred()) {
            PyErr_Clear();
            return 0;
        }
        return index == (wanted < 0 ? wanted + length : wanted);
    }
    if (!PySlice_Check(key)) {
        return 0;
    }
    PySliceObject *slice = (PySliceObject *)key;
    PyObject *parts[] = {slice->start, slice->stop, slice->step};
    for (int i = 0; i < 3; i++) {
        if (parts[i] != Py_None && !PyLong_CheckExact(parts[i])) {
            return 0; /* Only the user's code could tell. */
        }
    }
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(key, &start, &stop, &step) < 0) {
        PyErr_Clear();
        return 0;
    }
    Py_ssize_t count = PySlice_AdjustIndices(length, &start, &stop, step);
    Py_ssize_t away = index - start;
    return count > 0 && away % step == 0 && away / step >= 0 && away / step < count;
}

static int
is_item(const Access *access, PyObject *key)
{
    if (access->kind == ACCESS_ITEM) {
        return same_key(access->key, key);
    }
    if (access->kind != ACCESS_LIST_ITEM) {
        return 0;
    }
    Py_ssize_t length = PyList_GET_SIZE(access->owner);
    Py_ssize_t index = access->index < 0 ? access->index + length : access->index;
    return is_index_in(key, index, length);
}

static int
is_there(const Access *access)
{
    if (access->kind == ACCESS_LIST_ITEM) {
        Py_ssize_t length = PyList_GET_SIZE(access->owner);
        return -length <= access->index && access->index < length;
    }
    PyObject *value = content_dict_item(access->owner, access->key);
    Py_XDECREF(value);
    PyErr_Clear();
    return value != NULL;
}

static PyObject *
method_of(CoreState *state, PyTypeObject *type, MethodName name)
{
    return _PyType_Lookup(type, state->method_names[name]); /* Borrowed. */
}

/* True when the type's method of this name is in C: it touches what it is asked to. */
static int
is_in_c(CoreState *state, PyTypeObject *type, MethodName name)
{
    PyObject *method = method_of(state, type, name);
    return method != NULL && (Py_IS_TYPE(method, &PyWrapperDescr_Type) || Py_IS_TYPE(method, &PyMethodDescr_Type));
}

static void
touch_content(Touched *touched, PyObject *owner)
{
    const Access *access = access_first(touched->state, owner);
    for (; access != NULL; access = access_next(touched->state, access)) {
        if (access->kind == ACCESS_CONTENT && !access->is_read) {
            touch_token(touched, access->token, 0);
        }
    }
}

/* `owner[key]`, whatever the class of `owner` says. */
static void
touch_item(Touched *touched, PyObject *owner, PyObject *key, int is_read)
{
    const Access *access = access_first(touched->state, owner);
    for (; access != NULL; access = access_next(touched->state, access)) {
        if (access->is_read != is_read) {
            continue;
        }
        if (access->kind == ACCESS_CONTENT || (is_item(access, key) && (!is_read || is_there(access)))) {
            touch_token(touched, access->token, is_read);
        }
    }
}

/* An instruction that asks for `owner[key]`. */
static void
touch_subscript(Touched *touched, PyObject *owner, PyObject *key, int is_read)
{
    if (owner != NULL && key != NULL && access_first(touched->state, owner) != NULL &&
        is_in_c(touched->state, Py_TYPE(owner), is_read ? METHOD_GETITEM : METHOD_SETITEM)) {
        touch_item(touched, owner, key, is_read);
    }
}

static void
touch_slice(Touched *touched, PyObject *owner, PyObject *start, PyObject *stop, int is_read)
{
    if (owner == NULL || start == NULL || stop == NULL || access_first(touched->state, owner) == NULL) {
        return;
    }
    PyObject *slice = PySlice_New(start, stop, NULL);
    touch_subscript(touched, owner, slice, is_read);
    Py_XDECREF(slice);
    PyErr_Clear();
}

static void
touch_kind(Touched *touched, PyObject *owner, AccessKind kind, PyObject *key, int is_read)
{
    const Access *access = access_first(touched->state, owner);
    for (; access != NULL; access = access_next(touched->state, access)) {
        if (access->kind == kind && access->is_read == is_read && (key == NULL || access->key == key)) {
            touch_token(touched, access->token, is_read);
        }
    }
}

static PyObject *
dict_of_type(PyTypeObject *type)
{
#if HAS_MONITORING
    PyObject *dict = PyType_GetDict(type);
    Py_XDECREF(dict); /* The type keeps it. */
    return dict;
#else
    return type->tp_dict;
#endif
}

/* Return the dict in the MRO of `type`, behind `start` unless that is NULL, that has `name`; borrowed, NULL for none. */
static PyObject *
dict_with(PyTypeObject *type, PyTypeObject *start, PyObject *name)
{
    PyObject *mro = type->tp_mro;
    for (Py_ssize_t i = 0; mro != NULL && i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        if (start == NULL) {
            PyObject *dict = dict_of_type(base);
            if (dict != NULL && PyDict_GetItemWithError(dict, name) != NULL) {
                return dict;
            }
            PyErr_Clear();
        }
        else if (base == start) {
            start = NULL;
        }
    }
    return NULL;
}

/* `descriptor` of the class takes care of the attribute `name` of `owner`. */
static void
touch_by_descriptor(Touched *touched, PyObject *owner, PyObject *descriptor, PyObject *name, int is_read)
{
    if (Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) {
        touch_kind(touched, owner, ACCESS_SLOT, descriptor, is_read);
    }
    else if (PyCell_Check(owner) && PyUnicode_CompareWithASCIIString(name, "cell_contents") == 0) {
        if (!is_read || PyCell_GET(owner) != NULL) {
            touch_kind(touched, owner, ACCESS_CLOSURE, NULL, is_read);
        }
    }
    else if (!is_read && is_in_c(touched->state, Py_TYPE(descriptor), METHOD_SET)) {
        touch_content(touched, owner); /* A field of a ctypes structure, say. */
    }
}

static void
touch_stored_attribute(Touched *touched, PyObject *owner, PyObject *name)
{
    PyTypeObject *type = Py_TYPE(owner);
    if (!is_in_c(touched->state, type, METHOD_SETATTR)) {
        return; /* It has instructions, or a call, of its own. */
    }
    PyObject *descriptor = _PyType_Lookup(type, name); /* Borrowed. */
    if (descriptor != NULL && Py_TYPE(descriptor)->tp_descr_set != NULL) {
        touch_by_descriptor(touched, owner, descriptor, name, 0);
        return;
    }
    PyObject *dict = PyType_Check(owner) ? dict_of_type((PyTypeObject *)owner) : compat_instance_dict(owner);
    if (dict != NULL) {
        touch_item(touched, dict, name, 0);
    }
}

/* True when `owner` has an attribute of its own in place of `of_class`, in values for which it has no dict yet. */
static int
hides(PyObject *owner, PyObject *of_class, PyObject *name)
{
    if (of_class == NULL || Py_TYPE(of_class)->tp_descr_get != NULL ||
        !(Py_TYPE(owner)->tp_flags & Py_TPFLAGS_MANAGED_DICT)) {
        return 0;
    }
    PyObject *found = PyObject_GenericGetAttr(owner, name);
    Py_XDECREF(found); /* Owner or class keep it. */
    PyErr_Clear();
    return found != of_class;
}

static void
touch_class_attribute(Touched *touched, PyTypeObject *type, PyTypeObject *start, PyObject *name)
{
    PyObject *dict = dict_with(type, start, name);
    if (dict != NULL) {
        touch_item(touched, dict, name, 1);
    }
}

static void
touch_super_attribute(Touched *touched, PyObject *start, PyObject *owner, PyObject *name)
{
    if (start == NULL || owner == NULL || !PyType_Check(start)) {
        return;
    }
    int of_class = PyType_Check(owner) && PyType_IsSubtype((PyTypeObject *)owner, (PyTypeObject *)start);
    PyTypeObject *type = of_class ? (PyTypeObject *)owner : Py_TYPE(owner);
    touch_class_attribute(touched, type, (PyTypeObject *)start, name);
}

#if !HAS_MONITORING
/* Return what the object `super()` has under a name of its own; borrowed, as the object keeps it. */
static PyObject *
part_of_super(PyObject *object, const char *name)
{
    PyObject *key = PyUnicode_FromString(name);
    PyObject *descriptor = key == NULL ? NULL : _PyType_Lookup(&PySuper_Type, key); /* Borrowed. */
    PyObject *part =
        descriptor == NULL ? NULL : Py_TYPE(descriptor)->tp_descr_get(descriptor, object, (PyObject *)&PySuper_Type);
    Py_XDECREF(key);
    Py_XDECREF(part);
    PyErr_Clear();
    return part;
}
#endif

static void
touch_read_attribute(Touched *touched, PyObject *owner, PyObject *name)
{
    PyTypeObject *type = Py_TYPE(owner);
#if !HAS_MONITORING
    if (type == &PySuper_Type) {
        PyObject *start = part_of_super(owner, "__thisclass__");
        touch_super_attribute(touched, start, part_of_super(owner, "__self__"), name);
        return;
    }
#endif
    if (!is_in_c(touched->state, type, METHOD_GETATTRIBUTE)) {
        return;
    }
    PyObject *in_class = _PyType_Lookup(type, name); /* Borrowed. */
    /* A descriptor without `__get__` hides nothing from a reader. */
    if (in_class != NULL && Py_TYPE(in_class)->tp_descr_set != NULL && Py_TYPE(in_class)->tp_descr_get != NULL) {
        touch_by_descriptor(touched, owner, in_class, name, 1);
        return;
    }
    if (PyType_Check(owner)) {
        touch_class_attribute(touched, (PyTypeObject *)owner, NULL, name);
        return;
    }
    PyObject *dict = compat_instance_dict(owner);
    PyObject *own = dict == NULL ? NULL : content_dict_item(dict, name);
    if (own != NULL) {
        touch_item(touched, dict, name, 1);
        Py_DECREF(own); /* The dict keeps it. */
        return;
    }
    PyErr_Clear();
    PyObject *provider = in_class == NULL ? NULL : dict_with(type, NULL, name);
    if (provider != NULL && access_first(touched->state, provider) != NULL &&
        (dict != NULL || !hides(owner, in_class, name))) {
        touch_item(touched, provider, name, 1);
    }
}

/* A name that is read from the first of `namespaces` that has it. */
static void
touch_name(Touched *touched, PyObject *const *namespaces, int count, PyObject *name)
{
    for (int i = 0; i < count; i++) {
        if (namespaces[i] == NULL || !PyDict_Check(namespaces[i])) {
            return;
        }
        PyObject *value = content_dict_item(namespaces[i], name);
        PyErr_Clear();
        if (value != NULL) {
            Py_DECREF(value); /* The namespace keeps it. */
            touch_item(touched, namespaces[i], name, 1);
            return;
        }
    }
}

static int
is_borrowed(const Access *access, int offset)
{
    for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(access->key); i++) {
        int start, end;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(access->key, i), "ii", &start, &end)) {
            PyErr_Clear();
            continue;
        }
        if (start <= offset && offset <= end) {
            return 1;
        }
    }
    return 0;
}

static void
touch_local(Touched *touched, InterpreterFrame *frame, int unit, int index, int is_read)
{
    PyFrameObject *object = compat_frame_object(frame);
    if (object == NULL || (is_read && compat_variable(frame, index) == NULL)) {
        return;
    }
    const FrameRef *ref = frames_find(touched->state, object);
    const Access *access = ref == NULL ? NULL : access_first(touched->state, (const PyObject *)ref);
    for (; access != NULL; access = access_next(touched->state, access)) {
        if (access->index == index && access->is_read == is_read && !is_borrowed(access, 2 * unit)) {
            touch_token(touched, access->token, is_read);
        }
    }
}

static void
touch_shared(Touched *touched, PyObject *shared, int is_read)
{
    if (shared != NULL && PyCell_Check(shared) && (!is_read || PyCell_GET(shared) != NULL)) {
        touch_kind(touched, shared, ACCESS_CLOSURE, NULL, is_read);
    }
}

static void
touch_by_store(Touched *touched, CodeInfo *info, InterpreterFrame *frame, int unit)
{
    CoreState *state = touched->state;
    int depth = info->depth[unit];
    int argument = info->sites->argument[unit];
    PyObject *top, *second; /* Borrowed. */
    switch ((SiteKind)info->sites->kind[unit]) {
    case SITE_STORE_NAME:
        top = compat_frame_locals(frame);
        if (top != NULL && PyDict_Check(top)) {
            touch_item(touched, top, site_name(state, info, unit), 0);
        }
        break;
    case SITE_STORE_GLOBAL:
        touch_item(touched, compat_frame_globals(frame), site_name(state, info, unit), 0);
        break;
    case SITE_STORE_ATTRIBUTE:
        top = compat_operand(frame, depth, 0);
        if (top != NULL) {
            touch_stored_attribute(touched, top, site_name(state, info, unit));
        }
        break;
    case SITE_STORE_ITEM:
        touch_subscript(touched, compat_operand(frame, depth, 1), compat_operand(frame, depth, 0), 0);
        break;
    case SITE_STORE_SLICE:
        touch_slice(touched, compat_operand(frame, depth, 2), compat_operand(frame, depth, 1),
                    compat_operand(frame, depth, 0), 0);
        break;
    case SITE_STORE_FAST:
        touch_local(touched, frame, unit, argument, 0);
        break;
    case SITE_STORE_FAST_TWICE:
        touch_local(touched, frame, unit, argument >> 4, 0);
        touch_local(touched, frame, unit, argument & 15, 0);
        break;
    case SITE_STORE_FAST_LOAD_FAST:
        touch_local(touched, frame, unit, argument >> 4, 0);
        touch_local(touched, frame, unit, argument & 15, 1);
        break;
    case SITE_STORE_DEREF:
        touch_shared(touched, compat_variable(frame, argument), 0);
        break;
    case SITE_IN_PLACE:
        top = compat_operand(frame, depth, 0);
        second = compat_operand(frame, depth, 1);
        if (top != NULL && second != NULL && access_first(state, second) != NULL) {
            callees_judge(touched, Py_BuildValue("iOOi", SITE_IN_PLACE, second, top, argument));
        }
        break;
    case SITE_IMPORT_STAR:
        top = compat_operand(frame, depth, 0);
        second = compat_frame_locals(frame);
        if (top != NULL && second != NULL && access_first(state, second) != NULL) {
            callees_judge(touched, Py_BuildValue("iOOO", SITE_IMPORT_STAR, second, top, Py_None));
        }
        break;
    default:
        break;
    }
}

static void
touch_by_load(Touched *touched, CodeInfo *info, InterpreterFrame *frame, int unit)
{
    CoreState *state = touched->state;
    int depth = info->depth[unit];
    int argument = info->sites->argument[unit];
    PyObject *namespaces[3] = {compat_frame_locals(frame), compat_frame_globals(frame), compat_frame_builtins(frame)};
    PyObject *top, *name; /* Borrowed. */
    switch ((SiteKind)info->sites->kind[unit]) {
    case SITE_LOAD_NAME:
        touch_name(touched, namespaces, 3, site_name(state, info, unit));
        break;
    case SITE_LOAD_GLOBAL:
        touch_name(touched, namespaces + 1, 2, site_name(state, info, unit));
        break;
    case SITE_LOAD_FROM_DICT_OR_GLOBAL:
        namespaces[0] = compat_operand(frame, depth, 0);
        touch_name(touched, namespaces, 3, site_name(state, info, unit));
        break;
    case SITE_LOAD_ATTRIBUTE:
    case SITE_IMPORT_FROM:
        top = compat_operand(frame, depth, 0);
        if (top != NULL) {
            touch_read_attribute(touched, top, site_name(state, info, unit));
        }
        break;
    case SITE_LOAD_SUPER:
        touch_super_attribute(touched, compat_operand(frame, depth, 1), compat_operand(frame, depth, 0),
                              site_name(state, info, unit));
        break;
    case SITE_LOAD_ITEM:
        touch_subscript(touched, compat_operand(frame, depth, 1), compat_operand(frame, depth, 0), 1);
        break;
    case SITE_LOAD_SLICE:
        touch_slice(touched, compat_operand(frame, depth, 2), compat_operand(frame, depth, 1),
                    compat_operand(frame, depth, 0), 1);
        break;
    case SITE_LOAD_FAST:
        touch_local(touched, frame, unit, argument, 1);
        break;
    case SITE_LOAD_FAST_TWICE:
        touch_local(touched, frame, unit, argument >> 4, 1);
        touch_local(touched, frame, unit, argument & 15, 1);
        break;
    case SITE_LOAD_DEREF:
        touch_shared(touched, compat_variable(frame, argument), 1);
        break;
    case SITE_LOAD_FROM_DICT_OR_DEREF:
        top = LOOKS_IN_CLASS_ITSELF ? namespaces[0] : compat_operand(frame, depth, 0);
        name = PyTuple_GET_ITEM(info->code->co_localsplusnames, argument);
        PyObject *value = top != NULL && PyDict_Check(top) ? content_dict_item(top, name) : NULL;
        PyErr_Clear();
        if (value != NULL) {
            Py_DECREF(value); /* The namespace keeps it. */
            touch_item(touched, top, name, 1);
        }
        else {
            touch_shared(touched, compat_variable(frame, argument), 1);
        }
        break;
    default:
        break;
    }
}

int
touch_find(Touched *touched, CodeInfo *info, InterpreterFrame *frame, int unit)
{
    SiteKind kind = (SiteKind)info->sites->kind[unit];
    if (NEEDS_DEPTHS && info->depth[unit] == STACK_UNKNOWN) {
        return 1;
    }
    if (kind == SITE_CALL || kind == SITE_CALL_KEYWORDS || kind == SITE_CALL_UNPACKED) {
        return callees_touch(touched, info, frame, unit);
    }
    if (kind < SITE_CALL) {
        touch_by_store(touched, info, frame, unit);
    }
    else {
        touch_by_load(touched, info, frame, unit);
    }
    return 1;
}
