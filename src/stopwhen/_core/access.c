/* Accesses: looks at each instruction that may store to or read an armed cell before it runs, at its operands on the
 * stack. A read is noted there and then. A store is noted once the next instruction of the frame is reached, unless its
 * change has been noted meanwhile by what watches changes: so one store is one record.
 *
 * I1. `accesses` is sorted by the address of the owners, which the cells in the tokens hold.
 * I2. `begun` has the stores that instructions have begun, those of one thread innermost last. One is taken off at the next
 *     event of its frame; it is noted only if that is the event of the very next instruction. What its frame left behind
 *     when it ended by an exception is taken off by the events of that.
 * I3. A change record bears the same cell object as the access to it: Python arms both with one (accessing.py).
 */
#include "access.h"

#include "content.h"
#include "frames.h"
#include "keys.h"
#include "sites.h"

#define MOST_TOKENS 64 /* That are told apart when some of them change. */

struct Begun {
    const PyThreadState *thread;   /* Never followed. */
    const InterpreterFrame *frame; /* Never followed. */
    const CodeInfo *info;          /* Never followed. */
    int unit;
    int behind;       /* Unit of the next instruction. */
    PyObject *tokens; /* Owned list, nobody else's. */
    uint64_t changed; /* Bits of those whose change has been noted. */
};

/* ---- what is armed ---- */

/* Return the index of the first access whose owner is not below `owner`. */
static Py_ssize_t
lower_bound(const CoreState *state, const PyObject *owner)
{
    Py_ssize_t low = 0;
    Py_ssize_t high = state->access_count;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        if ((uintptr_t)state->accesses[middle].owner < (uintptr_t)owner) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low;
}

const Access *
access_first(const CoreState *state, const PyObject *owner)
{
    Py_ssize_t i = lower_bound(state, owner);
    return i < state->access_count && state->accesses[i].owner == owner ? &state->accesses[i] : NULL;
}

const Access *
access_next(const CoreState *state, const Access *access)
{
    const Access *next = access + 1;
    return next < state->accesses + state->access_count && next->owner == access->owner ? next : NULL;
}

static void
count_local(CoreState *state, const FrameRef *frame, int change)
{
    CodeInfo *info = code_info(state, frame->code);
    if (info != NULL) {
        info->local_accesses += change;
        if (info->sites != NULL) {
            info->sites->era = 0; /* To be asked again. */
        }
#if HAS_MONITORING
        (void)instrument_code(state, info, change > 0);
#endif
    }
    PyErr_Clear();
}

static int
owner_fits(const CoreState *state, AccessKind kind, PyObject *owner, PyObject *key)
{
    switch (kind) {
    case ACCESS_ITEM:
        return PyDict_Check(owner) && keys_is_plain(key);
    case ACCESS_CONTENT:
        return 1;
    case ACCESS_LIST_ITEM:
        return PyList_Check(owner) && PyLong_CheckExact(key);
    case ACCESS_SLOT:
        return Py_IS_TYPE(key, &PyMemberDescr_Type);
    case ACCESS_LOCAL:
        return Py_IS_TYPE(owner, state->frame_ref_type) && PyTuple_CheckExact(key) && PyTuple_GET_SIZE(key) > 0 &&
               PyUnicode_CheckExact(PyTuple_GET_ITEM(key, 0));
    case ACCESS_CLOSURE:
        return PyCell_Check(owner);
    }
    return 0;
}

/* arm_access(kind, owner, key, token, is_read) */
PyObject *
access_arm(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    int kind, is_read;
    PyObject *owner, *key, *token; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "iOOOp", &kind, &owner, &key, &token, &is_read)) {
        return NULL;
    }
    if (!owner_fits(state, (AccessKind)kind, owner, key)) {
        return PyErr_Format(PyExc_TypeError, "an access of kind %d cannot be to a %.100s", kind,
                            Py_TYPE(owner)->tp_name);
    }
    Py_ssize_t index = 0;
    if (kind == ACCESS_LIST_ITEM) {
        index = PyLong_AsSsize_t(key);
        if (index == -1 && PyErr_Occurred()) {
            PyErr_Clear(); /* Beyond any list. */
            index = PY_SSIZE_T_MAX;
        }
    }
    else if (kind == ACCESS_LOCAL) {
        index = frames_local_index(((FrameRef *)owner)->code, PyTuple_GET_ITEM(key, 0));
        if (index < 0) {
            return PyErr_Format(PyExc_KeyError, "the frame has no local %R", PyTuple_GET_ITEM(key, 0));
        }
    }
    Access *accesses = grow_memory(state->accesses, state->access_count, &state->access_capacity, sizeof(Access));
    if (accesses == NULL) {
        return NULL;
    }
    state->accesses = accesses;
    Py_ssize_t place = lower_bound(state, owner);
    while (place < state->access_count && state->accesses[place].owner == owner) {
        place++; /* Those of one owner stand in the order in which they came. */
    }
    Access *access = &state->accesses[place];
    memmove(access + 1, access, (size_t)(state->access_count - place) * sizeof(Access));
    *access = (Access){owner, (AccessKind)kind, is_read, Py_NewRef(key), index, Py_NewRef(token)}; /* I1 */
    state->access_count++;
    if (kind == ACCESS_LOCAL) {
        count_local(state, (FrameRef *)owner, 1);
    }
    Py_RETURN_NONE;
}

/* disarm_access(owner, token); nothing when it is not armed. */
PyObject *
access_disarm(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *owner, *token; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "OO", &owner, &token)) {
        return NULL;
    }
    const Access *found = access_first(state, owner);
    while (found != NULL && found->token != token) {
        found = access_next(state, found);
    }
    if (found == NULL) {
        Py_RETURN_NONE;
    }
    Access access = *found;
    Py_ssize_t place = found - state->accesses;
    state->access_count--;
    memmove(&state->accesses[place], &state->accesses[place + 1],
            (size_t)(state->access_count - place) * sizeof(Access));
    if (access.kind == ACCESS_LOCAL) {
        count_local(state, (FrameRef *)owner, -1);
    }
    Py_DECREF(access.key);
    Py_DECREF(access.token);
    Py_RETURN_NONE;
}

static int
apply_interest(CoreState *state, int again)
{
#if HAS_MONITORING
    if (state->access_count > 0 && instrument_running(state) < 0) {
        return -1;
    }
    return instrument_known(state, again);
#else
    (void)state, (void)again;
    return 0;
#endif
}

/* set_interest(flags, in-place operators, names that are stored, names that are read, names of functions that touch, judge, grown): what the
 * armed accesses have in common; `grown` says that there is more of it than before. */
PyObject *
access_set_interest(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    int interest, grown;
    unsigned int in_place;
    PyObject *stored, *read, *call, *judge; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "iIO!O!O!Op", &interest, &in_place, &PyFrozenSet_Type, &stored, &PyFrozenSet_Type,
                          &read, &PyFrozenSet_Type, &call, &judge, &grown)) {
        return NULL;
    }
    state->access_interest = interest;
    state->in_place = in_place;
    Py_XSETREF(state->stored_names, Py_NewRef(stored));
    Py_XSETREF(state->read_names, Py_NewRef(read));
    Py_XSETREF(state->call_names, Py_NewRef(call));
    Py_XSETREF(state->judge, Py_NewRef(judge));
    state->access_era++;
    return apply_interest(state, grown) < 0 ? NULL : Py_NewRef(Py_None);
}

/* restart_starts(all): whether starts of code may have been disabled since this was last said; of code of which nothing is
 * known, or of any. */
PyObject *
access_restart_starts(PyObject *module, PyObject *all)
{
    CoreState *state = PyModule_GetState(module);
    int disabled = state->starts_disabled & (all == Py_True ? STARTS_OF_ANY : STARTS_UNREAD);
    state->starts_disabled = disabled ? 0 : state->starts_disabled;
    return PyBool_FromLong(disabled);
}

/* ---- from one instruction to the next ---- */

/* Return the innermost store that this thread has begun if it is `frame`'s; NULL else. */
static Begun *
begun_by(CoreState *state, const InterpreterFrame *frame)
{
    const PyThreadState *me = PyThreadState_Get();
    for (Py_ssize_t i = state->begun_count; i-- > 0;) {
        if (state->begun[i].thread == me) {
            return state->begun[i].frame == frame ? &state->begun[i] : NULL;
        }
    }
    return NULL;
}

static PyObject *
take_off(CoreState *state, Begun *begun)
{
    PyObject *tokens = begun->tokens;
    state->begun_count--;
    memmove(begun, begun + 1, (size_t)(&state->begun[state->begun_count] - begun) * sizeof(Begun));
    return tokens;
}

/* Return the running frame if it has begun a store whose instruction is done now; NULL else. Changes are to be looked for
 * before that is ended. */
InterpreterFrame *
access_ending(CoreState *state)
{
    InterpreterFrame *frame = compat_top_frame();
    return begun_by(state, frame) == NULL ? NULL : frame;
}

/* Forget what `frame` has begun, since its instruction has failed or it ends. */
void
access_leave(CoreState *state, InterpreterFrame *frame)
{
    Begun *begun;
    while (state->begun_count > 0 && (begun = begun_by(state, frame)) != NULL) {
        Py_DECREF(take_off(state, begun)); /* The access has its token, or it is disarmed and drops it here. */
    }
}

static void
note(CoreState *state, PyObject *token, DeltaKind kind, int unit)
{
    Blame blame;
    blame_current(&blame);
    blame.offset = 2 * unit;
    if (events_note(state, token, kind, Py_NewRef(Py_None), &blame) < 0) {
        PyErr_Clear(); /* It counts as missed. */
    }
    blame_release(&blame);
}

/* The instruction at `unit` of `frame` comes next: note the store that the one before it has done. */
void
access_end(CoreState *state, CodeInfo *info, int unit, InterpreterFrame *frame)
{
    Begun *found = state->begun_count > 0 ? begun_by(state, frame) : NULL;
    if (found == NULL) {
        return;
    }
    Begun begun = *found;
    PyObject *tokens = take_off(state, found); /* Owned. */
    int behind = begun.behind;
    while (behind < unit && info->sites != NULL && info->sites->kind[behind] == SITE_PREFIX) {
        behind++;
    }
    for (Py_ssize_t i = 0; behind == unit && i < PyList_GET_SIZE(tokens); i++) { /* I2 */
        if (i >= MOST_TOKENS || !(begun.changed >> i & 1)) {
            note(state, PyList_GET_ITEM(tokens, i), DELTA_WRITTEN, begun.unit);
        }
    }
    Py_DECREF(tokens);
}

/* Take note that `frame` begins a store. Steals `tokens`. */
static void
begin_store(CoreState *state, CodeInfo *info, int unit, InterpreterFrame *frame, PyObject *tokens)
{
    Begun *begun = grow_memory(state->begun, state->begun_count, &state->begun_capacity, sizeof(Begun));
    if (begun == NULL) {
        PyErr_Clear();
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(tokens); i++) {
            events_miss(state, PyList_GET_ITEM(tokens, i));
        }
        Py_DECREF(tokens);
        return;
    }
    state->begun = begun;
    state->begun[state->begun_count++] = (Begun){.thread = PyThreadState_Get(),
                                                 .frame = frame,
                                                 .info = info,
                                                 .unit = unit,
                                                 .behind = info->sites->behind[unit],
                                                 .tokens = tokens};
#if HAS_MONITORING
    /* The next instruction's event may be disabled. */
    if (!info->awaited) {
        info->awaited = 1;
        if (instrument_code(state, info, 1) < 0) {
            PyErr_Clear();
        }
    }
#endif
}

/* A change of the cell of `token` has been noted: what this thread has begun with that cell has been told (I3). */
void
access_saw_change(CoreState *state, PyObject *token, const PyThreadState *thread)
{
    PyObject *cell = PyObject_GetAttrString(token, "cell");
    for (Py_ssize_t i = 0; cell != NULL && i < state->begun_count; i++) {
        Begun *begun = &state->begun[i];
        for (Py_ssize_t j = 0; begun->thread == thread && j < PyList_GET_SIZE(begun->tokens) && j < MOST_TOKENS; j++) {
            PyObject *mine = PyObject_GetAttrString(PyList_GET_ITEM(begun->tokens, j), "cell");
            if (mine == cell) {
                begun->changed |= (uint64_t)1 << j;
            }
            Py_XDECREF(mine); /* The token keeps it. */
        }
    }
    Py_XDECREF(cell); /* The token keeps it. */
    PyErr_Clear();
}

/* True when some thread has begun a store in a frame of the code of `info`. */
int
access_awaits(const CoreState *state, const CodeInfo *info)
{
    for (Py_ssize_t i = 0; i < state->begun_count; i++) {
        if (state->begun[i].info == info) {
            return 1;
        }
    }
    return 0;
}

/* The instruction at `unit` of `frame` comes next: look at what it is about to do. 1 when its events must stay on,
 * -1 with an exception for the program. */
int
access_begin(CoreState *state, CodeInfo *info, int unit, InterpreterFrame *frame)
{
    int matter = sites_matter(state, info);
    if (matter < 0) {
        PyErr_Clear();
    }
#if !HAS_MONITORING
    while (matter > 0 && info->sites->kind[unit] == SITE_PREFIX) {
        unit++; /* There is no event between a prefix and its instruction. */
    }
#endif
    if (matter <= 0 || !info->sites->matters[unit]) {
        return 0;
    }
    Touched touched = {.state = state};
    int is_of_interest = touch_find(&touched, info, frame, unit);
    if (touched.failed) {
        Py_XDECREF(touched.read);
        Py_XDECREF(touched.stored);
        return -1;
    }
    if (!is_of_interest) {
        sites_learn(state, info, unit);
    }
    for (Py_ssize_t i = 0; touched.read != NULL && i < PyList_GET_SIZE(touched.read); i++) {
        note(state, PyList_GET_ITEM(touched.read, i), DELTA_READ, unit);
    }
    Py_XDECREF(touched.read);
    if (touched.stored != NULL) {
        begin_store(state, info, unit, frame, touched.stored);
    }
    return info->sites->matters[unit];
}

int
access_traverse(CoreState *state, visitproc visit, void *arg)
{
    for (Py_ssize_t i = 0; i < state->access_count; i++) {
        Py_VISIT(state->accesses[i].key);
        Py_VISIT(state->accesses[i].token);
    }
    for (Py_ssize_t i = 0; i < state->begun_count; i++) {
        Py_VISIT(state->begun[i].tokens);
    }
    Py_VISIT(state->judge);
    return 0;
}

void
access_clear(CoreState *state)
{
    while (state->begun_count > 0) {
        Py_DECREF(state->begun[--state->begun_count].tokens);
    }
    while (state->access_count > 0) {
        Access access = state->accesses[--state->access_count];
        if (access.kind == ACCESS_LOCAL) {
            count_local(state, (FrameRef *)access.owner, -1);
        }
        Py_DECREF(access.key);
        Py_DECREF(access.token);
    }
    PyMem_Free(state->accesses);
    PyMem_Free(state->begun);
    state->accesses = NULL;
    state->begun = NULL;
    state->access_capacity = state->begun_capacity = 0;
    state->access_interest = 0;
    Py_CLEAR(state->stored_names);
    Py_CLEAR(state->read_names);
    Py_CLEAR(state->call_names);
    Py_CLEAR(state->judge);
}

static const char *const method_names[METHOD_COUNT] = {"__setitem__", "__getitem__", "__setattr__", "__getattribute__",
                                                       "__set__"};

/* Make what does not depend on what is armed; -1 with an exception set. */
int
access_open(CoreState *state)
{
    for (int i = 0; i < METHOD_COUNT; i++) {
        state->method_names[i] = PyUnicode_InternFromString(method_names[i]);
        if (state->method_names[i] == NULL) {
            return -1;
        }
    }
    state->no_names = PyTuple_New(0);
    return state->no_names == NULL ? -1 : 0;
}

void
access_close(CoreState *state)
{
    for (int i = 0; i < METHOD_COUNT; i++) {
        Py_CLEAR(state->method_names[i]);
    }
    Py_CLEAR(state->no_names);
}
