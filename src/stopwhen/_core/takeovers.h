/* What others take away that the interpreter has given us. */
#ifndef STOPWHEN_TAKEOVERS_H
#define STOPWHEN_TAKEOVERS_H

#include "state.h"

/* What has been taken; mechanisms/takeovers.py reports each. */
enum {
    TAKEN_TOOL = 1,    /* The tool id of sys.monitoring, its events or its callbacks. */
    TAKEN_WATCHER = 2, /* The dict watcher id, or a dict that it watched. */
};

/* taken(): what others have taken since the last call, and the name of the function of sys.monitoring that took the tool
 * id, None for none. */
PyObject *takeovers_taken(PyObject *module, PyObject *unused);

/* True when something has been taken of which nobody was told yet. Quick. */
int takeovers_wait(const CoreState *state);

#if HAS_MONITORING
/* Find the functions of the interpreter that could take our tool id, while nobody stands before them. */
void takeovers_open(void);

/* We have a tool id; or have given it back. */
void takeovers_begin(CoreState *state);
void takeovers_end(void);
#endif

#endif
