/* Whether dicts have been stored to, 3.11: each store to any dict gives it the next number as its version, so one to a dict
 * of ours tells how many there have been.
 */
#include "clock.h"

#if HAS_DICT_VERSIONS

int
clock_has_moved(CoreState *state, ClockReading *since)
{
    const ClockReading before = *since;
    PendingError error = take_pending_error();
    if (state->clock == NULL) {
        state->clock = PyDict_New();
    }
    /* Another value each time: the same one would be no store. */
    PyObject *value = state->clock_readings % 2 == 0 ? Py_True : Py_False;
    if (state->clock == NULL || PyDict_SetItem(state->clock, Py_None, value) < 0) {
        PyErr_Clear();
        *since = (ClockReading){0, 0};
    }
    else {
        state->clock_readings++;
        *since = (ClockReading){((PyDictObject *)state->clock)->ma_version_tag, state->clock_readings};
    }
    put_back_pending_error(error);
    return before.version == 0 || since->version - before.version != since->readings - before.readings;
}

#endif
