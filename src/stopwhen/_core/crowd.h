/* Checks that come in hundreds or thousands: by rule not compared all at once. */
#ifndef STOPWHEN_CROWD_H
#define STOPWHEN_CROWD_H

#include "content.h"

/* True when there are so many that they are not compared as a whole. */
int crowd_is_large(const CoreState *state);

#if !HAS_DICT_WATCHERS
/* True when all of the crowd are compared by the versions of dicts. */
static inline int
crowd_is_of_dicts(const CoreState *state)
{
    return state->crowd_count > 0 && state->crowd_others == 0;
}
#endif

/* True for a check that may stand in the crowd although it belongs to no instance. */
int crowd_has_room_for(const Check *check);

/* True when the crowd has a check of `owner` that belongs to no instance. */
int crowd_watches(const CoreState *state, const PyObject *owner);

int crowd_add(CoreState *state, Check *check);
void crowd_remove(CoreState *state, Check *check);

/* 1 when one of those that are compared now has changed. */
int crowd_finds_change(CoreState *state, Look look);

/* Note every change of those that are compared now, blaming `blame`. Errors are counted, never raised. */
void crowd_report(CoreState *state, const Blame *blame, Look look);

/* The running frame is about to execute an instruction that takes `object` and may run the functions in it; `itself`: and
 * change it. */
void crowd_see_operand(CoreState *state, PyObject *object, int itself);

void crowd_free(CoreState *state);

#endif
