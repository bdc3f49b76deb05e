/* Checks, as Python makes them: what a cell held when last looked at, to be compared with what it holds then.
 *
 * I1. `armed` is set exactly while the check stands in state->checks or state->shared, with the checks of its frame, or in
 *     the crowd; or did until a change of it was missed for want of memory (`suspended`): its snapshot may be wrong then,
 *     and so would be the blame for the difference, so that it is compared no more until the session arms it anew.
 */
#include "content.h"

#include "containers/told.h"
#include "crowd.h"
#include "frames.h"
#include "large.h"
#include "links.h"
#include "shared.h"
#include "tools.h"

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
        return PyCallable_Check(owner) && PyList_CheckExact(extra);
    case CHECK_LAYOUT:
        return 1;
    case CHECK_LINKS:
        return links_fit(extra);
    case CHECK_FRAME:
        return Py_IS_TYPE(owner, state->frame_ref_type);
    }
    return 0;
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
    int is_told = 0;
    if (keywords != NULL && PyDict_GET_SIZE(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Check takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "iOOO|p", &kind, &owner, &extra, &token, &is_told)) {
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
    self->is_told = is_told;
    if (is_told && !told_can_tell(self)) {
        PyErr_Format(PyExc_TypeError, "a %.100s does not tell of its changes", Py_TYPE(owner)->tp_name);
        Py_DECREF(self);
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
        self->index = frames_local_index(((FrameRef *)owner)->code, name);
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
    if (check->is_told) {
        return told_add(check->state, check);
    }
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
    if (frames_of(check->owner) == NULL) {
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
    if (check->is_told) {
        told_remove(check->state, check); /* I3 */
    }
    else if (check_is_of_frame(check)) {
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
    if (check->state != state_for_callback()) {
        return; /* The module is gone, while this was suspended: it stands in no list. */
    }
    if (check_is_of_crowd(check)) {
        crowd_remove(check->state, check); /* I3 */
        return;
    }
    if (!check->is_told) {
        large_weigh(check->state, check);
    }
    if (!check->suspended || check->is_told) {
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
    if (!check->is_told) { /* Its owner goes on to tell, so that the handler is called. */
        take_from_list(check);
    }
    check->suspended = 1;
    if (!check->is_told) {
        large_weigh(check->state, check);
    }
}

/* Disarm all checks that are in some list, whoever holds them. */
void
checks_clear(CoreState *state)
{
    while (state->check_count > 0) {
        disarm(state->checks[state->check_count - 1]);
    }
    while (state->crowd_count > 0) {
        disarm(state->crowd[state->crowd_count - 1]);
    }
    while (state->shared_count > 0) {
        disarm(state->shared[state->shared_count - 1]);
    }
    Check *told;
    for (Py_ssize_t i = 0; (told = table_next(&state->told, &i)) != NULL; i = 0) {
        disarm(told);
    }
    FrameRef *ref;
    for (Py_ssize_t i = 0; (ref = table_next(&state->frame_refs, &i)) != NULL;) {
        while (ref->check_count > 0) {
            disarm(ref->checks[ref->check_count - 1]);
        }
    }
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
    int added = check_take_snapshot(self) < 0 ? -1 : add_to_list(self);
    if (added < 0) {
        return -1;
    }
    self->armed = added == 0; /* I3 */
    if (self->armed && !check_is_of_crowd(self) && !self->is_told) {
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
    if (check_begin(object) < 0) {
        return NULL;
    }
    tools_update(((Check *)object)->state);
    Py_RETURN_NONE;
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
    {Py_tp_doc, (void *)PyDoc_STR("Check(kind, owner, extra, token, is_told=False): the last seen state of one cell.")},
    {0, NULL},
};

PyType_Spec check_spec = {
    .name = "stopwhen._core.Check",
    .basicsize = sizeof(Check),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = check_slots,
};
