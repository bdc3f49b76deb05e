/* Checks that come in thousands, one or more for each instance of a class. A look compares those whose owner the last
 * instruction has taken, and a few others in turn, so that it costs the same however many there are.
 *
 * I1. `crowd` holds exactly the armed checks that belong to instances; `crowd_owners` has the first of each owner, which
 *     the others follow by `next_of_owner`.
 * I2. Before an instruction that may change what it takes, the checks of the operands are compared, and stand in
 *     `reached`. What the look right after it finds in them, that instruction did (large.c, I1).
 * I3. What is found in turn happened at some time since that check was last compared: the hit is not exact, and `place`,
 *     where that was, is the first of its two places.
 * I4. Where another thread has run since the last look, all are compared.
 */
#include "crowd.h"

#include "codeinfo.h"

/* A crowd of no more is compared as a whole at each look, like other checks. */
#define FEW 32

/* How many are compared in turn at each look. */
#define IN_TURN 2

int
crowd_is_large(const CoreState *state)
{
    return state->crowd_count > FEW;
}

int
crowd_add(CoreState *state, Check *check)
{
    if (state->crowd_count == state->crowd_capacity) {
        Py_ssize_t capacity = state->crowd_capacity == 0 ? 16 : 2 * state->crowd_capacity;
        Check **crowd = state->crowd;
        PyMem_Resize(crowd, Check *, (size_t)capacity); /* Assigns, NULL on failure. */
        if (crowd == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        state->crowd = crowd;
        state->crowd_capacity = capacity;
    }
    check->next_of_owner = table_find(&state->crowd_owners, check->owner);
    if (check->next_of_owner != NULL) {
        (void)table_take(&state->crowd_owners, check->owner);
    }
    if (table_put(&state->crowd_owners, check->owner, check) < 0) {
        return -1; /* Those that followed are compared in turn. */
    }
    check->place_in_crowd = state->crowd_count;
    state->crowd[state->crowd_count++] = check; /* I1 */
    if (state->crowd_count == FEW + 1) {
        state->large_count++;
#if HAS_MONITORING
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
    for (Py_ssize_t i = 0; i < state->reached_count; i++) {
        if (state->reached[i] == check) {
            state->reached[i--] = state->reached[--state->reached_count];
        }
    }
    if (state->crowd_count == FEW) {
        state->large_count--;
        state->reached_count = 0;
    }
}

static void
remember_place(Check *check)
{
    Py_XSETREF(check->place, (PyCodeObject *)Py_XNewRef(compat_place(&check->place_offset)));
}

static int
is_whole(const CoreState *state, Look look)
{
    return look == LOOK_WHOLE || state->crowd_count <= FEW || state->last_thread != PyThreadState_Get(); /* I4 */
}

/* The checks to compare at a look that is not whole: those reached, then some in turn. NULL behind the last one. */
static Check *
chosen(const CoreState *state, Py_ssize_t i)
{
    if (i < state->reached_count) {
        return state->reached[i];
    }
    i -= state->reached_count;
    if (i >= IN_TURN || i >= state->crowd_count) {
        return NULL;
    }
    return state->crowd[(state->crowd_turn + i) % state->crowd_count];
}

int
crowd_finds_change(CoreState *state, Look look)
{
    int found = 0;
    if (is_whole(state, look)) {
        for (Py_ssize_t i = 0; i < state->crowd_count && !found; i++) {
            found = check_changed(state, state->crowd[i]) != 0;
        }
        return found;
    }
    Check *check;
    for (Py_ssize_t i = 0; !found && (check = chosen(state, i)) != NULL; i++) {
        found = check_changed(state, check) != 0;
    }
    if (!found) {
        for (Py_ssize_t i = state->reached_count; (check = chosen(state, i)) != NULL; i++) {
            remember_place(check);
        }
        state->crowd_turn += IN_TURN;
        state->reached_count = 0;
    }
    return found;
}

/* True when nothing but the instruction that has just run can have changed the owner of a check (I2). */
static int
is_certain(const CoreState *state, const Check *check)
{
    return state->crowd_count <= FEW || (check->reached != 0 && check->reached == state->look);
}

static void
report(CoreState *state, Check *check, const Blame *blame, int certain)
{
    Blame found = *blame; /* Borrows. */
    Py_INCREF(check);
    if (check_changed(state, check) != 0) {
        if (!certain && check->place != NULL) {
            found.other_code = check->place; /* I3 */
            found.other_offset = check->place_offset;
        }
        if (check_report(state, check, &found) < 0) {
            PyErr_Clear(); /* It counts as missed. */
        }
    }
    Py_DECREF(check);
}

void
crowd_report(CoreState *state, const Blame *blame, Look look)
{
    if (is_whole(state, look)) {
        for (Py_ssize_t i = 0; i < state->crowd_count; i++) {
            report(state, state->crowd[i], blame, is_certain(state, state->crowd[i]));
        }
    }
    else {
        Check *check;
        for (Py_ssize_t i = 0; (check = chosen(state, i)) != NULL; i++) {
            report(state, check, blame, is_certain(state, check));
        }
        state->crowd_turn += IN_TURN;
    }
    state->reached_count = 0;
}

void
crowd_see_operand(CoreState *state, PyObject *object)
{
    Check *check = table_find(&state->crowd_owners, object);
    for (Check *next; check != NULL; check = next) {
        next = check->next_of_owner;
        if (check_changed(state, check) != 0) {
            /* That was there before. */
            PendingError error = take_pending_error();
            Blame blame;
            blame_current(&blame);
            report(state, check, &blame, 0);
            blame_release(&blame);
            put_back_pending_error(error);
        }
        remember_place(check);
        check->reached = state->look + 1;
        if (state->reached_count < (Py_ssize_t)Py_ARRAY_LENGTH(state->reached)) {
            state->reached[state->reached_count++] = check; /* I2 */
        }
    }
}

void
crowd_free(CoreState *state)
{
    assert(state->crowd_count == 0);
    PyMem_Free(state->crowd);
    state->crowd = NULL;
    state->crowd_capacity = 0;
    table_free(&state->crowd_owners);
}
