/* Checks that come in thousands, one or more for each instance of a class: never compared all at once. */
#ifndef STOPWHEN_CROWD_H
#define STOPWHEN_CROWD_H

#include "content.h"

/* True when there are so many that they are not compared as a whole. */
int crowd_is_large(const CoreState *state);

int crowd_add(CoreState *state, Check *check);
void crowd_remove(CoreState *state, Check *check);

/* 1 when one of those that are compared now has changed. */
int crowd_finds_change(CoreState *state, Look look);

/* Note every change of those that are compared now, blaming `blame`. Errors are counted, never raised. */
void crowd_report(CoreState *state, const Blame *blame, Look look);

/* The running frame is about to execute an instruction that takes `object` and may change it. */
void crowd_see_operand(CoreState *state, PyObject *object);

void crowd_free(CoreState *state);

#endif
