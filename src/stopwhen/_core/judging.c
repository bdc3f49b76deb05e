/* Judges changes where they happen, so that one which is no hit, or is only counted, costs next to nothing: Python says what
 * a watchpoint asks for, and takes what is left. What is kept of hits is raw: texts are made of it when
 * somebody asks.
 *
 * I1. A change is judged only while nothing waits: no record, no action, no handler at work in this thread. So all that
 *     was noted before has been processed, and a watchpoint's counts go up in the order of its changes.
 * I2. Only values that hold no other object are judged (condition_knows), with certain places. To replace one by another
 *     leads an expression to no other cells.
 * I3. `last` of a case is what its expression is now, if Python has not been told of it; NULL where Python knows.
 * I4. What is kept holds, of the program's, such values and code objects. These are dropped by a pending call or by
 *     Python, never while a change is judged.
 */
#include "judging.h"

#include "codeinfo.h"
#include "conditions.h"
#include "places.h"

#define MOST_KEPT 1000 /* The same as MOST_HITS in watchpoint.py. */
#define MOST_CASES 8 /* Of one cell; where there are more, Python judges. */

/* What of changes makes a hit. The same values as in judging.py. */
enum { WANTS_CHANGE, WANTS_TRUTH };

/* Rules on the count. The same values as in judging.py. */
enum { COUNT_ANY, COUNT_IS, COUNT_IS_NOT, COUNT_LESS, COUNT_AT_MOST, COUNT_MORE, COUNT_AT_LEAST, COUNT_EVERY };

/* A hit that has been counted, and nothing more. */
typedef struct {
    PyObject *about; /* Owned: as the case has it. */
    PyObject *old; /* Owned, as all that follow. */
    PyObject *now;
    PyObject *places;
    PyObject *thread; /* Its name; NULL where `threading` does not know it. */
    PyObject *noted; /* What judging_note_with() asks for; NULL for nothing. */
    unsigned long thread_id;
    int64_t time_ns;
    int64_t count;
    long pid;
    int one_of_several;
} RawHit;

typedef struct Kept Kept;
struct Kept {
    Kept *next; /* Older ones, or others that are to be dropped. */
    Py_ssize_t length;
    RawHit hits[MOST_KEPT];
};

typedef struct {
    PyObject_HEAD
    CoreState *state; /* Borrowed; the type, which each instance owns, keeps the module. */
    PyObject *steps; /* Owned bytes: the condition; NULL for none. */
    PyObject *constants; /* Owned tuple. */
    int is_open; /* More is asked than can be judged here: what may be a hit is Python's. */
    int counts; /* A hit is only counted. */
    int rule; /* COUNT_... */
    int64_t number;
    int64_t count; /* Of the hits. */
    Py_buffer buffer; /* Where the count is noted as well; `obj` is NULL for nowhere. */
    Kept *kept; /* Owned: the latest, and one older one. */
} Judge;

typedef struct {
    PyObject_HEAD
    Judge *judge; /* Owned. */
    PyObject *about; /* Owned: what Python wants back of a hit, which keeps it: it holds nothing of the program's. */
    PyObject *owner; /* Owned: what Python wants back of a hit whose action is due. */
    PyObject *steps; /* Owned bytes: the truth that is waited for; NULL where changes count. */
    PyObject *constants; /* Owned tuple. */
    PyObject *last; /* Owned; I3. */
    int truth; /* Of WANTS_TRUTH, when last looked at. */
} Case;

typedef enum { SETTLED_NO_HIT, SETTLED_COUNTED, SETTLED_KEPT, SETTLED_DUE, NOT_SETTLED } Outcome;

/* ---- what is kept ---- */

static Kept *doomed; /* To be dropped by a pending call. */

static void
drop_kept(Kept *kept)
{
    while (kept != NULL) {
        Kept *next = kept->next;
        for (Py_ssize_t i = 0; i < kept->length; i++) {
            RawHit *hit = &kept->hits[i];
            Py_DECREF(hit->about);
            Py_DECREF(hit->old);
            Py_DECREF(hit->now);
            Py_DECREF(hit->places);
            Py_XDECREF(hit->thread);
            Py_XDECREF(hit->noted);
        }
        PyMem_Free(kept);
        kept = next;
    }
}

static int
drop_doomed(void *Py_UNUSED(unused))
{
    Kept *kept = doomed;
    doomed = NULL;
    drop_kept(kept);
    return 0;
}

/* Return where the next hit of the judge is kept; NULL without memory. */
static RawHit *
room_of(Judge *judge)
{
    Kept *kept = judge->kept;
    if (kept == NULL || kept->length == MOST_KEPT) {
        kept = PyMem_Malloc(sizeof(Kept));
        if (kept == NULL) {
            return NULL;
        }
        kept->length = 0;
        kept->next = judge->kept;
        judge->kept = kept;
        Kept *older = kept->next == NULL ? NULL : kept->next->next;
        if (older != NULL) { /* I4 */
            kept->next->next = NULL;
            older->next = doomed;
            doomed = older;
            (void)Py_AddPendingCall(drop_doomed, NULL);
        }
    }
    return &kept->hits[kept->length];
}

/* Return what an exact dict that is looked up by name in a module has; borrowed, NULL for nothing. */
static PyObject *
in_module(const char *module, const char *name)
{
    PyObject *modules = PyImport_GetModuleDict(); /* Borrowed, as all here. */
    PyObject *found = modules == NULL || !PyDict_CheckExact(modules) ? NULL : PyDict_GetItemString(modules, module);
    return found == NULL || !PyModule_CheckExact(found) ? NULL : PyDict_GetItemString(PyModule_GetDict(found), name);
}

/* Fill in the name that `threading` has for the running thread. False where only code of the user's could tell. */
static int
name_thread(CoreState *state, RawHit *hit)
{
    hit->thread = NULL;
    if (state->threads == NULL) {
        PyObject *threads = in_module("threading", "_active");
        if (threads == NULL || !PyDict_CheckExact(threads)) {
            return threads == NULL;
        }
        state->threads = Py_NewRef(threads);
    }
    PyObject *id = PyLong_FromUnsignedLong(hit->thread_id);
    PyObject *thread = id == NULL ? NULL : PyDict_GetItemWithError(state->threads, id); /* Borrowed. */
    Py_XDECREF(id);
    if (thread == NULL) {
        return !PyErr_Occurred();
    }
    if (_PyType_Lookup(Py_TYPE(thread), state->name_name) != NULL) {
        return 0; /* A property, say. */
    }
    hit->thread = PyObject_GenericGetAttr(thread, state->name_name);
    if (hit->thread == NULL || !PyUnicode_CheckExact(hit->thread)) {
        Py_CLEAR(hit->thread);
        return 0;
    }
    return 1;
}

/* True while this thread runs an event loop of asyncio: then a hit belongs to a task, which Python finds. */
static int
runs_event_loop(CoreState *state)
{
    if (state->running_loop == NULL) {
        PyObject *function = in_module("_asyncio", "_get_running_loop");
        if (function == NULL) {
            return 0;
        }
        if (!PyCFunction_Check(function)) {
            return 1;
        }
        state->running_loop = Py_NewRef(function);
    }
    PyObject *loop = PyObject_CallNoArgs(state->running_loop);
    Py_XDECREF(loop); /* Not the last reference: it runs. */
    return loop != Py_None;
}

/* True when the instruction is no call: no C function made the change, so Python need not find out which. */
static int
is_no_call(CoreState *state, PyObject *places, const Blame *blame)
{
    PyCodeObject *code;
    int offset = places_first(places, &code);
    CodeInfo *info = code == NULL || blame->one_of_several ? NULL : code_info(state, code);
    return info != NULL && offset >= 0 && offset / 2 < info->length && (info->effect[offset / 2] & EFFECT_DIRECT);
}

/* Keep a hit that acts; false where that is Python's, and then nothing is kept. */
static int
keep(CoreState *state, Case *self, PyObject *old, PyObject *now, const Blame *blame)
{
    RawHit *hit = room_of(self->judge);
    if (hit == NULL || runs_event_loop(state)) {
        return 0;
    }
    PyObject *places = blame->frame == NULL ? places_here(state) : places_of(state, blame->frame, blame->offset);
    if (places == NULL || !is_no_call(state, places, blame)) {
        Py_XDECREF(places);
        return 0;
    }
    hit->thread_id = PyThreadState_Get()->thread_id;
    if (!name_thread(state, hit)) {
        Py_DECREF(places);
        return 0;
    }
    hit->about = Py_NewRef(self->about);
    hit->old = Py_NewRef(old);
    hit->now = Py_NewRef(now);
    hit->places = places;
    hit->noted =
        state->noted_in == NULL ? NULL : Py_XNewRef(PyDict_GetItemWithError(state->noted_in, state->noted_key));
    hit->time_ns = compat_time_ns();
    hit->count = self->judge->count + 1;
    hit->pid = state->pid;
    hit->one_of_several = blame->one_of_several;
    self->judge->kept->length++;
    return 1;
}

/* ---- judging ---- */

static void
set_count(Judge *judge, int64_t count)
{
    judge->count = count;
    if (judge->buffer.obj != NULL) {
        *(int64_t *)judge->buffer.buf = count;
    }
}

static int
rule_holds(const Judge *judge, int64_t count)
{
    int64_t number = judge->number;
    switch (judge->rule) {
    case COUNT_IS:
        return count == number;
    case COUNT_IS_NOT:
        return count != number;
    case COUNT_LESS:
        return count < number;
    case COUNT_AT_MOST:
        return count <= number;
    case COUNT_MORE:
        return count > number;
    case COUNT_AT_LEAST:
        return count >= number;
    case COUNT_EVERY:
        return count % number == 0;
    default:
        return 1;
    }
}

/* Say what comes of the change for one case; *truth becomes that of `now`, where it is waited for. */
static Outcome
judge(CoreState *state, const Case *self, PyObject *old, PyObject *now, int *truth)
{
    const Judge *judge = self->judge;
    if (self->steps != NULL) {
        Verdict found = condition_holds(self->steps, self->constants, state->absent, now, now);
        if (found == VERDICT_OPEN) {
            return NOT_SETTLED;
        }
        *truth = found == VERDICT_TRUE;
        if (!*truth || self->truth || events_is_own()) {
            return SETTLED_NO_HIT;
        }
        old = Py_False;
        now = Py_True;
    }
    else if (events_is_own() || condition_are_same(old, now)) {
        return SETTLED_NO_HIT;
    }
    Verdict holds =
        judge->steps == NULL ? VERDICT_TRUE : condition_holds(judge->steps, judge->constants, state->absent, old, now);
    if (holds == VERDICT_FALSE) {
        return SETTLED_NO_HIT;
    }
    if (judge->is_open || holds == VERDICT_OPEN) {
        return NOT_SETTLED;
    }
    if (!rule_holds(judge, judge->count + 1)) {
        return SETTLED_COUNTED;
    }
    return judge->counts ? SETTLED_KEPT : SETTLED_DUE;
}

static PyObject *
raw_hit(const RawHit *hit)
{
    return Py_BuildValue("OOOOOOkLLlO", hit->about, hit->old, hit->now, hit->places,
                         hit->thread == NULL ? Py_None : hit->thread, hit->noted == NULL ? Py_None : hit->noted,
                         hit->thread_id, (long long)hit->time_ns, (long long)hit->count, hit->pid,
                         hit->one_of_several ? Py_True : Py_False);
}

/* Note that the action of the hit kept last is due. */
static void
note_due(CoreState *state, PyObject *token, const Case *self, const Blame *blame)
{
    const Kept *kept = self->judge->kept;
    Blame here = {.frame = NULL};
    if (blame == NULL) {
        blame_current(&here);
    }
    PyObject *data = Py_BuildValue("ON", self->owner, raw_hit(&kept->hits[kept->length - 1]));
    (void)events_note(state, token, DELTA_HIT, data, blame == NULL ? &here : blame); /* Or it counts as missed. */
    PyErr_Clear();
    blame_release(&here);
}

int
judging_settles(CoreState *state, PyObject *token, PyObject *old, PyObject *now, const Blame *blame)
{
    PyObject *cases = table_find(&state->cases, token);
    if (cases == NULL || state->queued > 0 || state->due > 0 || state->begun_count > 0 || events_is_draining() ||
        !condition_knows(old) || !condition_knows(now)) { /* I1, I2 */
        return 0;
    }
    Blame here = {.offset = -1};
    if (blame != NULL && (blame->unknown || blame->other_code != NULL || blame->thread != PyThreadState_Get())) {
        return 0;
    }
    Outcome outcomes[MOST_CASES];
    int truths[MOST_CASES];
    Py_ssize_t count = PyTuple_GET_SIZE(cases) - 1; /* The first one is the token. */
    Py_ssize_t kept = -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        outcomes[i] = judge(state, (Case *)PyTuple_GET_ITEM(cases, i + 1), old, now, &truths[i]);
        int is_kept = outcomes[i] == SETTLED_KEPT || outcomes[i] == SETTLED_DUE;
        if (outcomes[i] == NOT_SETTLED || (is_kept && kept >= 0)) {
            return 0;
        }
        kept = is_kept ? i : kept;
    }
    if (kept >= 0 && !keep(state, (Case *)PyTuple_GET_ITEM(cases, kept + 1), old, now, blame == NULL ? &here : blame)) {
        PyErr_Clear();
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Case *self = (Case *)PyTuple_GET_ITEM(cases, i + 1);
        if (outcomes[i] != SETTLED_NO_HIT) {
            set_count(self->judge, self->judge->count + 1);
        }
        if (self->steps != NULL) {
            self->truth = truths[i];
        }
        Py_XSETREF(self->last, Py_NewRef(now)); /* I3. What goes holds no other object. */
        if (outcomes[i] == SETTLED_DUE) {
            note_due(state, token, self, blame);
        }
    }
    return 1;
}

/* ---- for Python ---- */

static void
clear_cases(CoreState *state, PyObject *token)
{
    PyObject *cases = table_take(&state->cases, token);
    Py_XDECREF(cases);
}

PyObject *
judging_set_cases(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *token, *cases; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "OO", &token, &cases)) {
        return NULL;
    }
    clear_cases(state, token);
    if (cases == Py_None) {
        Py_RETURN_NONE;
    }
    if (!PyTuple_CheckExact(cases)) {
        PyErr_SetString(PyExc_TypeError, "cases are given as a tuple");
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(cases);
    if (count > MOST_CASES) {
        Py_RETURN_NONE;
    }
    PyObject *kept = PyTuple_New(count + 1);
    if (kept == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(kept, 0, Py_NewRef(token)); /* So that its address is not used again. */
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *one = PyTuple_GET_ITEM(cases, i);
        if (!Py_IS_TYPE(one, state->case_type)) {
            Py_DECREF(kept);
            return PyErr_Format(PyExc_TypeError, "a Case, not a %.100s", Py_TYPE(one)->tp_name);
        }
        PyTuple_SET_ITEM(kept, i + 1, Py_NewRef(one));
    }
    if (table_put(&state->cases, token, kept) < 0) {
        Py_DECREF(kept);
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
judging_note_with(PyObject *module, PyObject *args)
{
    CoreState *state = PyModule_GetState(module);
    PyObject *dict, *key; /* Borrowed from args. */
    if (!PyArg_ParseTuple(args, "O!S", &PyDict_Type, &dict, &key)) {
        return NULL;
    }
    Py_XSETREF(state->noted_in, Py_NewRef(dict));
    Py_XSETREF(state->noted_key, Py_NewRef(key));
    Py_RETURN_NONE;
}

int
judging_traverse(CoreState *state, visitproc visit, void *arg)
{
    PyObject *cases;
    for (Py_ssize_t i = 0; (cases = table_next(&state->cases, &i)) != NULL;) {
        Py_VISIT(cases);
    }
    Py_VISIT(state->threads);
    Py_VISIT(state->running_loop);
    Py_VISIT(state->noted_in);
    return 0;
}

void
judging_clear(CoreState *state)
{
    Table cases = state->cases;
    PyObject *one;
    state->cases = (Table){NULL, 0, 0};
    for (Py_ssize_t i = 0; (one = table_next(&cases, &i)) != NULL;) {
        Py_DECREF(one);
    }
    table_free(&cases);
    Py_CLEAR(state->threads);
    Py_CLEAR(state->running_loop);
    Py_CLEAR(state->noted_in);
    Py_CLEAR(state->noted_key);
}

/* Keep steps and constants, None for none; -1 with an exception set. */
static int
keep_steps(PyObject *given, PyObject *constants, PyObject **steps, PyObject **kept)
{
    *steps = *kept = NULL;
    if (given == Py_None) {
        return 0;
    }
    if (!PyBytes_CheckExact(given) || !PyTuple_CheckExact(constants) || !condition_is_whole(given, constants)) {
        PyErr_SetString(PyExc_ValueError, "these are no steps of a condition");
        return -1;
    }
    *steps = Py_NewRef(given);
    *kept = Py_NewRef(constants);
    return 0;
}

/* Judge(). */
static PyObject *
judge_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(keywords))
{
    Judge *self = (Judge *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = PyType_GetModuleState(type);
        self->is_open = 1;
    }
    return (PyObject *)self;
}

/* ask(steps, constants, is open, counts, rule, number): what is asked of changes from now on. */
static PyObject *
judge_ask(PyObject *object, PyObject *args)
{
    Judge *self = (Judge *)object;
    PyObject *given, *constants, *steps, *kept; /* The first two borrowed from args. */
    int is_open, counts, rule;
    long long number;
    if (!PyArg_ParseTuple(args, "OOppiL", &given, &constants, &is_open, &counts, &rule, &number) ||
        keep_steps(given, constants, &steps, &kept) < 0) {
        return NULL;
    }
    Py_XSETREF(self->steps, steps);
    Py_XSETREF(self->constants, kept);
    self->is_open = is_open;
    self->counts = counts;
    self->rule = number == 0 && rule == COUNT_EVERY ? COUNT_ANY : rule;
    self->number = number;
    Py_RETURN_NONE;
}

/* note_in(buffer): let the count stand in 8 writable bytes as well, as a native int64, from now on. */
static PyObject *
judge_note_in(PyObject *object, PyObject *buffer)
{
    Judge *self = (Judge *)object;
    PyBuffer_Release(&self->buffer);
    if (PyObject_GetBuffer(buffer, &self->buffer, PyBUF_WRITABLE) < 0) {
        return NULL;
    }
    if (self->buffer.len != sizeof(int64_t) || (uintptr_t)self->buffer.buf % sizeof(int64_t) != 0) {
        PyBuffer_Release(&self->buffer);
        PyErr_SetString(PyExc_ValueError, "a count takes 8 bytes at an address that is a multiple of 8");
        return NULL;
    }
    set_count(self, self->count);
    Py_RETURN_NONE;
}

/* kept(): the latest hits that were only counted, oldest first, as tuples. */
static PyObject *
judge_kept(PyObject *object, PyObject *Py_UNUSED(unused))
{
    PyObject *found = PyList_New(0);
    Kept *latest = ((Judge *)object)->kept;
    Kept *older = latest == NULL ? NULL : latest->next;
    Py_ssize_t skipped = older == NULL ? 0 : latest->length;
    for (Kept *kept = older == NULL ? latest : older; found != NULL && kept != NULL;
         kept = kept == older ? latest : NULL) {
        for (Py_ssize_t i = kept == older ? skipped : 0; found != NULL && i < kept->length; i++) {
            PyObject *one = raw_hit(&kept->hits[i]);
            if (one == NULL || PyList_Append(found, one) < 0) {
                Py_CLEAR(found);
            }
            Py_XDECREF(one);
        }
    }
    return found;
}

static PyObject *
judge_get_count(PyObject *object, void *Py_UNUSED(closure))
{
    return PyLong_FromLongLong(((Judge *)object)->count);
}

static int
judge_set_count(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    long long count = value == NULL ? 0 : PyLong_AsLongLong(value);
    if (count == -1 && PyErr_Occurred()) {
        return -1;
    }
    set_count((Judge *)object, count);
    return 0;
}

static void
judge_dealloc(PyObject *object)
{
    Judge *self = (Judge *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyBuffer_Release(&self->buffer);
    Py_CLEAR(self->steps);
    Py_CLEAR(self->constants);
    drop_kept(self->kept);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef judge_methods[] = {
    {"ask", judge_ask, METH_VARARGS, PyDoc_STR("Say what is asked of changes.")},
    {"note_in", judge_note_in, METH_O, PyDoc_STR("Let the count stand in a buffer of 8 bytes as well.")},
    {"kept", judge_kept, METH_NOARGS, PyDoc_STR("Return the latest hits that were only counted.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef judge_getsets[] = {
    {"count", judge_get_count, judge_set_count, PyDoc_STR("How many hits there were."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot judge_slots[] = {
    {Py_tp_new, judge_new},
    {Py_tp_dealloc, judge_dealloc},
    {Py_tp_methods, judge_methods},
    {Py_tp_getset, judge_getsets},
    {Py_tp_doc, (void *)PyDoc_STR("What one watchpoint asks of changes, and how many did so.")},
    {0, NULL},
};

PyType_Spec judge_spec = {
    .name = "stopwhen._core.Judge",
    .basicsize = sizeof(Judge),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = judge_slots,
};

/* Case(judge, about, owner, steps, constants, truth): changes of one expression in one scope. */
static PyObject *
case_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    CoreState *state = PyType_GetModuleState(type);
    PyObject *judge, *about, *owner, *given, *constants; /* Borrowed from args. */
    int truth;
    if (!PyArg_ParseTuple(args, "O!OOOOp", state->judge_type, &judge, &about, &owner, &given, &constants, &truth)) {
        return NULL;
    }
    Case *self = (Case *)type->tp_alloc(type, 0);
    if (self == NULL || keep_steps(given, constants, &self->steps, &self->constants) < 0) {
        Py_XDECREF(self);
        return NULL;
    }
    self->judge = (Judge *)Py_NewRef(judge);
    self->about = Py_NewRef(about);
    self->owner = Py_NewRef(owner);
    self->truth = truth;
    return (PyObject *)self;
}

/* take(): the value and the truth of the expression, if they have been judged since the last call; else None. */
static PyObject *
case_take(PyObject *object, PyObject *Py_UNUSED(unused))
{
    Case *self = (Case *)object;
    if (self->last == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *result = PyTuple_Pack(2, self->last, self->truth ? Py_True : Py_False);
    if (result != NULL) {
        Py_CLEAR(self->last); /* I3 */
    }
    return result;
}

/* see(truth): Python has looked at the expression. */
static PyObject *
case_see(PyObject *object, PyObject *truth)
{
    Case *self = (Case *)object;
    self->truth = truth == Py_True;
    Py_CLEAR(self->last); /* I3 */
    Py_RETURN_NONE;
}

static int
case_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((Case *)object)->about);
    Py_VISIT(((Case *)object)->owner);
    return 0;
}

static int
case_clear(PyObject *object)
{
    Case *self = (Case *)object;
    Py_CLEAR(self->about);
    Py_CLEAR(self->owner);
    return 0;
}

static void
case_dealloc(PyObject *object)
{
    Case *self = (Case *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    (void)case_clear(object);
    Py_CLEAR(self->judge);
    Py_CLEAR(self->steps);
    Py_CLEAR(self->constants);
    Py_CLEAR(self->last);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef case_methods[] = {
    {"take", case_take, METH_NOARGS, PyDoc_STR("Return value and truth if they have been judged since the last call.")},
    {"see", case_see, METH_O, PyDoc_STR("Remember that Python has looked, and the truth that it found.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot case_slots[] = {
    {Py_tp_new, case_new},
    {Py_tp_dealloc, case_dealloc},
    {Py_tp_traverse, case_traverse},
    {Py_tp_clear, case_clear},
    {Py_tp_methods, case_methods},
    {Py_tp_doc, (void *)PyDoc_STR("Judges changes of one expression in one scope.")},
    {0, NULL},
};

PyType_Spec case_spec = {
    .name = "stopwhen._core.Case",
    .basicsize = sizeof(Case),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = case_slots,
};
