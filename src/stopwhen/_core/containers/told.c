/* Containers and objects with slots that tell of their changes: what is watched of each, and the calls that change one now.
 *
 * I1. `told` has the armed checks of a container, as a list, and `told_marks` counts it. Meanwhile we stand before what
 *     changes containers of its type (interpose.c), or stores to slots (slots.c). A change that could not be noted for lack
 *     of memory counts as missed, and what still differs is found at the next call. A check is suspended where a change was
 *     noted, but there was no memory to keep what is there now: it stays in `told`, so that the next call on its owner has
 *     the handler called, but is not compared.
 * I2. `operations` lists the calls that have begun and not ended, each on the stack of its own thread: those of one thread
 *     end in the reverse order.
 * I3. What differs when a call begins was changed by another one that has not ended; without one, by C code that does not
 *     tell, at some time since the last look at that container (`place` of the check).
 * I4. Of a long list, a call that is known to change little (`is_narrow`) has only that compared: it is the only one on that
 *     list, from before it begins until it has ended. What differs elsewhere is found by a later look (I3), so that the
 *     check's `place` stays as it is.
 */
#include "told.h"

#include "codeinfo.h"
#include "evidence.h"

#define PATIENCE 10000

unsigned char told_marks[TOLD_MARKS / 8];
int told_patience = PATIENCE;
static unsigned int owners_by_mark[TOLD_MARKS];

static Operation *operations; /* I2. Under the lock of the main interpreter. */

static void
set_mark(const PyObject *owner)
{
    size_t mark = told_mark(owner);
    owners_by_mark[mark]++;
    told_marks[mark / 8] |= (unsigned char)(1 << mark % 8);
}

static void
take_mark(const PyObject *owner)
{
    size_t mark = told_mark(owner);
    if (--owners_by_mark[mark] == 0) {
        told_marks[mark / 8] &= (unsigned char)~(1 << mark % 8);
    }
}

int
told_can_tell(const Check *check)
{
    switch (check->kind) {
    case CHECK_LIST:
    case CHECK_LIST_ITEM:
    case CHECK_SET:
    case CHECK_SEQUENCE:
        return interpose_has_type(check->owner);
    case CHECK_SLOT:
        return slots_can_tell(check->extra);
    default:
        return 0;
    }
}

/* Stand before what changes such a cell, and step aside; -1 with an exception set. */
static int
stand_before(CoreState *state, const Check *check)
{
    return check->kind == CHECK_SLOT ? slots_begin(state, check->extra) : interpose_begin(check->owner);
}

static void
step_aside(CoreState *state, const Check *check)
{
    if (check->kind == CHECK_SLOT) {
        slots_end(state, check->extra);
    }
    else {
        interpose_end(check->owner);
    }
}

/* Keep where the check has been compared last. */
static void
keep_place(Check *check, const Blame *blame)
{
    PyCodeObject *code = blame->frame == NULL ? NULL : PyFrame_GetCode(blame->frame);
    Py_XSETREF(check->place, code);
    check->place_offset = code == NULL ? 0 : blame->offset >= 0 ? blame->offset : PyFrame_GetLasti(blame->frame);
}

/* True when `thread`, which does not run now, is in the middle of an instruction that takes `owner`, or what is bound to it. */
static int
takes(CoreState *state, PyThreadState *thread, const PyObject *owner)
{
    PyCodeObject *code;
    int unit, first, end;
    int is_amid;
    PyObject *called = evidence_called(state, thread, &is_amid);
    if (called != NULL && PyCFunction_Check(called) && PyCFunction_GET_SELF(called) == owner) {
        return 1;
    }
    const uintptr_t *stack = compat_stack_of(thread, &code, &unit);
    CodeInfo *info = stack == NULL ? NULL : code_info(state, code);
    PyErr_Clear();
    if (info == NULL || unit < 0 || unit >= info->length || !depths_operands(info, unit, &first, &end)) {
        return 0;
    }
    while (first < end && compat_stack_item(stack, first) != owner) {
        first++; /* Where the instruction is done already, what stands there is not to be followed. */
    }
    return first < end;
}

/* What such a thread has begun does not tell. */
static int
begins_beside(CoreState *state, const PyObject *owner)
{
    PyThreadState *me = PyThreadState_Get();
    PyThreadState *thread = PyInterpreterState_ThreadHead(me->interp);
    while (thread != NULL && (thread == me || !takes(state, thread, owner))) {
        thread = PyThreadState_Next(thread);
    }
    return thread != NULL;
}

int
told_add(CoreState *state, Check *check)
{
    if (stand_before(state, check) < 0) {
        return -1;
    }
    Check *first = table_find(&state->told, check->owner);
    if (first != NULL) {
        check->next_of_owner = first->next_of_owner;
        first->next_of_owner = check;
    }
    else {
        if (table_put(&state->told, check->owner, check) < 0) {
            step_aside(state, check);
            return -1;
        }
        check->next_of_owner = NULL;
        set_mark(check->owner); /* I1 */
    }
    check->began_beside = begins_beside(state, check->owner);
    Blame blame;
    blame_current(&blame);
    recheck_leave_ours(state, &blame);
    keep_place(check, &blame);
    blame_release(&blame);
    return 0;
}

void
told_remove(CoreState *state, Check *check)
{
    Check *first = table_take(&state->told, check->owner);
    assert(first != NULL);
    if (first == check) {
        first = check->next_of_owner;
    }
    else {
        Check *before = first;
        while (before->next_of_owner != check) {
            before = before->next_of_owner;
        }
        before->next_of_owner = check->next_of_owner;
    }
    check->next_of_owner = NULL;
    if (first == NULL) {
        take_mark(check->owner); /* I1 */
    }
    else if (table_put(&state->told, check->owner, first) < 0) {
        Py_UNREACHABLE(); /* Its place has just been taken out: there is room. */
    }
    step_aside(state, check);
}

/* From how many items on a list is not compared whole before and after each call. */
#define LONG 2048

static int
is_narrow(const Operation *operation, const Check *check)
{
    Py_ssize_t kept = operation == NULL ? 0 : operation->start + operation->tail;
    return operation != NULL && operation->is_narrow && check->kind == CHECK_LIST && kept <= check->length &&
           kept <= PyList_GET_SIZE(check->owner);
}

/* True when the check differs from what was seen; with a narrow `operation`, in what that can change. */
static int
differs(CoreState *state, Check *check, const Operation *operation)
{
    if (!is_narrow(operation, check)) {
        return check_changed(state, check) != 0;
    }
    Py_ssize_t length = PyList_GET_SIZE(check->owner);
    Py_ssize_t count = length - operation->start - operation->tail;
    PyObject **items = ((PyListObject *)check->owner)->ob_item;
    return length != check->length || (count > 0 && memcmp(items + operation->start, check->items + operation->start,
                                                           (size_t)count * sizeof(PyObject *)) != 0);
}

/* Note the difference; as differs(). */
static int
note(CoreState *state, Check *check, const Blame *blame, const Operation *operation)
{
    if (!is_narrow(operation, check)) {
        return check_report(state, check, blame);
    }
    return check_report_items_within(state, check, blame, ((PyListObject *)check->owner)->ob_item,
                                     PyList_GET_SIZE(check->owner), operation->start, operation->tail);
}

/* Return the first check of `owner` that differs from what was seen of it, in what `operation` can change if that is not
 * NULL; NULL when none does, or none is armed. */
static Check *
find_change(CoreState *state, const PyObject *owner, const Operation *operation)
{
    for (Check *check = table_find(&state->told, owner); check != NULL; check = check->next_of_owner) {
        if (!check->suspended && differs(state, check, operation)) {
            PyErr_Clear();
            return check;
        }
    }
    return NULL;
}

typedef enum {
    TOLD, /* A call that tells has done it. */
    TOLD_BESIDE, /* So it has, unless a call that began before its container was watched has. */
    SILENT, /* It was done at some time since the check's last look. */
} Certainty;

/* Note what differs in `owner`, blaming `blame`; `operation` as for find_change(). */
static void
report(CoreState *state, const PyObject *owner, const Blame *blame, Certainty certainty, const Operation *operation)
{
    int was_on = pause_collector();
    int is_noted = 1;
    for (Check *check; is_noted && (check = find_change(state, owner, operation)) != NULL;) {
        Py_INCREF(check);
        Blame found = *blame;
        Py_XINCREF(found.frame);
        Py_XINCREF(found.other_code);
        int is_certain = certainty == TOLD || (certainty == TOLD_BESIDE && !check->began_beside);
        if (!is_certain && check->place != NULL) {
            Py_XSETREF(found.other_code, (PyCodeObject *)Py_NewRef(check->place));
            found.other_offset = check->place_offset;
        }
        int was_narrow = is_narrow(operation, check);
        Py_ssize_t queued = state->queued;
        if (note(state, check, &found, operation) < 0 || differs(state, check, operation)) {
            PyErr_Clear();
            is_noted = state->queued > queued;
            if (is_noted && check->armed && !check->suspended) {
                check_suspend(check); /* I1 */
            }
            else {
                events_miss(state, check->token);
            }
        }
        else if (!was_narrow) {
            keep_place(check, blame); /* I4 */
        }
        blame_release(&found);
        Py_DECREF(check);
    }
    resume_collector(was_on);
}

/* Return the call on `owner` that has begun last and not ended, other than `operation`; `others` tells whether there are
 * such in other threads. */
static const Operation *
running_on(const PyObject *owner, const Operation *operation, int *others)
{
    const Operation *found = NULL;
    *others = 0;
    for (const Operation *one = operations; one != NULL; one = one->next) {
        if (one != operation && one->owner == owner) {
            *others |= found != NULL && found->blame.thread != one->blame.thread;
            found = found == NULL ? one : found;
        }
    }
    return found;
}

static void
doubt(Blame *blame, const Blame *other)
{
    if (other->frame != NULL && blame->other_code == NULL) {
        blame->other_code = PyFrame_GetCode(other->frame);
        blame->other_offset = other->offset;
    }
}

/* Have all calls on `owner` that have not ended compare it whole from now on; return whether there are any. */
static int
widen_others(CoreState *state, const PyObject *owner)
{
    int found = 0;
    for (Operation *one = operations; one != NULL; one = one->next) {
        if (one->owner != owner) {
            continue;
        }
        found = 1;
        if (one->is_narrow && find_change(state, owner, one) != NULL) {
            report(state, owner, &one->blame, TOLD, one);
        }
        one->is_narrow = 0;
    }
    return found;
}

/* How certain it is that what differs now is the work of `operation`, which has not ended. */
static Certainty
certainty_of(const Operation *operation, Certainty best)
{
    return operation->began_narrow && !operation->is_narrow ? SILENT : best; /* I4 */
}

/* Something differs before `operation` begins: I3. */
static void
report_before(CoreState *state, const Operation *operation)
{
    int others;
    const Operation *running = running_on(operation->owner, operation, &others);
    Blame blame = running == NULL ? operation->blame : running->blame;
    Py_XINCREF(blame.frame);
    if (running == NULL || others) {
        doubt(&blame, &operation->blame);
    }
    report(state, operation->owner, &blame, running == NULL ? SILENT : certainty_of(running, TOLD), NULL);
    blame_release(&blame);
}

static void
begin(CoreState *state, Operation *operation, PyObject *owner)
{
    operation->owner = owner;
    operation->switches = *state->switches_now;
    operation->next = operation->previous = NULL;
    if (widen_others(state, owner) || !PyList_Check(owner) || PyList_GET_SIZE(owner) < LONG) {
        operation->is_narrow = 0; /* I4 */
    }
    blame_current(&operation->blame);
    if (operation->blame.frame != NULL) {
        operation->blame.offset = PyFrame_GetLasti(operation->blame.frame);
    }
    if (find_change(state, owner, operation) != NULL) {
        operation->is_narrow = 0;
        report_before(state, operation);
    }
    operation->began_narrow = operation->is_narrow;
    operation->next = operations;
    if (operations != NULL) {
        operations->previous = operation;
    }
    operations = operation; /* I2 */
}

static int
begin_if_watched(Operation *operation, PyObject *owner)
{
    CoreState *state = state_for_callback();
    if (state == NULL || !is_in_main_interpreter() || Py_IsFinalizing()) {
        return 0;
    }
    if (told_patience < 0) {
        told_patience = PATIENCE;
        told_look(state, 0);
    }
    if (table_find(&state->told, owner) == NULL) {
        return 0;
    }
    PendingError error = take_pending_error();
    begin(state, operation, owner);
    put_back_pending_error(error);
    return 1;
}

int
told_begin(Operation *operation, PyObject *owner)
{
    *operation = (Operation){.is_narrow = 0};
    return begin_if_watched(operation, owner);
}

int
told_begin_narrow(Operation *operation, PyObject *owner, Py_ssize_t start, Py_ssize_t tail)
{
    *operation = (Operation){.is_narrow = start >= 0 && tail >= 0, .start = start, .tail = tail};
    return begin_if_watched(operation, owner);
}

/* If more waits than the `queued` records of before, or something is missed (I1), have the handler called as soon as the
 * blamed instruction is done. */
static void
call_handler_after(CoreState *state, const Blame *blame, Py_ssize_t queued)
{
    int is_due = state->queued > queued || state->missed_count > 0 || state->missed_more;
    if (!is_due || events_is_draining()) {
        return;
    }
#if HAS_MONITORING
    instrument_stop_after(state, blame);
#else
    tracing_stop_after(blame);
    events_drain_later();
#endif
}

static void
end(CoreState *state, Operation *operation)
{
    Py_ssize_t queued = state->queued;
    if (find_change(state, operation->owner, operation) != NULL) {
        int others;
        const Operation *running = running_on(operation->owner, operation, &others);
        int is_shared = others || (running != NULL && running->blame.thread != operation->blame.thread);
        int has_switched = *state->switches_now != operation->switches;
        if (is_shared && has_switched) {
            doubt(&operation->blame, &running->blame);
        }
        Certainty certainty = certainty_of(operation, has_switched ? TOLD_BESIDE : TOLD);
        report(state, operation->owner, &operation->blame, certainty, operation);
    }
    call_handler_after(state, &operation->blame, queued);
}

void
told_end(Operation *operation)
{
    PendingError error = take_pending_error();
    if (operation->next != NULL) {
        operation->next->previous = operation->previous;
    }
    if (operation->previous != NULL) {
        operation->previous->next = operation->next;
    }
    else {
        operations = operation->next; /* I2 */
    }
    CoreState *state = state_for_callback();
    if (state != NULL) {
        end(state, operation);
    }
    blame_release(&operation->blame);
    put_back_pending_error(error);
}

void
told_forget_threads(void)
{
    const PyThreadState *me = PyThreadState_Get();
    Operation **link = &operations;
    Operation *previous = NULL;
    for (Operation *one = operations; one != NULL; one = one->next) {
        if (one->blame.thread == me) {
            *link = one;
            one->previous = previous;
            previous = one;
            link = &one->next;
        }
    }
    *link = NULL;
}

/* The part of the time that looks take which nobody has asked for. */
#define PART_OF_TIME 50

static int64_t next_look; /* In nanoseconds. */

void
told_look(CoreState *state, int is_due)
{
    int64_t now = state->told.count == 0 ? 0 : compat_time_ns();
    if (state->told.count == 0 || (!is_due && now < next_look)) {
        return;
    }
    PendingError error = take_pending_error();
    Blame blame;
    blame_current(&blame);
    recheck_leave_ours(state, &blame);
    doubt(&blame, &blame);
    Py_ssize_t queued = state->queued;
    const Check *check;
    for (Py_ssize_t i = 0; (check = table_next(&state->told, &i)) != NULL;) {
        int others;
        if (find_change(state, check->owner, NULL) != NULL && running_on(check->owner, NULL, &others) == NULL) {
            PyObject *owner = Py_NewRef(check->owner);
            report(state, owner, &blame, SILENT, NULL); /* I3 */
            Py_DECREF(owner);
        }
    }
    call_handler_after(state, &blame, queued);
    blame_release(&blame);
    put_back_pending_error(error);
    next_look = now + PART_OF_TIME * (compat_time_ns() - now);
}

PyObject *
told_look_now(PyObject *module, PyObject *Py_UNUSED(unused))
{
    told_look(PyModule_GetState(module), 1);
    Py_RETURN_NONE;
}
