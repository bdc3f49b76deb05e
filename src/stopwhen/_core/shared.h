/* Variables that functions share (shared.c). */
#ifndef STOPWHEN_SHARED_H
#define STOPWHEN_SHARED_H

#include "codeinfo.h"

int shared_add(CoreState *state, Check *check);
void shared_remove(CoreState *state, Check *check);

/* Some code in C has just stored to `cell`, NULL where that is not known: note what has changed, and blame the running
 * frame. */
void shared_see_store(CoreState *state, const PyObject *cell);

/* Whether some variable has changed, and to note that, blaming `blame`, which may be uncertain. */
int shared_differs(CoreState *state);
void shared_report(CoreState *state, const Blame *blame);

/* What we kept of an old value is gone, and that may have run code: note what has changed, and return whether anything has. */
int shared_catch_up(CoreState *state);

/* The running frame is about to execute the instruction at `unit`, -1 for none: note what has changed until now. */
void shared_look(CoreState *state, const CodeInfo *info, int unit);

#endif
