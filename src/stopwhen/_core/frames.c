/* Frames that somebody of ours speaks of. A FrameRef names one without keeping it alive: a frame object that is owned
 * keeps its locals, so that of a generator which is dropped nothing would be freed.
 *
 * I1. `frame_refs` has an entry for each frame object that a living FrameRef names. It is taken out when the FrameRef
 *     dies, or when the frame object does: while there are entries, we stand before the dealloc of the frame type.
 * I2. What runs a frame, or can go on with it, owns its frame object, so while locals can change the entry is there.
 * I3. `checks` of a FrameRef holds exactly the armed checks on its frame that are not suspended. Nothing but the frame's own code changes a
 *     local, so they are compared at events of that frame alone; what other code writes by way of `f_locals` is seen
 *     in the place (3.13+) or at the frame's next event, whose instruction is known not to have done it.
 */
#include "frames.h"

#include "codeinfo.h"
#include "content.h"
#include "shared.h"

FrameRef *
frames_find(const CoreState *state, PyFrameObject *frame)
{
    return table_find(&state->frame_refs, frame);
}

FrameRef *
frames_running(const CoreState *state)
{
    if (state->frame_refs.count == 0) {
        return NULL;
    }
    PyFrameObject *frame = compat_running_frame();
    return frame == NULL ? NULL : frames_find(state, frame);
}

/* ---- the frame type, which we stand before while there are entries ---- */

static void on_frame_dealloc(PyObject *frame);

#if HAS_FRAME_LOCALS_PROXY
static int on_set_local(PyObject *proxy, PyObject *name, PyObject *value);
#endif

void
frames_stand_before_locals(CoreState *state)
{
#if HAS_FRAME_LOCALS_PROXY
    if (state->set_frame_local == NULL) {
        state->set_frame_local = PyFrameLocalsProxy_Type.tp_as_mapping->mp_ass_subscript;
        PyFrameLocalsProxy_Type.tp_as_mapping->mp_ass_subscript = on_set_local;
    }
#else
    (void)state;
#endif
}

void
frames_step_aside_of_locals(CoreState *state)
{
#if HAS_FRAME_LOCALS_PROXY
    if (state->frame_refs.count == 0 && state->shared_count == 0) {
        PyFrameLocalsProxy_Type.tp_as_mapping->mp_ass_subscript = state->set_frame_local;
        state->set_frame_local = NULL;
    }
#else
    (void)state;
#endif
}

static void
stand_before_frames(CoreState *state)
{
    state->frame_dealloc = PyFrame_Type.tp_dealloc;
    PyFrame_Type.tp_dealloc = on_frame_dealloc;
    frames_stand_before_locals(state);
}

static void
step_aside(CoreState *state)
{
    assert(PyFrame_Type.tp_dealloc == on_frame_dealloc);
    PyFrame_Type.tp_dealloc = state->frame_dealloc;
    frames_step_aside_of_locals(state);
}

static void
take_from_table(CoreState *state, FrameRef *ref)
{
    (void)table_take(&state->frame_refs, ref->frame);
    if (state->frame_refs.count == 0) {
        step_aside(state);
    }
}

/* The frame is gone: note that to its checks, which have nothing to compare any more. */
static void
let_go(CoreState *state, FrameRef *ref)
{
    PendingError error = take_pending_error();
    Py_INCREF(ref);
    frames_note_end(state, ref, NULL);
#if HAS_MONITORING
    Blame nobody = {.thread = PyThreadState_Get(), .offset = -1};
    if ((state->queued > 0 || state->missed_count > 0) && !events_is_draining()) {
        instrument_stop_after(state, &nobody);
    }
#endif
    take_from_table(state, ref); /* I1 */
    ref->frame = NULL;
    while (ref->check_count > 0) {
        check_lose_frame(ref->checks[--ref->check_count]); /* I3 */
    }
    Py_DECREF(ref);
    put_back_pending_error(error);
}

static void
on_frame_dealloc(PyObject *object)
{
    CoreState *state = state_for_callback();
    destructor frame_dealloc = state->frame_dealloc;
    FrameRef *ref = is_in_main_interpreter() ? frames_find(state, (PyFrameObject *)object) : NULL;
    if (ref != NULL) {
        let_go(state, ref);
    }
    /* The type's own dealloc guards a long chain of frames against running out of stack only where it is not ours. */
    PyObject_GC_UnTrack(object);
    Py_TRASHCAN_BEGIN(object, on_frame_dealloc);
    frame_dealloc(object);
    Py_TRASHCAN_END;
}

#if HAS_FRAME_LOCALS_PROXY
/* frame.f_locals[name] = value, in code of any frame: compare the frame's locals at once, and blame that code. */
static int
on_set_local(PyObject *proxy, PyObject *name, PyObject *value)
{
    CoreState *state = state_for_callback();
    int result = state->set_frame_local(proxy, name, value);
    if (!is_in_main_interpreter()) {
        return result;
    }
    FrameRef *ref = frames_find(state, ((PyFrameLocalsProxyObject *)proxy)->frame);
    if (ref != NULL && frames_find_change(state, ref)) {
        PendingError error = take_pending_error();
        Blame blame;
        blame_current(&blame);
        frames_report(state, ref, &blame);
        if (!events_is_draining()) {
            instrument_stop_after(state, &blame);
        }
        blame_release(&blame);
        put_back_pending_error(error);
    }
    shared_see_store(state, NULL);
    return result;
}
#endif

/* ---- checks ---- */

int
frames_add_check(FrameRef *ref, Check *check)
{
    Check **checks = grow_memory(ref->checks, ref->check_count, &ref->check_capacity, sizeof(Check *));
    if (checks == NULL) {
        return -1;
    }
    ref->checks = checks;
    ref->checks[ref->check_count++] = check; /* I3 */
    return 0;
}

void
frames_remove_check(FrameRef *ref, Check *check)
{
    check_take_out(ref->checks, &ref->check_count, check); /* I3 */
}

int
frames_find_change(CoreState *state, FrameRef *ref)
{
    for (Py_ssize_t i = 0; i < ref->check_count; i++) {
        if (check_changed(state, ref->checks[i])) {
            return 1;
        }
    }
    return 0;
}

/* Return the unit of the instruction that has stored to the local `index`, given the frame's place; -1 for none. */
static Py_ssize_t
store_after(const CodeInfo *info, Py_ssize_t unit, Py_ssize_t index)
{
#if HAS_MONITORING
    return unit >= 0 && code_stores_local(info, unit, index) ? unit : -1;
#else
    /* The place is where a line, or what was left of it, began (tracing.c, I1). */
    return code_local_store_on_line(info, unit, index);
#endif
}

void
frames_report(CoreState *state, FrameRef *ref, const Blame *blame)
{
    frames_report_after(state, ref, blame, NULL, -1);
}

void
frames_report_after(CoreState *state, FrameRef *ref, const Blame *blame, const CodeInfo *info, Py_ssize_t unit)
{
    int was_on = pause_collector();
    for (Py_ssize_t i = 0; i < ref->check_count;) {
        Check *check = (Check *)Py_NewRef(ref->checks[i]);
        Blame whose = *blame; /* Borrows what `blame` owns. */
        if (info != NULL) {
            Py_ssize_t store = store_after(info, unit, check->index);
            whose.offset = store < 0 ? blame->offset : 2 * (int)store;
            whose.other_code = store < 0 ? ref->code : NULL; /* Some time since the frame began. */
        }
        if (check_changed(state, check) && check_report(state, check, &whose) < 0) {
            PyErr_Clear();
            if (i < ref->check_count && ref->checks[i] == check) {
                check_suspend(check);
            }
        }
        i += i < ref->check_count && ref->checks[i] == check; /* It may be gone. */
        Py_DECREF(check);
    }
    resume_collector(was_on);
}

void
frames_note_end(CoreState *state, FrameRef *ref, PyFrameObject *frame)
{
    Blame blame = {.thread = PyThreadState_Get(), .frame = frame, .offset = -1};
    for (Py_ssize_t i = 0; i < ref->check_count; i++) {
        if (check_note_end(state, ref->checks[i], &blame) < 0) {
            PyErr_Clear();
        }
    }
}

/* ---- the Python type ---- */

static FrameRef *
make_ref(CoreState *state, PyFrameObject *frame)
{
    FrameRef *ref = PyObject_New(FrameRef, state->frame_ref_type);
    if (ref == NULL) {
        return NULL;
    }
    ref->frame = NULL;
    ref->code = PyFrame_GetCode(frame);
    ref->state = state;
    ref->checks = NULL;
    ref->check_count = ref->check_capacity = 0;
    if (table_put(&state->frame_refs, frame, ref) < 0) { /* I1 */
        Py_DECREF(ref);
        return NULL;
    }
    ref->frame = frame;
    if (state->frame_refs.count == 1) {
        stand_before_frames(state);
    }
    return ref;
}

PyObject *
frames_ref(PyObject *module, PyObject *frame)
{
    CoreState *state = PyModule_GetState(module);
    if (!PyFrame_Check(frame)) {
        return PyErr_Format(PyExc_TypeError, "a frame, not a %.100s", Py_TYPE(frame)->tp_name);
    }
    FrameRef *ref = frames_find(state, (PyFrameObject *)frame);
    return ref != NULL ? Py_NewRef(ref) : (PyObject *)make_ref(state, (PyFrameObject *)frame);
}

PyObject *
frames_function(PyObject *Py_UNUSED(module), PyObject *frame)
{
    if (!PyFrame_Check(frame)) {
        return PyErr_Format(PyExc_TypeError, "a frame, not a %.100s", Py_TYPE(frame)->tp_name);
    }
    PyObject *function = compat_frame_function((PyFrameObject *)frame);
    return Py_NewRef(function == NULL ? Py_None : function);
}

PyObject *
frames_namespace(PyObject *Py_UNUSED(module), PyObject *frame)
{
    if (!PyFrame_Check(frame)) {
        return PyErr_Format(PyExc_TypeError, "a frame, not a %.100s", Py_TYPE(frame)->tp_name);
    }
    PyObject *namespace = compat_frame_namespace((PyFrameObject *)frame);
    return Py_NewRef(namespace == NULL ? Py_None : namespace);
}

PyObject *
frames_is_cleared(PyObject *Py_UNUSED(module), PyObject *frame)
{
    if (!PyFrame_Check(frame)) {
        return PyErr_Format(PyExc_TypeError, "a frame, not a %.100s", Py_TYPE(frame)->tp_name);
    }
    return PyBool_FromLong(compat_is_cleared((PyFrameObject *)frame));
}

static PyObject *
ref_frame(PyObject *object, void *Py_UNUSED(closure))
{
    FrameRef *self = (FrameRef *)object;
    return Py_NewRef(self->frame == NULL ? Py_None : (PyObject *)self->frame);
}

static void
ref_dealloc(PyObject *object)
{
    FrameRef *self = (FrameRef *)object;
    PyTypeObject *type = Py_TYPE(self);
    assert(self->check_count == 0); /* Each check owns the FrameRef that it is on. */
    if (self->frame != NULL) {
        take_from_table(self->state, self); /* I1 */
    }
    Py_DECREF(self->code);
    PyMem_Free(self->checks);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyGetSetDef ref_getsets[] = {
    {"frame", ref_frame, NULL, PyDoc_STR("The frame; None once it is gone."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef ref_members[] = {
    {"code", T_OBJECT_EX, offsetof(FrameRef, code), READONLY, PyDoc_STR("The code that the frame runs.")},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot ref_slots[] = {
    {Py_tp_dealloc, ref_dealloc},
    {Py_tp_getset, ref_getsets},
    {Py_tp_members, ref_members},
    {Py_tp_doc, (void *)PyDoc_STR("Names a frame without keeping it alive.")},
    {0, NULL},
};

PyType_Spec frame_ref_spec = {
    .name = "stopwhen._core.FrameRef",
    .basicsize = sizeof(FrameRef),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = ref_slots,
};

/* The module goes: what still names a frame names none any more. */
void
frames_clear(CoreState *state)
{
    FrameRef *ref;
    for (Py_ssize_t i = 0; (ref = table_next(&state->frame_refs, &i)) != NULL; i = 0) {
        let_go(state, ref);
    }
    table_free(&state->frame_refs);
}

/* ---- locals, for checks and for Python ---- */

Py_ssize_t
frames_local_index(const PyCodeObject *code, PyObject *name)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_localsplusnames); i++) {
        if (PyUnicode_Compare(PyTuple_GET_ITEM(code->co_localsplusnames, i), name) == 0) {
            return i;
        }
    }
    return -1;
}

int
frames_local_is_shared(PyFrameObject *frame, Py_ssize_t index)
{
    PyCodeObject *code = PyFrame_GetCode(frame);
    int shared = (PyBytes_AS_STRING(code->co_localspluskinds)[index] & 0xC0) != 0; /* CO_FAST_CELL, CO_FAST_FREE */
    Py_DECREF(code);
    return shared;
}

PyObject *
frames_local(PyFrameObject *frame, Py_ssize_t index)
{
    PyObject *value = frame == NULL ? NULL : compat_fast_local(frame, index);
    if (value != NULL && PyCell_Check(value) && frames_local_is_shared(frame, index)) {
        Py_SETREF(value, Py_XNewRef(PyCell_GET(value)));
    }
    return value;
}

static int
parse_frame_and_index(PyObject *args, PyFrameObject **frame, Py_ssize_t *index)
{
    PyObject *name;
    if (!PyArg_ParseTuple(args, "O!U", &PyFrame_Type, frame, &name)) {
        return -1;
    }
    PyCodeObject *code = PyFrame_GetCode(*frame);
    *index = frames_local_index(code, name);
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
    PyObject *value = index < 0 ? NULL : frames_local(frame, index);
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
    PyObject *value = frames_local_is_shared(frame, index) ? compat_fast_local(frame, index) : NULL;
    if (value == NULL || !PyCell_Check(value)) {
        Py_XSETREF(value, Py_NewRef(Py_None));
    }
    return value;
}
