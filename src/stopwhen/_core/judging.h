/* Changes that are judged where they happen: no hit, or one that is only counted. */
#ifndef STOPWHEN_JUDGING_H
#define STOPWHEN_JUDGING_H

#include "state.h"

extern PyType_Spec judge_spec;
extern PyType_Spec case_spec;

/* Judge that the cell of `token` goes from `old` to `now`, by the running frame, or where that is known by `blame`. True
 * when nobody else need be told; then the present value is seen. Runs no Python code, sets no exception. */
int judging_settles(CoreState *state, PyObject *token, PyObject *old, PyObject *now, const Blame *blame);

/* set_cases(token, cases): let each Case of a tuple judge changes of the cell of `token`; None for nobody. */
PyObject *judging_set_cases(PyObject *module, PyObject *args);

/* note_with(dict, key): what an exact dict has under a bytes key when a hit is kept belongs to it; None for nothing. */
PyObject *judging_note_with(PyObject *module, PyObject *args);

int judging_traverse(CoreState *state, visitproc visit, void *arg);
void judging_clear(CoreState *state);

#endif
