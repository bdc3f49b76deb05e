/* Functions of other tools that the interpreter calls: trace and profile functions, callbacks of sys.monitoring. */
#ifndef STOPWHEN_TOOLS_H
#define STOPWHEN_TOOLS_H

#include "state.h"

/* When such a function is called, seen from the frame for which it is. */
typedef enum {
    BEFORE_INSTRUCTION, /* Before its next instruction, or amid one that has changed nothing yet. */
    AMID_INSTRUCTION,   /* What has changed, its current instruction has. */
    BEFORE_FRAME,       /* It has not begun. */
    AFTER_LOOK,         /* We have just looked: nothing differs. */
} ToolMoment;

/* A call that runs. */
typedef struct {
    uint64_t number; /* 0: nothing is compared for it. */
    int is_late;     /* What differed before it waits for an event of ours: nothing can be told of it. */
} ToolCall;

/* Compare, before `function` is called in this thread; it stays owned until tools_end(). May be called with an exception
 * set, which stays. */
void tools_begin(CoreState *state, ToolCall *call, PyObject *function, ToolMoment moment);

/* Compare, after that: what has changed since, the function did. `leaves`: the frame is about to be left. */
void tools_end(CoreState *state, const ToolCall *call, int leaves);

/* At an event of ours, while `unfinished_calls` is not 0: one of this thread has ended. Note what it has changed. */
void tools_finish(CoreState *state);

/* `blame` is certain but for this: its thread is amid such a function, which may have changed it before. */
void tools_doubt(CoreState *state, Blame *blame);

/* Stand before the functions of other tools exactly while something is armed that is compared. */
void tools_update(CoreState *state);

/* Let all be as before. */
void tools_clear(CoreState *state);

/* In a forked child: the other threads are gone, and what they called. */
void tools_forget_threads(CoreState *state);

/* The module goes. */
void tools_free(CoreState *state);

/* Return the code that runs when `function` is called, borrowed; NULL when that is not Python code, or not known. */
PyCodeObject *tools_code_called(PyObject *function);

#if HAS_MONITORING
/* monitoring.c: note what differs right before a function of another tool is called, as our own event would; 0 when that
 * is left to the event. */
int monitoring_settle(CoreState *state, ToolMoment moment);
#endif

#endif
