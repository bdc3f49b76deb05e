/* Functions of ours that stand before those that other tools have the interpreter call. */
#ifndef STOPWHEN_STANDINS_H
#define STOPWHEN_STANDINS_H

#include "state.h"

/* Stand before those that there are, and those that come. Sets no exception. */
void standins_begin(CoreState *state);

/* Let all be as before. */
void standins_end(CoreState *state);

extern PyType_Spec stand_in_spec;

#endif
