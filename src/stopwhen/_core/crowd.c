/* Checks that come in hundreds or thousands: the lists, sets and deques that many watchpoints are on, and what belongs to
 * each instance of a class. A look compares those whose owner an instruction has taken lately, and a few others in turn,
 * so that it costs the same however many there are.
 *
 * I1. `crowd` holds exactly the armed checks that belong to instances, and those lists and the like that found no room
 *     among the others (recheck_add); `crowd_owners` has the first of each owner, which the others follow by
 *     `next_of_owner`.
 * I2. Before an instruction that may change what it takes, or what the C functions that it takes are bound to, the checks
 *     of those are compared, and stand in `crowd_recent`. From then on they are compared at each look, as checks outside the
 *     crowd are, until others take their place: what a look finds in them, the instruction before it did.
 * I3. What is found in turn happened at some time since that check was last compared: the hit is not exact, and where
 *     that was is the first of its two places.
 * I4. Where another thread has run since the last look, all are compared; and at each look as long as there are few, or
 *     C functions are in the way of other instructions (hooks.c). `crowd_look` is the latest look that has done so.
 * I5. On 3.11, where attributes of instances are compared as well, what belongs to an instance is compared at the first look
 *     after it has joined the crowd: the instruction that has made the object may have stored to it. Until then it stands
 *     in `crowd_young`.
 * I6. On 3.11 each store to any dict gives it the next number as its version. While all of the crowd compare dicts, and none
 *     has been stored to since the last look, they are as they were then: `crowd_is_still`.
 */
#include "crowd.h"

#include "codeinfo.h"

/* A crowd of no more is compared as a whole at each look, like other checks; of a larger one, so many recent checks are,
 * or more while one instruction takes them. */
#define FEW 16

/* A larger one counts as large until no more are left: objects come and go. */
#define FEW_LEFT 8

/* A crowd of more is not, even where hooks are about. */
#define MOST_HOOKED 2048

/* How many are compared in turn, and how many looks go by until the next ones are. */
#define IN_TURN 2
#define LOOKS_BETWEEN 3

/* Of how many objects, and how deep, an iterator or the like is asked for the functions in it. */
#define MOST_PARTS 32
#define MOST_DEPTH 4

int
crowd_is_large(const CoreState *state)
{
    return state->crowd_is_large;
}

#if !HAS_DICT_WATCHERS
static int
compares_dict(const Check *check)
{
    return check->kind == CHECK_DICT_ITEM || (check->kind == CHECK_DICT && !PyODict_Check(check->owner));
}

static int
add_young(CoreState *state, Check *check)
{
    Check **young =
        grow_memory(state->crowd_young, state->crowd_young_count, &state->crowd_young_capacity, sizeof(Check *));
    if (young == NULL) {
        return -1;
    }
    state->crowd_young = young;
    check->place_in_young = state->crowd_young_count;
    state->crowd_young[state->crowd_young_count++] = check;
    check->is_young = 1; /* I5 */
    return 0;
}

static void
remove_young(CoreState *state, Check *check)
{
    Check *last = state->crowd_young[--state->crowd_young_count];
    state->crowd_young[check->place_in_young] = last;
    last->place_in_young = check->place_in_young;
    check->is_young = 0;
}
#endif

int
crowd_has_room_for(const Check *check)
{
    /* Whatever changes one of these takes it as an operand, by rule. */
    return check->kind == CHECK_LIST || check->kind == CHECK_LIST_ITEM || check->kind == CHECK_SET ||
           check->kind == CHECK_SEQUENCE;
}

int
crowd_watches(const CoreState *state, const PyObject *owner)
{
    Check *check = table_find(&state->crowd_owners, owner);
    while (check != NULL && check->part != NULL) {
        check = check->next_of_owner;
    }
    return check != NULL;
}

static void
remember_place(const CoreState *state, Check *check)
{
    Py_XSETREF(check->place, (PyCodeObject *)Py_XNewRef(compat_place(&check->place_offset)));
    check->compared = state->look;
}

/* All are as they were last seen. */
static void
remember_place_of_all(CoreState *state)
{
    Py_XSETREF(state->crowd_place, (PyCodeObject *)Py_XNewRef(compat_place(&state->crowd_place_offset)));
    state->crowd_look = state->look;
}

/* It begins where the program asked for it, or stored what it belongs to. */
static void
remember_beginning(CoreState *state, Check *check)
{
    PendingError error = take_pending_error();
    Blame blame;
    blame_current(&blame);
    recheck_leave_own_frames(state, &blame);
    Py_XSETREF(check->place, blame.frame == NULL ? NULL : PyFrame_GetCode(blame.frame));
    check->place_offset = blame.frame == NULL ? 0 : PyFrame_GetLasti(blame.frame);
    check->place_offset = check->place_offset < 0 ? 0 : check->place_offset;
    check->compared = state->look;
    blame_release(&blame);
    put_back_pending_error(error);
}

int
crowd_add(CoreState *state, Check *check)
{
    Check **crowd = grow_memory(state->crowd, state->crowd_count, &state->crowd_capacity, sizeof(Check *));
    if (crowd == NULL) {
        return -1;
    }
    state->crowd = crowd;
#if !HAS_DICT_WATCHERS
    if (check->part != NULL && add_young(state, check) < 0) {
        return -1;
    }
#endif
    check->next_of_owner = table_find(&state->crowd_owners, check->owner);
    if (check->next_of_owner != NULL) {
        (void)table_take(&state->crowd_owners, check->owner);
    }
    if (table_put(&state->crowd_owners, check->owner, check) < 0) {
#if !HAS_DICT_WATCHERS
        if (check->is_young) {
            remove_young(state, check);
        }
#endif
        return -1; /* Those that followed are compared in turn. */
    }
    check->place_in_crowd = state->crowd_count;
    check->in_crowd = 1;
    check->is_recent = 0;
    remember_beginning(state, check);
    state->crowd[state->crowd_count++] = check; /* I1 */
    state->crowd_plain += check->part == NULL;
#if !HAS_DICT_WATCHERS
    if (!compares_dict(check) && state->crowd_others++ == 0 && state->crowd_is_large) {
        tracing_see_instructions(state);
    }
#endif
    if (state->crowd_count > FEW && !state->crowd_is_large) {
        state->crowd_is_large = 1;
        state->large_count++;
#if !HAS_MONITORING
        tracing_see_instructions(state);
#else
        /* The events of instructions that matter by what they take alone have been disabled. */
        if (state->large_count == 1 && instrument_all(state, 1) < 0) {
            PyErr_Clear(); /* No memory: changes are found later, and not exactly. */
        }
#endif
    }
    return 0;
}

void
crowd_remove(CoreState *state, Check *check)
{
    assert(check->in_crowd);
    check->in_crowd = 0;
    state->crowd_plain -= check->part == NULL;
#if !HAS_DICT_WATCHERS
    state->crowd_others -= !compares_dict(check);
#endif
    Check *first = table_take(&state->crowd_owners, check->owner);
    Check **link = &first;
    while (*link != NULL && *link != check) {
        link = &(*link)->next_of_owner;
    }
    if (*link != NULL) {
        *link = check->next_of_owner;
    }
    if (first != NULL && table_put(&state->crowd_owners, check->owner, first) < 0) {
        PyErr_Clear(); /* Cannot be: there is room for one that was just taken. */
    }
    Check *last = state->crowd[--state->crowd_count];
    state->crowd[check->place_in_crowd] = last; /* I1 */
    last->place_in_crowd = check->place_in_crowd;
    for (Py_ssize_t i = 0; i < state->crowd_recent_count; i++) {
        if (state->crowd_recent[i] == check) {
            state->crowd_recent[i--] = state->crowd_recent[--state->crowd_recent_count];
        }
    }
    check->is_recent = 0;
#if !HAS_DICT_WATCHERS
    if (check->is_young) {
        remove_young(state, check);
    }
#endif
    if (state->crowd_count <= FEW_LEFT && state->crowd_is_large) {
        state->crowd_is_large = 0;
        state->large_count--;
    }
    if (state->crowd_count == 0) {
        Py_CLEAR(state->crowd_place);
        state->crowd_look = 0;
    }
}

static int
is_whole(const CoreState *state, Look look)
{
#if !HAS_DICT_WATCHERS
    if (state->crowd_is_due) {
        return 1;
    }
#endif
    return look == LOOK_WHOLE || state->crowd_count <= FEW || others_have_run(state) ||
           (state->hooked && state->crowd_plain > 0 && state->crowd_count <= MOST_HOOKED); /* I4 */
}

static Py_ssize_t
young_count(const CoreState *state)
{
#if HAS_DICT_WATCHERS
    (void)state;
    return 0;
#else
    return state->crowd_young_count;
#endif
}

/* All have been compared, or are about to be reported. */
static void
end_youth(CoreState *state)
{
#if HAS_DICT_WATCHERS
    (void)state;
#else
    while (state->crowd_young_count > 0) {
        Check *check = state->crowd_young[state->crowd_young_count - 1];
        remember_place(state, check);
        remove_young(state, check);
    }
#endif
}

/* The same, unless that was amid an instruction, which may go on and change what it has made (I5). */
static void
grow_up(CoreState *state, Look look)
{
    if (look == LOOK_QUICK) {
        end_youth(state);
    }
}

static int
is_young(const Check *check)
{
#if HAS_DICT_WATCHERS
    (void)check;
    return 0;
#else
    return check->is_young;
#endif
}

/* The checks to compare at a look that is not whole: the recent ones, the young ones, then some in turn. NULL behind the last
 * one. */
static Check *
chosen(const CoreState *state, Py_ssize_t i)
{
    if (i < state->crowd_recent_count) {
        return state->crowd_recent[i];
    }
    i -= state->crowd_recent_count;
#if !HAS_DICT_WATCHERS
    if (i < state->crowd_young_count) {
        return state->crowd_young[i];
    }
    i -= state->crowd_young_count;
#endif
    if (state->crowd_rest > 0 || i >= IN_TURN || i >= state->crowd_count) {
        return NULL;
    }
    return state->crowd[(state->crowd_turn + i) % state->crowd_count];
}

/* Those whose turn it was have been compared. Where one of them is large, none has its turn until as many looks have gone
 * by as take the time of comparing that, or more. */
static void
end_turn(CoreState *state)
{
    if (state->crowd_rest > 0) {
        state->crowd_rest--;
        end_youth(state);
        return;
    }
    Check *check;
    for (Py_ssize_t i = state->crowd_recent_count + young_count(state); (check = chosen(state, i)) != NULL; i++) {
        remember_place(state, check);
    }
    state->crowd_rest = LOOKS_BETWEEN;
    for (Py_ssize_t i = 0; i < IN_TURN && i < state->crowd_count; i++) {
        check = state->crowd[(state->crowd_turn + i) % state->crowd_count];
        state->crowd_rest += check->length / 64;
    }
    state->crowd_turn += IN_TURN;
    end_youth(state);
}

int
crowd_finds_change(CoreState *state, Look look)
{
    int found = 0;
#if !HAS_DICT_WATCHERS
    if (state->crowd_is_still) { /* I6 */
        state->crowd_look = state->look;
        grow_up(state, look);
        return 0;
    }
#endif
    if (is_whole(state, look)) {
        for (Py_ssize_t i = 0; i < state->crowd_count && !found; i++) {
            found = !check_is_surely_same(state->crowd[i]) && check_changed(state, state->crowd[i]) != 0;
        }
        if (!found) {
            remember_place_of_all(state);
            grow_up(state, look);
        }
        return found;
    }
    Check *check;
    for (Py_ssize_t i = 0; !found && (check = chosen(state, i)) != NULL; i++) {
        found = !check_is_surely_same(check) && check_changed(state, check) != 0;
    }
    if (!found) {
        end_turn(state);
    }
    return found;
}

/* True when nothing but the instruction that has just run can have changed the owner of a check: it was compared at the
 * look before, too (I2, I4). */
static int
is_certain(const CoreState *state, const Check *check)
{
    return check->is_recent || is_young(check) || state->crowd_look + 1 >= state->look;
}

static void
report(CoreState *state, Check *check, const Blame *blame, int certain)
{
    Blame found = *blame; /* Borrows. */
    Py_INCREF(check);
    PyCodeObject *code = NULL; /* Owned. */
    if (check_changed(state, check) != 0) {
        if (!certain && found.frame != NULL) { /* I3 */
            int is_own = check->place != NULL && (check->compared > state->crowd_look || state->crowd_place == NULL);
            PyCodeObject *place = is_own ? check->place : state->crowd_place;
            code = place == NULL ? PyFrame_GetCode(found.frame) : (PyCodeObject *)Py_NewRef(place);
            found.other_code = code;
            found.other_offset = place == NULL ? 0 : is_own ? check->place_offset : state->crowd_place_offset;
        }
        if (check_report(state, check, &found) < 0) {
            PyErr_Clear();
            if (check->in_crowd && check->part == NULL) {
                check_suspend(check);
            } /* For a part it counts as missed already. */
        }
    }
    Py_XDECREF(code);
    Py_DECREF(check);
}

void
crowd_report(CoreState *state, const Blame *blame, Look look)
{
    if (is_whole(state, look)) {
        for (Py_ssize_t i = 0; i < state->crowd_count; i++) {
            report(state, state->crowd[i], blame, is_certain(state, state->crowd[i]));
        }
        remember_place_of_all(state);
        grow_up(state, look);
    }
    else {
        Check *check;
        for (Py_ssize_t i = 0; (check = chosen(state, i)) != NULL; i++) {
            report(state, check, blame, is_certain(state, check));
        }
        end_turn(state);
    }
}

/* Return which of the recent checks gives way: one that the coming instruction does not take, in turn; -1 for none. */
static Py_ssize_t
giving_way(CoreState *state)
{
    Py_ssize_t count = state->crowd_recent_count;
    for (Py_ssize_t tried = 0; tried < count; tried++) {
        Py_ssize_t i = state->crowd_recent_turn++ % count;
        if (state->crowd_recent[i]->reached != state->look) {
            return i;
        }
    }
    return -1;
}

static void
be_recent_no_more(CoreState *state, Py_ssize_t i)
{
    Check *check = state->crowd_recent[i];
    check->is_recent = 0;
    remember_place(state, check);
    state->crowd_recent[i] = state->crowd_recent[--state->crowd_recent_count];
}

/* Let a check, which the coming instruction takes, be among those that are compared at each look. There are few of them,
 * but where that instruction takes more: many instances may share a list. */
static void
be_recent(CoreState *state, Check *check)
{
    Py_ssize_t i;
    while (state->crowd_recent_count >= FEW && (i = giving_way(state)) >= 0) {
        be_recent_no_more(state, i);
    }
    if (state->crowd_recent_count == (Py_ssize_t)Py_ARRAY_LENGTH(state->crowd_recent)) {
        be_recent_no_more(state, state->crowd_recent_turn++ % state->crowd_recent_count);
    }
    state->crowd_recent[state->crowd_recent_count++] = check;
    check->is_recent = 1; /* I2 */
}

static void
see_checks_of(CoreState *state, const PyObject *object)
{
    Check *check = table_find(&state->crowd_owners, object);
    for (Check *next; check != NULL; check = next) {
        next = check->next_of_owner;
        check->reached = state->look;
        if (check->is_recent) {
            continue;
        }
        if (check_changed(state, check) != 0) {
            /* That was there before. */
            int was_on = pause_collector(); /* I2 of events.c */
            PendingError error = take_pending_error();
            Blame blame;
            blame_current(&blame);
            report(state, check, &blame, 0);
            blame_release(&blame);
            put_back_pending_error(error);
            resume_collector(was_on);
        }
        if (check->in_crowd) {
            be_recent(state, check);
        }
    }
}

static void
see_owner(CoreState *state, PyObject *object)
{
    see_checks_of(state, object);
#if !HAS_DICT_WATCHERS
    PyObject *dict = compat_instance_dict(object); /* Borrowed. */
    if (dict != NULL) {
        see_checks_of(state, dict); /* By which its attributes are compared (attributes.c). */
    }
#endif
}

/* What a walk through the parts of one operand has come across. */
typedef struct {
    CoreState *state;
    int parts;
    int depth;
    int count;
    PyObject
        *owners[MOST_PARTS]; /* Owned. Those that have checks, or a dict that has: compared once the walk is over. */
} Reach;

static int see_part(PyObject *part, void *reach);

static int
has_checks(const CoreState *state, PyObject *object)
{
#if !HAS_DICT_WATCHERS
    PyObject *dict = compat_instance_dict(object); /* Borrowed. */
    if (dict != NULL && table_find(&state->crowd_owners, dict) != NULL) {
        return 1;
    }
#endif
    return table_find(&state->crowd_owners, object) != NULL;
}

/* True for what may call a function that it holds, or hand on what one of its parts yields: `map`, a partial, `chain`. */
static int
passes_on(const CoreState *state, PyTypeObject *type)
{
    if (type == state->partial_type) {
        return 1;
    }
    int is_of_python =
        PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) && !PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE);
    return !is_of_python && type->tp_traverse != NULL && (type->tp_iternext != NULL || type->tp_call != NULL) &&
           type != &PyGen_Type && type != &PyCoro_Type && type != &PyAsyncGen_Type && type != &PyFunction_Type &&
           type != &PyMethod_Type && type != &PyType_Type;
}

static void
see_parts(PyObject *object, Reach *reach)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type == &PyCFunction_Type || type == &PyCMethod_Type) { /* Nothing else can be a PyCFunction. */
        if (PyCFunction_GET_SELF(object) != NULL) {
            (void)see_part(PyCFunction_GET_SELF(object), reach);
        }
    }
    else if (reach->depth < MOST_DEPTH && (PyTuple_CheckExact(object) || passes_on(reach->state, type))) {
        reach->depth++;
        (void)compat_visit_parts(object, see_part, reach);
        reach->depth--;
    }
}

/* Part of a walk, during which nothing may be made or freed: the object that is walked could change under it. */
static int
see_part(PyObject *part, void *argument)
{
    Reach *reach = argument;
    if (reach->parts++ >= MOST_PARTS) {
        return 1;
    }
    if (has_checks(reach->state, part)) {
        reach->owners[reach->count++] = Py_NewRef(part);
    }
    see_parts(part, reach);
    return 0;
}

void
crowd_see_operand(CoreState *state, PyObject *object, int itself)
{
    Reach reach = {.state = state};
    if (itself) {
        see_owner(state, object);
    }
    see_parts(object, &reach);
    for (int i = 0; i < reach.count; i++) {
        see_owner(state, reach.owners[i]);
        Py_DECREF(reach.owners[i]);
    }
}

void
crowd_free(CoreState *state)
{
    assert(state->crowd_count == 0 && state->crowd_place == NULL);
    PyMem_Free(state->crowd);
    state->crowd = NULL;
    state->crowd_capacity = 0;
#if !HAS_DICT_WATCHERS
    PyMem_Free(state->crowd_young);
    state->crowd_young = NULL;
    state->crowd_young_capacity = 0;
#endif
    table_free(&state->crowd_owners);
}
