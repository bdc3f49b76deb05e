/* Whether any dict, anywhere, has been stored to (3.11). */
#ifndef STOPWHEN_CLOCK_H
#define STOPWHEN_CLOCK_H

#include "state.h"

#if HAS_DICT_VERSIONS

/* Return whether some dict has been stored to since the reading, which is taken anew; 1 as well when that is not known. */
int clock_has_moved(CoreState *state, ClockReading *since);

#endif
#endif
